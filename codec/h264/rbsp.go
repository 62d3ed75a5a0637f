package h264

// Escape appends the payload b with emulation prevention (H.264 7.4.1.1): no three bytes 00 00 00..03 come out as such,
// and a payload that ends in a zero byte gets a 03 behind it.
func Escape(dst, b []byte) []byte {
	e := escaper{dst: dst}
	e.write(b)
	if len(b) > 0 && b[len(b)-1] == 0 {
		e.dst = append(e.dst, 3)
	}
	return e.dst
}

// escaper appends bytes with emulation prevention, across several writes.
type escaper struct {
	dst   []byte
	zeros int
}

func (e *escaper) byte(c byte) {
	if e.zeros == 2 && c <= 3 {
		e.dst = append(e.dst, 3)
		e.zeros = 0
	}
	e.dst = append(e.dst, c)
	if c == 0 {
		e.zeros++
	} else {
		e.zeros = 0
	}
}

func (e *escaper) write(b []byte) {
	for _, c := range b {
		e.byte(c)
	}
}

// Unescape appends the payload of b without its emulation prevention bytes.
func Unescape(dst, b []byte) []byte {
	zeros := 0
	for _, c := range b {
		if zeros == 2 && c == 3 {
			zeros = 0
			continue
		}
		dst = append(dst, c)
		if c == 0 {
			zeros = min(zeros+1, 2)
		} else {
			zeros = 0
		}
	}
	return dst
}

// bitReader reads the bits of a NAL unit's payload and skips emulation prevention bytes on its way. After a read past
// the end, or an Exp-Golomb code that is too long, bad is true and everything reads as 0.
type bitReader struct {
	b     []byte
	cur   byte
	left  int // bits of cur that are not read yet
	zeros int
	bad   bool
}

// newBitReader begins behind the NAL unit's header byte.
func newBitReader(nalu []byte) bitReader {
	if len(nalu) == 0 {
		return bitReader{bad: true}
	}
	return bitReader{b: nalu[1:]}
}

func (r *bitReader) fill() {
	if len(r.b) > 0 && r.zeros == 2 && r.b[0] == 3 {
		r.b, r.zeros = r.b[1:], 0
	}
	if len(r.b) == 0 {
		r.bad = true
		return
	}
	r.cur, r.b, r.left = r.b[0], r.b[1:], 8
	if r.cur == 0 {
		r.zeros = min(r.zeros+1, 2)
	} else {
		r.zeros = 0
	}
}

// u reads n bits, most significant first (n <= 32).
func (r *bitReader) u(n int) uint32 {
	v := uint32(0)
	for n > 0 {
		if r.left == 0 {
			r.fill()
		}
		if r.bad {
			return 0
		}
		k := min(n, r.left)
		v = v<<k | uint32(r.cur)>>(r.left-k)&(1<<k-1)
		r.left -= k
		n -= k
	}
	return v
}

func (r *bitReader) flag() bool { return r.u(1) == 1 }

// ue reads an unsigned Exp-Golomb code (9.1).
func (r *bitReader) ue() uint32 {
	n := 0
	for r.u(1) == 0 {
		if n++; r.bad || n > 32 {
			r.bad = true
			return 0
		}
	}
	if n == 32 {
		if r.u(32) != 0 {
			r.bad = true // 2^32-1 + more does not fit, and no syntax element is that large
		}
		return 1<<32 - 1
	}
	return 1<<n - 1 + r.u(n)
}

// se reads a signed Exp-Golomb code (9.1.1).
func (r *bitReader) se() int32 {
	v := r.ue()
	if v&1 == 1 {
		return int32(v/2 + 1)
	}
	return -int32(v / 2)
}

// more reports whether payload is left before the trailing bits (more_rbsp_data, 7.2).
func (r *bitReader) more() bool {
	if r.bad {
		return false
	}
	rest := r.b
	for len(rest) > 0 && rest[len(rest)-1] == 0 {
		rest = rest[:len(rest)-1]
	}
	if len(rest) > 1 {
		return true
	}
	if len(rest) == 1 { // the stop bit is the lowest one in this byte; is there anything before it?
		return r.left > 0 || rest[0]&(rest[0]-1) != 0
	}
	cur := r.cur & (1<<r.left - 1)
	return cur&(cur-1) != 0
}
