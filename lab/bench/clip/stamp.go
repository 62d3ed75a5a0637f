package clip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// stampUUID marks the SEI user_data_unregistered message with a picture's number and capture time. It and the layout
// behind it are those of the agent's own capture stamp, so that one client reads the stamps of every server.
var stampUUID = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

// StampUUIDBytes is the UUID as a list of C initializers.
func StampUUIDBytes() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(stampUUID), " ", ","), "[]")
}

// Stamped puts a capture stamp SEI in front of the slices of an access unit.
func Stamped(nalus [][]byte, frame uint64, at time.Time) [][]byte {
	sei := append([]byte{6, 5, 32}, stampUUID[:]...)
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
	at := bytes.Index(payload, stampUUID[:])
	if at < 0 {
		return time.Time{}, false
	}
	body := unescape(payload[at+len(stampUUID):])
	if len(body) < 16 {
		return time.Time{}, false
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(body[8:]))), true
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
