package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
)

// ErrBusy: a network is being tried, ask again in a minute.
var ErrBusy = errors.New("a network is being tried")

// ask is what a door asks of Run.
type ask struct {
	offer  *Offer     // nil: forget the network
	answer chan error // capacity 1: one answer
}

// askLimit is how long somebody waits for Run to listen.
const askLimit = 2 * time.Second

// Change tries another network, by the word of the owner; that it is his word is the caller's to know. It returns when
// the trial is stored and about to begin: the answer has to go out before the camera leaves. Status tells the rest.
func (e *Engine) Change(ctx context.Context, o Offer) error {
	o.By = ByOwner
	if err := o.check(); err != nil {
		return fmt.Errorf("change network: %w", err)
	}
	return e.ask(ctx, ask{&o, make(chan error, 1)})
}

// Forget forgets the network and leaves it: the camera listens again, if nobody owns it.
func (e *Engine) Forget(ctx context.Context) error { return e.ask(ctx, ask{nil, make(chan error, 1)}) }

func (e *Engine) ask(ctx context.Context, a ask) error {
	limit := time.NewTimer(askLimit)
	defer limit.Stop()
	select {
	case e.asks <- a:
	case <-limit.C:
		return fmt.Errorf("change network: %w", ErrBusy)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-a.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// obey does what was asked, as far as it has to be stored. The error is Run's.
func (e *Engine) obey(ctx context.Context, a ask) error {
	var err error
	if a.offer != nil {
		err = e.begin(*a.offer)
	} else {
		err = e.step(forgotten, func(m *memory) { *m = memory{} })
	}
	a.answer <- err
	if err == nil {
		err = monotime.Pause(ctx, courtesy)
	}
	return err
}

// begin stores that an offer is tried.
func (e *Engine) begin(o Offer) error {
	e.offer = o
	return e.step(offered, func(m *memory) {
		m.Trial, m.Reason = stored(o.Networks[0], o.Country), NoReason
	})
}

// Networks lists what the radio sees, the strongest first. While it listens to the air that is the last scan.
func (e *Engine) Networks(ctx context.Context) ([]hal.Network, error) {
	m := e.remembered()
	if e.o.Monitor == nil || m.State != Listening {
		if m.Network == nil && m.Trial == nil { // whoever joins one sets its country; here nobody has
			if err := e.o.Radio.Country(ctx, e.country()); err != nil {
				return nil, err
			}
		}
		return e.o.Radio.Scan(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen, nil
}
