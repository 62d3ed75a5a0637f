package stream

import (
	"context"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
)

// overflowAsk is how often a subscription that keeps overflowing asks for an IDR: one that is always too slow must
// not cost the others the picture quality that frequent IDRs take.
const overflowAsk = 2 * time.Second

// Subscription is one reader's bounded queue of access units. One goroutine calls Next.
type Subscription struct {
	hub  *Hub
	wake chan struct{} // capacity 1; a token means "look at the queue again"; full: the token is there already
	done chan struct{} // closed by Close

	mu       sync.Mutex // guards what follows
	ring     []*h264.AccessUnit
	head, n  int
	skipping bool // nothing is taken in until the next IDR
	begun    bool // an IDR was taken in since Subscribe
	askAfter time.Time
	dropped  uint64
	closed   bool
}

func newSubscription(h *Hub, capacity int) *Subscription {
	return &Subscription{
		hub:      h,
		wake:     make(chan struct{}, 1),
		done:     make(chan struct{}),
		ring:     make([]*h264.AccessUnit, capacity),
		skipping: true,
	}
}

// Next returns the next access unit; the caller owns one reference and releases it. It waits until there is one, ctx
// ends (ctx's error) or the subscription is closed (ErrClosed).
func (s *Subscription) Next(ctx context.Context) (*h264.AccessUnit, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if au, closed := s.pop(); au != nil {
			return au, nil
		} else if closed {
			return nil, ErrClosed
		}
		select {
		case <-s.wake:
		case <-s.done:
		case <-ctx.Done():
		}
	}
}

func (s *Subscription) pop() (au *h264.AccessUnit, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == 0 {
		return nil, s.closed
	}
	au = s.ring[s.head]
	s.ring[s.head] = nil
	s.head = (s.head + 1) % len(s.ring)
	s.n--
	return au, false
}

// offer queues au, or drops: it returns how many access units the reader lost and whether an IDR should be asked for.
func (s *Subscription) offer(au *h264.AccessUnit, now time.Time) (dropped uint64, askIDR bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false
	}
	if s.n == len(s.ring) {
		dropped = s.empty()
		s.skipping = true
	}
	if s.skipping && !au.IDR {
		return s.skip(dropped, now)
	}
	s.dropped += dropped
	s.skipping, s.begun = false, true
	s.ring[(s.head+s.n)%len(s.ring)] = au.Retain()
	s.n++
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return dropped, false
}

// skip passes over an access unit that the reader can't use. Before its first IDR nothing counts as lost, and every
// picture is a reason to ask: the hub's limit is the only one. The caller holds the lock.
func (s *Subscription) skip(emptied uint64, now time.Time) (dropped uint64, askIDR bool) {
	if !s.begun {
		return 0, true
	}
	dropped = emptied + 1
	s.dropped += dropped
	if now.Before(s.askAfter) {
		return dropped, false
	}
	s.askAfter = now.Add(overflowAsk)
	return dropped, true
}

// empty releases what is queued and returns how much that was. The caller holds the lock.
func (s *Subscription) empty() uint64 {
	n := uint64(s.n)
	for ; s.n > 0; s.n-- {
		s.ring[s.head].Release()
		s.ring[s.head] = nil
		s.head = (s.head + 1) % len(s.ring)
	}
	return n
}

// Dropped returns how many access units this reader lost because its queue was full.
func (s *Subscription) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// Queued returns how many access units wait.
func (s *Subscription) Queued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// Close releases what is queued, unblocks Next and gives the demand back. It may be called more than once.
func (s *Subscription) Close() {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.empty()
	s.mu.Unlock()
	if already {
		return
	}
	close(s.done)
	s.hub.remove(s)
}
