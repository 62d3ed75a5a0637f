package main

import (
	"context"
	"crypto/ed25519"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/ocellus/ocellus/codec/envelope"
)

// office is the back end of a fleet: it asks cameras at random, says again what was not answered, and hears events.
type office struct {
	fleet  *fleet
	opener *envelope.Opener
	by     map[string]*simulated // by the camera's tree
	begin  atomic.Bool           // commands are sent

	mu       sync.Mutex // guards the rest
	pending  map[[envelope.IDSize]byte]*pendingCommand
	sent     uint64
	answered uint64
	events   map[[envelope.IDSize]byte]map[uint64]bool
	received uint64
	repeated uint64 // events that came again
}

type pendingCommand struct {
	topic string
	raw   []byte
	last  time.Time
}

func newOffice(f *fleet) (*office, error) {
	opener, err := envelope.NewOpener(f.owner)
	o := &office{fleet: f, opener: opener, by: map[string]*simulated{},
		pending: map[[envelope.IDSize]byte]*pendingCommand{}, events: map[[envelope.IDSize]byte]map[uint64]bool{}}
	for _, c := range f.cameras {
		o.by[envelope.Camera(c.id)] = c
	}
	return o, err
}

// run keeps connected until ctx ends. A back end has nobody to be spread among.
func (o *office) run(ctx context.Context) {
	for ctx.Err() == nil {
		o.connect(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (o *office) connect(ctx context.Context) {
	me := envelope.Client(o.fleet.public())
	options, err := o.fleet.options("office-" + me)
	if err != nil {
		return
	}
	lost := make(chan struct{})
	options.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { o.take(m) }).
		SetConnectionLostHandler(func(mqtt.Client, error) { close(lost) })
	client := mqtt.NewClient(options)
	defer client.Disconnect(100)
	if !soon(client.Connect(), lost) || !subscribed(client, "ocellus/1/+/rsp/"+me, lost) ||
		!subscribed(client, "ocellus/1/+/evt/"+me, lost) {
		return
	}
	tick := time.NewTicker(time.Duration(float64(time.Second) / o.fleet.Rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-lost:
			return
		case <-tick.C:
		}
		if o.begin.Load() {
			o.ask()
		}
		for _, p := range o.due(time.Now()) {
			client.Publish(p.topic, 1, false, p.raw)
		}
	}
}

// ask makes one more command.
func (o *office) ask() {
	f := o.fleet
	camera := f.cameras[mathrand.IntN(len(f.cameras))]
	now := time.Now()
	c := envelope.Command{Camera: camera.id, ID: randomID(), Source: f.public(), Issued: now,
		Expires: now.Add(2 * time.Minute), Counter: uint64(now.UnixNano() / 1000), Operation: "status"}
	topic := envelope.CommandTopic(camera.id, c.Source)
	raw, err := c.Seal(topic, f.owner, camera.key.Public().(ed25519.PublicKey))
	if err != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent++
	o.pending[c.ID] = &pendingCommand{topic: string(topic), raw: raw}
}

// due lists what was never sent, or not answered for five seconds.
func (o *office) due(now time.Time) (list []pendingCommand) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.pending {
		if now.Sub(p.last) > 5*time.Second {
			p.last = now
			list = append(list, *p)
		}
	}
	return list
}

// take takes a reply or an event.
func (o *office) take(m mqtt.Message) {
	parts := strings.Split(m.Topic(), "/")
	if len(parts) != 5 {
		return
	}
	camera := o.by[strings.Join(parts[:3], "/")]
	if camera == nil {
		return
	}
	topic, key := envelope.Topic(m.Topic()), camera.key.Public().(ed25519.PublicKey)
	if parts[3] == "evt" {
		e, err := envelope.OpenEvent(topic, m.Payload(), o.opener, key)
		if err != nil {
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.events[camera.id] == nil {
			o.events[camera.id] = map[uint64]bool{}
		}
		if o.events[camera.id][e.Seq] {
			o.repeated++
			return
		}
		o.received++
		o.events[camera.id][e.Seq] = true
		return
	}
	r, err := envelope.OpenReply(topic, m.Payload(), o.opener, key)
	if err != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending[r.ID] != nil {
		o.answered++
		delete(o.pending, r.ID)
	}
}

// counts compares what the back end knows with what the cameras did.
func (o *office) counts(f *fleet) (commands, events messages) {
	for _, c := range f.cameras {
		c.mu.Lock()
		events.Sent += c.seq
		for _, n := range c.came {
			commands.Repeated += uint64(n - 1) //nolint:gosec // once at least
		}
		c.mu.Unlock()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	commands.Sent, commands.Answered, commands.Lost = o.sent, o.answered, uint64(len(o.pending))
	events.Received, events.Lost, events.Repeated = o.received, events.Sent-o.received, o.repeated
	return commands, events
}
