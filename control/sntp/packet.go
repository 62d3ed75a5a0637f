package sntp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// size is that of a packet without extensions, RFC 5905 7.3.
const size = 48

// ErrRefused: the answer is no time to go by.
var ErrRefused = errors.New("refused")

// request is a client's question. It says nothing of us: all fields are zero but the version, the mode, and a random
// number in the place of the transmit time, which the answer has to bear.
func request(nonce uint64) []byte {
	p := make([]byte, size)
	p[0] = 4<<3 | 3 // version 4, client
	binary.BigEndian.PutUint64(p[40:], nonce)
	return p
}

// parse reads an answer: when the server took the question and when it answered, both on its clock. floor decides the
// era: NTP's seconds begin anew every 136 years, next in 2036.
func parse(p []byte, nonce uint64, floor time.Time) (received, sent time.Time, err error) {
	bad := func(text string) (time.Time, time.Time, error) {
		return time.Time{}, time.Time{}, fmt.Errorf("%w: %s", ErrRefused, text)
	}
	if len(p) < size {
		return bad("cut short")
	}
	leap, version, mode, stratum := p[0]>>6, p[0]>>3&7, p[0]&7, p[1]
	rootDelay, rootDispersion := short(p[4:]), short(p[8:])
	switch {
	case mode != 4 || version < 3 || version > 4:
		return bad("no server's answer")
	case binary.BigEndian.Uint64(p[24:]) != nonce:
		return bad("it answers another question")
	case leap == 3 || stratum == 0 || stratum > 15:
		return bad("the server does not know the time itself")
	case rootDelay/2+rootDispersion > time.Second:
		return bad("the server is too far from a clock")
	}
	received, sent = stamp(p[32:], floor), stamp(p[40:], floor)
	if sent.Before(received) || sent.Sub(received) > time.Second {
		return bad("its times are in disorder")
	}
	return received, sent, nil
}

// short is a time of 16.16 bits, in seconds.
func short(p []byte) time.Duration {
	return time.Duration(uint64(binary.BigEndian.Uint32(p)) * uint64(time.Second) >> 16)
}

// stamp is a time of 32.32 bits: seconds since 1900 in some era, of which we take the first that is not before a day
// before the floor.
func stamp(p []byte, floor time.Time) time.Time {
	const era, since1900 = 1 << 32, 2208988800
	seconds := int64(binary.BigEndian.Uint32(p)) - since1900
	for seconds < floor.Unix()-24*3600 {
		seconds += era
	}
	nanos := uint64(binary.BigEndian.Uint32(p[4:])) * uint64(time.Second) >> 32
	return time.Unix(seconds, int64(nanos)).UTC()
}
