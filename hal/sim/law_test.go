package sim

import (
	"context"
	"crypto/ecdsa"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
	"github.com/ocellus/ocellus/internal/monotime"
)

// The laws count goroutines and descriptors of the process, so these tests are not parallel.

func TestCardLaw(t *testing.T) {
	var cam *Camera
	modes := []hal.Mode{
		{Format: hal.YU12, Width: 640, Height: 360, Rate: hal.FPS(30)},
		{Format: hal.YU12, Width: 320, Height: 240, Rate: hal.FPS(30)},
		{Format: hal.YU12, Width: 320, Height: 240, Rate: hal.Rate{Num: 30000, Den: 1001}},
		{Format: hal.YU12, Width: 160, Height: 120, Rate: hal.FPS(15)},
	}
	o := haltest.CameraOptions{
		Unplug: func() error { cam.Faults().Unplug(); return nil },
		Replug: func() error { cam.Faults().Replug(); return nil },
	}
	haltest.Camera(t, func(t *testing.T) hal.Camera {
		var err error
		if cam, err = NewCamera(Options{Modes: modes}); err != nil {
			t.Fatal(err)
		}
		return cam
	}, o)
}

func TestWatchdogLaw(t *testing.T) {
	reset := make(chan struct{}, 1) // capacity 1: a second reset says nothing new
	tell := func() {
		select {
		case reset <- struct{}{}:
		default:
		}
	}
	haltest.Watchdog(t, func(*testing.T) hal.Watchdog { return NewWatchdog(tell, false) }, haltest.WatchdogOptions{Reset: reset})
}

func TestUnstoppableWatchdogLaw(t *testing.T) {
	haltest.Watchdog(t, func(*testing.T) hal.Watchdog { return NewWatchdog(nil, true) }, haltest.WatchdogOptions{})
}

func TestLEDLaw(t *testing.T) {
	haltest.LED(t, func(*testing.T) hal.LED { return &LED{} }, nil)
}

func TestSounderLaw(t *testing.T) {
	var s *Sounder
	haltest.Sounder(t, func(*testing.T) hal.Sounder {
		s = &Sounder{}
		return s
	}, haltest.SounderOptions{Heard: func() []int { return s.Heard() }})
}

func TestButtonLaw(t *testing.T) {
	var b *Button
	o := haltest.ButtonOptions{Press: func(held time.Duration) error { b.Press(held); return nil }}
	haltest.Button(t, func(*testing.T) hal.Button {
		b = NewButton()
		return b
	}, o)
}

// around puts what a suite wants around a simulated radio.
func around(r *Radio, channel int) func(n *haltest.Network) error {
	before := hal.SSID("")
	return func(n *haltest.Network) error {
		r.Lower(before)
		if n == nil {
			return nil
		}
		before = n.SSID
		r.Raise(AccessPoint{Network: hal.Network{SSID: n.SSID, Security: n.Security, Frequency: dot11.Frequency(channel)},
			Hidden: n.Hidden, Passphrase: n.Passphrase, Fault: n.Fault})
		return nil
	}
}

func TestRadioLaw(t *testing.T) {
	var raise func(n *haltest.Network) error
	haltest.Radio(t, func(*testing.T) hal.Radio {
		r := NewRadio()
		raise = around(r, 6)
		return r
	}, haltest.RadioOptions{Raise: func(n *haltest.Network) error { return raise(n) }})
}

func TestEasyConnectLaw(t *testing.T) {
	var radio *Radio
	give := func(ctx context.Context, key *ecdsa.PublicKey, channel int, c hal.Credentials) error {
		public, err := key.Bytes()
		for err == nil && !radio.Configure(public, channel, c) {
			err = monotime.Pause(ctx, time.Millisecond)
		}
		return err
	}
	haltest.EasyConnect(t, func(*testing.T) haltest.Enrollee {
		radio = NewRadio()
		return haltest.Enrollee{Radio: radio, EasyConnect: radio}
	}, haltest.EasyConnectOptions{Raise: func(n *haltest.Network) error { return around(radio, 6)(n) }, Give: give, Channel: 6})
}

func TestMonitorLaw(t *testing.T) {
	var raise func(n *haltest.Network) error
	haltest.Monitor(t, func(*testing.T) haltest.Ears {
		r := NewRadio()
		raise = around(r, 6)
		return haltest.Ears{Radio: r, Monitor: r.Monitor()}
	}, haltest.MonitorOptions{Raise: func(n *haltest.Network) error { return raise(n) }, Channel: 6})
}
