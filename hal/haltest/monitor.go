package haltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/hal"
)

// Ears are a radio and its monitor.
type Ears struct {
	hal.Radio
	Monitor hal.Monitor
}

// MonitorOptions say what the suite may do with a monitor.
type MonitorOptions struct {
	// Raise puts a network on the air of Channel in place of the one before; nil where nobody can.
	Raise   func(n *Network) error
	Channel int
	// Skips names laws that are not to be checked, and why.
	Skips map[string]string
}

// Monitor checks the law of hal.Monitor.
func Monitor(t *testing.T, open func(t *testing.T) Ears, o MonitorOptions) {
	t.Helper()
	run(t, monitorLaws(o), open, o.Skips)
}

// MonitorFindings checks what Monitor checks.
func MonitorFindings(ctx context.Context, open func() Ears, o MonitorOptions) []Finding {
	return findings(ctx, monitorLaws(o), open, o.Skips)
}

func monitorLaws(o MonitorOptions) []law[Ears] {
	closing := func(check func(context.Context, Ears) error) func(context.Context, Ears) error {
		return func(ctx context.Context, e Ears) error {
			err := check(ctx, e)
			_ = e.Leave(ctx) // it may be joined
			return errors.Join(err, e.Close())
		}
	}
	return []law[Ears]{
		{"channels are those of 2.4 GHz", closing(tellsChannels)},
		{"another channel is unsupported", closing(refusesChannels)},
		{"it hears the channel that it is tuned to", closing(o.hearsItsChannel)},
		{"the station is not associated meanwhile", closing(o.keepsApart)},
		{"next heeds its context", closing(airHeedsContext)},
		{"close unblocks next", closing(closeUnblocksAir)},
		{"close is idempotent, and start works again", closing(closeAirTwice)},
	}
}

func tellsChannels(ctx context.Context, e Ears) error {
	list, err := e.Monitor.Channels(ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 || !slices.IsSorted(list) || list[0] < 1 || list[len(list)-1] > 14 ||
		len(slices.Compact(slices.Clone(list))) != len(list) {
		return fmt.Errorf("Channels: %v", list)
	}
	return nil
}

func refusesChannels(ctx context.Context, e Ears) error {
	for _, c := range []int{-1, 0, 15, 36, 1 << 20} {
		a, err := e.Monitor.Start(ctx, c)
		if err := wantError(fmt.Sprintf("Start on channel %d", c), err, hal.ErrUnsupported); err != nil {
			return errors.Join(err, closeAir(a))
		}
	}
	a, err := e.Monitor.Start(ctx, 1)
	if err != nil {
		return err
	}
	return errors.Join(wantError("Tune to channel 0", a.Tune(ctx, 0), hal.ErrUnsupported), a.Close())
}

func closeAir(a hal.Air) error {
	if a == nil {
		return nil
	}
	return a.Close()
}

// hearsItsChannel: the beacons of a network are heard on its channel, and after Tune nothing that was sent there.
func (o MonitorOptions) hearsItsChannel(ctx context.Context, e Ears) error {
	if o.Raise == nil {
		return skipf("nobody can put networks on the air")
	}
	home, far := homeNetwork(), 1
	if o.Channel < 7 {
		far = 11
	}
	if err := o.Raise(&home); err != nil {
		return err
	}
	a, err := e.Monitor.Start(ctx, far)
	if err != nil {
		return err
	}
	for range 2 {
		if err := errors.Join(hears(ctx, a, o.Channel, true), hears(ctx, a, far, false)); err != nil {
			return errors.Join(err, a.Close())
		}
	}
	return a.Close()
}

// hears tunes to a channel and listens for half a second and five beacons of the home network, or to none.
func hears(ctx context.Context, a hal.Air, channel int, want bool) error {
	if err := a.Tune(ctx, channel); err != nil {
		return err
	}
	begin, last, beacons := time.Now(), time.Duration(0), 0
	limit := 500 * time.Millisecond
	if want {
		limit = lawTimeout / 8
	}
	listening, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for beacons < 5 {
		p, err := a.Next(listening)
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			return err
		}
		if p.At < last || p.Length < len(p.Bytes) || len(p.Bytes) == 0 {
			return fmt.Errorf("packet of %d bytes, %d long, at %v after %v", len(p.Bytes), p.Length, p.At, last)
		}
		last = p.At
		if b, err := dot11.ParseBeacon(p.Bytes); err == nil && string(b.SSID) == string(homeNetwork().SSID) {
			beacons++
		}
	}
	if want != (beacons > 0) || want && beacons < 5 {
		return fmt.Errorf("tuned to channel %d it heard %d beacons within %v", channel, beacons, time.Since(begin))
	}
	return nil
}

func (o MonitorOptions) keepsApart(ctx context.Context, e Ears) error {
	if o.Raise == nil {
		return skipf("nobody can put networks on the air")
	}
	home := homeNetwork()
	if err := errors.Join(o.Raise(&home), e.Country(ctx, "DE")); err != nil {
		return err
	}
	if err := join(ctx, e.Radio, home); err != nil {
		return err
	}
	a, err := e.Monitor.Start(ctx, o.Channel)
	if err := wantError("Start while joined", err, hal.ErrBusy); err != nil {
		return errors.Join(err, closeAir(a))
	}
	if err := e.Leave(ctx); err != nil {
		return err
	}
	if a, err = e.Monitor.Start(ctx, o.Channel); err != nil {
		return err
	}
	_, scanned := e.Scan(ctx)
	_, joined := e.Join(ctx, home.Credentials, nil)
	other, second := e.Monitor.Start(ctx, o.Channel)
	return errors.Join(wantError("Scan while the monitor is open", scanned, hal.ErrBusy),
		wantError("Join while the monitor is open", joined, hal.ErrBusy),
		wantError("a second Start", second, hal.ErrBusy), closeAir(other), nothing(ctx, e.Radio, "meanwhile"), a.Close(),
		join(ctx, e.Radio, home))
}

// hearing starts the monitor and lets check have what it hears.
func hearing(ctx context.Context, e Ears, check func(next func(context.Context) error, a hal.Air) error) error {
	a, err := e.Monitor.Start(ctx, 1)
	if err != nil {
		return err
	}
	next := func(ctx context.Context) error { // until something other than a packet comes
		for {
			if _, err := a.Next(ctx); err != nil {
				return err
			}
		}
	}
	return errors.Join(check(next, a), a.Close())
}

func airHeedsContext(ctx context.Context, e Ears) error {
	return hearing(ctx, e, func(next func(context.Context) error, a hal.Air) error {
		for _, limit := range []time.Duration{-1, 50 * time.Millisecond, 0, 10 * time.Millisecond} {
			short, cancel := context.WithTimeout(ctx, limit)
			err := within(promptly, "Next", func() error { return next(short) })
			cancel()
			if err := wantError("Next whose context ended", err, context.DeadlineExceeded); err != nil {
				return err
			}
		}
		return a.Tune(ctx, 2)
	})
}

func closeUnblocksAir(ctx context.Context, e Ears) error {
	return hearing(ctx, e, func(next func(context.Context) error, a hal.Air) error {
		return closeUnblocks("Next", inAMoment(a.Close), func() error { return next(ctx) })
	})
}

func closeAirTwice(ctx context.Context, e Ears) error {
	for range 2 {
		err := hearing(ctx, e, func(next func(context.Context) error, a hal.Air) error {
			return errors.Join(a.Close(), a.Close(), wantError("Next after Close", next(ctx), hal.ErrClosed),
				wantError("Tune after Close", a.Tune(ctx, 1), hal.ErrClosed))
		})
		if err != nil {
			return err
		}
	}
	return nil
}
