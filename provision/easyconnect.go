package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
	"github.com/ocellus/ocellus/internal/secret"
)

// One radio: the air is heard for lengths, or the key on the label answers. They take turns, by the clock, so that what a
// change of turns costs makes none longer. A phone of Wi-Fi Easy Connect calls every ten seconds, five times; the senders
// of lengths go on for as long. Ten seconds are a turn of each and 2.9 s: five calls fall on five places of a round, 1.6 s
// apart at most, and whoever listens for more than that of it hears one.
const (
	airTurn    = 3400 * time.Millisecond
	enrollTurn = 3700 * time.Millisecond
	bothTurns  = airTurn + enrollTurn
	enrollMost = 8 * time.Second // for a phone that has begun
)

// left is how long the turn that it is at an instant lasts, and whether it is that of the air.
func left(at time.Duration) (d time.Duration, air bool) {
	if at %= bothTurns; at < airTurn {
		return airTurn - at, true
	}
	return bothTurns - at, false
}

// errTurn: it is the other's turn.
var errTurn = errors.New("the other's turn")

// enrolls reports whether phones may give a network by Wi-Fi Easy Connect.
func (e *Engine) enrolls() bool { return e.o.EasyConnect != nil && len(e.o.EasyConnectKey) > 0 }

// enrollAlone waits for phones without an end: nothing else is heard from the air.
func (e *Engine) enrollAlone(ctx context.Context, found chan<- Offer) {
	for {
		err := e.o.Radio.Country(ctx, e.country())
		for err == nil {
			err = e.enroll(ctx, enrollMost, found)
		}
		switch {
		case ctx.Err() != nil, errors.Is(err, errOwned):
			return
		case errors.Is(err, hal.ErrUnsupported):
			e.o.Log.Warn("no Wi-Fi Easy Connect", "err", err)
			return
		}
		e.o.Log.Warn("Wi-Fi Easy Connect failed, trying again", "err", err)
		if monotime.Pause(ctx, airRetry) != nil {
			return
		}
	}
}

// enroll waits for a phone that has scanned the label's code for Wi-Fi Easy Connect, for the time of a turn, and offers
// what it gives. A phone that has begun is given the time that it needs. A phone that gives what can't be joined is
// shown, and is no error.
func (e *Engine) enroll(ctx context.Context, turn time.Duration, found chan<- Offer) error {
	if e.o.Owner.Claimed() {
		return errOwned
	}
	listening, end := context.WithCancel(ctx)
	defer end()
	timer := time.AfterFunc(turn, end)
	defer timer.Stop()
	c, err := e.o.EasyConnect.Enroll(listening, e.o.EasyConnectKey, label.EasyConnectChannel, func() {
		timer.Reset(enrollMost)
	})
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("enroll: %w", ctx.Err())
	case errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, hal.ErrSecurity):
		e.fail(Security, codeFault)
		e.o.Log.Warn("a phone gave a network that can't be joined", "err", err)
		return nil
	case err != nil:
		return err
	}
	o, err := given(c)
	if err != nil {
		e.fail(NotJoinable, codeFault)
		e.o.Log.Warn("a phone gave a network that can't be", "err", err)
		return nil
	}
	e.o.Log.Info("a phone gave a network", "protocol", "Wi-Fi Easy Connect")
	select {
	case found <- o:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("give network: %w", ctx.Err())
	}
}

// given makes an offer of what a phone gave by Wi-Fi Easy Connect. It says nothing of an owner.
func given(c hal.Credentials) (Offer, error) {
	n := qrtext.Network{SSID: string(c.SSID), Password: secret.Secret(c.Passphrase), Security: qrtext.WPA}
	if c.Security == hal.SecurityWPA3 {
		n.Security = qrtext.SAE
	}
	return OfferOf(ByEasyConnect, n, "")
}
