package rtsp

import (
	"slices"
	"time"

	"github.com/ocellus/ocellus/internal/monotime"
	"github.com/ocellus/ocellus/stream/rtp"
)

// outlet is the way to one reader. Nothing in it blocks.
type outlet interface {
	// send sends a delivery or lets it wait; false: too much waits already, all of it is dropped.
	send(d *delivery) bool
	// report sends an RTCP packet, which stays the caller's.
	report(b []byte)
	// allow lets that many bytes wait on top of the limit until nothing waits.
	allow(bytes int)
	// idle reports whether nothing waits.
	idle() bool
	// discard drops what waits and was not begun.
	discard()
}

// phase is what a reader gets.
//
//	          IDR came, or GOP replayed         too slow
//	joining ------------------------------> live ------> waiting
//	    \--- neither: PLAY is answered --> waiting ----IDR----^ (to live, once nothing is left over)
type phase string

const (
	joining phase = "joining" // PLAY is not answered; the IDR was asked for
	waiting phase = "waiting" // for the next IDR
	live    phase = "live"
)

// reader is one who plays a stream. The fan-out's goroutine owns it.
type reader struct {
	outlet   outlet
	tcp      bool
	phase    phase
	deadline time.Time   // of joining
	answer   func(start) // answers PLAY; nil afterwards
	end      func()      // the stream has ended
	askAfter time.Time   // when the next IDR may be asked for
	retired  bool        // has left

	nextReport      time.Time
	packets, octets uint32
}

// start is where a reader begins; known is false where that can't be said yet.
type start struct {
	known     bool
	seq       uint16
	timestamp uint32
}

// join lets a reader in: it waits for the IDR that is asked for now, or gets the current GOP at once.
func (f *fanout) join(r *reader) {
	now := time.Now()
	if r.tcp {
		f.tcp = append(f.tcp, r)
	} else {
		f.udp = append(f.udp, r)
	}
	r.phase, r.deadline, r.retired = joining, now.Add(joinPatience), false
	r.packets, r.octets, r.nextReport = 0, 0, time.Time{}
	f.joining = append(f.joining, r)
	if coming := f.hub.RequestIDR(); !coming && len(f.gop) > 0 {
		f.replay(r, now)
	}
}

// leave lets a reader out.
func (f *fanout) leave(r *reader) {
	if r.retired {
		return
	}
	r.retired = true
	if r.answer != nil {
		f.begin(r, start{})
	}
	other := func(x *reader) bool { return x == r }
	f.tcp, f.udp = slices.DeleteFunc(f.tcp, other), slices.DeleteFunc(f.udp, other)
	f.keep = time.Now().Add(linger)
	f.flush() // no message of its outlet is left in a batch
	r.outlet.discard()
	if o, ok := r.outlet.(*udpOutlet); ok {
		f.pacer.remove(o)
	}
}

// begin answers PLAY.
func (f *fanout) begin(r *reader, s start) {
	f.joining = slices.DeleteFunc(f.joining, func(x *reader) bool { return x == r })
	if r.answer != nil {
		r.answer(s)
		r.answer = nil
	}
}

// replay gives the current GOP to a reader that joins. Without one the reader waits for the next IDR.
func (f *fanout) replay(r *reader, now time.Time) {
	if len(f.gop) == 0 {
		r.phase = waiting
		f.begin(r, start{})
		return
	}
	first := f.gop[0].burst
	f.begin(r, start{true, first.FirstSeq(), first.Timestamp()})
	r.phase = live
	r.outlet.allow(f.gopBytes)
	f.counts.replays.Add(1)
	for _, d := range f.gop {
		f.serveReader(r, d, now)
	}
}

// serveReader brings one delivery to one reader and returns how many readers got it: 1 or 0.
func (f *fanout) serveReader(r *reader, d *delivery, now time.Time) uint64 {
	if r.phase != live && !f.admit(r, d, now) {
		return 0
	}
	if !r.outlet.send(d) {
		r.phase = waiting
		f.counts.dropped.Add(1)
		return 0
	}
	r.packets += uint32(d.burst.Len())
	r.octets += uint32(d.burst.Octets())
	if !now.Before(r.nextReport) {
		f.report(r, now)
	}
	return 1
}

// admit decides whether a reader that is not live becomes so with this delivery.
func (f *fanout) admit(r *reader, d *delivery, now time.Time) bool {
	if r.phase == waiting && !r.outlet.idle() {
		f.counts.dropped.Add(1)
		return false
	}
	if !d.idr {
		f.ask(r, now)
		return false
	}
	if r.phase == joining {
		f.begin(r, start{true, d.burst.FirstSeq(), d.burst.Timestamp()})
	}
	r.phase = live
	return true
}

// ask asks for an IDR for a reader that waits for one. The hub has its own limit, which is enough for readers that had
// no picture yet; those who were too slow ask seldom.
func (f *fanout) ask(r *reader, now time.Time) {
	if r.packets > 0 {
		f.counts.dropped.Add(1)
		if now.Before(r.askAfter) {
			return
		}
		r.askAfter = now.Add(askInterval)
	}
	f.hub.RequestIDR()
}

// end says goodbye to all readers: the stream has ended, or the server stops.
func (f *fanout) end() {
	for _, call := range f.take() {
		call()
	}
	readers := append(slices.Clone(f.tcp), f.udp...)
	for _, r := range readers {
		r.end() // first: who has heard BYE finds no session
		if f.last.known {
			wall := monotime.Wall(f.last.pts)
			f.sr = rtp.AppendSR(f.sr[:0], f.packetizer.SSRC(), wall, f.last.timestamp, r.packets, r.octets, f.cname)
			f.sr = rtp.AppendBYE(f.sr, f.packetizer.SSRC())
			r.outlet.report(f.sr)
		}
		f.leave(r)
	}
	f.endGroup()
}

// tcpOutlet sends interleaved in the RTSP connection.
type tcpOutlet struct {
	w       *writer
	channel uint8 // of RTP; RTCP has the next one
}

func (o *tcpOutlet) send(d *delivery) bool { return o.w.deliver(d, d.interleaved(o.channel)) }
func (o *tcpOutlet) allow(bytes int)       { o.w.allow(bytes) }
func (o *tcpOutlet) idle() bool            { return o.w.idle() }
func (o *tcpOutlet) discard()              { o.w.discard() }

func (o *tcpOutlet) report(b []byte) {
	frame := append(make([]byte, 0, 4+len(b)), '$', o.channel+1, byte(len(b)>>8), byte(len(b)))
	o.w.reply(append(frame, b...))
}
