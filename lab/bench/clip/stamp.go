package clip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// The capture stamp: an SEI user_data_unregistered message (H.264 D.1.7) of a UUID, a version byte, the picture's
// number and the capture time in nanoseconds since 1970, both 64 bit big endian. It is the wire format of the agent's
// own stamp, so that one client reads the stamps of every server.
const (
	stampUUID    = "ocellu\x80s\xa0capture"
	stampVersion = 1
	stampSize    = 16 + 1 + 8 + 8
)

// StampUUIDBytes is the UUID as a list of C initializers.
func StampUUIDBytes() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]byte(stampUUID)), " ", ","), "[]")
}

// Stamped puts a capture stamp SEI in front of the slices of an access unit.
func Stamped(nalus [][]byte, frame uint64, at time.Time) [][]byte {
	sei := append([]byte{6, 5, stampSize}, stampUUID...)
	sei = append(sei, stampVersion)
	sei = binary.BigEndian.AppendUint64(sei, frame)
	sei = binary.BigEndian.AppendUint64(sei, uint64(at.UnixNano()))
	sei = append(escape(sei), 0x80)
	last := len(nalus) - 1
	out := append([][]byte{}, nalus[:last]...)
	return append(out, sei, nalus[last])
}

// StampTime finds the capture time in an RTP payload that holds the SEI as a single NAL unit or in a STAP-A.
func StampTime(payload []byte) (time.Time, bool) {
	if kind := payload[0] & 31; kind != 6 && kind != 24 {
		return time.Time{}, false
	}
	at := bytes.Index(payload, []byte(stampUUID))
	if at < 0 {
		return time.Time{}, false
	}
	body := unescape(payload[at+len(stampUUID):])
	if len(body) < stampSize-len(stampUUID) {
		return time.Time{}, false
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(body[9:]))), true
}

// escape puts the emulation prevention bytes in (ITU-T H.264 7.4.1).
func escape(nalu []byte) []byte {
	out, zeros := make([]byte, 0, len(nalu)+4), 0
	for _, b := range nalu {
		if zeros >= 2 && b <= 3 {
			out, zeros = append(out, 3), 0
		}
		if b != 0 {
			zeros = -1
		}
		zeros++
		out = append(out, b)
	}
	return out
}

func unescape(data []byte) []byte {
	return bytes.ReplaceAll(data, []byte{0, 0, 3}, []byte{0, 0})
}
