package ota

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// firstLook is when a camera looks for the first time, at the latest.
const firstLook = 5 * time.Minute

// lookAgain is how often the facts of a trial are looked at.
const lookAgain = time.Second

// Run brings an update that is under way to its end (the trial, the way back, the reboot), and looks for others now and
// then. It returns when ctx has ended, or when what must be stored can't be.
func (e *Engine) Run(ctx context.Context) error {
	wait := time.Duration(rand.Int64N(int64(min(firstLook, e.o.Every))))
	for {
		if err := e.settle(ctx); err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
			e.patrol(ctx)
		case <-e.poke:
			timer.Stop()
			if e.wanted() {
				e.patrol(ctx)
			}
		}
		// Fleets must not look all at once, not even those that were switched on together.
		wait = e.o.Every*3/4 + time.Duration(rand.Int64N(int64(e.o.Every/2)+1))
	}
}

// Look asks Run to look now. It says nothing about what is found.
func (e *Engine) Look() {
	e.mu.Lock()
	e.lookNow = true
	e.mu.Unlock()
	e.nudge()
}

// wanted reports whether somebody asked for a look, once.
func (e *Engine) wanted() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.lookNow
	e.lookNow = false
	return was
}

func (e *Engine) nudge() {
	select {
	case e.poke <- struct{}{}:
	default: // Run will see that there is something to do
	}
}

// patrol looks for an update where Options say, and installs it if they say so.
func (e *Engine) patrol(ctx context.Context) {
	if e.o.Source == nil || !e.resting() {
		return
	}
	var err error
	if e.o.Automatic {
		err = e.Install(ctx, e.o.Source, Ask{})
	} else {
		_, err = e.Check(ctx, e.o.Source, Ask{})
	}
	if err != nil && ctx.Err() == nil {
		e.o.Log.Info("no update", "reason", Why(err), "error", err)
	}
}

// settle goes on with what is under way until nothing is.
func (e *Engine) settle(ctx context.Context) error {
	for {
		var err error
		switch e.Status().State {
		case Written:
			err = e.alone(ctx, func() error { return e.rearm(ctx) })
		case Armed:
			err = e.reboot(ctx)
		case Trial:
			err = e.trial(ctx)
		case Leaving:
			err = e.alone(ctx, func() error { return e.goBack(ctx) })
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// alone does something with the work taken.
func (e *Engine) alone(ctx context.Context, do func() error) error {
	if err := e.take(ctx); err != nil {
		return err
	}
	defer e.leave()
	return do()
}

// rearm arms what was written before the engine started.
func (e *Engine) rearm(ctx context.Context) error {
	if e.Status().State != Written {
		return nil
	}
	err := e.arm(ctx)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if err := e.fail(err); errors.Is(err, StateFault) {
		return err
	}
	return nil
}

// reboot waits for the moment and reboots into the armed slot. It returns nil when somebody took it back meanwhile.
func (e *Engine) reboot(ctx context.Context) error {
	if err := e.o.Moment(ctx, e.Status()); err != nil {
		return err
	}
	return e.alone(ctx, func() error {
		if e.Status().State != Armed {
			return nil
		}
		if err := e.store(func(m *memory) { m.Reboots++ }); err != nil {
			return err
		}
		return e.o.Reboot(ctx, "update to "+e.remembered().Update.Version)
	})
}

// trial looks at the facts until they were all good for long enough, or until time is up.
func (e *Engine) trial(ctx context.Context) error {
	limit := time.Now().Add(e.o.TrialLimit)
	var since time.Time
	for {
		wrong := e.wrong(ctx)
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case len(wrong) > 0:
			since = time.Time{}
		case since.IsZero():
			since = now
		}
		done, err := e.judge(ctx, wrong, !since.IsZero() && now.Sub(since) >= e.o.Settle, !now.Before(limit))
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookAgain):
		}
	}
}

// judge ends a trial, or lets it go on.
func (e *Engine) judge(ctx context.Context, wrong []string, settled, late bool) (done bool, err error) {
	err = e.alone(ctx, func() error {
		switch {
		case e.Status().State != Trial: // the owner ended it
			done = true
		case settled:
			done = true
			return e.confirm()
		case late:
			done = true
			return e.giveUp(ctx, Unhealthy, strings.Join(wrong, "; "))
		}
		return nil
	})
	return done, err
}

// goodFacts are the names of the facts that are good now.
func (e *Engine) goodFacts(ctx context.Context) []string {
	var names []string
	for _, f := range e.o.Facts(ctx) {
		if f.OK {
			names = append(names, f.Name)
		}
	}
	return names
}

// wrong lists the facts that were good before the update and are not good now. Where nobody remembers, all count.
func (e *Engine) wrong(ctx context.Context) []string {
	var wrong []string
	seen := map[string]bool{}
	m := e.remembered()
	lost := m.Update.Version == ""
	for _, f := range e.o.Facts(ctx) {
		seen[f.Name] = true
		if !f.OK && (lost || slices.Contains(m.Before, f.Name)) {
			wrong = append(wrong, f.Name+": "+f.Detail)
		}
	}
	for _, name := range m.Before {
		if !seen[name] {
			wrong = append(wrong, name+": not told")
		}
	}
	return wrong
}

// giveUp goes back from a trial: first it is stored why, then the record says so, then the camera reboots.
func (e *Engine) giveUp(ctx context.Context, why Reason, detail string) error {
	if err := e.step(bad, func(m *memory) { m.Reason, m.Detail = why, detail }); err != nil {
		return err
	}
	return e.goBack(ctx)
}

// goBack takes the slot out of the record and reboots. A record that can't be written does not stop it: the boot loader
// counts, and goes back by itself in the end.
func (e *Engine) goBack(ctx context.Context) error {
	m := e.remembered()
	if err := e.leaveSlot(m.slot(), m.Reason); err != nil {
		e.o.Log.Error("boot record not written on the way back", "error", err)
	}
	return e.o.Reboot(ctx, "roll back: "+string(m.Reason))
}
