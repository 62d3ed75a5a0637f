package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/lab/bench/clip"
)

// reader is one reader's view of its stream.
type reader struct {
	id      int
	session *session
	ticks   uint32

	tail []byte // begin of a frame whose end has not come yet (TCP)
	dead bool

	begun     bool
	seq       uint16
	unitTime  uint32 // timestamp of the last whole access unit
	haveUnit  bool
	stampTime uint32 // timestamp of the access unit that the stamp belongs to
	stamp     time.Time

	units, gaps, missing int
	fault                string
	latency              []time.Duration
}

func newReader(id int, s *session, c Config) *reader {
	return &reader{id: id, session: s, ticks: c.Ticks}
}

// clear forgets what was counted before the window.
func (r *reader) clear() {
	r.units, r.gaps, r.missing, r.fault, r.latency = 0, 0, 0, "", r.latency[:0]
}

// readTCP takes what the socket has; false when the connection ended.
func (r *reader) readTCP(buffer []byte) bool {
	have := copy(buffer, r.tail)
	if have == 0 && r.session.in != nil && r.session.in.Buffered() > 0 {
		have, _ = r.session.in.Read(buffer)
	}
	n, err := unix.Read(r.session.fd, buffer[have:])
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		n, err = 0, nil
	} else if n <= 0 {
		r.dead = true
		return false
	}
	data := buffer[:have+max(n, 0)]
	data = data[r.frames(data):]
	if len(data) == len(buffer) {
		r.dead = true // more than any frame or answer: not a stream that we understand
		return false
	}
	r.tail = append(r.tail[:0], data...)
	return true
}

// frames eats whole interleaved frames and RTSP answers, and returns how many bytes that were.
func (r *reader) frames(data []byte) int {
	at := 0
	for len(data)-at >= 4 {
		b := data[at:]
		if b[0] != '$' {
			end := bytes.Index(b, []byte("\r\n\r\n"))
			if end < 0 {
				return at
			}
			at += end + 4 // the answers that come here (PLAY, GET_PARAMETER) have no body
			continue
		}
		size := int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+size {
			return at
		}
		if b[1] == 0 {
			r.packet(b[4 : 4+size])
		}
		at += 4 + size
	}
	return at
}

func (r *reader) readUDP(buffer []byte) {
	for {
		n, err := unix.Read(r.session.udpRTP, buffer)
		if err != nil || n <= 0 {
			return
		}
		r.packet(buffer[:n])
	}
}

// packet counts one RTP packet (RFC 3550 5.1).
func (r *reader) packet(p []byte) {
	if len(p) < 13 || p[0]>>6 != 2 {
		return
	}
	seq, timestamp := binary.BigEndian.Uint16(p[2:]), binary.BigEndian.Uint32(p[4:])
	if r.begun && seq != r.seq+1 {
		r.gaps++
		r.fault = fmt.Sprintf("reader %d: sequence number %d after %d", r.id, seq, r.seq)
	}
	r.begun, r.seq = true, seq
	if payload := p[12:]; len(payload) < 200 {
		if at, ok := clip.StampTime(payload); ok {
			r.stamp, r.stampTime = at, timestamp
		}
	}
	if p[1]&0x80 != 0 {
		r.unit(timestamp)
	}
}

// unit counts an access unit whose last packet has come.
func (r *reader) unit(timestamp uint32) {
	if r.haveUnit {
		step := float64(int32(timestamp-r.unitTime)) / float64(r.ticks)
		if lost := int(math.Round(step)) - 1; lost > 0 {
			r.missing += lost
			r.fault = fmt.Sprintf("reader %d: %.2f pictures in one step", r.id, step)
		}
	}
	r.units++
	r.unitTime, r.haveUnit = timestamp, true
	if r.stampTime == timestamp && !r.stamp.IsZero() {
		r.latency = append(r.latency, time.Since(r.stamp))
		r.stamp = time.Time{}
	}
}
