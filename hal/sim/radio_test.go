package sim

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/hal"
)

// TestReplay: packets come at their times, to whoever is tuned to their channel then.
func TestReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := NewRadio().Monitor()
		const count = 6 // a second apart, the first at once
		for _, channel := range []int{3, 8} {
			var packets []hal.Packet
			for i := range count {
				b := fmt.Appendf(nil, "%d on %d", i, channel)
				packets = append(packets, hal.Packet{At: time.Duration(i) * time.Second, Bytes: b, Length: 1000})
			}
			m.Play(channel, packets)
		}
		<-time.After(500 * time.Millisecond)
		air, err := m.Start(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = air.Close() }()
		var got []string
		listen := func(n int) {
			t.Helper()
			for range n {
				p, err := air.Next(t.Context())
				if err != nil || p.Length != 1000 {
					t.Fatalf("got %+v, %v", p, err)
				}
				got = append(got, string(p.Bytes))
			}
		}
		listen(2)
		if err := air.Tune(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
		<-time.After(1100 * time.Millisecond) // one comes meanwhile, and waits
		listen(2)
		if err := air.Tune(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		listen(2)
		short, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if p, err := air.Next(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the last: %+v, %v", p, err)
		}
		if want := "[1 on 3 2 on 3 2 on 8 3 on 8 4 on 3 5 on 3]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
}

// TestBeacons: what is raised is heard, and no longer once it is lowered; a hidden network tells no name.
func TestBeacons(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewRadio()
		seen := r.Raise(AccessPoint{Network: hal.Network{SSID: "seen", Frequency: 2437, Signal: -61}})
		r.Raise(AccessPoint{Network: hal.Network{SSID: "hidden", Frequency: 2437}, Hidden: true})
		air, err := r.Monitor().Start(t.Context(), 6)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = air.Close() }()
		hear := func() map[string]int {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			names := map[string]int{}
			for {
				p, err := air.Next(ctx)
				if err != nil {
					return names
				}
				b, err := dot11.ParseBeacon(p.Bytes)
				if err != nil || b.Channel != 6 || len(b.SSID) > 0 && (b.BSSID != seen.BSSID || b.Signal != -61) {
					t.Fatalf("got %+v, %v", b, err)
				}
				names[string(b.SSID)]++
			}
		}
		if got := hear(); got["seen"] != 10 || got[""] != 10 {
			t.Errorf("heard %v, want 10 of each", got)
		}
		r.Lower("seen")
		if got := hear(); got["seen"] != 0 || got[""] < 9 {
			t.Errorf("heard %v, want the hidden one alone", got)
		}
	})
}

// TestVanishingNetwork: a network that goes away while it is joined.
func TestVanishingNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewRadio()
		if err := r.Country(t.Context(), "DE"); err != nil {
			t.Fatal(err)
		}
		r.Raise(AccessPoint{Network: hal.Network{SSID: "HomeNet"}, Passphrase: "p@ssw0rd!", Fault: hal.ErrNoAddress})
		c := hal.Credentials{SSID: "HomeNet", Passphrase: "p@ssw0rd!"}
		time.AfterFunc(scanTime+handshakeTime+addressTime+patience/2, func() { r.Lower("HomeNet") })
		var told error
		_, err := r.Join(t.Context(), c, func(why error) { told = why })
		if !errors.Is(err, hal.ErrNoNetwork) || !errors.Is(told, hal.ErrNoAddress) {
			t.Errorf("got %v after %v", err, told)
		}
		r.Raise(AccessPoint{Network: hal.Network{SSID: "HomeNet"}, Passphrase: "p@ssw0rd!", Fault: hal.ErrNoGateway})
		ctx, cancel := context.WithTimeout(t.Context(), scanTime+handshakeTime+addressTime+patience/2)
		defer cancel()
		if _, err := r.Join(ctx, c, nil); !errors.Is(err, hal.ErrNoGateway) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the likely reason and the context's end", err)
		}
	})
}
