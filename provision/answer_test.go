package provision

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

// TestAnswer: a phone on loopback gets its ACK, again and again, until it confirms.
func TestAnswer(t *testing.T) {
	t.Parallel()
	own := netip.MustParseAddr("127.0.0.61")
	phone, err := net.ListenPacket("udp4", "127.0.0.62:0")
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	a := smartconfig.ACK{Payload: []byte("ack"), To: []netip.AddrPort{phone.LocalAddr().(*net.UDPAddr).AddrPort()},
		Confirm: 7002, Every: 5 * time.Millisecond, Times: 1 << 20}
	done := make(chan error, 1)
	go func() { done <- repeat(t.Context(), "", own, a) }()
	var b [64]byte
	for range 5 {
		n, _, err := phone.ReadFrom(b[:])
		if err != nil || string(b[:n]) != "ack" {
			t.Fatalf("got %q, %v", b[:n], err)
		}
	}
	if _, err := phone.WriteTo([]byte{1}, net.UDPAddrFromAddrPort(netip.AddrPortFrom(own, 7002))); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBroadcastOf(t *testing.T) {
	t.Parallel()
	for network, want := range map[string]string{"192.0.2.7/24": "192.0.2.255", "192.0.2.7/30": "192.0.2.7",
		"10.1.2.3/8": "10.255.255.255", "192.0.2.7/32": "192.0.2.7"} {
		if got := broadcastOf(netip.MustParsePrefix(network)); got.String() != want {
			t.Errorf("%s: got %v, want %s", network, got, want)
		}
	}
}

// TestAnswerEnds: with its context, and where the network takes nothing.
func TestAnswerEnds(t *testing.T) {
	t.Parallel()
	c := &smartconfig.Credentials{Protocol: smartconfig.AirKiss, Mark: 7}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tellByUDP(ctx, hal.Link{Address: netip.MustParsePrefix("127.0.0.1/8")}, c); err != nil {
		t.Error(err)
	}
	if err := tellByUDP(t.Context(), hal.Link{Address: netip.MustParsePrefix("192.0.2.9/24")}, c); err == nil {
		t.Error("an address that no interface has: no error")
	}
	c.Protocol = smartconfig.TuyaEZ
	if err := tellByUDP(t.Context(), hal.Link{Address: netip.MustParsePrefix("127.0.0.1/8")}, c); err != nil {
		t.Errorf("a protocol without an ACK: %v", err)
	}
}
