package rtp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// headerSize is the size of an RTP header without CSRC and extension (RFC 3550 5.1).
const headerSize = 12

// ErrMalformed: the bytes are not what RFC 3550 or RFC 6184 asks for.
var ErrMalformed = errors.New("malformed")

// Header is the part of an RTP header (RFC 3550 5.1) that a receiver of one stream needs.
type Header struct {
	PayloadType    uint8
	Marker         bool
	SequenceNumber uint16
	Timestamp      uint32
	SSRC           uint32
}

// Parse takes an RTP packet apart. The payload is a slice of b: CSRC list, extension and padding are left out.
func Parse(b []byte) (Header, []byte, error) {
	if len(b) < headerSize {
		return Header{}, nil, fmt.Errorf("parse RTP packet of %d bytes: %w", len(b), ErrMalformed)
	}
	if b[0]>>6 != 2 {
		return Header{}, nil, fmt.Errorf("parse RTP packet: version %d: %w", b[0]>>6, ErrMalformed)
	}
	h := Header{
		PayloadType:    b[1] & 0x7f,
		Marker:         b[1]&0x80 != 0,
		SequenceNumber: binary.BigEndian.Uint16(b[2:]),
		Timestamp:      binary.BigEndian.Uint32(b[4:]),
		SSRC:           binary.BigEndian.Uint32(b[8:]),
	}
	rest := b[headerSize:]
	csrcs := int(b[0]&0x0f) * 4
	if csrcs > len(rest) {
		return h, nil, fmt.Errorf("parse RTP packet: CSRC list: %w", ErrMalformed)
	}
	rest = rest[csrcs:]
	if b[0]&0x10 != 0 {
		if len(rest) < 4 {
			return h, nil, fmt.Errorf("parse RTP packet: extension: %w", ErrMalformed)
		}
		size := 4 + 4*int(binary.BigEndian.Uint16(rest[2:]))
		if size > len(rest) {
			return h, nil, fmt.Errorf("parse RTP packet: extension: %w", ErrMalformed)
		}
		rest = rest[size:]
	}
	if b[0]&0x20 != 0 {
		if len(rest) == 0 || rest[len(rest)-1] == 0 || int(rest[len(rest)-1]) > len(rest) {
			return h, nil, fmt.Errorf("parse RTP packet: padding: %w", ErrMalformed)
		}
		rest = rest[:len(rest)-int(rest[len(rest)-1])]
	}
	return h, rest, nil
}
