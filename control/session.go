package control

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/internal/monotime"
)

// SessionOptions are what a Session needs.
type SessionOptions struct {
	Config func() Config // of this moment; Changed says that it is another one
	People People
	// Audience lists the keys of those who may know how the camera is.
	Audience func(now time.Time) []ed25519.PublicKey
	Receiver *Receiver
	Queue    *Queue
	// Report is the state that the camera reports to somebody: its version, and JSON.
	Report func(person ed25519.PublicKey) (version uint64, document []byte)
	Bridge Bridge // nil: none
	Clock  Clock
	Log    *slog.Logger
	// FirstTry and Again spread the tries of many cameras; zero takes the default.
	FirstTry, Again time.Duration
}

// Bridge speaks to somebody who can't sign. It is asked only while the configuration says so.
type Bridge interface {
	// Filters is what it listens to, beside what the camera does.
	Filters(config HomeAssistantConfig, camera [envelope.IDSize]byte) []string
	// Run publishes until ctx ends, for one connection.
	Run(ctx context.Context, config HomeAssistantConfig, camera [envelope.IDSize]byte, publish Publish) error
	// Take takes a message that came by one of the filters. It must not block.
	Take(topic string, payload []byte, retained bool)
	// Traces are the retained topics that it leaves.
	Traces(config HomeAssistantConfig, camera [envelope.IDSize]byte) []string
}

// Publish sends and waits until the broker has it, or some seconds.
type Publish func(topic string, payload []byte, retained bool) error

// How the tries of a camera that lost its broker are spread, in full jitter: each wait is anything from nothing to a
// limit. The first one is long, since a node that fails loses thousands of cameras in one instant, and comes after a
// rest: a cluster needs some seconds to elect its leaders, and whoever comes before waits at the door and goes in with
// all others. The next ones are no longer; only then does the limit double.
const (
	firstTry   = 2 * time.Second  // of a process that has just started: anything up to this
	again      = 18 * time.Second // after a connection was lost and a third of this went by: anything up to this
	sameTries  = 3                // waits with that limit
	longestTry = 15               // times again: 4.5 minutes
	goodAfter  = time.Minute      // a connection that held so long forgets the failures before it
	slowBroker = 2 * time.Second  // one that took longer to let us in has a crowd at its door, which gets half of again
)

// Session keeps the camera connected to a broker.
type Session struct {
	SessionOptions
	changed chan struct{} // capacity 1: a second change is the first
	report  chan struct{} // the same, for the reported state
	replies chan outgoing // to commands; capacity maxReplies, what finds no room is dropped and counted

	mu     sync.Mutex // guards the rest
	state  SessionState
	online chan struct{} // closed while there is a connection
	soon   int           // connections in a row that were lost at once
	others Seldom        // who use our id
	left   traces
}

// traces are the retained topics that a camera has to take away some day, beside its state: those that it filled, in
// this process, and did not empty yet. A connection may be gone when the day comes, so they outlive it.
type traces struct {
	camera [envelope.IDSize]byte
	broker string
	topics map[string]bool
}

// leave notes that a topic is filled.
func (s *Session) leave(l *link, topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left.topics == nil || s.left.camera != l.id || s.left.broker != l.config.Broker {
		s.left = traces{l.id, l.config.Broker, map[string]bool{}}
	}
	s.left.topics[topic] = true
}

// leftBy lists what the camera of a connection left at its broker.
func (s *Session) leftBy(l *link) (topics []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left.camera == l.id && s.left.broker == l.config.Broker {
		topics = slices.Sorted(maps.Keys(s.left.topics))
	}
	return topics
}

// emptied notes that a topic is empty.
func (s *Session) emptied(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.left.topics, topic)
}

// SessionState is how the session is. Its keys are wire format.
type SessionState struct {
	Broker    string    `json:"broker"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`
	Failures  int       `json:"failures"`        // since the last good connection
	Error     string    `json:"error,omitempty"` // of the last failure
	Dropped   uint64    `json:"dropped"`         // replies that found no room
}

// NewSession makes a session that is not connected yet.
func NewSession(o SessionOptions) *Session {
	o.Log = o.Log.With("part", "control")
	if o.FirstTry == 0 {
		o.FirstTry = firstTry
	}
	if o.Again == 0 {
		o.Again = again
	}
	return &Session{SessionOptions: o, changed: make(chan struct{}, 1), report: make(chan struct{}, 1),
		replies: make(chan outgoing, maxReplies), online: make(chan struct{})}
}

// Changed says that the configuration is another one: the session begins anew.
func (s *Session) Changed() { poke(s.changed) }

// Reported says that there is another state to report.
func (s *Session) Reported() { poke(s.report) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// State tells how the session is.
func (s *Session) State() SessionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// OnlineSince is Online for a connection that began after an instant.
func (s *Session) OnlineSince(ctx context.Context, began time.Time) error {
	for {
		if err := s.Online(ctx); err != nil {
			return err
		}
		if st := s.State(); st.Connected && st.Since.After(began) {
			return nil
		}
		if monotime.Pause(ctx, 50*time.Millisecond) != nil { // the old one is being closed
			return ctx.Err()
		}
	}
}

// Online waits for a connection, and returns ctx's error if there is none before ctx ends.
func (s *Session) Online(ctx context.Context) error {
	s.mu.Lock()
	online := s.online
	s.mu.Unlock()
	select {
	case <-online:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Session) set(edit func(st *SessionState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.state.Connected
	edit(&s.state)
	switch {
	case was == s.state.Connected:
	case was:
		s.online = make(chan struct{})
	default:
		close(s.online)
	}
}

// soonLost counts connections that are lost at once: a broker closes ours when somebody else connects with our id.
func (s *Session) soonLost() {
	s.mu.Lock()
	s.soon++
	often := s.soon >= 3
	if often {
		s.soon = 0
	}
	s.mu.Unlock()
	if often {
		s.duplicate("the broker ends each connection at once, as it does when another connects with this camera's id")
	}
}

// duplicate tells that somebody else uses this camera's id, once in a while.
func (s *Session) duplicate(why string) {
	s.mu.Lock()
	times, tell := s.others.Take(time.Now())
	s.mu.Unlock()
	if !tell {
		return
	}
	s.Log.Warn("a second session with our id", "why", why)
	s.Queue.Tell(Security, "session.duplicate", struct {
		Why   string `json:"why"`
		Times uint64 `json:"times"` // that were noticed since the event before
	}{why, times})
}

// Run keeps connected until ctx ends. A broker that is away is no failure of the camera.
func (s *Session) Run(ctx context.Context) error {
	s.sleep(ctx, jitter(s.FirstTry))
	failures := 0
	for ctx.Err() == nil {
		people := s.People.Changed() // asked for before they are looked at
		config := s.Config()
		id, key, err := s.People.Operational()
		if config.Broker == Off || err != nil {
			s.set(func(st *SessionState) { *st = SessionState{Broker: config.Broker} })
			s.idle(ctx, people)
			continue
		}
		began := time.Now()
		err = s.connect(ctx, config, id, key)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errChanged) {
			failures = 0
			continue
		}
		if time.Since(began) > goodAfter {
			failures = 0
		}
		wait := backoff(s.Again, failures)
		failures++
		s.set(func(st *SessionState) { st.Failures, st.Error = failures, err.Error() })
		s.Log.Warn("no broker", "err", err, "failures", failures, "wait_ms", wait.Milliseconds())
		s.sleep(ctx, wait)
	}
	return nil
}

// backoff is full jitter: anything from nothing to the longest wait that this many failures have; the first one behind a
// rest.
func backoff(base time.Duration, failures int) time.Duration {
	if failures == 0 {
		return base/3 + jitter(base)
	}
	return jitter(base * time.Duration(min(longestTry, 1<<min(max(failures-sameTries+1, 0), 10))))
}

func jitter(d time.Duration) time.Duration { return rand.N(d + 1) }

// idle waits until there may be an owner and a broker: nothing else ends it, so that the session begins with the claim.
func (s *Session) idle(ctx context.Context, people <-chan struct{}) {
	select {
	case <-people:
	case <-s.changed:
	case <-ctx.Done():
	}
}

// sleep waits, or less: a change of the configuration ends it.
func (s *Session) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.changed:
	case <-ctx.Done():
	}
}
