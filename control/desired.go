package control

import (
	"context"
	"crypto/ed25519"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/envelope"
)

// A desired state lies retained at the broker, one of each person, and the last one counts. A broker that kept the
// session of a camera that was away brings all of them, the oldest first, and an empty message for what was taken back.
// So none is looked at before the broker has brought what it has:
//
//	desired/PERSON --> held, in place of the one before --nothing came for a second--> Receiver --> reported, with its code

// Bounds of the wait.
const (
	calm    = time.Second // without any message: the broker has brought what it had
	maxHeld = 256 << 10   // bytes; what finds no room is judged at once
)

// held is what was left for the camera in one connection, the last of each topic.
type held struct {
	brought chan struct{} // something came; capacity 1, a second one is the first

	mu   sync.Mutex // guards the rest
	last map[envelope.Topic]Message
	size int
	from map[envelope.Topic]ed25519.PublicKey // who left what lies there; those alone whom the camera knew
}

func newHeld() *held {
	return &held{brought: make(chan struct{}, 1), last: map[envelope.Topic]Message{},
		from: map[envelope.Topic]ed25519.PublicKey{}}
}

// put holds a message; an empty one takes back what its topic held. false: there is no room.
func (h *held) put(m Message) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if before, ok := h.last[m.Topic]; ok {
		h.size -= before.size()
		delete(h.last, m.Topic)
	}
	if len(m.Raw) == 0 {
		delete(h.from, m.Topic)
		return true
	}
	if h.size+m.size() > maxHeld {
		return false
	}
	h.last[m.Topic] = m
	h.size += m.size()
	return true
}

func (m Message) size() int { return len(m.Topic) + len(m.Raw) }

// all returns what is held, and holds nothing any more.
func (h *held) all() map[envelope.Topic]Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.last
	h.last, h.size = map[envelope.Topic]Message{}, 0
	return all
}

// lies notes that what somebody left lies at the broker.
func (h *held) lies(m Message) {
	c, err := envelope.ParseCommand(m.Topic, m.Raw)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.from[m.Topic] = c.Source
}

// strange lists what lies there of those whom nobody knows any more.
func (h *held) strange(known func(person ed25519.PublicKey) bool) (topics []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for topic, person := range h.from {
		if !known(person) {
			topics = append(topics, string(topic))
		}
	}
	return topics
}

// settle does what was left for the camera, and takes away what somebody left who was put out since: nobody else might,
// and it would be refused at each connection.
func (l *link) settle(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.held.brought:
		}
		if !l.held.quiet(ctx) {
			return
		}
		for _, m := range l.held.all() {
			if l.judge(m, l.settled) {
				l.held.lies(m)
			}
		}
		now, _ := l.s.Clock()
		for _, topic := range l.held.strange(func(person ed25519.PublicKey) bool {
			_, err := l.s.People.ByKey(person, now)
			return err == nil
		}) {
			if err := l.publish(topic, nil, true); err != nil {
				l.s.Log.Warn("what was left is not taken away", "err", err)
			}
		}
	}
}

// quiet waits until nothing came for a while, or so long that the broker may say what it likes; false: it is over.
func (h *held) quiet(ctx context.Context) bool {
	still, enough := time.NewTimer(calm), time.NewTimer(patience)
	defer still.Stop()
	defer enough.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-still.C:
			return true
		case <-enough.C:
			return true
		case <-h.brought:
			still.Reset(calm)
		}
	}
}

// settled answers, and reports what became of it: nobody may have been there for the answer.
func (l *link) settled(to envelope.Topic, raw []byte, last bool) {
	l.s.answer(to, raw, last)
	if last {
		l.s.Reported()
	}
}

// takes reports whether the counter of a command may be used. Of two desired states the later one counts, in whatever order
// a broker brings them: what was left out does not come late there.
func (m *memory) takes(a *asked) bool {
	return m.fresh(a.Counter) && (!a.desired || a.Counter >= m.top)
}

// Settled is what became of the state that somebody desired last. Its keys are wire format.
type Settled struct {
	ID      string `json:"id"`      // of the command, in hexadecimal digits
	Counter uint64 `json:"counter"` // the next one's is larger
	Code    string `json:"code"`    // CodeAccepted while it is being done
	Text    string `json:"text,omitempty"`
}

// desiredLane is what the ledger calls a person who speaks by the topic of the desired state.
const desiredLane = "/desired"

// Settled tells what became of the state that a person desired last; false: there was none.
func (r *Receiver) Settled(person ed25519.PublicKey) (s Settled, ok bool) {
	id, _, err := r.People.Operational()
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.ledger.sources[envelope.Client(person)+desiredLane]
	if err != nil || r.ledger.camera != envelope.Camera(id) || m == nil {
		return s, false
	}
	for id, d := range m.kept {
		if !ok || d.Counter > s.Counter {
			s, ok = Settled{id, d.Counter, d.Code, d.Text}, true
		}
	}
	if ok && slices.ContainsFunc(m.answers, func(a answered) bool { return a.named(s.ID) && a.outcome == nil }) {
		s.Code, s.Text = CodeAccepted, ""
	}
	return s, ok
}

// desires reports whether a topic is one of the desired states.
func (l *link) desires(topic string) bool { return strings.HasPrefix(topic, l.topic("/desired/")) }
