package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/ocellus/ocellus/codec/envelope"
)

// shelf is what lies retained at a broker for cameras of ours, and what they left there for us.
type shelf struct {
	client  mqtt.Client
	places  []*place
	brought chan struct{} // something came; capacity 1, a second one is the first
}

// place is one camera's on the shelf.
type place struct {
	name string
	*way
	answers

	mu sync.Mutex // guards view
	view
}

// view is what lies at a place, of one moment.
type view struct {
	presence string             // online, offline; empty: the camera was never there
	left     *envelope.Received // the desired state; nil: none
	report   envelope.Event     // the reported one; the zero Event: none
	reported reportedState
}

// reportedState is what a camera reports, as far as it is of use here.
type reportedState struct {
	Release string            `json:"release"`
	Config  map[string]string `json:"config"`
	Desired settledState      `json:"desired"`
}

// settledState is what a camera says of what was left for it last.
type settledState struct {
	ID      string `json:"id"`
	Counter uint64 `json:"counter"`
	Code    string `json:"code"`
	Text    string `json:"text"`
}

// The codes of a desired state that the camera has said nothing of.
const (
	codeWaiting  = "waiting"
	codeAccepted = "accepted"
	codeExpired  = "expired"
	codeOK       = "ok"
)

const (
	stillness = time.Second      // without a message: the broker has brought what lies there
	lookLimit = 10 * time.Second // for it
	maxWords  = 4 << 10          // bytes of what lies in the clear
)

// openShelf connects and looks what lies there.
func (f *brokerFlag) openShelf(ctx context.Context, h home, names []string) (*shelf, error) {
	s := &shelf{brought: make(chan struct{}, 1)}
	at := map[string]*place{}
	var topics []envelope.Topic
	for _, name := range names {
		name, camera, err := h.camera(name)
		if err != nil {
			return nil, err
		}
		w, back, err := h.wayTo(camera)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		p := &place{name: name, way: w, answers: back}
		s.places = append(s.places, p)
		for _, t := range []envelope.Topic{p.desired(), envelope.ReportedTopic(w.id, w.public()), envelope.StateTopic(w.id)} {
			at[string(t)] = p
			topics = append(topics, t)
		}
	}
	client, err := f.subscribe(func(m mqtt.Message) {
		if p := at[m.Topic()]; p != nil {
			p.take(envelope.Topic(m.Topic()), m.Payload())
		}
		select {
		case s.brought <- struct{}{}:
		default:
		}
	}, topics...)
	if err != nil {
		return nil, err
	}
	s.client = client
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	for s.wait(ctx, stillness) {
	}
	return s, nil
}

// wait waits for a message; false: none came in time.
func (s *shelf) wait(ctx context.Context, within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-s.brought:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

func (s *shelf) close() { s.client.Disconnect(250) }

func (p *place) desired() envelope.Topic { return envelope.DesiredTopic(p.id, p.public()) }

// take takes what lies at one of the topics. The broker may bring anything: what is not ours, or not the camera's, does
// not lie there.
func (p *place) take(t envelope.Topic, raw []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch t {
	case p.desired():
		p.left = nil
		if c, err := envelope.ParseCommand(t, raw); err == nil && c.Source.Equal(p.public()) && c.Verify() == nil {
			p.left = c
		}
	case envelope.StateTopic(p.id):
		var said struct{ State string }
		if p.presence = ""; len(raw) <= maxWords && json.Unmarshal(raw, &said) == nil {
			p.presence = said.State
		}
	default:
		p.hear(t, raw)
	}
}

// hear takes a reported state, unless it is older than what was there: the broker may bring that again.
func (p *place) hear(t envelope.Topic, raw []byte) {
	e, err := envelope.OpenEvent(t, raw, p.opener, p.answers.camera)
	if err != nil || e.Class != "state" || e.Seq < p.report.Seq {
		return
	}
	var state reportedState
	if json.Unmarshal(e.Detail, &state) == nil {
		p.report, p.reported = e, state
	}
}

// look returns what lies there now.
func (p *place) look() view {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.view
}

// verdict is what became of what lies there; the zero one where nothing does.
func (v view) verdict(now time.Time) (s settledState) {
	if v.left == nil {
		return s
	}
	s = settledState{ID: hex.EncodeToString(v.left.ID[:]), Counter: v.left.Counter, Code: codeWaiting}
	switch {
	case v.reported.Desired.ID == s.ID:
		return v.reported.Desired
	case !v.left.Expires.IsZero() && now.After(v.left.Expires):
		s.Code = codeExpired
	}
	return s
}

// pending reports whether the camera has yet to take what lies there.
func (v view) pending(now time.Time) bool {
	code := v.verdict(now).Code
	return code == codeWaiting || code == codeAccepted
}

// counter is larger than all that the camera and the broker have seen of ours at this topic.
func (v view) counter(now time.Time) uint64 {
	n := max(uint64(now.UnixMilli()), v.reported.Desired.Counter+1) //nolint:gosec // after 1970
	if v.left != nil {
		n = max(n, v.left.Counter+1)
	}
	return n
}

// known is what is known here of what lies at a place; nil: nothing, somebody else left it.
func (p *place) known(v view) *leftState {
	own := p.way.camera.Left
	if v.left == nil || own == nil || string(own.ID) != string(v.left.ID[:]) {
		return nil
	}
	return own
}

// seal makes the message of a desired state. lasts is how long; 0: for good.
func (p *place) seal(want leftState, lasts time.Duration) (*envelope.Received, []byte, error) {
	args, err := json.Marshal(struct {
		Set  map[string]*string `json:"set"`
		Base *uint64            `json:"base,omitempty"`
	}{want.Set, want.Base})
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	c := envelope.Command{
		Camera: p.id, Source: p.public(), Issued: now, Counter: p.look().counter(now), Operation: "config.set", Arguments: args,
		ID: [envelope.IDSize]byte(want.ID),
	}
	if lasts > 0 {
		c.Expires = now.Add(lasts)
	}
	raw, err := c.Seal(p.desired(), p.key, p.way.camera.Operational)
	if err != nil {
		return nil, nil, err
	}
	left, err := envelope.ParseCommand(p.desired(), raw)
	return left, raw, err
}

// put lays something down for a camera, retained; nothing takes away what lies there.
func (s *shelf) put(p *place, left *envelope.Received, raw []byte) error {
	if err := finished(s.client.Publish(string(p.desired()), 1, true, raw)); err != nil {
		return &fault{exitUnreachable, fmt.Errorf("%s: %w", p.name, err)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = left
	return nil
}
