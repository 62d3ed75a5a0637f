package h264

import "fmt"

// SEIUserDataUnregistered is the payloadType of a message that begins with a UUID of its maker (H.264 D.1.7).
const SEIUserDataUnregistered = 5

// SEIMessage is one message of a supplemental enhancement information NAL unit (H.264 7.3.2.3.1).
type SEIMessage struct {
	Type    int
	Payload []byte // without emulation prevention
}

// AppendSEI appends a whole SEI NAL unit that carries the messages: header byte, messages, trailing bits, with
// emulation prevention. It allocates nothing while dst has room.
func AppendSEI(dst []byte, messages ...SEIMessage) []byte {
	e := escaper{dst: append(dst, byte(NALSEI))}
	for _, m := range messages {
		e.number(m.Type)
		e.number(len(m.Payload))
		e.write(m.Payload)
	}
	e.byte(0x80) // rbsp_trailing_bits
	return e.dst
}

// number writes payloadType or payloadSize: a ff for each 255, then the rest.
func (e *escaper) number(n int) {
	for ; n >= 255; n -= 255 {
		e.byte(0xff)
	}
	e.byte(byte(n))
}

// ParseSEI returns the messages of an SEI NAL unit. On an error it returns those before the damage.
func ParseSEI(nalu []byte) ([]SEIMessage, error) {
	if t := TypeOf(nalu); t != NALSEI {
		return nil, fmt.Errorf("parse SEI: %w: is a %v", ErrInvalid, t)
	}
	return ParseSEIPayload(Unescape(make([]byte, 0, len(nalu)), nalu[1:]))
}

// ParseSEIPayload is ParseSEI on the payload of the NAL unit: without header byte, without emulation prevention. The
// messages are slices of it.
func ParseSEIPayload(b []byte) ([]SEIMessage, error) {
	var messages []SEIMessage
	for len(b) > 0 {
		if b[0] == 0x80 && allZero(b[1:]) {
			return messages, nil
		}
		m, rest, err := nextSEI(b)
		if err != nil {
			return messages, err
		}
		messages, b = append(messages, m), rest
	}
	return messages, nil // no trailing bits: seen in the field, harmless
}

// nextSEI takes the first message off b.
func nextSEI(b []byte) (m SEIMessage, rest []byte, err error) {
	kind, b, ok := seiNumber(b)
	if !ok {
		return m, nil, fmt.Errorf("parse SEI: payload type: %w", ErrTruncated)
	}
	size, b, ok := seiNumber(b)
	if !ok {
		return m, nil, fmt.Errorf("parse SEI: payload size: %w", ErrTruncated)
	}
	if size > len(b) {
		return m, nil, fmt.Errorf("parse SEI: payload of %d bytes in %d: %w", size, len(b), ErrTruncated)
	}
	return SEIMessage{Type: kind, Payload: b[:size:size]}, b[size:], nil
}

func seiNumber(b []byte) (n int, rest []byte, ok bool) {
	for i, c := range b {
		n += int(c)
		if c != 0xff {
			return n, b[i+1:], true
		}
	}
	return 0, nil, false
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
