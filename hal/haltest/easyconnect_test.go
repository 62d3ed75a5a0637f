package haltest

import (
	"context"
	"crypto/ecdsa"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// fakeEnroll is the Wi-Fi Easy Connect of a fakeRadio. Its phone gives what was put into given.
type fakeEnroll struct {
	radio *fakeRadio
	given chan hal.Credentials
}

func (f fakeEnroll) Enroll(ctx context.Context, _ []byte, channel int, begun func()) (hal.Credentials, error) {
	if err := f.radio.maySend(); err != nil {
		return hal.Credentials{}, err
	}
	f.radio.mu.Lock()
	busy := f.radio.joined != nil && f.radio.flaw != "enrolls in a network"
	f.radio.mu.Unlock()
	switch {
	case channel != 6 && f.radio.flaw != "takes any channel":
		return hal.Credentials{}, hal.ErrUnsupported
	case busy:
		return hal.Credentials{}, hal.ErrBusy
	}
	ended := ctx.Done()
	if f.radio.flaw == "deaf to context" {
		ended = nil
	}
	select {
	case c := <-f.given:
		switch f.radio.flaw {
		case "bends the name":
			c.SSID += " "
		case "loses the passphrase":
			c.Passphrase = ""
		}
		if f.radio.flaw != "begins in silence" {
			begun()
		}
		return c, nil
	case <-ended:
		return hal.Credentials{}, ctx.Err()
	case <-time.After(20 * time.Second):
		return hal.Credentials{}, hal.ErrClosed
	}
}

func TestSuiteCatchesEasyConnect(t *testing.T) {
	for _, tt := range []struct{ flaw, law string }{
		{"", ""},
		{"sends at once", "nothing is sent before the country is known"},
		{"takes any channel", "another channel is unsupported"},
		{"deaf to context", "enroll heeds its context"},
		{"bends the name", "a phone gives a network"},
		{"loses the passphrase", "a phone gives a network"},
		{"begins in silence", "a phone gives a network"},
		{"enrolls in a network", "enroll is busy while a network is joined"},
	} {
		t.Run(tt.flaw, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f fakeEnroll
				open := func() Enrollee {
					f = fakeEnroll{newFakeRadio(tt.flaw), make(chan hal.Credentials, 1)}
					return Enrollee{f.radio, f}
				}
				o := EasyConnectOptions{
					Raise: func(n *Network) error { return f.radio.raise(n) }, Channel: 6,
					Give: func(_ context.Context, _ *ecdsa.PublicKey, _ int, c hal.Credentials) error {
						f.given <- c
						return nil
					},
				}
				caught(t, findings(t.Context(), only(easyConnectLaws(o), tt.law), open, nil), tt.law)
			})
		})
	}
}
