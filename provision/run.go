package provision

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// during does something within a limit, and shows the lamp meanwhile. What is asked through asks stops it and is
// returned.
func (e *Engine) during(ctx context.Context, limit time.Duration, asks <-chan ask,
	do func(ctx context.Context) error,
) (*ask, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1) // capacity 1: the last word of the goroutine
	go func() { done <- do(ctx) }()
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		e.light()
		select {
		case err := <-done:
			return nil, err
		case a := <-asks:
			cancel()
			<-done
			return &a, nil
		case <-t.C:
		}
	}
}

// idle waits as during does.
func (e *Engine) idle(ctx context.Context, d time.Duration) (*ask, error) {
	a, _ := e.during(ctx, d, e.asks, func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	})
	return a, ctx.Err()
}

// rest is for a camera that has an owner and no network: a wired one. Nobody else's input counts.
func (e *Engine) rest(ctx context.Context) error {
	e.leave(ctx)
	for e.o.Owner.Claimed() {
		a, err := e.idle(ctx, time.Second)
		switch {
		case a != nil:
			return e.obey(ctx, *a)
		case err != nil:
			return err
		}
	}
	return e.step(listen, nil)
}

// leave leaves the network, so that the air can be heard.
func (e *Engine) leave(ctx context.Context) {
	e.linked(hal.Link{})
	ctx, cancel := context.WithTimeout(ctx, radioLimit)
	defer cancel()
	if err := e.o.Radio.Leave(ctx); err != nil && ctx.Err() == nil {
		e.o.Log.Warn("network not left", "err", err)
	}
}

// listen opens every input until the first offer that can be tried. The others have stopped when it returns.
func (e *Engine) listen(ctx context.Context) error {
	if e.o.Owner.Claimed() {
		return e.endListening()
	}
	e.leave(ctx)
	in := e.open(ctx, true)
	defer in.close()
	var again <-chan time.Time // never, where no network is kept
	if e.remembered().Network != nil {
		timer := time.NewTimer(e.retry)
		defer timer.Stop()
		again = timer.C
	}
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		e.light()
		select {
		case o := <-in.found:
			if e.takes(o) {
				return e.begin(o)
			}
		case a := <-e.asks:
			return e.obey(ctx, a)
		case <-again:
			e.retry = min(2*e.retry, lastRetry)
			return e.step(back, nil)
		case <-t.C:
			if e.o.Owner.Claimed() {
				return e.endListening()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// endListening is for a camera that was claimed while it listened.
func (e *Engine) endListening() error {
	if e.remembered().Network != nil {
		return e.step(back, nil)
	}
	return e.step(owned, nil)
}

// inputs are the lens and the air while they are open.
type inputs struct {
	found  chan Offer // unbuffered: an input waits until its offer is taken
	cancel context.CancelFunc
	all    sync.WaitGroup
}

// open opens the lens and, where no network is joined, the air.
func (e *Engine) open(ctx context.Context, air bool) *inputs {
	ctx, cancel := context.WithCancel(ctx)
	in := &inputs{found: make(chan Offer), cancel: cancel}
	if e.o.Owner.Claimed() {
		return in
	}
	if e.o.Lens != nil {
		in.all.Go(func() { e.watch(ctx, in.found) })
	}
	if air {
		in.all.Go(func() {
			if e.o.Monitor != nil {
				e.hear(ctx, in.found)
			}
			if e.enrolls() && ctx.Err() == nil { // nothing is to be heard otherwise
				e.enrollAlone(ctx, in.found)
			}
		})
	}
	return in
}

// close closes them, and returns when they are.
func (in *inputs) close() {
	in.cancel()
	in.all.Wait()
}

// takes reports whether an offer is to be tried. The camera may have got an owner while it was read.
func (e *Engine) takes(o Offer) bool { return !e.o.Owner.Claimed() && !e.avoids(o) }

// avoids reports whether an offer is one that failed just now: its code is still before the lens. Not for ever: the
// owner may have put his router right.
func (e *Engine) avoids(o Offer) bool {
	if !e.glance().failing(time.Now()) {
		return false
	}
	n := stored(o.Networks[0], o.Country)
	for _, a := range e.avoid {
		if n.equal(a) {
			return true
		}
	}
	return false
}

// trial tries the network of an offer.
func (e *Engine) trial(ctx context.Context) error {
	e.linked(hal.Link{})
	e.forgive()
	e.avoid = nil
	limited, cancel := context.WithTimeout(ctx, trialLimit)
	defer cancel()
	link, err := e.tryAll(limited)
	if err == nil {
		err = e.check(limited, link)
	}
	switch {
	case errors.Is(err, errStore):
		return err
	case ctx.Err() != nil:
		return ctx.Err() // the next start goes on from here
	case err != nil:
		return e.lose(err)
	}
	e.linked(link)
	if err := e.step(reached, func(m *memory) { m.Network, m.Trial, m.Reason = m.Trial, nil, NoReason }); err != nil {
		return err
	}
	e.welcome(e.offer)
	return nil
}

// tryAll joins the network, read in the one way or the other.
func (e *Engine) tryAll(ctx context.Context) (link hal.Link, err error) {
	for i, n := range e.offer.Networks {
		tried := stored(n, e.offer.Country)
		if i > 0 {
			if err := e.step(other, func(m *memory) { m.Trial = tried }); err != nil {
				return link, err
			}
		}
		e.avoid = append(e.avoid, tried)
		_, err = e.during(ctx, trialLimit, nil, func(ctx context.Context) (err error) {
			link, err = e.join(ctx, tried)
			return err
		})
		if why := reasonOf(err); why != NoNetwork && why != BadPassword {
			break
		}
	}
	return link, err
}

// join joins a network. What may be the reason why it can't is shown as soon as there is a sign of it.
func (e *Engine) join(ctx context.Context, n *network) (hal.Link, error) {
	country := n.Country
	if country == "" {
		country = e.country()
	}
	if err := e.o.Radio.Country(ctx, country); err != nil {
		return hal.Link{}, err
	}
	return e.o.Radio.Join(ctx, n.credentials(), func(likely error) { e.fear(reasonOf(likely)) })
}

// check looks for what the camera must reach.
func (e *Engine) check(ctx context.Context, link hal.Link) error {
	if err := e.step(joined, nil); err != nil {
		return err
	}
	if e.o.Reach == nil {
		return nil
	}
	_, err := e.during(ctx, trialLimit, nil, func(ctx context.Context) error { return e.o.Reach(ctx, link) })
	if errors.Is(err, context.DeadlineExceeded) {
		return ErrUnreached
	}
	return err
}

// lose ends a trial that failed: back to the old network, or on with listening.
func (e *Engine) lose(err error) error {
	why := reasonOf(err)
	e.o.Log.Warn("network not joined", "reason", why, "cause", cause(err))
	e.fail(why, showFailure)
	on := failed
	if e.remembered().Network != nil {
		on = back
	}
	return e.step(on, func(m *memory) { m.Trial, m.Reason = nil, why })
}

// welcome says whose claim is expected now that he can reach the camera.
func (e *Engine) welcome(o Offer) {
	if o.Owner != nil && !e.o.Owner.Claimed() {
		e.o.Owner.Expect(o.Token, *o.Owner)
	}
}

// country is that of the camera itself.
func (e *Engine) country() string {
	if e.o.Country == "" {
		return worldDomain
	}
	return e.o.Country
}

// worldDomain is what every country allows.
const worldDomain = "00"

// sameNetwork reports whether an offer names the network that is joined.
func (e *Engine) sameNetwork(o Offer) bool {
	m := e.remembered()
	for _, n := range o.Networks {
		if stored(n, o.Country).equal(m.Network) {
			return true
		}
	}
	return false
}
