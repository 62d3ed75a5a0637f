package haltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// fakeWatchdog keeps the law, unless its flaw says otherwise.
type fakeWatchdog struct {
	flaw  string
	reset chan struct{}
	timer *time.Timer
}

func (w *fakeWatchdog) Start(timeout time.Duration) (time.Duration, error) {
	if w.timer != nil && w.flaw == "starts once" {
		return 0, errors.New("started already")
	}
	_ = w.Stop()
	after := timeout
	switch w.flaw {
	case "hasty":
		after /= 2
	case "never resets":
		after = time.Hour
	case "no timeout":
		return 0, nil
	}
	w.timer = time.AfterFunc(after, func() { w.reset <- struct{}{} })
	return timeout, nil
}

func (w *fakeWatchdog) Pet() error {
	if w.flaw == "can't be petted" {
		return errors.New("input/output error")
	}
	return nil
}

func (w *fakeWatchdog) Stop() error {
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.flaw == "can't be stopped" {
		return errors.New("input/output error")
	}
	return nil
}

// fakeLED keeps the law, unless its flaw says otherwise.
type fakeLED struct {
	flaw   string
	closed bool
}

func (l *fakeLED) Show(p hal.Pattern) error {
	switch {
	case l.flaw == "slow":
		time.Sleep(2 * promptly)
	case l.closed && l.flaw != "shines on":
		return fmt.Errorf("fake: %w", hal.ErrClosed)
	case p == "disco" && l.flaw != "shows anything":
		return fmt.Errorf("fake: %w", hal.ErrUnsupported)
	}
	return nil
}

func (l *fakeLED) Close() error {
	l.closed = true
	return nil
}

// fakeButton keeps the law, unless its flaw says otherwise.
type fakeButton struct {
	flaw    string
	presses chan time.Duration
	done    chan struct{}
	closed  bool
	held    time.Duration // of a press that Pressed has seen
	waiting bool
}

func (b *fakeButton) press(held time.Duration) error {
	if held > 10*time.Millisecond || b.flaw == "bounces" {
		b.presses <- held
	}
	return nil
}

func (b *fakeButton) Pressed(ctx context.Context) error {
	if b.waiting || b.flaw == "always down" {
		return nil
	}
	held, err := b.Next(ctx)
	b.held, b.waiting = held, err == nil && b.flaw != "swallows"
	return err
}

func (b *fakeButton) Next(ctx context.Context) (time.Duration, error) {
	if b.waiting {
		b.waiting = false
		return b.held, nil
	}
	done, cancelled := (<-chan struct{})(b.done), ctx.Done()
	switch b.flaw {
	case "deaf to close":
		done = nil
	case "deaf to context":
		cancelled = nil
	}
	select {
	case held := <-b.presses:
		if b.flaw == "can't tell time" {
			held /= 2
		}
		return held, nil
	case <-done:
		return 0, fmt.Errorf("fake: %w", hal.ErrClosed)
	case <-cancelled:
		return 0, ctx.Err()
	}
}

func (b *fakeButton) Close() error {
	if b.closed && b.flaw == "close once" {
		return errors.New("closed already")
	}
	if !b.closed {
		close(b.done)
	}
	b.closed = true
	return nil
}

// only picks the law of a name, all of them for none.
func only[D any](laws []law[D], name string) []law[D] {
	return slices.DeleteFunc(laws, func(l law[D]) bool { return name != "" && l.name != name })
}

func TestSuiteCatchesGadgets(t *testing.T) {
	watchdog := func(ctx context.Context, flaw, law string) []Finding {
		reset := make(chan struct{}, 8) // capacity 8: more resets than the laws wait for
		open := func() hal.Watchdog { return &fakeWatchdog{flaw: flaw, reset: reset} }
		return findings(ctx, only(watchdogLaws(WatchdogOptions{Reset: reset}), law), open, nil)
	}
	led := func(ctx context.Context, flaw, law string) []Finding {
		return findings(ctx, only(ledLaws(), law), func() hal.LED { return &fakeLED{flaw: flaw} }, nil)
	}
	button := func(ctx context.Context, flaw, law string) []Finding {
		var b *fakeButton
		o := ButtonOptions{Press: func(held time.Duration) error { return b.press(held) }}
		return findings(ctx, only(buttonLaws(o), law), func() hal.Button {
			b = &fakeButton{flaw: flaw, presses: make(chan time.Duration, 1), done: make(chan struct{})}
			return b
		}, nil)
	}
	tests := []struct {
		what  string
		check func(ctx context.Context, flaw, law string) []Finding
		flaw  string
		law   string
	}{
		{"watchdog", watchdog, "", ""},
		{"watchdog", watchdog, "no timeout", "start tells the timeout"},
		{"watchdog", watchdog, "can't be petted", "start tells the timeout"},
		{"watchdog", watchdog, "starts once", "start again takes the new timeout"},
		{"watchdog", watchdog, "can't be stopped", "stop disarms or says that it can't"},
		{"watchdog", watchdog, "hasty", "an unpetted watchdog resets"},
		{"watchdog", watchdog, "never resets", "an unpetted watchdog resets"},
		{"LED", led, "", ""},
		{"LED", led, "slow", "show takes every pattern at once"},
		{"LED", led, "shows anything", "an unknown pattern is unsupported"},
		{"LED", led, "shines on", "close is idempotent"},
		{"button", button, "", ""},
		{"button", button, "can't tell time", "next tells how long it was held"},
		{"button", button, "bounces", "a bounce is no press"},
		{"button", button, "deaf to context", "next heeds its context"},
		{"button", button, "deaf to context", "pressed heeds its context"},
		{"button", button, "always down", "pressed tells a press and leaves it to next"},
		{"button", button, "swallows", "pressed tells a press and leaves it to next"},
		{"button", button, "deaf to close", "close unblocks next"},
		{"button", button, "close once", "close is idempotent"},
	}
	for _, tt := range tests {
		t.Run(tt.what+" "+tt.flaw, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				laws := broken(tt.check(t.Context(), tt.flaw, tt.law))
				if tt.law == "" && len(laws) > 0 {
					t.Errorf("a lawful %s breaks %v", tt.what, laws)
				}
				if tt.law != "" && !slices.Contains(laws, tt.law) {
					t.Errorf("broken laws %v, want %q", laws, tt.law)
				}
			})
		})
	}
}

// TestSkips: what is not to be checked is skipped with its reason.
func TestSkips(t *testing.T) {
	const why = "this lamp is slow"
	found := LEDFindings(t.Context(), func() hal.LED { return &fakeLED{flaw: "shows anything"} },
		map[string]string{"an unknown pattern is unsupported": why})
	for _, f := range found {
		if f.Law == "an unknown pattern is unsupported" && f.Err != Skip(why) {
			t.Errorf("%s: %v, want it skipped", f.Law, f.Err)
		}
	}
}
