package smartconfig

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// TestPace: to whom, how often and for how long the senders send.
func TestPace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		protocol Protocol
		message  Message
		first    string // destination and length of the first datagrams
		count    int
		lasts    time.Duration
	}{
		{"v1", ESPTouch1, homeNet(), "255.255.255.255:7001 515 514 513 512 515", 5625, touch1SendTime},
		{"v1, multicast", ESPTouch1, with(func(m *Message) { m.Multicast = true }), "234.1.1.1:7001 515 514 513 512 515",
			5625, touch1SendTime},
		{"v2, plain", ESPTouch2Plain, with(func(m *Message) { m.Broadcast = netip.MustParseAddr("192.168.1.255") }),
			"192.168.1.255:7001 1048 1076 1048 1076 115", 0, touch2SendTime},
		{"AirKiss", AirKiss, homeNet(), "255.255.255.255:10000 1 2 3 4 1", 5 * (4*50 + 4*20 + 15*31), 0},
		{"Tuya EZ", TuyaEZ, homeNet(), "226.120.89.84:30012 1 1 1 1 3", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var sent []Datagram
			var lasts time.Duration
			for d := range sends(t, c.message, c.protocol, newRand(1)) {
				sent = append(sent, d)
				lasts += d.Wait
			}
			first := sent[0].To.String()
			for _, d := range sent[:5] {
				first += fmt.Sprint(" ", d.Length)
			}
			if first != c.first {
				t.Errorf("begins with %s, want %s", first, c.first)
			}
			if c.count > 0 && (len(sent) < c.count || len(sent) > c.count+4) {
				t.Errorf("%d datagrams, want %d", len(sent), c.count)
			}
			if round := 10 * time.Second; c.lasts > 0 && (lasts < c.lasts || lasts > c.lasts+round) {
				t.Errorf("sends for %v, want %v and the rest of a round", lasts, c.lasts)
			}
			if i := slices.IndexFunc(sent, func(d Datagram) bool { return d.Wait <= 0 }); i >= 0 {
				t.Errorf("no pause after datagram %d", i)
			}
		})
	}
}

// TestMulticastGroups: each group of packets of ESP-Touch v1 goes to one address, the next group to another.
func TestMulticastGroups(t *testing.T) {
	t.Parallel()
	seen := map[netip.Addr]bool{}
	run, last := 0, netip.Addr{}
	for d := range sends(t, with(func(m *Message) { m.Multicast = true }), ESPTouch1, newRand(1)) {
		to := d.To.Addr()
		if seen[to] = true; to == last {
			run++
			continue
		}
		if run != 0 && run != 3 && run != 4 {
			t.Fatalf("%d packets to %v", run, last)
		}
		run, last = 1, to
	}
	if len(seen) != touchGroups {
		t.Errorf("%d addresses, want %d", len(seen), touchGroups)
	}
}
