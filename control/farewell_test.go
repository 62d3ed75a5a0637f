package control

import (
	"bytes"
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/ocellus/ocellus/codec/envelope"
)

// stopWithin is how long an agent's supervisor waits for its parts.
const stopWithin = 1800 * time.Millisecond

// TestFarewell: whatever the broker leaves unanswered, the session ends in time.
func TestFarewell(t *testing.T) {
	t.Parallel()
	offline := []byte("offline")
	for name, deaf := range map[string]func(p packets.ControlPacket) bool{
		"knock":       func(p packets.ControlPacket) bool { _, ok := p.(*packets.ConnectPacket); return ok },
		"filter":      func(p packets.ControlPacket) bool { _, ok := p.(*packets.SubscribePacket); return ok },
		"first words": func(p packets.ControlPacket) bool { _, ok := p.(*packets.PublishPacket); return ok },
		"last words": func(p packets.ControlPacket) bool {
			said, ok := p.(*packets.PublishPacket)
			return ok && bytes.Contains(said.Payload, offline)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVillain(t, func(net.Conn) {})
			unanswered := make(chan struct{}, 16) // of a session; more is dropped
			v.mu.Lock()
			v.deaf = func(p packets.ControlPacket) bool {
				if !deaf(p) {
					return false
				}
				select {
				case unanswered <- struct{}{}:
				default:
				}
				return true
			}
			v.mu.Unlock()
			c := DefaultConfig()
			c.Broker = "mqtt://" + v.address
			p := newPlace(t, c)
			p.begin()
			if name == "last words" {
				eventually(t, "online", func() bool { return p.session.State().Connected })
			} else {
				<-unanswered
			}
			began := time.Now()
			p.stop()
			if took := time.Since(began); took > stopWithin {
				t.Errorf("the session took %v to end", took)
			}
			if name == "last words" && len(unanswered) == 0 {
				t.Error("it said no last word")
			}
		})
	}
}

// stuck is a client of the library whose connection ended when a message was to have its turn: the library holds the
// call back until its write timeout.
type stuck struct{ mqtt.Client }

func (stuck) Publish(string, byte, bool, any) mqtt.Token {
	time.Sleep(patience)
	return &mqtt.DummyToken{}
}

// gone is a client of the library that knows already that its connection is lost, and told nobody yet.
type gone struct{ mqtt.Client }

func (gone) Publish(string, byte, bool, any) mqtt.Token { return gone{} }
func (gone) Error() error                               { return mqtt.ErrNotConnected }
func (gone) Wait() bool                                 { return true }
func (gone) WaitTimeout(time.Duration) bool             { return true }
func (gone) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

// TestReplyWaits: a reply whose connection is about to be known as lost goes out by the next one.
func TestReplyWaits(t *testing.T) {
	t.Parallel()
	p := newPlace(t, DefaultConfig())
	p.begin()
	p.stop()
	for range 3 {
		p.session.send(outgoing{topic: envelope.Camera(p.camera) + "/rsp/x"})
	}
	l := &link{s: p.session, id: p.camera, config: p.config, client: gone{}, up: t.Context(), over: t.Context()}
	l.reply(t.Context())
	if n := len(p.session.replies); n != 3 {
		t.Errorf("%d of 3 replies wait", n)
	}
}

// TestFarewellHeldBack: a broker that stops in the same moment as the camera, as the one in its process does, may leave
// the last word held back.
func TestFarewellHeldBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t, DefaultConfig())
	p.begin()
	p.stop()
	synctest.Test(t, func(t *testing.T) {
		up, down := context.WithCancel(t.Context())
		defer down()
		stopped, stop := context.WithCancel(t.Context())
		stop()
		l := &link{s: p.session, id: p.camera, config: p.config, client: stuck{}, up: up}
		began := time.Now()
		l.end(stopped)
		if took := time.Since(began); took > stopWithin {
			t.Errorf("the last words took %v", took)
		}
		time.Sleep(patience) // the call that is left ends, too
	})
}
