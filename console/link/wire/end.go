package wire

import (
	"encoding/binary"
	"time"

	"github.com/ocellus/ocellus/codec/frame"
)

// How an End behaves on its line.
const (
	window     = 8                      // frames under way, at most
	firstWait  = time.Second            // for an acknowledgement, before any came
	leastWait  = 200 * time.Millisecond // USB adapters hold bytes back for 16 ms, a busy camera for more
	mostWait   = 2 * time.Second        // less than Hold, so that a few lost frames end nothing
	maxPending = 4                      // messages that wait to be sent; see Room
)

// End is one end of a conversation: it sends messages, each once and in order, over a line that loses frames. Go back
// N: a frame is acknowledged by the number of the next one that is expected, and what is not acknowledged is sent
// again. It has no clock and does no I/O: who has it says what time it is, takes what is to be written, and asks by
// Next when to come back. NewEnd is the only door.
type End struct {
	camera bool // which of the two ends; it marks the frames, so that an echo is known as one
	tag    byte // of the conversation: frames of an earlier one are still in some buffer
	chunk  int  // bytes of a message in one frame
	limit  int  // bytes of a message that comes
	write  func(frame []byte)
	take   func(message []byte)

	// Of what is sent.
	pending   [][]byte // messages; the first one perhaps in part
	flying    []frame.Frame
	next      uint16 // number of the next new frame
	due       time.Time
	wait      time.Duration // until due, from the last news on
	sent      time.Time     // when the frame was sent whose acknowledgement tells how long it takes
	timed     uint16        // its number
	timing    bool
	smooth    time.Duration // how long it takes (RFC 6298 2), and by how much that varies
	deviation time.Duration
	repaired  bool   // the loss that the other end complains of was repaired already
	mended    uint16 // acknowledgements up to here, with it, say nothing of a loss
	// Of what comes.
	expected uint16
	partial  []byte

	// Resent counts frames that had to be sent again.
	Resent uint64
}

// NewEnd makes an end of the conversation that a Hello begins. write is lent a frame that goes out; take is given each
// message that has come whole.
func NewEnd(h Hello, camera bool, write func(frame []byte), take func(message []byte)) *End {
	e := &End{camera: camera, tag: h.Session[4] & lastMask, chunk: h.Chunk, limit: MaxMessage, write: write, take: take,
		next: binary.LittleEndian.Uint16(h.Session[:]), expected: binary.LittleEndian.Uint16(h.Session[2:]), wait: firstWait}
	if camera {
		e.next, e.expected, e.limit = e.expected, e.next, MaxRequest
	}
	return e
}

// A frame of data begins with a byte: whether its message ends with it, and the tag.
const (
	lastFlag = 0x80
	lastMask = lastFlag - 1
)

// Room reports whether another message may be sent now.
func (e *End) Room() bool { return len(e.pending) < maxPending }

// Idle reports whether everything that was sent has arrived.
func (e *End) Idle() bool { return len(e.pending) == 0 && len(e.flying) == 0 }

// Send sends a message of at most MaxMessage bytes, which it keeps.
func (e *End) Send(message []byte, now time.Time) {
	e.pending = append(e.pending, message)
	e.fill(now)
}

// fill sends as much as may be under way.
func (e *End) fill(now time.Time) {
	for len(e.pending) > 0 && len(e.flying) < window {
		m := e.pending[0]
		n := min(len(m), e.chunk)
		flags := e.tag
		if n == len(m) {
			flags |= lastFlag
			e.pending = e.pending[1:]
		} else {
			e.pending[0] = m[n:]
		}
		f := frame.Frame{Kind: e.kind(Data), Seq: e.next, Payload: append([]byte{flags}, m[:n]...)}
		e.next++
		if len(e.flying) == 0 {
			e.due = now.Add(e.wait)
		}
		e.flying = append(e.flying, f)
		if !e.timing {
			e.timing, e.timed, e.sent = true, f.Seq, now
		}
		e.write(f.Append(nil))
	}
}

func (e *End) kind(k uint8) uint8 {
	if e.camera {
		return k | FromCamera
	}
	return k
}

// Frame takes a frame that came; true: it was of this conversation.
func (e *End) Frame(f frame.Frame, now time.Time) bool {
	switch f.Kind ^ e.kind(0) ^ FromCamera {
	case Data:
		return e.data(f)
	case Ack:
		if len(f.Payload) != 1 || f.Payload[0] != e.tag {
			return false
		}
		return e.acknowledged(f.Seq, now)
	case Ping:
		if len(f.Payload) != 1 || f.Payload[0] != e.tag {
			return false
		}
		e.Acknowledge()
		return true
	}
	return false
}

func (e *End) data(f frame.Frame) bool {
	if len(f.Payload) == 0 || f.Payload[0]&lastMask != e.tag {
		return false
	}
	if f.Seq == e.expected {
		if len(e.partial)+len(f.Payload)-1 > e.limit { // the other end is not one of ours
			return false
		}
		e.expected++
		e.partial = append(e.partial, f.Payload[1:]...)
		if f.Payload[0]&lastFlag != 0 {
			whole := e.partial
			e.partial = nil
			e.take(whole)
		}
	}
	e.Acknowledge()
	return true
}

// Stray is the answer to a frame of a conversation that this end does not know: nil where it needs none.
func Stray(f frame.Frame) []byte {
	if f.Kind != Data && f.Kind != Ping || len(f.Payload) == 0 {
		return nil
	}
	return frame.Frame{Kind: Bye | FromCamera, Payload: []byte{f.Payload[0] & lastMask}}.Append(nil)
}

// Ended reports whether a frame says that the camera does not know this conversation.
func (e *End) Ended(f frame.Frame) bool {
	return f.Kind == Bye|FromCamera && len(f.Payload) == 1 && f.Payload[0] == e.tag
}

// Acknowledge says which frame is expected next. Said again, it is a complaint.
func (e *End) Acknowledge() {
	e.write(frame.Frame{Kind: e.kind(Ack), Seq: e.expected, Payload: []byte{e.tag}}.Append(nil))
}

// Ping asks for an acknowledgement: is anybody there?
func (e *End) Ping() { e.write(frame.Frame{Kind: e.kind(Ping), Payload: []byte{e.tag}}.Append(nil)) }

// acknowledged reports whether the number is one that this conversation has come by: another one on the same line has
// the same tag once in 128 times.
func (e *End) acknowledged(expected uint16, now time.Time) bool {
	n := int(int16(expected - (e.next - uint16(len(e.flying)))))
	switch {
	case n > len(e.flying), n < -window:
		return false
	case len(e.flying) == 0, n < 0: // said before
		return true
	case n == 0: // it has what came before, and misses this
		if !e.repaired {
			e.repaired, e.mended = true, expected
			e.again(now)
		}
		return true
	}
	if e.timing && int16(expected-e.timed) > 0 {
		e.measured(now.Sub(e.sent))
	}
	e.flying = append(e.flying[:0], e.flying[n:]...)
	e.repaired = e.repaired && int16(expected-e.mended) <= 0
	e.due = now.Add(e.wait)
	e.fill(now)
	return true
}

// measured learns how long an acknowledgement takes (RFC 6298 2).
func (e *End) measured(took time.Duration) {
	e.timing = false
	if e.smooth == 0 {
		e.smooth, e.deviation = took, took/2
	} else {
		e.deviation += ((e.smooth - took).Abs() - e.deviation) / 4
		e.smooth += (took - e.smooth) / 8
	}
	e.wait = min(max(e.smooth+4*e.deviation, leastWait), mostWait)
}

// again sends everything again that was not acknowledged.
func (e *End) again(now time.Time) {
	e.timing = false // whose acknowledgement comes next is not known (Karn)
	for _, f := range e.flying {
		e.Resent++
		e.write(f.Append(nil))
	}
	e.due = now.Add(e.wait)
}

// Tick does what is due.
func (e *End) Tick(now time.Time) {
	if len(e.flying) > 0 && !now.Before(e.due) {
		e.wait = min(2*e.wait, mostWait)
		// It may have come, and then comes twice and is acknowledged twice. Taken for a complaint, the second time would
		// double all that follows.
		e.repaired, e.mended = true, e.next
		e.again(now)
	}
}

// Next is when to Tick again; zero: there is nothing to wait for.
func (e *End) Next() time.Time {
	if len(e.flying) == 0 {
		return time.Time{}
	}
	return e.due
}
