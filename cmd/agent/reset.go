package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/supervise"
)

// localCommands are the rows for who is at the board itself, beside those for everybody.
func (a *agent) localCommands() []command {
	return append(a.commands(), command{"reset", access.Own, 30 * time.Second, with(a.resetCommand)})
}

func (a *agent) resetCommand(context.Context, none) (any, error) { return a.resetByHand(time.Now()) }

// resetByHand is the physical reset of a board without a button: the power was off, and within resetWindow somebody says
// so at the board itself, by its socket or its serial line.
func (a *agent) resetByHand(asked time.Time) (receipted, error) {
	if err := a.power.mayReset(a.pressable, asked); err != nil {
		return receipted{}, err
	}
	return a.reset()
}

// reset forgets the owner because of whoever has the camera in his hands.
func (a *agent) reset() (receipted, error) {
	o, err := a.known()
	if err != nil {
		return receipted{}, err
	}
	raw, err := o.Disown(a.safe.destroy)
	if err == nil || !o.Claimed() {
		a.startAnew()
	}
	return receipted{raw}, err
}

// How a power cycle is told from a program that was started again.
const (
	resetWindow = 10 * time.Second // from the agent's start
	bootTakes   = 2 * time.Minute  // at most, from power-on to the agent's start
)

// power is when the agent started, and how long the power had been on by then.
type power struct {
	began time.Time
	on    time.Duration
}

// powerOn looks how long the kernel has been running (proc(5), /proc/uptime). A simulated board is switched on by being
// started. Where nobody can tell, the power was not switched on just now.
func powerOn(root string, simulated bool, began time.Time) power {
	if simulated {
		return power{began: began}
	}
	raw, err := os.ReadFile(filepath.Join(root, "proc/uptime"))
	if err != nil {
		return power{}
	}
	text, _, _ := strings.Cut(string(raw), " ")
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds > bootTakes.Seconds() {
		return power{}
	}
	return power{began, time.Duration(seconds * float64(time.Second))}
}

// mayReset says what keeps somebody at the board from resetting it.
func (p power) mayReset(button bool, now time.Time) error {
	switch {
	case button:
		return fmt.Errorf("reset: this board has a button, hold it for %v: %w", pressReset, access.ErrDenied)
	case p.began.IsZero() || now.Sub(p.began) > resetWindow:
		return fmt.Errorf("reset: switch the power off and on, then ask within %v: %w", resetWindow, access.ErrDenied)
	}
	return nil
}

// resetVerb is the reset of a board without a button, for who is at the board itself.
func resetVerb(ctx context.Context, w world, args []string) error {
	set := flags(w, "reset")
	state := stateFlag(set)
	if _, err := parse(set, args, 0); err != nil {
		return err
	}
	var r receipted
	if err := call(ctx, *state, "reset", none{}, &r); err != nil {
		return err
	}
	fmt.Fprintln(w.out, "the camera has forgotten its owner; its label makes a new one")
	if r.Receipt != nil {
		fmt.Fprintf(w.out, "erase receipt: %s\n", base64.StdEncoding.EncodeToString(r.Receipt))
	}
	return nil
}

// errAnew: the agent ends in order to start anew, since nothing of an owner may stay, not even in its memory.
var errAnew = errors.New("start anew")

// anewAfter is for the answer to get to whoever asked.
const anewAfter = time.Second

// startAnew ends the agent soon.
func (a *agent) startAnew() {
	select {
	case a.anew <- struct{}{}:
	default: // it was told already
	}
}

// awaitAnew ends the agent's context once startAnew was called. The function that it returns waits for its end.
func (a *agent) awaitAnew(ctx context.Context, end context.CancelCauseFunc) (ended func()) {
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-a.anew:
		case <-ctx.Done():
			return
		}
		wait := time.NewTimer(anewAfter)
		defer wait.Stop()
		select {
		case <-wait.C:
			end(errAnew)
		case <-ctx.Done():
		}
	})
	return func() {
		cancel()
		waiting.Wait()
	}
}

// useGadgets takes the button, and the lamp where the button needs it; everybody else shows things below that.
func (a *agent) useGadgets(d *hal.Devices) {
	show := func(hal.Pattern) error { return nil }
	if d.LED != nil {
		l := newLamp(d.LED)
		d.LED, show = l, l.showOver
	}
	if a.pressable = d.Button != nil; !a.pressable {
		return
	}
	log := a.log.With("part", "button")
	heard := func() {
		select {
		case a.pressed <- struct{}{}:
		default: // nobody has asked since the last one
		}
	}
	p := &presser{button: d.Button, show: show, log: log, heard: heard, reset: func() {
		if _, err := a.reset(); err != nil {
			log.Error("reset", "err", err)
		}
	}}
	a.supervisor.Add(supervise.Part{Name: "button", Run: p.Run, Lasting: true})
}
