// Package supervise runs the long-running parts of the program and decides what a failure means.
//
// A part is one blocking call, Run(ctx) error, that returns only when its goroutines have ended. When it returns, or
// panics, it is started again after a back-off that doubles, with jitter, and falls back to the beginning once the
// part has run well for a while. A part that fails again and again ends the process with an error that names it, so
// that systemd or the watchdog starts from a clean sheet; a Lasting part is tried for ever instead (an unplugged
// camera is no reason to take the road to the cure away).
//
// Only the supervisor pets the watchdogs, the board's and systemd's, and only after every part has answered Alive: a
// part that hangs hangs the answer, nobody pets, and the board starts again.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Part is one long-running piece of the program.
type Part struct {
	Name string
	// Run works until ctx ends. Any return before that is a failure, nil too.
	Run func(ctx context.Context) error
	// Alive, where set, is asked before each petting. It takes the locks that the part works under and returns an error
	// if the part makes no progress. A part that waits to be started again is not asked.
	Alive func() error
	// Lasting: the process never ends because of this part.
	Lasting bool
}

// Options are the supervisor's numbers; a zero one takes the default.
type Options struct {
	BackoffMin time.Duration // before the first restart; 200 ms
	BackoffMax time.Duration // between restarts at most; 15 s
	GoodAfter  time.Duration // a run of this length forgets the failures before it; 60 s
	Failures   int           // failures without a good run between them that end the process; 8
	StopWithin time.Duration // for the parts to end after ctx has; 1.8 s
	PetEvery   time.Duration // 5 s; WithWatchdog makes it shorter where needed
	// Panicked, where set, hears what a part died of, with its stack, before the part is started again.
	Panicked func(part, died string)
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.BackoffMin, 200*time.Millisecond)
	set(&o.BackoffMax, 15*time.Second)
	set(&o.GoodAfter, time.Minute)
	set(&o.StopWithin, 1800*time.Millisecond)
	set(&o.PetEvery, 5*time.Second)
	if o.Failures == 0 {
		o.Failures = 8
	}
	return o
}

// Supervisor runs parts. New is the only door.
type Supervisor struct {
	log    *slog.Logger
	opt    Options
	parts  []*running
	pets   []func() error
	petted atomic.Int64 // when all of pets were called last without a fault, Unix nanoseconds
}

// New makes a supervisor without parts.
func New(log *slog.Logger, opt Options) *Supervisor {
	return &Supervisor{log: log, opt: opt.withDefaults()}
}

// Add adds a part, before Run.
func (s *Supervisor) Add(p Part) { s.parts = append(s.parts, &running{Part: p}) }

// running is a part with its history.
type running struct {
	Part
	mu    sync.Mutex // guards state
	state State
}

// State is what a part does now, for the status.
type State struct {
	Name     string
	Up       bool
	Restarts int
	Since    time.Time // of the last change of Up
	LastErr  string    // of the last failure; empty if there was none
}

// States returns the parts in the order in which they were added.
func (s *Supervisor) States() []State {
	states := make([]State, 0, len(s.parts))
	for _, p := range s.parts {
		p.mu.Lock()
		st := p.state
		p.mu.Unlock()
		st.Name = p.Name
		states = append(states, st)
	}
	return states
}

// Run runs every part until ctx ends (nil), or one fails for good (its error). Either way it stops them all first and
// says which did not stop in time.
func (s *Supervisor) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan *running, len(s.parts)) // room for all: nobody blocks when the wait was given up
	for _, p := range s.parts {
		go func() {
			if err := s.keep(ctx, p); err != nil {
				cancel(err)
			}
			ended <- p
		}()
	}
	petted := make(chan struct{})
	go func() {
		defer close(petted)
		s.pet(ctx)
	}()
	<-ctx.Done()
	var fatal *partError
	cause := context.Cause(ctx)
	if !errors.As(cause, &fatal) {
		cause = nil
	}
	return errors.Join(cause, s.wait(ended, petted))
}

// wait gives the parts StopWithin to end.
func (s *Supervisor) wait(ended <-chan *running, petted <-chan struct{}) error {
	late := time.NewTimer(s.opt.StopWithin)
	defer late.Stop()
	left := map[*running]bool{}
	for _, p := range s.parts {
		left[p] = true
	}
	for len(left) > 0 {
		select {
		case p := <-ended:
			delete(left, p)
		case <-late.C:
			var names []string
			for _, p := range s.parts {
				if left[p] {
					names = append(names, p.Name)
				}
			}
			return fmt.Errorf("stop: %s did not end within %v", strings.Join(names, ", "), s.opt.StopWithin)
		}
	}
	select {
	case <-petted:
		return nil
	case <-late.C:
		return fmt.Errorf("stop: a part did not answer within %v", s.opt.StopWithin)
	}
}

// partError ends the process.
type partError struct {
	name     string
	failures int
	err      error
}

func (e *partError) Error() string {
	return fmt.Sprintf("part %s: failed %d times in a row: %v", e.name, e.failures, e.err)
}

func (e *partError) Unwrap() error { return e.err }

// keep runs one part again and again until ctx ends (nil) or it has failed too often.
func (s *Supervisor) keep(ctx context.Context, p *running) error {
	failures := 0
	for {
		began := time.Now()
		p.set(true, nil)
		err := s.runOnce(ctx, p)
		if ctx.Err() != nil {
			p.set(false, nil)
			return nil
		}
		if err == nil {
			err = errors.New("ended without being asked to")
		}
		p.set(false, err)
		if time.Since(began) >= s.opt.GoodAfter {
			failures = 0
		}
		failures++
		log := s.log.With("part", p.Name, "failures", failures, "err", err)
		if failures >= s.opt.Failures && !p.Lasting {
			log.Error("part keeps failing, process ends")
			return &partError{p.Name, failures, err}
		}
		wait := s.backoff(failures)
		log.Warn("part failed, starting it again", "wait_ms", wait.Milliseconds())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// backoff doubles from BackoffMin to BackoffMax; the jitter takes up to a quarter off, so that parts that failed
// together do not come back together.
func (s *Supervisor) backoff(failures int) time.Duration {
	d := s.opt.BackoffMax
	if shift := failures - 1; shift < 20 {
		d = min(d, s.opt.BackoffMin<<shift)
	}
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}

// runOnce turns a panic into an error, with the stack: the part failed, the others go on.
func (s *Supervisor) runOnce(ctx context.Context, part *running) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			if s.opt.Panicked != nil {
				s.opt.Panicked(part.Name, err.Error())
			}
		}
	}()
	return part.Run(ctx)
}

func (r *running) set(up bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if up && r.state.LastErr != "" {
		r.state.Restarts++
	}
	r.state.Up, r.state.Since = up, time.Now()
	if err != nil {
		r.state.LastErr, _, _ = strings.Cut(err.Error(), "\n")
	}
}

func (r *running) up() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Up
}
