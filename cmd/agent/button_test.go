package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/sim"
)

// TestPress: what the lamp says while the button is held, and what comes of it.
func TestPress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		held   time.Duration
		shown  hal.Pattern // at its end
		resets int
	}{
		{50 * time.Millisecond, hal.Ready, 0},
		{pressAnswer - 1, hal.Ready, 0},
		{pressAnswer + 1, hal.Live, 0},
		{pressReset - 1, hal.Live, 0},
		{pressReset + 1, hal.Trouble, 1},
		{pressStuck - 1, hal.Trouble, 1},
		{pressStuck + 1, hal.Ready, 0},
		{24 * time.Hour, hal.Ready, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			led, button, resets := &sim.LED{}, sim.NewButton(), 0
			l := newLamp(led)
			if err := l.Show(hal.Ready); err != nil {
				t.Fatal(err)
			}
			p := &presser{button: button, show: l.showOver, reset: func() { resets++ }, heard: func() {}, log: silent()}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- p.Run(ctx) }()
			for range 2 { // the second press is like the first
				synctest.Wait()
				button.Down()
				<-time.After(c.held)
				synctest.Wait()
				if got := led.Shown(); got != c.shown {
					t.Errorf("held for %v: the lamp shows %s, want %s", c.held, got, c.shown)
				}
				if resets%2 != 0 && c.resets == 0 {
					t.Errorf("held for %v: reset before it was let go", c.held)
				}
				button.Up()
				synctest.Wait()
				if got := led.Shown(); got != hal.Ready {
					t.Errorf("let go after %v: the lamp shows %s, want %s", c.held, got, hal.Ready)
				}
			}
			if resets != 2*c.resets {
				t.Errorf("held for %v, twice: %d resets, want %d each time", c.held, resets, c.resets)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLampUnder: what was shown under an answer is shown when the answer ends.
func TestLampUnder(t *testing.T) {
	t.Parallel()
	led := &sim.LED{}
	l := newLamp(led)
	for _, step := range []struct {
		do   func() error
		want hal.Pattern
	}{
		{func() error { return l.Show(hal.Ready) }, hal.Ready},
		{func() error { return l.showOver(hal.Trouble) }, hal.Trouble},
		{func() error { return l.Show(hal.Live) }, hal.Trouble},
		{func() error { return l.showOver("") }, hal.Live},
		{l.Close, hal.Off},
	} {
		if err := step.do(); err != nil || led.Shown() != step.want {
			t.Errorf("got %s, %v; want %s", led.Shown(), err, step.want)
		}
	}
}

// TestButtonGone: a button that is gone is a failure of its part, told to whoever runs it.
func TestButtonGone(t *testing.T) {
	t.Parallel()
	button := sim.NewButton()
	if err := button.Close(); err != nil {
		t.Fatal(err)
	}
	p := &presser{button: button, show: func(hal.Pattern) error { return nil }, reset: func() {},
		heard: func() {}, log: silent()}
	if err := p.Run(t.Context()); err == nil {
		t.Error("got no error")
	}
}
