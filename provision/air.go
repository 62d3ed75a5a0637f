package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

const (
	airRetry  = 5 * time.Second
	scanLimit = 30 * time.Second // of two, where the first finds nobody
)

// errScan: the plan wants another scan, for which the air has to be closed.
var errScan = errors.New("scan")

// hear listens to the air until ctx ends or the camera has an owner.
func (e *Engine) hear(ctx context.Context, found chan<- Offer) {
	for {
		err := e.hearOnce(ctx, found)
		switch {
		case ctx.Err() != nil, errors.Is(err, errOwned):
			return
		case errors.Is(err, hal.ErrUnsupported), errors.Is(err, errNothingToHear):
			e.o.Log.Warn("nothing is heard from the air", "err", err)
			return
		}
		e.o.Log.Warn("air not heard, trying again", "err", err)
		if monotime.Pause(ctx, airRetry) != nil {
			return
		}
	}
}

var errNothingToHear = errors.New("no protocol is on")

// hearOnce listens until something fails.
func (e *Engine) hearOnce(ctx context.Context, found chan<- Offer) error {
	key := e.o.Label.Secret.Printed()
	if key == "" && e.o.Legacy == 0 {
		return errNothingToHear
	}
	if err := e.o.Radio.Country(ctx, e.country()); err != nil {
		return err
	}
	channels, err := e.o.Monitor.Channels(ctx)
	if err != nil {
		return err
	}
	networks, err := e.scan(ctx)
	if err != nil {
		return err
	}
	r, err := smartconfig.NewReceiver(smartconfig.Options{Key: key, Also: e.o.Legacy, Networks: networks})
	if err != nil {
		return err
	}
	l := &listener{e: e, receiver: r, plan: smartconfig.NewPlan(e.o.Now(), channels, networks), found: found,
		shares: e.enrolls()}
	for {
		if err := l.between(ctx, l.run(ctx)); err != nil {
			return err
		}
	}
}

// between does what needs a closed air: a scan, or the other's turn.
func (l *listener) between(ctx context.Context, why error) error {
	switch {
	case errors.Is(why, errScan):
		networks, err := l.e.scan(ctx)
		if err == nil {
			l.plan.Scanned(l.e.o.Now(), networks)
		}
		return err
	case errors.Is(why, errTurn):
		d, air := left(l.e.o.Now())
		if air {
			return nil
		}
		err := l.e.enroll(ctx, d, l.found)
		if errors.Is(err, hal.ErrUnsupported) {
			l.shares = false
			l.e.o.Log.Warn("no Wi-Fi Easy Connect", "err", err)
			return nil
		}
		return err
	}
	return why
}

// scan looks which networks there are.
func (e *Engine) scan(ctx context.Context) ([]smartconfig.Network, error) {
	ctx, cancel := context.WithTimeout(ctx, scanLimit)
	defer cancel()
	seen, err := e.o.Radio.Scan(ctx)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.seen = seen
	e.mu.Unlock()
	var list []smartconfig.Network
	for _, n := range seen {
		list = append(list, smartconfig.Network{SSID: []byte(n.SSID), BSSID: n.BSSID, Signal: n.Signal,
			Channel: dot11.Channel(n.Frequency)})
	}
	return list, nil
}

// listener hears phones on the channels of a plan. It is for one goroutine.
type listener struct {
	e        *Engine
	receiver *smartconfig.Receiver
	plan     *smartconfig.Plan
	found    chan<- Offer
	air      hal.Air
	step     smartconfig.Step
	channel  int           // tuned to
	since    time.Duration // what was captured before is of another channel
	started  bool          // a channel was heard
	shares   bool          // the air with Wi-Fi Easy Connect
	turn     time.Duration // until when it is this one's
}

// run listens until it has to scan, or it is the other's turn. It stays with a sender that it suspects.
func (l *listener) run(ctx context.Context) (err error) {
	l.turn = l.e.o.Now()
	if d, air := left(l.turn); air {
		l.turn += d
	}
	l.step = l.plan.Next(l.e.o.Now())
	l.channel = l.step.Channel
	if l.air, err = l.e.o.Monitor.Start(ctx, l.channel); err != nil {
		return l.gone(err)
	}
	l.started = true
	defer func() { err = errors.Join(err, l.air.Close()) }()
	for {
		switch {
		case l.step.Scan:
			return errScan
		case l.shares && l.plan.State() == smartconfig.Hopping && l.e.o.Now() >= l.turn:
			return errTurn
		}
		if err := l.tune(ctx); err != nil {
			return err
		}
		if err := l.dwell(ctx); err != nil {
			return err
		}
		l.step = l.plan.Next(l.e.o.Now())
	}
}

// tune changes the channel, if the step is on another one.
func (l *listener) tune(ctx context.Context) error {
	if l.step.Channel == l.channel {
		return nil
	}
	if err := l.air.Tune(ctx, l.step.Channel); err != nil {
		return l.gone(err)
	}
	l.channel, l.since = l.step.Channel, l.e.o.Now()
	return nil
}

// gone makes a passing trouble of a channel that was there and is no more: the regulatory domain has changed. What is
// unsupported from the beginning stays so.
func (l *listener) gone(err error) error {
	if l.started && errors.Is(err, hal.ErrUnsupported) {
		return errors.New("the channels have changed: " + err.Error())
	}
	return err
}

// dwell hears what there is until the step is over or the plan wants another one.
func (l *listener) dwell(ctx context.Context) error {
	until, cancel := context.WithTimeout(ctx, l.step.Until-l.e.o.Now())
	defer cancel()
	for {
		p, err := l.air.Next(until)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			return nil
		case err != nil:
			return err
		}
		if p.At < l.since {
			continue
		}
		moved, err := l.take(ctx, p)
		if moved || err != nil {
			return err
		}
	}
}

// take hears one packet. Whose the camera is, is asked before anything is parsed. true: the plan wants another step.
func (l *listener) take(ctx context.Context, p hal.Packet) (moved bool, err error) {
	if l.e.o.Owner.Claimed() {
		return false, errOwned
	}
	f, err := dot11.ParseData(p.Bytes, p.Length)
	if errors.Is(err, dot11.ErrOther) {
		b, err := dot11.ParseBeacon(p.Bytes)
		return err == nil && l.plan.Beacon(b), nil
	}
	if err != nil {
		return false, nil // the air is full of what is damaged
	}
	channel := l.channel
	if f.Frequency != 0 {
		channel = dot11.Channel(f.Frequency)
	}
	s, _ := l.receiver.Add(p.At, &f)
	if s.Credentials != nil {
		return false, l.tell(ctx, s.Credentials)
	}
	return l.plan.Heard(p.At, s, channel), nil
}

// tell offers what a phone told.
func (l *listener) tell(ctx context.Context, c *smartconfig.Credentials) error {
	o, err := heard(c)
	if err != nil {
		l.e.o.Log.Warn("a phone told a network that can't be", "protocol", c.Protocol, "err", err)
		return nil
	}
	l.e.o.Log.Info("a phone told a network", "protocol", c.Protocol, "claimant", o.Owner != nil)
	select {
	case l.found <- o:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("tell network: %w", ctx.Err())
	}
}
