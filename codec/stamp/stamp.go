// Package stamp writes and reads the capture stamp: who made the picture's number and when it was captured, inside the
// H.264 stream itself, so that whoever receives a picture can tell what was lost and how old the picture is.
//
// It is one SEI message of type 5, user_data_unregistered (H.264 D.1.7), alone in a NAL unit in front of the slices:
//
//	byte  0..15  UUID 6f63656c-6c75-8073-a063-617074757265, fixed: "ocellus", "capture" and the version and variant
//	             bits of a custom UUID (RFC 9562 5.8)
//	byte 16      version of the format, 1
//	byte 17..24  number of the picture, unsigned, big endian: the camera's count, so that gaps are losses
//	byte 25..32  instant of capture, CLOCK_REALTIME in nanoseconds since 1970, signed, big endian
//
// A later version may add bytes behind these and keeps what they mean; a reader takes any version and any length from
// 33 bytes on. The format is pinned by a golden test.
package stamp

import (
	"encoding/binary"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
)

const (
	version = 1
	size    = 16 + 1 + 8 + 8
	// maxEscaped is the most bytes that the message can have with emulation prevention (one byte in three at worst),
	// its type and size in front.
	maxEscaped = (2 + size) * 3 / 2
)

// uuid marks the message as ours.
const uuid = "ocellu\x80s\xa0capture"

// Stamp is what a picture says about itself.
type Stamp struct {
	Frame    uint64    // number of the picture, as the camera counted it
	Captured time.Time // instant of capture on CLOCK_REALTIME; UTC, without a monotonic reading
}

// Append appends the whole SEI NAL unit, without start code. It allocates nothing while dst has room for 53 bytes.
func Append(dst []byte, s Stamp) []byte {
	var b [size]byte
	copy(b[:], uuid)
	b[16] = version
	binary.BigEndian.PutUint64(b[17:], s.Frame)
	binary.BigEndian.PutUint64(b[25:], uint64(s.Captured.UnixNano()))
	return h264.AppendSEI(dst, h264.SEIMessage{Type: h264.SEIUserDataUnregistered, Payload: b[:]})
}

// Parse returns the stamp that an SEI NAL unit carries; false if nalu is something else. It allocates nothing for the
// NAL units that Append makes.
func Parse(nalu []byte) (Stamp, bool) {
	if h264.TypeOf(nalu) != h264.NALSEI {
		return Stamp{}, false
	}
	if len(nalu) > 3 && nalu[1] == h264.SEIUserDataUnregistered && nalu[2] == size {
		var room [maxEscaped]byte
		b := h264.Unescape(room[:0], nalu[3:min(len(nalu), maxEscaped)])
		if s, ok := parse(b[:min(len(b), size)]); ok {
			return s, true
		}
	}
	messages, _ := h264.ParseSEI(nalu)
	for _, m := range messages {
		if m.Type != h264.SEIUserDataUnregistered {
			continue
		}
		if s, ok := parse(m.Payload); ok {
			return s, true
		}
	}
	return Stamp{}, false
}

// Find returns the stamp of an access unit; false if none of its NAL units carries one.
func Find(nalus [][]byte) (Stamp, bool) {
	for _, u := range nalus {
		if s, ok := Parse(u); ok {
			return s, true
		}
	}
	return Stamp{}, false
}

func parse(b []byte) (Stamp, bool) {
	if len(b) < size || string(b[:len(uuid)]) != uuid || b[16] == 0 {
		return Stamp{}, false
	}
	nanos := int64(binary.BigEndian.Uint64(b[25:]))
	return Stamp{Frame: binary.BigEndian.Uint64(b[17:]), Captured: time.Unix(0, nanos).UTC()}, true
}
