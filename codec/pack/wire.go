package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// family is the formats of MessagePack for one type (specification, "Formats"): one byte that has a small number in it,
// then formats with the number in 1, 2, 4 or 8 bytes behind them. The number is the value, or the length of what follows.
type family struct {
	name  string
	fix   byte // the first of the one-byte formats; its numbers are below room
	room  uint64
	wide  byte // the format with the narrowest number behind it
	least int  // bytes of that number
	most  int  // bytes of the widest one
}

// The types that a message has, but for truths, which are two bytes of their own.
var (
	numbers = family{"number", 0x00, 128, 0xcc, 1, 8}
	texts   = family{"text", 0xa0, 32, 0xd9, 1, 4}
	blobs   = family{"byte string", 0, 0, 0xc4, 1, 4}
	lists   = family{"list", 0x90, 16, 0xdc, 2, 4}
	maps    = family{"map", 0x80, 16, 0xde, 2, 4}
)

const (
	isFalse = 0xc2
	isTrue  = 0xc3
)

var errShort = errors.New("cut short")

// put writes a number in the family's shortest format.
func (f family) put(b []byte, n uint64) []byte {
	if n < f.room {
		return append(b, f.fix|byte(n))
	}
	format, width := f.wide, f.least
	for width < f.most && n>>(8*width) > 0 {
		format, width = format+1, width*2
	}
	var all [8]byte
	binary.BigEndian.PutUint64(all[:], n)
	return append(append(b, format), all[8-width:]...)
}

// has reports whether a format is one of the family's.
func (f family) has(format byte) bool {
	return format >= f.fix && uint64(format-f.fix) < f.room || f.width(format) > 0
}

// width is how many bytes of number stand behind a format; 0 for a format of one byte, and for another family's.
func (f family) width(format byte) int {
	for width, wide := f.least, f.wide; width <= f.most; width, wide = width*2, wide+1 {
		if format == wide {
			return width
		}
	}
	return 0
}

// get reads a number, in whatever format of the family: Parse writes everything again, and finds those that were not the
// shortest.
func (f family) get(b []byte) (n uint64, rest []byte, err error) {
	switch {
	case len(b) == 0:
		return 0, nil, errShort
	case !f.has(b[0]):
		return 0, nil, fmt.Errorf("format %#x is no %s", b[0], f.name)
	}
	width := f.width(b[0])
	if width == 0 {
		return uint64(b[0] - f.fix), b[1:], nil
	}
	if len(b) <= width {
		return 0, nil, errShort
	}
	for _, digit := range b[1 : 1+width] {
		n = n<<8 | uint64(digit)
	}
	return n, b[1+width:], nil
}

// body reads a length and so many bytes.
func (f family) body(b []byte) (body, rest []byte, err error) {
	n, rest, err := f.get(b)
	switch {
	case err != nil:
		return nil, nil, err
	case n > uint64(len(rest)):
		return nil, nil, errShort
	}
	return rest[:n], rest[n:], nil
}

// items reads the header of a list or a map at a depth, and refuses a length before memory is taken for it: each item is
// a byte at least.
func (f family) items(b []byte, depth int) (n int, rest []byte, err error) {
	if depth > MaxDepth {
		return 0, nil, fmt.Errorf("more than %d levels", MaxDepth)
	}
	length, rest, err := f.get(b)
	switch {
	case err != nil:
		return 0, nil, err
	case length > MaxItems:
		return 0, nil, fmt.Errorf("%d items, at most %d", length, MaxItems)
	case int(length) > len(rest):
		return 0, nil, errShort
	}
	return int(length), rest, nil
}
