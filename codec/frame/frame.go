// Package frame is how two programs speak on a line on which a person may type, too: a serial console.
//
//	C5 0C  kind u8  seq u16  len u16  payload  crc u32
//
// Numbers are little-endian; crc is the CRC-32C (RFC 3720 B.4) of everything between the first two bytes and itself. No
// valid UTF-8 has 0C behind C5, so nobody types the beginning of a frame, and no text holds it. What the kinds and the
// sequence numbers mean is for whoever speaks by frames (console/link/wire).
//
// The line is a bad one: it drops, adds and turns bytes, and somebody may have set another speed. A frame is whole or
// it is nothing.
package frame

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Sizes in bytes.
const (
	MaxPayload = 1024
	header     = 7
	trailer    = 4
	// Overhead is what a frame is longer than its payload.
	Overhead = header + trailer
	// Max is the longest frame.
	Max = MaxPayload + Overhead
)

// The first two bytes. 0xC5 begins a character of two bytes, whose second is 80 to BF (RFC 3629 3).
const (
	sync0 = 0xc5
	sync1 = 0x0c
)

// Frame is one frame.
type Frame struct {
	Kind    uint8
	Seq     uint16
	Payload []byte // at most MaxPayload
}

// Append writes the frame behind b. A payload that is too long is a broken invariant, and panics.
func (f Frame) Append(b []byte) []byte {
	if len(f.Payload) > MaxPayload {
		panic(fmt.Sprintf("frame: a payload of %d bytes", len(f.Payload)))
	}
	at := len(b)
	b = append(b, sync0, sync1, f.Kind)
	b = binary.LittleEndian.AppendUint16(b, f.Seq)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(f.Payload)))
	b = append(b, f.Payload...)
	return binary.LittleEndian.AppendUint32(b, sum(b[at:]))
}

// sum is the checksum of a frame that begins b, without its trailer.
func sum(b []byte) uint32 { return crc32.Checksum(b[2:], crc32.MakeTable(crc32.Castagnoli)) }

// state is how far the frame is that begins b.
type state int

const (
	short   state = iota // more has to come
	damaged              // no frame
	whole
)

// parse looks at b, which begins with the two bytes. A whole frame shares memory with b and has size bytes.
func parse(b []byte) (f Frame, size int, how state) {
	if len(b) < header {
		return f, 0, short
	}
	n := int(binary.LittleEndian.Uint16(b[5:]))
	size = n + Overhead
	switch {
	case n > MaxPayload:
		return f, 0, damaged
	case len(b) < size:
		return f, 0, short
	case binary.LittleEndian.Uint32(b[header+n:]) != sum(b[:header+n]):
		return f, 0, damaged
	}
	return Frame{b[2], binary.LittleEndian.Uint16(b[3:]), b[header : header+n]}, size, whole
}
