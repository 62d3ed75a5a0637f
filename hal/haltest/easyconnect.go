package haltest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// Enrollee is a radio that phones give networks to.
type Enrollee struct {
	hal.Radio
	EasyConnect hal.EasyConnect
}

// EasyConnectOptions say what the suite may do with a radio.
type EasyConnectOptions struct {
	// Raise puts a network on the air in place of the one before, nil none; nil where nobody can.
	Raise func(n *Network) error
	// Give is a phone that gives a network to whoever listens on the channel with a key. It returns when it has; nil where
	// there is no phone.
	Give    func(ctx context.Context, key *ecdsa.PublicKey, channel int, c hal.Credentials) error
	Channel int
	// Skips names laws that are not to be checked, and why.
	Skips map[string]string
}

// EasyConnect checks the law of hal.EasyConnect.
func EasyConnect(t *testing.T, open func(t *testing.T) Enrollee, o EasyConnectOptions) {
	t.Helper()
	run(t, easyConnectLaws(o), open, o.Skips)
}

func easyConnectLaws(o EasyConnectOptions) []law[Enrollee] {
	closing := func(country bool, check func(context.Context, Enrollee) error) func(context.Context, Enrollee) error {
		return func(ctx context.Context, e Enrollee) (err error) {
			if country {
				err = e.Country(ctx, "DE")
			}
			if err == nil {
				err = check(ctx, e)
			}
			_ = e.Leave(ctx) // it may be joined
			return errors.Join(err, e.Close())
		}
	}
	return []law[Enrollee]{
		{"nothing is sent before the country is known", closing(false, o.enrollCountryFirst)},
		{"another channel is unsupported", closing(true, o.enrollRefusesChannels)},
		{"enroll heeds its context", closing(true, o.enrollHeedsContext)},
		{"a phone gives a network", closing(true, o.enrolls)},
		{"enroll is busy while a network is joined", closing(true, o.enrollBusy)},
	}
}

// enrollKey makes a key, and what Enroll wants of it.
func enrollKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	return key, der, err
}

// enrollFails wants Enroll to fail.
func (o EasyConnectOptions) enrollFails(ctx context.Context, e Enrollee, channel int, want error) error {
	_, der, err := enrollKey()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	_, err = e.EasyConnect.Enroll(ctx, der, channel, nil)
	return wantError(fmt.Sprintf("Enroll on channel %d", channel), err, want)
}

func (o EasyConnectOptions) enrollCountryFirst(ctx context.Context, e Enrollee) error {
	return o.enrollFails(ctx, e, o.Channel, hal.ErrCountry)
}

func (o EasyConnectOptions) enrollRefusesChannels(ctx context.Context, e Enrollee) error {
	return errors.Join(o.enrollFails(ctx, e, 0, hal.ErrUnsupported), o.enrollFails(ctx, e, 36, hal.ErrUnsupported))
}

func (o EasyConnectOptions) enrollHeedsContext(ctx context.Context, e Enrollee) error {
	_, der, err := enrollKey()
	if err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err = e.EasyConnect.Enroll(short, der, o.Channel, nil)
	if took := time.Since(begin); took > unblockWithin {
		return fmt.Errorf("Enroll ended %v after its context", took)
	}
	return wantError("Enroll", err, context.DeadlineExceeded)
}

// enrolls: what the phone says comes over, byte for byte, and begun is told once.
func (o EasyConnectOptions) enrolls(ctx context.Context, e Enrollee) error {
	if o.Give == nil {
		return skipf("there is no phone")
	}
	key, der, err := enrollKey()
	if err != nil {
		return err
	}
	want := hal.Credentials{SSID: "caf\xe9 \"$(reboot)\"", Passphrase: "p@ss w0rd!\\"}
	ctx, cancel := context.WithTimeout(ctx, lawTimeout/2)
	defer cancel()
	gave := make(chan error, 1) // capacity 1: for the one call
	go func() { gave <- o.Give(ctx, &key.PublicKey, o.Channel, want) }()
	begun := 0
	got, err := e.EasyConnect.Enroll(ctx, der, o.Channel, func() { begun++ })
	switch {
	case err != nil:
		cancel()
		return errors.Join(err, <-gave)
	case got != want:
		err = fmt.Errorf("Enroll: %q with a passphrase that is right: %v, want %q", got.SSID,
			got.Passphrase == want.Passphrase, want.SSID)
	case begun != 1:
		err = fmt.Errorf("begun was told %d times", begun)
	}
	return errors.Join(err, <-gave)
}

func (o EasyConnectOptions) enrollBusy(ctx context.Context, e Enrollee) error {
	if o.Raise == nil {
		return skipf("nobody can put networks on the air")
	}
	home := homeNetwork()
	if err := o.Raise(&home); err != nil {
		return err
	}
	if _, err := e.Join(ctx, home.Credentials, nil); err != nil {
		return err
	}
	return o.enrollFails(ctx, e, o.Channel, hal.ErrBusy)
}
