package haltest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// homeBeacon is a beacon of the suite's network: radiotap, header, fixed fields, SSID.
const homeBeacon = "\x00\x00\x08\x00\x00\x00\x00\x00" + "\x80\x00\x00\x00\xff\xff\xff\xff\xff\xff" +
	"\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x01\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00\x64\x00\x01\x04" +
	"\x00\x07HomeNet"

// fakeMonitor is the monitor of a fakeRadio, whose home network is on channel 6.
type fakeMonitor struct{ radio *fakeRadio }

func (m fakeMonitor) Channels(context.Context) ([]int, error) {
	if m.radio.flaw == "has no order" {
		return []int{6, 1, 11}, nil
	}
	return []int{1, 2, 6, 11}, nil
}

func (m fakeMonitor) Start(ctx context.Context, channel int) (hal.Air, error) {
	m.radio.mu.Lock()
	defer m.radio.mu.Unlock()
	list, _ := m.Channels(ctx)
	if !slices.Contains(list, channel) && m.radio.flaw != "takes any channel" {
		return nil, hal.ErrUnsupported
	}
	if (m.radio.joined != nil || m.radio.air != nil) && m.radio.flaw != "hears beside the station" {
		return nil, hal.ErrBusy
	}
	a := &fakeAir{radio: m.radio, channel: channel, done: make(chan struct{})}
	m.radio.air = a
	return a, nil
}

type fakeAir struct {
	radio   *fakeRadio
	channel int
	done    chan struct{}
	once    sync.Once
	count   time.Duration
}

func (a *fakeAir) Tune(ctx context.Context, channel int) error {
	select {
	case <-a.done:
		return hal.ErrClosed
	default:
	}
	list, _ := (fakeMonitor{a.radio}).Channels(ctx)
	if !slices.Contains(list, channel) && a.radio.flaw != "takes any channel" {
		return hal.ErrUnsupported
	}
	if a.radio.flaw != "never tunes" {
		a.channel = channel
	}
	return nil
}

func (a *fakeAir) Next(ctx context.Context) (hal.Packet, error) {
	ended := ctx.Done()
	if a.radio.flaw == "deaf to context" {
		ended = nil
	}
	beacons := time.After(100 * time.Millisecond)
	if a.channel != 6 && a.radio.flaw != "hears everything" || a.radio.flaw == "hears nothing" {
		beacons = nil
	}
	select {
	case <-a.done:
		return hal.Packet{}, hal.ErrClosed
	case <-beacons:
		a.count++
		p := hal.Packet{At: a.count, Bytes: []byte(homeBeacon), Length: len(homeBeacon)}
		switch a.radio.flaw {
		case "goes back in time":
			p.At = -p.At
		case "knows no length":
			p.Length = 0
		}
		return p, nil
	case <-ended:
		return hal.Packet{}, ctx.Err()
	}
}

func (a *fakeAir) Close() error {
	a.once.Do(func() {
		close(a.done)
		a.radio.mu.Lock()
		defer a.radio.mu.Unlock()
		if a.radio.flaw != "starts once" {
			a.radio.air = nil
		}
	})
	return nil
}

func TestSuiteCatchesMonitors(t *testing.T) {
	for _, tt := range []struct{ flaw, law string }{
		{"", ""},
		{"has no order", "channels are those of 2.4 GHz"},
		{"takes any channel", "another channel is unsupported"},
		{"never tunes", "it hears the channel that it is tuned to"},
		{"hears everything", "it hears the channel that it is tuned to"},
		{"hears nothing", "it hears the channel that it is tuned to"},
		{"goes back in time", "it hears the channel that it is tuned to"},
		{"knows no length", "it hears the channel that it is tuned to"},
		{"hears beside the station", "the station is not associated meanwhile"},
		{"joins while it hears", "the station is not associated meanwhile"},
		{"deaf to context", "next heeds its context"},
		{"starts once", "close is idempotent, and start works again"},
	} {
		t.Run(tt.flaw, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r *fakeRadio
				open := func() Ears {
					r = newFakeRadio(tt.flaw)
					return Ears{r, fakeMonitor{r}}
				}
				o := MonitorOptions{Raise: func(n *Network) error { return r.raise(n) }, Channel: 6}
				caught(t, findings(t.Context(), only(monitorLaws(o), tt.law), open, nil), tt.law)
			})
		})
	}
}
