package provision

import (
	"context"
	"errors"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// lookAtLink is how often the radio is asked whether it is still there.
const lookAtLink = 10 * time.Second

// stay joins the network that worked, and keeps the camera there.
func (e *Engine) stay(ctx context.Context) error {
	if !e.glimpse().Address.IsValid() {
		if joined, err := e.rejoin(ctx); !joined || err != nil {
			return err
		}
	}
	return e.dwell(ctx)
}

// rejoin joins the network that worked, for ever where the camera has an owner. One that nobody owns listens again:
// perhaps it was given a wrong network, or was moved.
func (e *Engine) rejoin(ctx context.Context) (joined bool, err error) {
	for wait := time.Second; ; wait = min(2*wait, lastRejoin) {
		var link hal.Link
		a, err := e.during(ctx, returnLimit, e.asks, func(ctx context.Context) (err error) {
			link, err = e.join(ctx, e.remembered().Network)
			return err
		})
		switch {
		case a != nil:
			return false, e.obey(ctx, *a)
		case ctx.Err() != nil:
			return false, ctx.Err()
		case err == nil:
			e.linked(link)
			e.retry = firstRetry
			return true, nil
		}
		e.o.Log.Warn("network not joined", "reason", reasonOf(err), "cause", cause(err))
		if !e.glance().failing(time.Now()) { // else the lamp still says why the trial failed
			e.fail(reasonOf(err), showFailure)
		}
		if !e.o.Owner.Claimed() {
			return false, e.step(listen, nil)
		}
		if a, err := e.idle(ctx, wait); a != nil || err != nil {
			if a != nil {
				err = e.obey(ctx, *a)
			}
			return false, err
		}
	}
}

// dwell is for a camera that is in its network. While nobody owns it, its lens stays open: a sealed code says who will,
// and another code corrects a wrong network.
func (e *Engine) dwell(ctx context.Context) error {
	in := e.open(ctx, false)
	defer in.close()
	if c := e.offer.told; c != nil {
		e.offer.told = nil
		answers, stop := context.WithCancel(ctx)
		in.all.Go(func() { e.answer(answers, c) })
		defer stop()
	}
	t := time.NewTicker(tick)
	defer t.Stop()
	for looked := time.Now(); ; {
		e.light()
		select {
		case o := <-in.found:
			switch {
			case e.sameNetwork(o):
				e.welcome(o)
			case e.takes(o):
				return e.begin(o)
			}
		case a := <-e.asks:
			return e.obey(ctx, a)
		case <-t.C:
			if time.Since(looked) < lookAtLink {
				continue
			}
			looked = time.Now()
			if gone := e.look(ctx); gone {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look asks the radio how it stands. One that lost the network looks for it by itself; one whose driver went away is
// told to join again.
func (e *Engine) look(ctx context.Context) (gone bool) {
	ctx, cancel := context.WithTimeout(ctx, radioLimit)
	defer cancel()
	link, err := e.o.Radio.Link(ctx)
	if errors.Is(err, hal.ErrClosed) {
		e.linked(hal.Link{})
		return true
	}
	if err == nil {
		e.linked(link)
	}
	return false
}
