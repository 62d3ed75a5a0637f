package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/codec/yuv"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/internal/supervise"
	"github.com/ocellus/ocellus/provision"
	"github.com/ocellus/ocellus/provision/smartconfig"
	"github.com/ocellus/ocellus/stream"
)

// networkConfig is the section network of the configuration.
type networkConfig struct {
	Country string       `yaml:"country"` // where the camera is, if what brings it into a network does not say
	Legacy  legacyConfig `yaml:"legacy"`
}

// legacyConfig turns on what whoever is in radio range can read.
type legacyConfig struct {
	ESPTouch1      bool `yaml:"esp_touch_v1"`
	ESPTouch2Plain bool `yaml:"esp_touch_v2_plain"`
	AirKiss        bool `yaml:"airkiss"`
	TuyaEZ         bool `yaml:"tuya_ez"`
}

// Validate reports all faults at once.
func (c networkConfig) Validate() error {
	if c.Country != "" && !isCountry(c.Country) {
		return fmt.Errorf("country: %.10q: want two capital letters, such as DE", c.Country)
	}
	return nil
}

func isCountry(code string) bool {
	return len(code) == 2 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func (c legacyConfig) protocols() (set smartconfig.Protocol) {
	for _, row := range []struct {
		on bool
		p  smartconfig.Protocol
	}{
		{c.ESPTouch1, smartconfig.ESPTouch1}, {c.ESPTouch2Plain, smartconfig.ESPTouch2Plain},
		{c.AirKiss, smartconfig.AirKiss}, {c.TuyaEZ, smartconfig.TuyaEZ},
	} {
		if row.on {
			set |= row.p
		}
	}
	return set
}

// openProvision gives the radio to what brings the camera into a network, and a look through its lens. A board without
// a radio has nothing to be brought into, and a simulated one is in its machine's network, unless somebody wants its
// radio. What can't be opened leaves the camera in the network that it is in.
func (a *agent) openProvision(c networkConfig, d hal.Devices, radio bool, log *slog.Logger) {
	if d.Radio == nil || a.safe == nil || a.board.Simulated && !radio {
		return
	}
	o := provision.Options{
		Radio: d.Radio, Monitor: d.Monitor, Lens: lens{a.source}, LED: d.LED, Sounder: d.Sounder, Owner: a.owner,
		Label: a.owner.Hardware().Label(), Country: c.Country, Legacy: c.Legacy.protocols(), Log: log,
		State: a.safe.sealed("network"), Hide: func(v ...secret.Secret) { a.hidden.Know("network", v...) },
	}
	a.openEasyConnect(&o, d.EasyConnect, log)
	if a.control != nil {
		o.Reach = a.reachBroker
	}
	if a.board.Simulated { // nobody is in its network who could be told
		o.Tell = func(context.Context, hal.Link, *smartconfig.Credentials) error { return nil }
	}
	var err error
	if a.network, err = provision.Open(o); err != nil {
		log.Error("no way into a Wi-Fi network", "err", err)
		return
	}
	a.supervisor.Add(supervise.Part{Name: "network", Run: a.network.Run, Lasting: true, Alive: func() error {
		a.network.Status() // takes its lock
		return nil
	}})
}

// lens looks through the camera of a stream.
type lens struct{ source *stream.Source }

// Look implements provision.Lens.
func (l lens) Look(ctx context.Context, see func(luma []byte, w, h, stride int) error) error {
	return l.source.Look(ctx, func(p *yuv.Picture, _ time.Duration) error {
		return see(p.Y, p.Width, p.Height, p.YStride)
	})
}

// Expose implements provision.Lens.
func (l lens) Expose(milliEV int) error { return l.source.Expose(milliEV) }

// networkStatus is what network.status tells. Its keys are wire format: only ever added.
type networkStatus struct {
	State    provision.State  `json:"state"`
	SSID     []byte           `json:"ssid,omitempty"` // any bytes, not text
	Reason   provision.Reason `json:"reason,omitempty"`
	Text     string           `json:"text,omitempty"` // the reason, and what to do
	Likely   bool             `json:"likely,omitempty"`
	Hint     string           `json:"hint,omitempty"`
	Address  string           `json:"address,omitempty"`
	SignalDB int              `json:"signal_dbm,omitempty"`
}

// errNoWiFi: the camera's network is not this program's business.
var errNoWiFi = fmt.Errorf("this camera has no Wi-Fi: %w", hal.ErrUnsupported)

func (a *agent) networkStatus(context.Context, none) (any, error) {
	if a.network == nil {
		return nil, errNoWiFi
	}
	s := a.network.Status()
	out := networkStatus{State: s.State, SSID: []byte(s.SSID), Reason: s.Reason, Text: s.Reason.Text(), Likely: s.Likely,
		Hint: s.Hint, SignalDB: s.Link.Signal}
	if s.Link.Address.IsValid() {
		out.Address = s.Link.Address.Addr().String()
	}
	return out, nil
}

// seenNetwork is a network as network.scan tells it.
type seenNetwork struct {
	SSID     []byte       `json:"ssid"`
	Security hal.Security `json:"security"`
	SignalDB int          `json:"signal_dbm"`
	MHz      int          `json:"frequency_mhz"`
}

func (a *agent) networkScan(ctx context.Context, _ none) (any, error) {
	if a.network == nil {
		return nil, errNoWiFi
	}
	seen, err := a.network.Networks(ctx)
	list := []seenNetwork{}
	for _, n := range seen {
		list = append(list, seenNetwork{[]byte(n.SSID), n.Security, n.Signal, n.Frequency})
	}
	return list, err
}

// networkArgs name a network.
type networkArgs struct {
	SSID     []byte        `json:"ssid"`
	Password secret.Secret `json:"password,omitempty"`
	Security string        `json:"security,omitempty"` // wpa, sae or open; empty: wpa with a password, else open
	Hidden   bool          `json:"hidden,omitempty"`
	Country  string        `json:"country,omitempty"`
}

// networkJoin begins the trial of another network; network.status tells how it ends. The old one is kept until then.
func (a *agent) networkJoin(ctx context.Context, args networkArgs) (any, error) {
	if a.network == nil {
		return nil, errNoWiFi
	}
	n := qrtext.Network{SSID: string(args.SSID), Password: args.Password, Hidden: args.Hidden,
		Security: qrtext.Security(args.Security)}
	if args.Security == "" {
		n.Security = qrtext.WPA
		if args.Password == "" {
			n.Security = qrtext.Open
		}
	}
	o, err := provision.OfferOf(provision.ByOwner, n, args.Country)
	if err == nil && args.Country != "" && !isCountry(args.Country) {
		err = errors.New("country: want two capital letters")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	a.hadBroker.Store(a.control != nil && a.control.session != nil && a.control.session.State().Connected)
	return none{}, a.network.Change(ctx, o)
}

// reachBroker reports whether the broker that the camera had before it left its network is there in the new one: the
// owner may have no other way to his camera.
func (a *agent) reachBroker(ctx context.Context, _ hal.Link) error {
	if !a.hadBroker.Load() {
		return nil
	}
	broker, err := url.Parse(a.control.config().Broker)
	if err != nil {
		return err
	}
	return reach(ctx, broker.Host)
}

// reachEvery is between two tries to reach a host.
const reachEvery = time.Second

// reach tries to connect until ctx ends.
func reach(ctx context.Context, host string) error {
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
		if err == nil {
			return conn.Close()
		}
		again := time.NewTimer(reachEvery)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return fmt.Errorf("broker: %w: %w", provision.ErrUnreached, err)
		}
	}
}

func (a *agent) networkForget(ctx context.Context, _ none) (any, error) {
	if a.network == nil {
		return nil, errNoWiFi
	}
	return none{}, a.network.Forget(ctx)
}
