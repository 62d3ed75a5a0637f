package v4l2

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// session is an opened node that one goroutine waits on while others turn knobs and one closes it.
type session struct {
	d *device
	// life keeps the node open and its buffers mapped while somebody uses them: read-locked by Next, Encode, Drain and
	// Control for as long as they run, locked by Close.
	life   sync.RWMutex
	closed atomic.Bool
}

// enter begins a use of the node; leave ends it.
func (s *session) enter(op string) error {
	s.life.RLock()
	if s.closed.Load() {
		s.life.RUnlock()
		return fmt.Errorf("%s %s: %w", op, s.d.path, hal.ErrClosed)
	}
	return nil
}

func (s *session) leave() { s.life.RUnlock() }

// shut closes the node once, after everybody has left it, calling last before that.
func (s *session) shut(last func() error) error {
	if s.closed.Swap(true) {
		return nil
	}
	s.d.k.wake()
	s.life.Lock()
	defer s.life.Unlock()
	err := last()
	if errors.Is(err, hal.ErrClosed) {
		err = nil // the device went away before us
	}
	return errors.Join(err, s.d.close())
}

// wait waits until the node has one of events; 0 after limit, which is endless when negative.
func (s *session) wait(ctx context.Context, events int16, limit time.Duration) (int16, error) {
	defer s.wakeWhenDone(ctx)()
	for {
		if s.closed.Load() {
			return 0, fmt.Errorf("wait for %s: %w", s.d.path, hal.ErrClosed)
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		revents, woken, err := s.d.k.poll(events, limit)
		if err != nil {
			return 0, fault("wait for", s.d.path, err)
		}
		if revents != 0 || limit >= 0 && !woken {
			return revents, nil
		}
	}
}

// wakeWhenDone ends a running poll when ctx is done. The returned function undoes that, and returns only when wake is
// not running, so that it can't touch a node that was closed meanwhile.
func (s *session) wakeWhenDone(ctx context.Context) (undo func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	woke := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		s.d.k.wake()
		close(woke)
	})
	return func() {
		if !stop() {
			<-woke
		}
	}
}
