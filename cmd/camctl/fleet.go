package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/internal/monotime"
)

// fleetCommands are tools for many cameras.
type fleetCommands struct {
	Simulate fleetSimulate `cmd:"" help:"Play many cameras and their back end against a broker or a cluster, and count."`
}

// fleetSimulate plays cameras that speak the protocol of docs/control.md, each with keys of its own, and a back end that
// asks them and hears their events. Kill a node meanwhile: the summary says what it cost.
type fleetSimulate struct {
	N        int           `short:"n" default:"100" help:"Cameras."`
	Broker   []string      `required:"" placeholder:"URL" help:"A node of the cluster: mqtt://HOST:PORT or mqtts://HOST:PORT; several, with commas."`
	CA       string        `placeholder:"FILE" help:"PEM of the authority whose certificate the brokers must have."`
	Username string        `help:"At the broker."`
	Password string        `env:"OCELLUS_BROKER_PASSWORD" help:"At the broker."`
	For      time.Duration `default:"30s" help:"How long, once all are connected."`
	Rate     float64       `default:"20" help:"Commands a second, to cameras at random."`
	Event    time.Duration `default:"10s" help:"Between two events of a camera."`
	Spread   time.Duration `default:"18s" help:"A camera that lost its broker rests for a third of this and tries again after anything up to this."`
}

// How a camera behaves that lost its broker, as docs/control.md has it: the limit of its first waits is the same, then
// it doubles; a broker that takes long to let it in gets some time for the others at its door.
const (
	sameTries      = 3
	cameraPatience = 10 * time.Second
	slowBroker     = 2 * time.Second
	letPass        = 10 * time.Second
)

// connectAll is how long the beginning waits for the cameras, settle how long the end waits for what is under way.
const connectAll, settle = 3 * time.Minute, 40 * time.Second

// fleet is the whole play.
type fleet struct {
	fleetSimulate
	secure  brokerFlag
	owner   ed25519.PrivateKey
	cameras []*simulated

	connected atomic.Int64
	mu        sync.Mutex  // guards backs
	backs     []time.Time // when a camera that had been connected was back
	lost      []time.Time // when one was lost
	tries     int         // of cameras that had been connected
}

// Run prints a line of JSON a second, and then the summary. It fails when something was lost.
func (c *fleetSimulate) Run(ctx context.Context, s streams) error {
	f := &fleet{fleetSimulate: *c, secure: brokerFlag{CA: c.CA, Username: c.Username, Password: c.Password}}
	_, f.owner, _ = ed25519.GenerateKey(rand.Reader) // never fails
	for range c.N {
		camera, err := newSimulated(f)
		if err != nil {
			return err
		}
		f.cameras = append(f.cameras, camera)
	}
	office, err := newOffice(f)
	if err != nil {
		return err
	}
	inner, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() { office.run(inner) })
	for _, camera := range f.cameras {
		all.Go(func() { camera.run(inner) })
	}
	out := json.NewEncoder(s.out)
	if err := f.play(ctx, out, office); err != nil {
		return err
	}
	sum := f.summary(office)
	if err := out.Encode(sum); err != nil {
		return err
	}
	if sum.Commands.Lost+sum.Events.Lost > 0 || sum.Connected < c.N {
		return fmt.Errorf("%d commands lost, %d events lost, %d of %d cameras connected", sum.Commands.Lost, sum.Events.Lost,
			sum.Connected, c.N)
	}
	return nil
}

// play watches until the time is over and nothing is under way any more.
func (f *fleet) play(ctx context.Context, out *json.Encoder, o *office) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var ends, last time.Time
	limit := time.Now().Add(connectAll)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		full := f.connected.Load() == int64(f.N)
		if ends.IsZero() && full {
			ends = time.Now().Add(f.For)
			last = ends.Add(settle)
			o.begin.Store(true)
		}
		commands, events := o.counts(f)
		if err := out.Encode(struct {
			Connected int64  `json:"connected"`
			Answered  uint64 `json:"answered"`
			Events    uint64 `json:"events"`
		}{f.connected.Load(), commands.Answered, events.Received}); err != nil {
			return err
		}
		if ends.IsZero() && time.Now().After(limit) {
			return &fault{exitUnreachable, fmt.Errorf("%d of %d cameras are connected after %v", f.connected.Load(), f.N,
				connectAll)}
		}
		if ends.IsZero() || time.Now().Before(ends) {
			continue
		}
		o.begin.Store(false)
		if full && commands.Lost == 0 && events.Lost == 0 || time.Now().After(last) {
			return nil
		}
	}
}

// messages are the figures of a kind of message.
type messages struct {
	Sent     uint64 `json:"sent"`
	Answered uint64 `json:"answered,omitempty"`
	Received uint64 `json:"received,omitempty"`
	Lost     uint64 `json:"lost"`
	Repeated uint64 `json:"repeated"` // came again, and were answered or known: nothing was done twice
}

type fleetSummary struct {
	Cameras   int      `json:"cameras"`
	Connected int      `json:"connected"`
	Commands  messages `json:"commands"`
	Events    messages `json:"events"`
	// Of the cameras that lost their broker: how many, after how long the last one was back, how many of them came back in
	// the worst second, and how many in each second after the first one was lost.
	Displaced   int     `json:"displaced"`
	AllBackS    float64 `json:"all_back_s"`
	WorstSecond float64 `json:"worst_second_percent"`
	Back        []int   `json:"back_by_second"`
	Tries       int     `json:"tries"` // that they needed, all together
}

func (f *fleet) summary(o *office) fleetSummary {
	s := fleetSummary{Cameras: f.N, Connected: int(f.connected.Load())}
	s.Commands, s.Events = o.counts(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Displaced, s.Tries = len(f.backs), f.tries
	if len(f.backs) == 0 || len(f.lost) == 0 {
		return s
	}
	first := f.lost[0]
	for _, at := range f.backs {
		after := at.Sub(first).Seconds()
		s.AllBackS = max(s.AllBackS, after)
		for len(s.Back) <= int(after) {
			s.Back = append(s.Back, 0)
		}
		s.Back[int(after)]++
	}
	s.WorstSecond = 100 * float64(slices.Max(s.Back)) / float64(len(f.backs))
	return s
}

// options are a client's, which tries the brokers in random order, as behind one name in the DNS.
func (f *fleet) options(id string) (*mqtt.ClientOptions, error) {
	secure, err := f.secure.tls()
	if err != nil {
		return nil, err
	}
	o := mqtt.NewClientOptions()
	for _, i := range mathrand.Perm(len(f.Broker)) {
		o.AddBroker(pahoURL(f.Broker[i]))
	}
	return o.SetClientID(id).
		SetCleanSession(false).SetTLSConfig(secure).SetUsername(f.Username).SetPassword(f.Password).
		SetAutoReconnect(false).SetConnectTimeout(cameraPatience).SetKeepAlive(15 * time.Second).
		SetProtocolVersion(4), nil
}

// again waits before the next try, in full jitter, after a rest where a connection was lost; false: it is over.
func (f *fleet) again(ctx context.Context, been bool, failures int) bool {
	wait := mathrand.N(f.Spread<<min(max(failures-sameTries+1, 0), 4) + 1)
	if been && failures == 0 {
		wait += f.Spread / 3
	}
	return monotime.Pause(ctx, wait) == nil
}

func (f *fleet) public() ed25519.PublicKey { return f.owner.Public().(ed25519.PublicKey) }

func randomID() (id [envelope.IDSize]byte) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}
