package qrtext

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

// A text that is too long for one code of a size that a cheap lens can read is cut in parts, shown one after the other:
//
//	OCP1:HASH:I:N:TEXT
//
// HASH is 6 characters, the first 30 bits of SHA-256 of the whole text in RFC 4648 base 32: it keeps parts of two texts
// apart and proves the whole. I counts from 1 to N.
const (
	partPrefix = "OCP1:"
	MaxParts   = 8
	MaxPart    = 240 // characters of a part, its head included
	hashChars  = 6
	partHead   = len(partPrefix) + hashChars + len(":1:8:")
)

// Split cuts a text into as few parts of at most size characters as do, all about as long. A text that fits is its own
// only part.
func Split(text string, size int) ([]string, error) {
	if len(text) <= size {
		return []string{text}, nil
	}
	room := min(size, MaxPart) - partHead
	if room < 1 || len(text) > MaxText {
		return nil, fmt.Errorf("qr text: %d characters in parts of %d: no", len(text), size)
	}
	n := (len(text) + room - 1) / room
	if n > MaxParts {
		return nil, fmt.Errorf("qr text: %d characters in parts of %d: more than %d", len(text), size, MaxParts)
	}
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%s:%d:%d:%s", partPrefix, hash(text), i+1, n, text[i*len(text)/n:(i+1)*len(text)/n])
	}
	return out, nil
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base32.StdEncoding.EncodeToString(sum[:])[:hashChars]
}

// Parts collects the parts of one text, in any order and as often as they come. The zero Parts is empty. It holds at
// most MaxParts times MaxPart bytes; parts of another text begin anew.
type Parts struct {
	hash string
	part []string
}

// Add takes a part, and returns the whole text once it is complete. A text that is no part is ErrUnknown or ErrVersion;
// one that does not fit is ErrDamaged.
func (p *Parts) Add(text string) (whole string, complete bool, err error) {
	id, i, n, body, err := parsePart(text)
	if err != nil {
		return "", false, err
	}
	if id != p.hash || n != len(p.part) {
		p.hash, p.part = id, make([]string, n)
	}
	p.part[i] = body
	for _, b := range p.part {
		if b == "" {
			return "", false, nil
		}
	}
	whole = strings.Join(p.part, "")
	*p = Parts{}
	if len(whole) > MaxText || hash(whole) != id {
		return "", false, fmt.Errorf("%w: parts that do not make a whole", ErrDamaged)
	}
	return whole, true, nil
}

// Missing returns how many parts there are, and how many are still to come.
func (p *Parts) Missing() (missing, all int) {
	for _, b := range p.part {
		if b == "" {
			missing++
		}
	}
	return missing, len(p.part)
}

func parsePart(text string) (id string, i, n int, body string, err error) {
	rest, ok := strings.CutPrefix(text, partPrefix)
	switch {
	case !ok && newer(text, partPrefix):
		return "", 0, 0, "", ErrVersion
	case !ok:
		return "", 0, 0, "", ErrUnknown
	case len(text) > MaxPart || len(text) <= partHead:
		return "", 0, 0, "", fmt.Errorf("%w: part of %d characters", ErrDamaged, len(text))
	}
	head, body := rest[:hashChars+5], rest[hashChars+5:]
	i, n = int(head[hashChars+1])-'1', int(head[hashChars+3])-'0'
	shape := head[hashChars] == ':' && head[hashChars+2] == ':' && head[hashChars+4] == ':'
	if !shape || n < 2 || n > MaxParts || i < 0 || i >= n {
		return "", 0, 0, "", fmt.Errorf("%w: head of a part", ErrDamaged)
	}
	return head[:hashChars], i, n, body, nil
}
