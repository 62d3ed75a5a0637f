package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// What a press of the button means. Nothing happens while it is held: who lets go in time has changed nothing.
const (
	pressAnswer = 3 * time.Second  // from here on the lamp blinks: go on, if you mean it
	pressReset  = 10 * time.Second // from here on it blinks fast: let go, and the camera forgets its owner
	pressStuck  = 30 * time.Second // a button that is held for so long is stuck, or lies under something
)

// presser waits for presses.
type presser struct {
	button hal.Button
	show   func(p hal.Pattern) error // over what the lamp shows else; empty: no more
	reset  func()
	heard  func() // of each press, as it begins
	log    *slog.Logger
}

// Run looks at the button until ctx ends.
func (p *presser) Run(ctx context.Context) error {
	for {
		err := p.button.Pressed(ctx)
		var held time.Duration
		if err == nil {
			p.heard()
			held, err = p.follow(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case held >= pressStuck:
			p.log.Warn("the button was held for too long to mean anything", "held_s", held.Seconds())
		case held >= pressReset:
			p.log.Warn("reset by the button", "held_s", held.Seconds())
			p.reset()
		}
	}
}

// follow lets the lamp answer a press until it ends.
func (p *presser) follow(ctx context.Context) (held time.Duration, err error) {
	pressed, release := context.WithCancel(ctx)
	var answer sync.WaitGroup
	answer.Go(func() { p.answer(pressed) })
	held, err = p.button.Next(ctx)
	release()
	answer.Wait()
	p.tell("")
	return held, err
}

func (p *presser) answer(pressed context.Context) {
	var before time.Duration
	for _, stage := range []struct {
		after time.Duration
		show  hal.Pattern
	}{{pressAnswer, hal.Live}, {pressReset, hal.Trouble}, {pressStuck, ""}} {
		wait := time.NewTimer(stage.after - before)
		before = stage.after
		select {
		case <-wait.C:
			p.tell(stage.show)
		case <-pressed.Done():
			wait.Stop()
			return
		}
	}
}

func (p *presser) tell(show hal.Pattern) {
	if err := p.show(show); err != nil && !errors.Is(err, hal.ErrClosed) {
		p.log.Warn("the lamp does not answer", "err", err)
	}
}
