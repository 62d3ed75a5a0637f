package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

// TestTelling: a camera hears what is said by each protocol, its answer is taken for one, on the port to which it goes, and
// others' is not. Who will own it is said by our own protocol alone.
func TestTelling(t *testing.T) {
	t.Parallel()
	secret, err := label.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, _, _ := ed25519.GenerateKey(rand.Reader)
	l := label.Label{Model: "TEST-1", Fingerprint: label.FingerprintOf(public), Secret: secret}
	setup := qrtext.Setup{Network: qrtext.Network{SSID: "HomeNet", Password: "p@ssw0rd!"}, Owner: public,
		Token: qrtext.Token{1, 2, 3}}
	own, camera := netip.MustParsePrefix("192.0.2.7/24"), netip.MustParseAddr("192.0.2.50")
	for _, name := range []string{ownProtocol, "esp_touch_v2_plain", "esp_touch_v1", "airkiss", "tuya_ez"} {
		p := protocolOf(name)
		told := tellingOf(p, l, setup, own)
		c := hear(t, told, l)
		if c == nil || c.Protocol != p || string(c.SSID) != "HomeNet" || c.Password != setup.Network.Password {
			t.Fatalf("%s: heard %+v", name, c)
		}
		who, said := smartconfig.ParseClaimant(c.Reserved)
		if said != (name == ownProtocol) || said && (who.Token != setup.Token || who.Owner != l.Fingerprint) {
			t.Errorf("%s: said who will own it: %v", name, said)
		}
		ack, answers := c.ACK(dot11.Addr{2, 0, 0, 0, 2, 0}, camera)
		if answers != (told.port != 0) {
			t.Fatalf("%s: the camera answers: %v, awaited on port %d", name, answers, told.port)
		}
		if !answers {
			continue
		}
		if !told.answers(ack.Payload) || ack.To[0].Port() != told.port || ack.Confirm != told.confirm {
			t.Errorf("%s: the answer %x to %v, to be confirmed to %d, is none", name, ack.Payload, ack.To, ack.Confirm)
		}
		if told.answers(nil) || told.answers([]byte{0}) {
			t.Errorf("%s: anything is an answer", name)
		}
	}
}

// hear plays a camera that captures what is sent to everybody.
func hear(t *testing.T, told telling, l label.Label) *smartconfig.Credentials {
	t.Helper()
	sends, err := told.message.Send(told.protocol, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := smartconfig.NewReceiver(smartconfig.Options{Key: l.Secret.Printed(), Also: smartconfig.Legacy()})
	if err != nil {
		t.Fatal(err)
	}
	f := dot11.Frame{BSSID: dot11.Addr{2, 0, 0, 0, 0, 1}, SA: dot11.Addr{2, 0, 0, 0, 0, 2}, DA: dot11.Broadcast(),
		Direction: dot11.FromDS, Protected: true}
	var at time.Duration
	for d := range sends {
		at += d.Wait
		if d.To.Addr().IsMulticast() {
			continue
		}
		f.Sequence, f.Length = (f.Sequence+1)%4096, d.Length+52 // CCMP
		if seen, _ := r.Add(at, &f); seen.Credentials != nil {
			return seen.Credentials
		}
	}
	return nil
}

// TestACK: the camera's answer says where it is, and is confirmed; what is shorter is not its answer.
func TestACK(t *testing.T) {
	t.Parallel()
	camera, err := net.ListenPacket("udp4", "127.0.0.63:7002")
	if err != nil {
		t.Fatal(err)
	}
	defer camera.Close()
	out, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	heard, ended := make(chan string, 1), make(chan error, 1)
	told := tellingOf(smartconfig.ESPTouch2, label.Label{}, qrtext.Setup{}, netip.MustParsePrefix("127.0.0.1/8"))
	go func() { ended <- told.awaitACK(ctx, out, heard, stop) }()
	phone := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: touchPort}
	confirmed := make(chan byte, 2)
	go func() {
		var b [16]byte
		for range 2 {
			if _, _, err := camera.ReadFrom(b[:]); err == nil {
				confirmed <- b[0]
			}
		}
		close(confirmed)
	}()
	for again := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-again.C {
		_, _ = camera.WriteTo([]byte{0, 1, 2}, phone)
		_, _ = camera.WriteTo([]byte{0, 2, 0, 0, 0, 0, 7}, phone)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if where := <-heard; where != "127.0.0.63:8443" {
		t.Errorf("heard of %q", where)
	}
	if b := <-confirmed; b != 1 {
		t.Errorf("confirmed by %d", b)
	}
}

// slowConn is a socket on which a write takes its time.
type slowConn struct {
	net.PacketConn // nil: nothing else is asked of it
	takes          func(n int) time.Duration
	sent           []time.Time
}

func (c *slowConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	c.sent = append(c.sent, time.Now())
	time.Sleep(c.takes(len(c.sent)))
	return len(b), nil
}

// TestPace: a machine whose writes take long sends as fast as another, and after a stall it sends no burst.
func TestPace(t *testing.T) {
	t.Parallel()
	const stalled = 50
	for name, takes := range map[string]func(n int) time.Duration{
		"quick": func(int) time.Duration { return 0 },
		"slow":  func(int) time.Duration { return 6 * time.Millisecond },
		"a stall": func(n int) time.Duration {
			if n == stalled {
				return 300 * time.Millisecond
			}
			return time.Millisecond
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				told := telling{protocol: smartconfig.ESPTouch2, message: smartconfig.Message{SSID: []byte("HomeNet"),
					Password: "p@ssw0rd!", Key: "0123456789ABCDEF", Broadcast: netip.MustParseAddr("192.0.2.255")}}
				sends, err := told.message.Send(told.protocol, rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				var wait time.Duration
				for d := range sends {
					wait = d.Wait
					break
				}
				c := &slowConn{takes: takes}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				if err := told.send(ctx, c); err != nil {
					t.Fatal(err)
				}
				least := int(2*time.Second/wait) - 1
				if name == "a stall" {
					least -= int(300 * time.Millisecond / wait)
				}
				if len(c.sent) < least {
					t.Errorf("%d datagrams in 2 s, want %d", len(c.sent), least)
				}
				for i, at := range c.sent[1:] {
					if apart := at.Sub(c.sent[i]); apart < wait/2 {
						t.Errorf("datagram %d came %v after the one before", i+1, apart)
					}
				}
			})
		})
	}
}
