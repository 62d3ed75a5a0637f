package wifi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/hal"
)

// Enroll implements hal.EasyConnect. wpa_supplicant does all of the protocol.
func (r *Radio) Enroll(ctx context.Context, key []byte, channel int, begun func()) (hal.Credentials, error) {
	c, err := r.enroll(ctx, key, channel, begun)
	if err != nil {
		return hal.Credentials{}, fmt.Errorf("enroll by %s: %w", r.o.Interface, err)
	}
	return c, nil
}

func (r *Radio) enroll(ctx context.Context, key []byte, channel int, begun func()) (hal.Credentials, error) {
	c, s, err := r.sending(ctx)
	if err != nil {
		return hal.Credentials{}, err
	}
	defer c.end()
	defer s.close()
	if err := s.free(); err != nil {
		return hal.Credentials{}, err
	}
	frequency := dot11.Frequency(channel)
	if frequency == 0 {
		return hal.Credentials{}, fmt.Errorf("channel %d: %w", channel, hal.ErrUnsupported)
	}
	// What is offered is told as events, and nothing done with it.
	err = s.demand("SET dpp_config_processing 0")
	if err == nil {
		err = s.bootstrap(key, channel)
	}
	if err == nil {
		err = s.demand("DPP_LISTEN", strconv.Itoa(frequency), "role=enrollee")
	}
	if errors.Is(err, errFail) { // the one thing that it refuses all of
		err = fmt.Errorf("%w (%w)", hal.ErrUnsupported, err)
	}
	o := offer{begun: begun}
	if err == nil {
		err = o.follow(c, s)
	}
	_, stopped := s.ask("DPP_STOP_LISTEN")
	_, removed := s.ask("DPP_BOOTSTRAP_REMOVE *")
	return o.credentials, errors.Join(err, stopped, removed)
}

// bootstrap tells wpa_supplicant the key on the label.
func (s *supplicant) bootstrap(key []byte, channel int) error {
	answer, err := s.ask("DPP_BOOTSTRAP_GEN type=qrcode", fmt.Sprintf("chan=81/%d", channel),
		"key="+hex.EncodeToString(key))
	if err != nil {
		return err
	}
	if _, err := strconv.ParseUint(strings.TrimSpace(answer), 10, 31); err != nil {
		return fmt.Errorf("DPP_BOOTSTRAP_GEN: %w", errFail)
	}
	return nil
}

// resultPatience is for the phone to be told that the network came over.
const resultPatience = time.Second

// follow takes events until an offer is whole and the phone was told.
func (o *offer) follow(c call, s *supplicant) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var told <-chan time.Time
	for {
		select {
		case e, ok := <-s.news:
			if !ok || e.name == eventTerminating {
				return errGone
			}
			if told != nil && e.name == "DPP-TX-STATUS" {
				return nil
			}
			whole, err := o.take(e)
			if err != nil {
				return err
			}
			if whole {
				told = time.After(resultPatience)
			}
		case <-told:
			return nil
		case <-beat.C:
			if err := s.alive(); err != nil {
				return err
			}
		case <-c.Done():
			return c.cause()
		}
	}
}

// offer is the network that a phone gives, event by event: its kinds of keys, its name, its passphrase or raw key.
type offer struct {
	credentials hal.Credentials
	begun       func() // nil: it is told, or nobody wants to know
}

// take takes an event and reports whether the offer is whole. A value stands behind the event's name.
func (o *offer) take(e event) (whole bool, err error) {
	value := strings.TrimPrefix(e.text, e.name+" ")
	switch e.name {
	case "DPP-TX": // we answer whoever knows our key, and nobody else
		if o.begun != nil {
			o.begun()
			o.begun = nil
		}
	case "DPP-CONFOBJ-AKM":
		o.credentials = hal.Credentials{}
		if !strings.Contains(value, "psk") && !strings.Contains(value, "sae") {
			return false, fmt.Errorf("%w: keys of the kind %q", hal.ErrSecurity, value)
		}
	case "DPP-CONFOBJ-SSID":
		name, err := unescape(value)
		if err != nil {
			return false, err
		}
		o.credentials.SSID = hal.SSID(name)
	case "DPP-CONFOBJ-PASS":
		passphrase, err := hex.DecodeString(value)
		if err != nil {
			return false, fmt.Errorf("passphrase: %w", errWords)
		}
		o.credentials.Passphrase = hal.Passphrase(passphrase)
		return true, o.credentials.Check()
	case "DPP-CONFOBJ-PSK":
		o.credentials.Passphrase = hal.Passphrase(value)
		return true, o.credentials.Check()
	}
	return false, nil
}
