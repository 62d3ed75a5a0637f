package sim

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/hal"
)

// exchangeTime is what a phone takes to give a network.
const exchangeTime = 50 * time.Millisecond

// enrollment is an Enroll that waits for a phone.
type enrollment struct {
	public  string // uncompressed point
	channel int
	given   chan hal.Credentials // capacity 1: of the one phone that is first
}

// Enroll implements hal.EasyConnect.
func (r *Radio) Enroll(ctx context.Context, key []byte, channel int, begun func()) (hal.Credentials, error) {
	c, err := r.enroll(ctx, key, channel, begun)
	if err != nil {
		return hal.Credentials{}, fmt.Errorf("enroll by radio sim: %w", err)
	}
	return c, nil
}

func (r *Radio) enroll(ctx context.Context, key []byte, channel int, begun func()) (c hal.Credentials, err error) {
	end, err := r.sends(ctx)
	if err != nil {
		return c, err
	}
	defer end()
	private, err := x509.ParseECPrivateKey(key)
	if err != nil || private.Curve != elliptic.P256() {
		return c, errors.Join(errors.New("no key on P-256"), err)
	}
	public, err := private.PublicKey.Bytes()
	if err != nil {
		return c, err
	}
	if dot11.Frequency(channel) == 0 {
		return c, fmt.Errorf("channel %d: %w", channel, hal.ErrUnsupported)
	}
	e := &enrollment{string(public), channel, make(chan hal.Credentials, 1)}
	r.mu.Lock()
	busy := r.joined != nil
	if !busy {
		r.enrolls = e
	}
	r.mu.Unlock()
	if busy {
		return c, fmt.Errorf("in a network: %w", hal.ErrBusy)
	}
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.enrolls = nil
	}()
	return r.given(ctx, e, begun)
}

// given waits for a phone.
func (r *Radio) given(ctx context.Context, e *enrollment, begun func()) (c hal.Credentials, err error) {
	select {
	case c = <-e.given:
	case <-r.done:
		return c, hal.ErrClosed
	case <-ctx.Done():
		return c, ctx.Err()
	}
	if begun != nil {
		begun()
	}
	if err := r.wait(ctx, exchangeTime); err != nil {
		return hal.Credentials{}, err
	}
	return c, c.Check()
}

// Configure is a phone that has scanned a label: it gives a network to whoever listens on the channel with the key
// whose public half, an uncompressed point on P-256, it knows. It reports whether somebody does.
func (r *Radio) Configure(public []byte, channel int, c hal.Credentials) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.enrolls == nil || r.enrolls.public != string(public) || r.enrolls.channel != channel {
		return false
	}
	select {
	case r.enrolls.given <- c:
		return true
	default: // another phone was first
		return false
	}
}
