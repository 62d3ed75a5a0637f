package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/internal/monotime"
)

// simulated is a camera of a fleet: it answers commands once, and tells events until the broker has them.
type simulated struct {
	fleet  *fleet
	id     [envelope.IDSize]byte
	key    ed25519.PrivateKey
	opener *envelope.Opener

	mu      sync.Mutex                    // guards the rest
	came    map[[envelope.IDSize]byte]int // commands, how often each came; it is done the first time
	waiting []envelope.Event
	seq     uint64
}

func newSimulated(f *fleet) (*simulated, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	opener, err := envelope.NewOpener(key)
	return &simulated{fleet: f, id: randomID(), key: key, opener: opener, came: map[[envelope.IDSize]byte]int{}}, err
}

// run keeps connected until ctx ends.
func (c *simulated) run(ctx context.Context) {
	been := false // connected
	for failures := 0; c.fleet.again(ctx, been, failures); {
		if c.connect(ctx, been) {
			been, failures = true, 0
			continue
		}
		failures++
	}
}

// connect keeps one connection; false: there was none.
func (c *simulated) connect(ctx context.Context, back bool) bool {
	lost := make(chan struct{})
	o, err := c.fleet.options(strings.TrimPrefix(envelope.Camera(c.id), "ocellus/1/"))
	if err != nil {
		return false
	}
	state := string(envelope.StateTopic(c.id))
	o.SetWill(state, `{"state":"offline","session":"simulated"}`, 1, true).
		SetDefaultPublishHandler(func(client mqtt.Client, m mqtt.Message) { c.take(client, m) }).
		SetConnectionLostHandler(func(mqtt.Client, error) { close(lost) })
	client := mqtt.NewClient(o)
	defer client.Disconnect(100)
	if !c.enter(ctx, client, lost, back) || !soon(client.Publish(state, 1, true,
		`{"state":"online","session":"simulated"}`), lost) {
		return false
	}
	c.fleet.came(back)
	defer c.fleet.left(ctx)
	event := time.NewTicker(c.fleet.Event)
	defer event.Stop()
	for c.tell(client, lost) {
		select {
		case <-ctx.Done():
			return true
		case <-lost:
			return true
		case <-event.C:
			c.happen()
		}
	}
	return true
}

// enter connects and subscribes, as gently as a camera does.
func (c *simulated) enter(ctx context.Context, client mqtt.Client, lost <-chan struct{}, again bool) bool {
	if again {
		c.fleet.mu.Lock()
		c.fleet.tries++
		c.fleet.mu.Unlock()
	}
	began := time.Now()
	if !soon(client.Connect(), lost) {
		return false
	}
	if time.Since(began) > slowBroker && monotime.Pause(ctx, mathrand.N(letPass)) != nil {
		return false
	}
	return subscribed(client, envelope.Camera(c.id)+"/cmd/+", lost)
}

// subscribed subscribes; a broker that is not well may say no (MQTT 3.1.1, 3.9.3: 128).
func subscribed(client mqtt.Client, filter string, lost <-chan struct{}) bool {
	t, ok := client.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken)
	return ok && soon(t, lost) && t.Result()[filter] <= 2
}

// soon waits for what a token stands for; the library never ends those of a connection that was lost.
func soon(t mqtt.Token, lost <-chan struct{}) bool {
	late := time.NewTimer(cameraPatience)
	defer late.Stop()
	select {
	case <-t.Done():
		return t.Error() == nil
	case <-lost:
	case <-late.C:
	}
	return false
}

// came counts a camera that is connected.
func (f *fleet) came(back bool) {
	f.connected.Add(1)
	if back {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.backs = append(f.backs, time.Now())
	}
}

// left counts a camera that lost its connection before the end.
func (f *fleet) left(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	f.connected.Add(-1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = append(f.lost, time.Now())
}

func (c *simulated) happen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	c.waiting = append(c.waiting, envelope.Event{Camera: c.id, ID: randomID(), Seq: c.seq, Time: time.Now(), Sure: true,
		Class: "lifecycle", Name: "simulated", Detail: []byte("{}")})
}

// tell sends what waits; false: the connection is no good.
func (c *simulated) tell(client mqtt.Client, lost <-chan struct{}) bool {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.mu.Unlock()
			return true
		}
		e := c.waiting[0]
		c.mu.Unlock()
		topic := envelope.EventTopic(c.id, c.fleet.public())
		raw, err := e.Seal(topic, c.key, c.fleet.public())
		if err != nil {
			return false
		}
		if !soon(client.Publish(string(topic), 1, false, raw), lost) {
			return false
		}
		c.mu.Lock()
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
	}
}

// take does a command that it has not done yet, and answers it each time that it comes.
func (c *simulated) take(client mqtt.Client, m mqtt.Message) {
	r, err := envelope.ParseCommand(envelope.Topic(m.Topic()), m.Payload())
	if err != nil || r.Camera != c.id || !r.Source.Equal(c.fleet.public()) || r.Verify() != nil || r.Open(c.opener) != nil {
		return
	}
	c.mu.Lock()
	c.came[r.ID]++
	c.mu.Unlock()
	reply := envelope.Reply{Camera: c.id, ID: r.ID, Time: time.Now(), Code: "ok", Progress: 100,
		Result: fmt.Appendf(nil, `{"operation":%q}`, r.Operation)}
	topic := envelope.ReplyTopic(c.id, r.Source)
	raw, err := reply.Seal(topic, c.key, r.Source)
	if err != nil {
		return
	}
	go client.Publish(string(topic), 1, false, raw) // the library forbids it on this goroutine; it ends with the client
}
