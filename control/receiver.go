package control

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/internal/statefile"
)

// flushEvery is how often counters of what changed nothing are stored. What is done once is stored before.
const flushEvery = time.Minute

// ReceiverOptions are what a Receiver needs.
type ReceiverOptions struct {
	People   People
	Table    Table
	Clock    Clock
	Counters statefile.Place // control.json
	// Refused, where set, is told of each refusal; it must not block.
	Refused func(r *Refusal, m Message)
	Log     *slog.Logger
}

// Receiver judges commands, runs those that pass, and answers. OpenReceiver is the only door; its methods may be called
// at once from many goroutines.
type Receiver struct {
	ReceiverOptions
	lanes *lanes
	live  context.Context // of everything that is being done
	stop  context.CancelFunc

	mu      sync.Mutex // guards the rest
	ledger  *ledger
	own     identity
	refused map[string]uint64 // by code
	store   sync.Mutex        // one write at a time, in the order of the ledger's states
}

// OpenReceiver reads the counters. A file that can't be read is an error: nobody could tell any more what was said
// already.
func OpenReceiver(o ReceiverOptions) (*Receiver, error) {
	o.Log = o.Log.With("part", "control")
	l, err := openLedger(o.Counters)
	if err != nil {
		return nil, err
	}
	r := &Receiver{ReceiverOptions: o, lanes: newLanes(), ledger: l, refused: map[string]uint64{}}
	r.live, r.stop = context.WithCancel(context.Background())
	return r, nil
}

// Run stores counters from time to time until ctx ends; then it stops what is being done, waits for it, and stores the
// rest.
func (r *Receiver) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.stop()
			r.lanes.shut() // the broker's library may bring something for a moment yet
			r.lanes.wait()
			return r.flush()
		case <-tick.C:
			if err := r.flush(); err != nil {
				r.Log.Error("counters not stored: after a power cut old questions may be answered again", "err", err)
			}
		}
	}
}

func (r *Receiver) flush() error {
	r.mu.Lock()
	behind := r.ledger.behind()
	r.mu.Unlock()
	if !behind {
		return nil
	}
	return r.persist()
}

// persist writes the ledger as it is. The state is taken under the lock of the write, so that a later write never holds
// an earlier state.
func (r *Receiver) persist() error {
	r.store.Lock()
	defer r.store.Unlock()
	r.mu.Lock()
	v := r.ledger.snapshot()
	r.mu.Unlock()
	if err := r.ledger.file.Store(v); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.stored(v)
	return nil
}

// Answer takes a reply to send. last: no other follows.
type Answer func(to envelope.Topic, raw []byte, last bool)

// Receive judges a message. What passes waits in its source's lane and is answered there; so is what is refused, once
// the sender is known to be who he says. The error, a *Refusal, says that there will be no answer.
func (r *Receiver) Receive(m Message, answer Answer) error {
	now, sure := r.Clock()
	own, err := r.identity()
	if err != nil {
		return r.count(refuse(CodeUnclaimed, ""), m)
	}
	a, refusal := authenticate(m, own, r.People, now)
	if refusal != nil {
		return r.count(refusal, m)
	}
	say := r.sayer(own, a, answer)
	before, progress, refusal, quiet := r.look(a, now, sure)
	switch {
	case before != nil && quiet, refusal != nil && quiet:
		return r.count(refuse(CodeRateLimited, ""), m)
	case before != nil:
		say(*before, progress, true)
		return nil
	case refusal == nil:
		refusal = permitted(a, own.opener, r.Table, sure || m.Present)
		refusal = r.admit(a, now, refusal)
	}
	if refusal == nil && !r.lanes.put(a.lane(), a.owner, func() { r.run(a, say) }) {
		r.release(a)
		if refusal = refuse(CodeBusy, "%d commands wait already", maxWaiting); r.live.Err() != nil {
			refusal = refuse(CodeBusy, "the camera stops")
		}
	}
	if refusal != nil {
		refusal.Known = true
		_ = r.count(refusal, m)
		say(Outcome{Code: refusal.Code, Text: refusal.Text, Result: refusal.result}, 0, true)
	}
	return nil
}

// look is the rules that need what is known of the source, before anything is opened. before is the answer to a command
// that came already. quiet: so many of these came that they are answered no more; they cost the source nothing of what
// it may ask, since whoever recorded a command can send it again and again.
func (r *Receiver) look(a *asked, now time.Time, sure bool) (
	before *Outcome, progress int, refusal *Refusal, quiet bool,
) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.ledger.of(envelope.Camera(a.Camera), a.lane(), now)
	if known := m.find(a.ID); known != nil {
		before, progress = known.outcome, 100
		if before == nil {
			progress = known.progress
			before = &Outcome{Code: CodeAccepted, Text: "it is being done"}
		}
	} else if refusal = timely(a, now, sure); refusal == nil && !m.takes(a) {
		refusal = refuse(CodeReplay, "counter %d was used, take one above %d", a.Counter, m.top)
		refusal.result = fmt.Appendf(nil, `{"counter":%d}`, m.top)
	} else if refusal == nil && !m.budget.all.take(now, perSecond, burst) {
		refusal = refuse(CodeRateLimited, "at most %d commands a second", perSecond)
	}
	return before, progress, refusal, (before != nil || refusal != nil) && !m.budget.again.take(now, perSecond/4, burst/2)
}

// admit uses the counter up, for what was refused, too, and looks whether the source may do this so often.
func (r *Receiver) admit(a *asked, now time.Time, refusal *Refusal) *Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.ledger.of(envelope.Camera(a.Camera), a.lane(), now)
	switch {
	case !m.takes(a): // the same came at the same time by another door
		return refuse(CodeReplay, "counter %d was used, take one above %d", a.Counter, m.top)
	case refusal == nil && !m.budget.allows(now, a.op):
		refusal = refuse(CodeRateLimited, "%s: so often in so short a time", a.Operation)
	}
	m.add(a.Counter)
	switch {
	case refusal == nil:
		m.begin(a.ID)
	case a.desired: // it comes again with each connection
		m.keep(a.ID, done{a.Counter, refusal.Code, refusal.Text})
	}
	return refusal
}

// release forgets a command that found no room, so that it may come again under the same id.
func (r *Receiver) release(a *asked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.ledger.sources[a.lane()]; m != nil {
		for i := range m.answers {
			if m.answers[i].id == a.ID {
				m.answers = append(m.answers[:i], m.answers[i+1:]...)
				return
			}
		}
	}
}

// run does one command. What changes something is written down before, so that it is not done again after a power cut.
func (r *Receiver) run(a *asked, say func(o Outcome, progress int, last bool)) {
	if a.op.Once {
		r.mark(a, CodeInterrupted, "")
		if err := r.persist(); err != nil {
			r.Log.Error("command not written down, so it is not done", "operation", a.Operation, "err", err)
			r.finish(a, Outcome{Code: CodeFailed, Text: "the camera can't write to its disk"}, say)
			return
		}
	}
	began := time.Now()
	ctx := context.WithValue(r.live, idKey{}, a.ID)
	outcome := r.Table.Do(ctx, a.who, a.Operation, a.Arguments, func(percent int) {
		percent = min(max(percent, 0), 100)
		r.progress(a, percent)
		say(Outcome{Code: CodeAccepted}, percent, false)
	})
	r.Log.Info("command", "operation", a.Operation, "who", a.who.Name, "code", outcome.Code,
		"took_ms", time.Since(began).Milliseconds())
	if len(outcome.Result) > envelope.MaxResult || len(outcome.Blob) > envelope.MaxBlob {
		outcome = Outcome{Code: CodeTooBig, Text: "done, but the answer is too large for an envelope"}
	}
	r.finish(a, outcome, say)
}

// progress remembers how far a command is, for whoever asks again.
func (r *Receiver) progress(a *asked, percent int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.ledger.sources[a.lane()]; m != nil {
		if known := m.find(a.ID); known != nil {
			known.progress = percent
		}
	}
}

func (r *Receiver) finish(a *asked, o Outcome, say func(o Outcome, progress int, last bool)) {
	if a.op.Once {
		r.mark(a, o.Code, o.Text)
		if err := r.persist(); err != nil {
			r.Log.Warn("answer not written down: after a power cut it reads as interrupted", "err", err)
		}
	}
	r.mu.Lock()
	if m := r.ledger.sources[a.lane()]; m != nil {
		m.end(a.ID, o)
	}
	r.mu.Unlock()
	say(o, 100, true)
}

func (r *Receiver) mark(a *asked, code, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.ledger.sources[a.lane()]; m != nil {
		m.keep(a.ID, done{a.Counter, code, text})
	}
}

// clip cuts a text to so many bytes, between two characters.
func clip(s string, size int) string {
	if len(s) <= size {
		return s
	}
	return strings.ToValidUTF8(s[:size], "")
}

// sayer makes the function that answers one command.
func (r *Receiver) sayer(own identity, a *asked, answer Answer) func(o Outcome, progress int, last bool) {
	began := time.Now()
	to := envelope.ReplyTopic(own.id, a.Source)
	return func(o Outcome, progress int, last bool) {
		now, _ := r.Clock()
		reply := envelope.Reply{
			Camera: own.id, ID: a.ID, Time: now, Code: o.Code, Text: clip(o.Text, envelope.MaxText),
			Result: o.Result, Blob: o.Blob, Progress: progress, Took: time.Since(began),
		}
		raw, err := reply.Seal(to, own.key, a.Source)
		if err != nil {
			r.Log.Error("reply not sealed", "err", err)
			return
		}
		answer(to, raw, last)
	}
}

// identity is the camera's own of this instant, with its opener, which is made once for each owner.
func (r *Receiver) identity() (identity, error) {
	id, key, err := r.People.Operational()
	if err != nil {
		return identity{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.own.opener == nil || !r.own.key.Equal(key) {
		opener, err := envelope.NewOpener(key)
		if err != nil {
			return identity{}, err
		}
		r.own = identity{id, key, opener}
	}
	return r.own, nil
}

func (r *Receiver) count(refusal *Refusal, m Message) error {
	r.mu.Lock()
	r.refused[refusal.Code]++
	r.mu.Unlock()
	if r.Refused != nil {
		r.Refused(refusal, m)
	}
	return refusal
}

// Refusals are the refusals since the start, by code.
func (r *Receiver) Refusals() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.refused)
}

// May reports whether a key may do something now: to whom events are told.
func (r *Receiver) May(key ed25519.PublicKey, action access.Action) bool {
	now, _ := r.Clock()
	who, err := r.People.ByKey(key, now)
	return err == nil && who.May(action)
}
