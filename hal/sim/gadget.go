package sim

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// The timeouts that the simulated watchdog takes.
const (
	minWatchdog = time.Second
	maxWatchdog = time.Minute
)

// Watchdog is a timer that resets nothing: it calls a function instead.
type Watchdog struct {
	reset    func()
	noWayOut bool

	mu      sync.Mutex // guards the fields below
	timer   *time.Timer
	timeout time.Duration
}

// NewWatchdog makes a watchdog that calls reset, which may be nil, when it was not petted in time. With noWayOut it
// can't be stopped, as the kernel's option of that name has it.
func NewWatchdog(reset func(), noWayOut bool) *Watchdog {
	if reset == nil {
		reset = func() {}
	}
	return &Watchdog{reset: reset, noWayOut: noWayOut}
}

// Start implements hal.Watchdog.
func (w *Watchdog) Start(timeout time.Duration) (time.Duration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.timeout = min(max(timeout, minWatchdog), maxWatchdog)
	w.timer = time.AfterFunc(w.timeout, w.reset)
	return w.timeout, nil
}

// Pet implements hal.Watchdog.
func (w *Watchdog) Pet() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		return fmt.Errorf("pet watchdog sim: not started: %w", hal.ErrClosed)
	}
	w.timer.Reset(w.timeout)
	return nil
}

// Stop implements hal.Watchdog.
func (w *Watchdog) Stop() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		return nil
	}
	if w.noWayOut {
		return fmt.Errorf("stop watchdog sim: %w", hal.ErrUnsupported)
	}
	w.timer.Stop()
	w.timer = nil
	return nil
}

// LED is a lamp that remembers what it shows. The zero LED is ready, and off.
type LED struct {
	mu     sync.Mutex // guards the fields below
	shown  hal.Pattern
	closed bool
}

// Show implements hal.LED.
func (l *LED) Show(p hal.Pattern) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("show LED sim: %w", hal.ErrClosed)
	}
	if !slices.Contains(hal.Patterns(), p) {
		return fmt.Errorf("show %q on LED sim: %w", string(p), hal.ErrUnsupported)
	}
	l.shown = p
	return nil
}

// Shown returns what the lamp shows.
func (l *LED) Shown() hal.Pattern {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown == "" {
		return hal.Off
	}
	return l.shown
}

// Close implements hal.LED: the lamp goes off.
func (l *LED) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.shown = true, hal.Off
	return nil
}

// bounce is the longest press that is no press.
const bounce = 10 * time.Millisecond

// Button is a button that a test presses.
type Button struct {
	mu    sync.Mutex // guards at, and that edges come in pairs
	at    time.Time  // when it went down; zero: it is up
	edges chan edge  // capacity 2: one press; another one before it was looked at is dropped
	done  chan struct{}
	once  sync.Once // closes done

	down bool // for whoever waits
}

// edge is the button going down, or coming up after it was held.
type edge struct {
	down bool
	held time.Duration
}

// NewButton makes a button.
func NewButton() *Button {
	return &Button{edges: make(chan edge, 2), done: make(chan struct{})}
}

// Press presses the button and lets it go after it was held so long. It does not wait.
func (b *Button) Press(held time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if held >= bounce && b.at.IsZero() && len(b.edges) == 0 {
		b.edges <- edge{down: true}
		b.edges <- edge{held: held}
	}
}

// Down presses the button until Up.
func (b *Button) Down() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() && len(b.edges) == 0 {
		b.at = time.Now()
		b.edges <- edge{down: true}
	}
}

// Up lets the button go.
func (b *Button) Up() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.at.IsZero() {
		b.edges <- edge{held: time.Since(b.at)}
		b.at = time.Time{}
	}
}

// Pressed implements hal.Button.
func (b *Button) Pressed(ctx context.Context) error {
	for !b.down {
		if _, _, err := b.edge(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Next implements hal.Button.
func (b *Button) Next(ctx context.Context) (time.Duration, error) {
	for {
		if held, released, err := b.edge(ctx); err != nil || released {
			return held, err
		}
	}
}

// edge takes the next edge.
func (b *Button) edge(ctx context.Context) (held time.Duration, released bool, err error) {
	closed := fmt.Errorf("button sim: %w", hal.ErrClosed)
	select {
	case <-b.done:
		return 0, false, closed
	default:
	}
	select {
	case e := <-b.edges:
		b.down = e.down
		return e.held, !e.down, nil
	case <-b.done:
		return 0, false, closed
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
}

// Close implements hal.Button.
func (b *Button) Close() error {
	b.once.Do(func() { close(b.done) })
	return nil
}
