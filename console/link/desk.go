package link

import (
	"context"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/frame"
	"github.com/ocellus/ocellus/console/link/wire"
)

const (
	maxJobs  = 4  // requests that are worked on at a time
	maxQueue = 32 // answers that wait for the line; more is another word for a program that does not listen
)

// desk is what Run works with; it is its goroutine's alone, but for what call brings.
type desk struct {
	*Link
	ctx    context.Context
	jobs   *sync.WaitGroup
	talk   *talk         // nil: there is none
	upload *upload       // nil: there is none
	using  chan struct{} // closed when whoever used the last file is through; nil: nobody did
	tuning bool          // an Improv command is worked on
	held   time.Time     // until then no answer to a riddle is judged: there were wrong ones
}

// talk is one conversation.
type talk struct {
	session [wire.SessionSize]byte
	end     *wire.End
	ctx     context.Context // of what was asked in it
	cancel  context.CancelFunc
	heard   time.Time
	lock    Lock     // nil: there is none
	pass    Pass     // nil: nobody has answered the riddle
	queue   [][]byte // messages for which the end had no room
	busy    int      // requests that are worked on
}

// frame takes a frame.
func (d *desk) frame(f frame.Frame, now time.Time) {
	switch {
	case f.Kind == wire.HelloKind:
		d.hello(f, now)
	case d.talk != nil && f.Kind == wire.Bye && string(f.Payload) == string(d.talk.session[:]):
		if u := d.upload; u != nil && u.talk == d.talk && u.result != nil { // it was heard
			d.upload = nil
		}
		d.hangUp()
	case d.talk != nil && d.talk.end.Frame(f, now):
		d.talk.heard = now
		d.flush(now)
	default: // whoever still speaks of another conversation hears that it is over
		if stray := wire.Stray(f); stray != nil {
			d.write(stray)
		}
	}
}

// hello begins a conversation, or says once more that it has begun.
func (d *desk) hello(f frame.Frame, now time.Time) {
	h, err := wire.ParseHello(f.Payload)
	if err != nil {
		d.Log.Debug("greeting not understood", "err", err)
	}
	welcome := d.About()
	welcome.Session = h.Session
	if err == nil && (d.talk == nil || d.talk.session != h.Session) {
		d.hangUp()
		t := &talk{session: h.Session, heard: now}
		t.ctx, t.cancel = context.WithCancel(d.ctx)
		t.end = wire.NewEnd(h, true, d.write, func(m []byte) { d.message(t, m) })
		if d.NewLock != nil {
			t.lock = d.NewLock()
		}
		d.talk = t
	}
	d.write(frame.Frame{Kind: wire.HelloKind | wire.FromCamera, Payload: welcome.Marshal()}.Append(nil))
}

// hangUp ends the conversation. What only it waited for ends; an upload waits for the next one.
func (d *desk) hangUp() {
	if d.talk == nil {
		return
	}
	d.mu.Lock()
	damaged := d.split.Damaged
	d.mu.Unlock()
	d.Log.Debug("conversation over", "frames_resent", d.talk.end.Resent, "frames_damaged_since_start", damaged)
	d.talk.cancel()
	d.talk = nil
}

// pause is how long Run may wait.
func (d *desk) pause(now time.Time) time.Duration {
	next := now.Add(time.Hour)
	sooner := func(at time.Time) {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	if d.talk != nil {
		sooner(d.talk.heard.Add(wire.Hold))
		sooner(d.talk.end.Next())
	}
	if d.upload != nil {
		sooner(d.upload.forgotten())
	}
	return max(next.Sub(now), 0)
}

// tick does what is due.
func (d *desk) tick(now time.Time) {
	if t := d.talk; t != nil {
		if now.Sub(t.heard) >= wire.Hold {
			d.hangUp()
		} else {
			t.end.Tick(now)
		}
	}
	if u := d.upload; u != nil && !u.forgotten().IsZero() && !now.Before(u.forgotten()) {
		d.upload = nil
	}
}

// send says a message in the conversation t, if it still goes on.
func (d *desk) send(t *talk, m wire.Message) {
	if t != d.talk {
		return
	}
	if len(t.queue) >= maxQueue {
		d.Log.Warn("a program asks and does not listen")
		d.hangUp()
		return
	}
	t.queue = append(t.queue, m.Marshal())
	d.flush(time.Now())
}

// flush gives the end what it has room for.
func (d *desk) flush(now time.Time) {
	t := d.talk
	for t != nil && len(t.queue) > 0 && t.end.Room() {
		m := t.queue[0]
		t.queue = t.queue[1:]
		t.end.Send(m, now)
	}
}

// refuse answers a request that is not done.
func (d *desk) refuse(t *talk, number uint16, code, text string) {
	d.send(t, wire.Message{Kind: wire.Refused, Number: number, Body: wire.No{Code: code, Text: text}.Marshal()})
}

// work does a request aside, with the conversation's own context, and sends what it returns; nothing for a message of
// kind 0.
func (d *desk) work(t *talk, number uint16, job func(ctx context.Context) wire.Message) {
	if t.busy >= maxJobs {
		d.refuse(t, number, codeBusy, "several requests are worked on already")
		return
	}
	t.busy++
	d.jobs.Go(func() {
		m := job(t.ctx)
		m.Number = number
		d.call(d.ctx, func() {
			t.busy--
			if m.Kind != 0 {
				d.send(t, m)
			}
		})
	})
}
