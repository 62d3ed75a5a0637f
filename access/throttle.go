package access

import (
	"container/list"
	"math"
	"net/netip"
	"sync"
	"time"
)

// How wrong guesses are answered more and more slowly.
const (
	freeGuesses = 2                      // a typing error costs nothing
	firstHold   = 250 * time.Millisecond // then this, doubled with each further guess
	maxHold     = 5 * time.Second
	halfLife    = 30 * time.Second // in which half of the guesses are forgotten
	maxKeys     = 2048             // remembered names and addresses; the longest unheard of goes first
)

// throttle counts wrong guesses per key, in bounded memory.
type throttle struct {
	mu     sync.Mutex // guards the rest
	byKey  map[string]*list.Element
	recent *list.List // of *guesses, the most recent in front
}

type guesses struct {
	key   string
	score float64 // as of at; halves every halfLife
	at    time.Time
}

func newThrottle() *throttle {
	return &throttle{byKey: map[string]*list.Element{}, recent: list.New()}
}

// keys are the counters that a guess belongs to. An IPv6 host owns its /64, an attacker too.
func keys(name string, from netip.Addr) []string {
	from = from.Unmap()
	where := from.String()
	if from.Is6() {
		if p, err := from.WithZone("").Prefix(64); err == nil {
			where = p.String()
		}
	}
	if len(name) > 64 {
		name = name[:64]
	}
	return []string{"a" + where, "n" + name}
}

func (t *throttle) fail(now time.Time, name string, from netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys(name, from) {
		e, ok := t.byKey[key]
		if !ok {
			e = t.recent.PushFront(&guesses{key: key, at: now})
			t.byKey[key] = e
		}
		t.recent.MoveToFront(e)
		g := e.Value.(*guesses)
		g.score, g.at = g.decayed(now)+1, now
	}
	for t.recent.Len() > maxKeys {
		oldest := t.recent.Back()
		delete(t.byKey, oldest.Value.(*guesses).key)
		t.recent.Remove(oldest)
	}
}

func (t *throttle) penalty(now time.Time, name string, from netip.Addr) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	score := 0.0
	for _, key := range keys(name, from) {
		if e, ok := t.byKey[key]; ok {
			score = max(score, e.Value.(*guesses).decayed(now))
		}
	}
	over := score - freeGuesses
	if over <= 0 {
		return 0
	}
	return time.Duration(min(float64(maxHold), float64(firstHold)*math.Exp2(over-1)))
}

func (g *guesses) decayed(now time.Time) float64 {
	return g.score * math.Exp2(-float64(now.Sub(g.at))/float64(halfLife))
}
