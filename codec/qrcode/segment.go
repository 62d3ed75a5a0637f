package qrcode

import (
	"fmt"
	"strings"
)

// alphabet is the 45 characters of the alphanumeric mode (ISO/IEC 18004 table 5).
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// mode is how a segment's characters are packed; the values are the mode indicators.
type mode uint

const (
	terminator   mode = 0
	numeric      mode = 1
	alphanumeric mode = 2
	bytewise     mode = 4
	eci          mode = 7
)

// Alphanumeric reports whether text can be written in the alphanumeric mode, 5.5 bits a character.
func Alphanumeric(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(alphabet, r) })
}

func tightest(text string) mode {
	switch {
	case text != "" && strings.Trim(text, "0123456789") == "":
		return numeric
	case text != "" && Alphanumeric(text):
		return alphanumeric
	}
	return bytewise
}

// countBits returns how wide the count of characters is (ISO/IEC 18004 table 3).
func (m mode) countBits(version int) int {
	i := 0
	if version >= 10 {
		i++
	}
	if version >= 27 {
		i++
	}
	switch m {
	case numeric:
		return [3]int{10, 12, 14}[i]
	case alphanumeric:
		return [3]int{9, 11, 13}[i]
	}
	return [3]int{8, 16, 16}[i]
}

// bits returns what a segment of n characters takes, its head included.
func (m mode) bits(version, n int) int {
	head := 4 + m.countBits(version)
	switch m {
	case numeric:
		return head + n/3*10 + [3]int{0, 4, 7}[n%3]
	case alphanumeric:
		return head + n/2*11 + n%2*6
	}
	return head + 8*n
}

// segment writes text as one segment, ends it and fills up to size bytes.
func segment(text string, m mode, version, size int) []byte {
	w := writer{b: make([]byte, 0, size)}
	w.put(uint(m), 4)
	w.put(uint(len(text)), m.countBits(version))
	switch m {
	case numeric:
		for ; len(text) > 0; text = text[min(3, len(text)):] {
			n, v := min(3, len(text)), uint(0)
			for _, c := range []byte(text[:n]) {
				v = 10*v + uint(c-'0')
			}
			w.put(v, [4]int{0, 4, 7, 10}[n])
		}
	case alphanumeric:
		for ; len(text) > 1; text = text[2:] {
			w.put(45*digit45(text[0])+digit45(text[1]), 11)
		}
		if text != "" {
			w.put(digit45(text[0]), 6)
		}
	default:
		for _, c := range []byte(text) {
			w.put(uint(c), 8)
		}
	}
	w.put(uint(terminator), min(4, 8*size-w.n))
	w.put(0, (8-w.n%8)%8)
	for pad := byte(0xEC); len(w.b) < size; pad ^= 0xEC ^ 0x11 {
		w.b = append(w.b, pad)
	}
	return w.b
}

func digit45(c byte) uint { return uint(strings.IndexByte(alphabet, c)) }

// writer packs bits, the most significant first.
type writer struct {
	b []byte
	n int
}

func (w *writer) put(v uint, bits int) {
	for i := bits - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

// reader takes bits; past the end it gives zeros and is spent.
type reader struct {
	b []byte
	n int
}

func (r *reader) left() int { return 8*len(r.b) - r.n }

func (r *reader) take(bits int) (v int) {
	for range bits {
		v <<= 1
		if r.n < 8*len(r.b) {
			v |= int(r.b[r.n/8] >> (7 - r.n%8) & 1)
		}
		r.n++
	}
	return v
}

// unsegment reads the segments of a symbol's data codewords. padded says that what follows the terminator is the
// padding that the standard asks for, which is a check in itself.
func unsegment(words []byte, version int) (text []byte, padded bool, err error) {
	r := reader{b: words}
	for r.left() >= 4 {
		m := mode(r.take(4))
		if m == terminator {
			return text, r.padding(), nil
		}
		if text, err = r.segment(text, m, version); err != nil {
			return nil, false, err
		}
	}
	return text, true, nil
}

// segment reads one segment after its mode indicator.
func (r *reader) segment(text []byte, m mode, version int) ([]byte, error) {
	switch m {
	case eci: // names the character set of what follows; we hand on bytes
		switch lead := r.take(8); {
		case lead>>6 == 2:
			r.take(8)
		case lead>>5 == 6:
			r.take(16)
		}
		return text, nil
	case numeric, alphanumeric, bytewise:
		n := r.take(m.countBits(version))
		if m.bits(version, n)-4-m.countBits(version) > r.left() {
			return nil, fmt.Errorf("%w: %d characters are not there", ErrDamaged, n)
		}
		return r.characters(text, m, n)
	}
	return nil, fmt.Errorf("%w: mode %d", ErrMode, m)
}

func (r *reader) characters(text []byte, m mode, n int) ([]byte, error) {
	for n > 0 {
		switch m {
		case numeric:
			k := min(n, 3)
			v := r.take([4]int{0, 4, 7, 10}[k])
			digits := fmt.Appendf(nil, "%0*d", k, v)
			if len(digits) != k {
				return nil, fmt.Errorf("%w: digits %d", ErrDamaged, v)
			}
			text, n = append(text, digits...), n-k
		case alphanumeric:
			k := min(n, 2)
			v := r.take([3]int{0, 6, 11}[k])
			if k == 2 && v >= 45*45 || k == 1 && v >= 45 {
				return nil, fmt.Errorf("%w: characters %d", ErrDamaged, v)
			}
			if k == 2 {
				text = append(text, alphabet[v/45])
			}
			text, n = append(text, alphabet[v%45]), n-k
		default:
			text, n = append(text, byte(r.take(8))), n-1
		}
	}
	return text, nil
}

// padding reports whether only the standard's fill is left: zeros to the byte, then EC and 11 in turn.
func (r *reader) padding() bool {
	if r.take((8-r.n%8)%8) != 0 {
		return false
	}
	for want := 0xEC; r.left() >= 8; want ^= 0xEC ^ 0x11 {
		if r.take(8) != want {
			return false
		}
	}
	return true
}
