package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

func connect(t *testing.T, b *Broker, id string) (mqtt.Client, error) {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b.Root()) {
		t.Fatal("no certificate")
	}
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("ssl://" + b.Addr().String()).SetClientID(id).
		SetTLSConfig(&tls.Config{RootCAs: pool}).SetAutoReconnect(false))
	token := c.Connect()
	if !token.WaitTimeout(10 * time.Second) {
		t.Fatal("no answer")
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c, token.Error()
}

// TestBroker: another's client publishes, subscribes and finds what is retained; the broker can be run again.
func TestBroker(t *testing.T) {
	t.Parallel()
	b, err := Open("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		var sender mqtt.Client
		for sender == nil {
			if c, err := connect(t, b, "sender"); err == nil {
				sender = c
			}
		}
		if token := sender.Publish("a/b", 1, true, "x"); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
			t.Fatal(token.Error())
		}
		receiver, err := connect(t, b, "receiver")
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan mqtt.Message, 4)
		receiver.Subscribe("a/+", 1, func(_ mqtt.Client, m mqtt.Message) { got <- m })
		select {
		case m := <-got:
			if string(m.Payload()) != "x" || !m.Retained() {
				t.Errorf("got %s, retained %v", m.Payload(), m.Retained())
			}
		case <-time.After(10 * time.Second):
			t.Error("nothing came")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestEnds: neither who is at the door and says nothing, nor a crowd that comes in that moment, keeps the broker from
// its end (with -race: nor is any of it counted while the library waits for the count).
func TestEnds(t *testing.T) {
	t.Parallel()
	for range 20 {
		b, err := Open("127.0.0.1:0", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		silent, err := tls.Dial("tcp", b.Addr().String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it asks nothing
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		var crowd sync.WaitGroup
		for range 8 {
			crowd.Go(func() {
				for range 500 {
					conn, err := net.Dial("tcp", b.Addr().String())
					if err != nil {
						return
					}
					defer conn.Close()
				}
			})
		}
		time.Sleep(2 * time.Millisecond)
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(1800 * time.Millisecond): // what an agent's supervisor waits
			t.Error("it does not end")
		}
		crowd.Wait()
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for address, fine := range map[string]bool{
		"off": true, "127.0.0.1:8883": true, "[::1]:0": true, ":8883": false, "0.0.0.0:8883": false, "192.0.2.1:8883": false,
		"localhost:8883": false, "": false, "127.0.0.1": false,
	} {
		if err := Validate(address); (err == nil) != fine {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := Open(Off, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a broker that is off is open")
	}
}
