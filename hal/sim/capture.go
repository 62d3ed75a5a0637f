package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// backlog is how many intervals a picture may be late before it is dropped: what the queue of a real driver holds.
const backlog = 4

// player delivers the pictures of one mode, each at its time. It is used by one goroutine at a time.
type player interface {
	// due is when the next picture is due on CLOCK_MONOTONIC.
	due() time.Duration
	// next makes the next picture. The picture that it skipped since the last one, because they are too late at this
	// instant, and because drop were to be lost, are in Lost.
	next(now time.Duration, drop uint32) (hal.Frame, error)
	// shift moves all that is still to come into the future.
	shift(by time.Duration)
	// resize makes the pictures that come another size, or plays another clip.
	resize(s size) error
	close() error
}

// capture is a started camera. The caller's goroutine does the work; Close may come from another.
type capture struct {
	camera *Camera
	mode   hal.Mode
	plug   int // which plugging-in this capture belongs to

	stalled bool // what Next alone knows: the sensor stands still
	since   time.Duration

	mu     sync.Mutex // guards player and the fields below, held while a picture is made, never while waiting for one
	player player
	sizes  int // how many changes of size are done
	closed bool
	data   []byte // of a damaged picture

	once sync.Once
	done chan struct{} // closed by Close
}

// Mode implements hal.Capture.
func (c *capture) Mode() hal.Mode { return c.mode }

// Next implements hal.Capture.
func (c *capture) Next(ctx context.Context) (hal.Frame, error) {
	for {
		if err := ctx.Err(); err != nil {
			return hal.Frame{}, err
		}
		now, f := c.camera.now(), c.camera.faults.look()
		if f.unplugged || f.plug != c.plug {
			return hal.Frame{}, fmt.Errorf("capture sim: unplugged: %w", hal.ErrClosed)
		}
		if f.stalled {
			if !c.stalled {
				c.stalled, c.since = true, now
			}
			if err := c.wait(ctx, f.changed, -1); err != nil {
				return hal.Frame{}, err
			}
			continue
		}
		if c.stalled {
			c.stalled = false
			c.shift(now - c.since)
		}
		frame, wait, err := c.take(now, f)
		if wait <= 0 || err != nil {
			return frame, err
		}
		if err := c.wait(ctx, f.changed, wait); err != nil {
			return hal.Frame{}, err
		}
	}
}

// take makes the picture that is due at this instant, or tells how long it is until then.
func (c *capture) take(now time.Duration, f state) (hal.Frame, time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return hal.Frame{}, 0, c.closedError()
	}
	if f.sizes != c.sizes {
		c.sizes = f.sizes
		if err := c.player.resize(f.size); err != nil {
			return hal.Frame{}, 0, fmt.Errorf("capture sim: %w", err)
		}
	}
	now -= f.late
	if wait := c.player.due() - now; wait > 0 {
		return hal.Frame{}, wait, nil
	}
	frame, err := c.player.next(now, c.camera.faults.takeGap())
	if err != nil {
		return hal.Frame{}, 0, fmt.Errorf("capture sim: %w", err)
	}
	return c.damage(frame, c.camera.faults.takeDamage()), 0, nil
}

func (c *capture) shift(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.player.shift(by)
}

// wait returns when the time is over (never, when it is negative) or the faults changed.
func (c *capture) wait(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	var over <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-changed:
	case <-c.done:
		return c.closedError()
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (c *capture) closedError() error { return fmt.Errorf("capture sim: %w", hal.ErrClosed) }

// maxExposure is how far a card's exposure goes to either side, in thousandths of EV.
const maxExposure = 6000

// Control implements hal.Capture: a card has exposure, a clip nothing.
func (c *capture) Control(k hal.Control, value int) error {
	select {
	case <-c.done:
		return c.closedError()
	default:
	}
	if k == hal.Exposure && c.mode.Format.Raw() {
		c.camera.exposure.Store(int32(max(-maxExposure, min(maxExposure, value))))
		return nil
	}
	return fmt.Errorf("capture sim: %v: %w", k, hal.ErrUnsupported)
}

// Close implements hal.Capture.
func (c *capture) Close() error {
	var err error
	c.once.Do(func() {
		close(c.done)
		c.mu.Lock()
		c.closed = true
		err = c.player.close()
		c.mu.Unlock()
		c.camera.exposure.Store(0)
		c.camera.mu.Lock()
		c.camera.open = nil
		c.camera.mu.Unlock()
	})
	return err
}
