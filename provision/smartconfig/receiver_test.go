package smartconfig

import (
	"bytes"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/internal/secret"
)

func allProtocols() []Protocol {
	return []Protocol{ESPTouch2, ESPTouch2Plain, ESPTouch1, AirKiss, TuyaEZ}
}

// messages are what people have, and what nobody should have.
func messages() map[string]Message {
	bytes32 := make([]byte, MaxSSID)
	for i := range bytes32 {
		bytes32[i] = byte(255 - 7*i)
	}
	return map[string]Message{
		"HomeNet":       homeNet(),
		"open":          with(func(m *Message) { m.Password = "" }),
		"any 32 bytes":  with(func(m *Message) { m.SSID = bytes32 }),
		"emoji":         with(func(m *Message) { m.SSID, m.Password = []byte("🏠 Zuhause"), "pässwörd-🔑" }),
		"shell":         with(func(m *Message) { m.SSID, m.Password = []byte(`"'$(reboot)`), "`;${IFS}\\\" #%" }),
		"one letter":    with(func(m *Message) { m.SSID, m.Password = []byte("a"), "12345678" }),
		"63 characters": with(func(m *Message) { m.Password = secret.Secret(strings.Repeat("abcdefg", 9)) }),
		"64 hex": with(func(m *Message) {
			m.Password = secret.Secret(strings.Repeat("00ff7a31", 8))
		}),
		"port mark": with(func(m *Message) { m.PortMark = 3 }),
	}
}

// told by Tuya EZ and v2 beside SSID and password.
func withReserved(m Message, p Protocol) Message {
	switch p {
	case ESPTouch2:
		m.Key, m.Reserved = testKey, "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U"
	case ESPTouch2Plain:
		m.Reserved = "tok\xff123"
	case TuyaEZ:
		m.Reserved = tuyaTestToken
	}
	return m
}

// weathers are what the air does; limit is how long a message may take, a multiple of what it does take.
func weathers() map[string]weather {
	return map[string]weather{
		"clear":               {},
		"one copy":            {oneCopy: true},
		"20 % lost":           {loss: 0.2},
		"40 % lost":           {loss: 0.4},
		"one copy, 20 % lost": {loss: 0.2, oneCopy: true},
		"bursts":              {burst: &burst{enter: 0.02, leave: 0.1, lossGood: 0.05, lossBad: 0.9}},
		"duplicates":          {loss: 0.1, duplicate: 0.5},
		"late frames":         {loss: 0.1, late: 0.2},
		"others between":      {loss: 0.1, foreign: 0.3},
		"lost upstream":       {loss: 0.1, upstream: 0.03},
		"twin network":        {loss: 0.2, twin: true},
		"power save":          {loss: 0.1, beacons: 307200 * time.Microsecond},
		"all at once": {loss: 0.15, late: 0.05, duplicate: 0.1, foreign: 0.1, upstream: 0.01,
			beacons: 102400 * time.Microsecond},
	}
}

// TestTells: what is sent is what is heard, whatever the message and the air.
func TestTells(t *testing.T) {
	t.Parallel()
	for name, message := range messages() {
		for _, p := range allProtocols() {
			t.Run(fmt.Sprintf("%v/%s", p, name), func(t *testing.T) {
				t.Parallel()
				m := message
				if p == ESPTouch2 && name != "open" || p != ESPTouch2 {
					m = withReserved(message, p)
				}
				if p == ESPTouch2 {
					m.Key, m.ZeroIV = testKey, name == "emoji"
					m.Reserved = "x"
				}
				if p == ESPTouch1 && len(m.SSID)+len(m.Password) > touch1Most-touch1Header {
					t.Skip("ESP-Touch v1 has no room for it")
				}
				rng := newRand(3)
				air := weather{loss: 0.1}.listen(rng, sends(t, m, p, rng), 0, testPhone)
				if c, took, _ := rehearse(t, allOn(), air, 30*time.Second, testPhone); !told(c, m, p) {
					t.Errorf("got %+v after %v, want %q", c, took, m.SSID)
				}
			})
		}
	}
}

// TestWeather holds every protocol against every kind of air: told right, and in time.
func TestWeather(t *testing.T) {
	t.Parallel()
	for name, w := range weathers() {
		for _, p := range allProtocols() {
			t.Run(fmt.Sprintf("%v/%s", p, name), func(t *testing.T) {
				t.Parallel()
				m := withReserved(homeNet(), p)
				for seed := range uint64(4) {
					rng := newRand(seed)
					from := time.Duration(rng.Float64() * float64(startWindow(p)))
					air := w.listen(rng, sends(t, m, p, rng), from, testPhone)
					if c, took, n := rehearse(t, allOn(), air, 30*time.Second, testPhone); !told(c, m, p) {
						t.Errorf("seed %d: got %+v after %v and %d frames, want %q", seed, c, took, n, m.SSID)
					}
				}
			})
		}
	}
}

// TestLossyFrameCount: at the loss rates of the benchmark's table each protocol is through in so many frames of the
// sender, three times the ninth decile that it prints.
func TestLossyFrameCount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		protocol Protocol
		loss     float64
		packets  int
	}{
		{ESPTouch1, 0.2, 1300}, {ESPTouch1, 0.3, 1600}, {ESPTouch1, 0.4, 2300},
		{ESPTouch2Plain, 0.3, 430}, {AirKiss, 0.3, 1900},
	} {
		t.Run(fmt.Sprintf("%v/%.0f%%", c.protocol, 100*c.loss), func(t *testing.T) {
			t.Parallel()
			gap := map[Protocol]time.Duration{ESPTouch1: touch1Gap, ESPTouch2Plain: touch2Gap, AirKiss: airKissGap}[c.protocol]
			s := trials(t, homeNet(), c.protocol, weather{loss: c.loss}, 60)
			if worst := s.quantile(1); worst > (time.Duration(c.packets) * gap).Seconds() {
				t.Errorf("the slowest of 60 took %.1f s, want at most %d packets of %v", worst, c.packets, gap)
			}
		})
	}
}

// TestTwoSenders: two phones with two messages in one network, and a busy channel, at once.
func TestTwoSenders(t *testing.T) {
	t.Parallel()
	other := dot11.Addr{2, 0, 0, 0, 0, 0x11}
	for _, p := range allProtocols() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			rng := newRand(5)
			a := withReserved(homeNet(), p)
			b := a
			b.SSID, b.Password = []byte("Neighbour"), "another word"
			w := weather{loss: 0.1, foreign: 0.2}
			air := func() iter.Seq[heard] {
				rng = newRand(5)
				return together(w.listen(rng, sends(t, a, p, rng), 0, testPhone),
					w.listen(rng, sends(t, b, p, rng), time.Second, other), traffic(rng, 20, 300, usualLength))
			}
			for phone, m := range map[dot11.Addr]Message{testPhone: a, other: b} {
				if c, took, _ := rehearse(t, allOn(), air(), 20*time.Second, phone); !told(c, m, p) {
					t.Errorf("%v: got %+v after %v, want %q", phone, c, took, m.SSID)
				}
			}
		})
	}
}

// TestSecondThoughts: a phone stops in the middle and begins again with another password. One of both is heard, never
// a mixture.
func TestSecondThoughts(t *testing.T) {
	t.Parallel()
	for _, p := range allProtocols() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			first := withReserved(homeNet(), p)
			second := first
			second.Password = "P@ssw0rD?"
			for seed := range uint64(30) {
				rng := newRand(seed)
				stop := time.Duration(rng.Float64() * float64(4*time.Second))
				pause := 300*time.Millisecond + time.Duration(rng.Float64()*float64(2*time.Second))
				w := weather{loss: 0.3}
				air := together(until(stop, w.listen(rng, sends(t, first, p, rng), time.Second, testPhone)),
					after(stop+pause, w.listen(rng, sends(t, second, p, rng), 0, testPhone)))
				c, took, _ := rehearse(t, allOn(), air, 40*time.Second, testPhone)
				if !told(c, first, p) && !told(c, second, p) {
					t.Errorf("seed %d: got %+v after %v", seed, c, took)
					if c != nil {
						t.Logf("password %q", c.Password.Reveal())
					}
				}
			}
		})
	}
}

func until(end time.Duration, air iter.Seq[heard]) iter.Seq[heard] {
	return func(yield func(heard) bool) {
		for h := range air {
			if h.at > end || !yield(h) {
				return
			}
		}
	}
}

func after(start time.Duration, air iter.Seq[heard]) iter.Seq[heard] {
	return func(yield func(heard) bool) {
		for h := range air {
			h.at += start
			if !yield(h) {
				return
			}
		}
	}
}

// TestOptions: what is off is not heard.
func TestOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options Options
		sent    Protocol
		want    bool
	}{
		{"default", Options{Key: testKey}, ESPTouch2, true},
		{"default, plain", Options{Key: testKey}, ESPTouch2Plain, false},
		{"default, v1", Options{Key: testKey}, ESPTouch1, false},
		{"default, AirKiss", Options{Key: testKey}, AirKiss, false},
		{"default, Tuya EZ", Options{Key: testKey}, TuyaEZ, false},
		{"another key", Options{Key: "fedcba0987654321"}, ESPTouch2, false},
		{"no key", Options{Also: ESPTouch2Plain}, ESPTouch2, false},
		{"plain on", Options{Also: ESPTouch2Plain}, ESPTouch2Plain, true},
		{"v1 on", Options{Key: testKey, Also: ESPTouch1}, ESPTouch1, true},
		{"AirKiss on", Options{Also: AirKiss}, AirKiss, true},
		{"Tuya EZ on", Options{Also: TuyaEZ}, TuyaEZ, true},
		{"all but v1", Options{Key: testKey, Also: Legacy() &^ ESPTouch1}, ESPTouch1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rng := newRand(7)
			m := withReserved(homeNet(), c.sent)
			air := weather{}.listen(rng, sends(t, m, c.sent, rng), 0, testPhone)
			got, _, _ := rehearse(t, c.options, air, 15*time.Second, testPhone)
			if told(got, m, c.sent) != c.want || got != nil && !c.want {
				t.Errorf("got %+v, want it heard: %v", got, c.want)
			}
		})
	}
	for _, o := range []Options{{}, {Key: "short"}, {Key: testKey, Also: ESPTouch2}, {Key: testKey, Also: 1 << 7}} {
		if _, err := NewReceiver(o); err == nil {
			t.Errorf("a receiver with a key of %d bytes and %d was made", len(o.Key), o.Also)
		}
	}
}

// TestRefused: neither side takes what no network can have.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]Message{
		"no SSID":         with(func(m *Message) { m.SSID = nil }),
		"33 bytes":        with(func(m *Message) { m.SSID = make([]byte, 33) }),
		"NUL in SSID":     with(func(m *Message) { m.SSID = []byte("a\x00b") }),
		"NUL in password": with(func(m *Message) { m.Password = "12345678\x00" }),
		"65 characters":   with(func(m *Message) { m.Password = secret.Secret(strings.Repeat("a", 65)) }),
		"reserved":        with(func(m *Message) { m.Reserved = secret.Secret(strings.Repeat("a", 65)) }),
	} {
		for _, p := range allProtocols() {
			m.Key = testKey
			if _, err := m.Send(p, zeros{}); err == nil {
				t.Errorf("%v: %s was sent", p, name)
			}
		}
	}
	nul := with(func(m *Message) { m.SSID = []byte("a\x00b") })
	round, err := touch1Round(&nul)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReceiver(allOn())
	if err != nil {
		t.Fatal(err)
	}
	for at, c := range addAll(r, slices.Concat(round, round, round, round)) {
		t.Errorf("frame %d: got %+v of an SSID with NUL", at, c)
	}
}

// addAll feeds lengths, without any loss, and returns what came of them.
func addAll(r *Receiver, lengths []int) map[int]*Credentials {
	got := map[int]*Credentials{}
	for i, n := range lengths {
		f := dot11.Frame{BSSID: testAP, SA: testPhone, DA: dot11.Broadcast(), Direction: dot11.FromDS,
			Sequence: uint16(i) % sequences, Length: n + 60}
		if s, _ := r.Add(time.Duration(i)*touch1Gap, &f); s.Credentials != nil {
			got[i] = s.Credentials
		}
	}
	return got
}

// TestAnyOrder: other senders of ESP-Touch v1 send the same symbols in other orders.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	m := homeNet()
	round, err := touch1Round(&m)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		rng := newRand(seed)
		var lengths []int
		for range 3 {
			for _, i := range rng.Perm(len(round) / 3) {
				lengths = append(lengths, round[3*i:3*i+3]...)
			}
		}
		r, err := NewReceiver(allOn())
		if err != nil {
			t.Fatal(err)
		}
		got := addAll(r, lengths)
		if len(got) != 1 {
			t.Errorf("seed %d: told %d times, want once", seed, len(got))
		}
		for _, c := range got {
			if !told(c, m, ESPTouch1) {
				t.Errorf("seed %d: got %+v", seed, c)
			}
		}
	}
}

// TestWithoutSSID: old iOS senders leave the SSID out; a scan gives it.
func TestWithoutSSID(t *testing.T) {
	t.Parallel()
	m := homeNet()
	whole, err := touch1Message(&m)
	if err != nil {
		t.Fatal(err)
	}
	end := touch1Header + len(m.Password)
	short := append(bytes.Clone(whole[:end]), m.BSSID[:]...)
	var lengths []int
	for range 3 {
		for i, b := range short {
			first, second := touch1Halves(b, byte(i))
			lengths = append(lengths, touch1Data+int(first), touch1Index+i, touch1Data+int(second))
		}
	}
	for _, c := range []struct {
		name     string
		networks []Network
		want     bool
	}{
		{"not scanned", nil, false},
		{"another network", []Network{{SSID: []byte("HomeNex")}}, false},
		{"scanned", []Network{{SSID: []byte("HomeNex")}, {SSID: m.SSID}}, true},
	} {
		r, err := NewReceiver(Options{Also: ESPTouch1, Networks: c.networks})
		if err != nil {
			t.Fatal(err)
		}
		got := addAll(r, lengths)
		ok := len(got) == 1
		for _, k := range got {
			ok = ok && told(k, m, ESPTouch1) && k.BSSID == m.BSSID
		}
		if ok != c.want || len(got) > 0 && !c.want {
			t.Errorf("%s: got %v, want it heard: %v", c.name, got, c.want)
		}
	}
}

// TestCrowd: a flood of senders, each with a frame or two, does not push the real one out.
func TestCrowd(t *testing.T) {
	t.Parallel()
	for _, p := range allProtocols() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			rng := newRand(9)
			m := withReserved(homeNet(), p)
			air := together(weather{loss: 0.1}.listen(rng, sends(t, m, p, rng), 0, testPhone),
				flood(newRand(10), 1<<16, 500*time.Microsecond, anyLength))
			if c, took, _ := rehearse(t, allOn(), air, 20*time.Second, testPhone); !told(c, m, p) {
				t.Errorf("got %+v after %v, want %q", c, took, m.SSID)
			}
		})
	}
}

// TestMulticast: ESP-Touch v1 to 234.n.n.n.
func TestMulticast(t *testing.T) {
	t.Parallel()
	rng := newRand(11)
	m := with(func(m *Message) { m.Multicast = true })
	air := weather{loss: 0.2}.listen(rng, sends(t, m, ESPTouch1, rng), 0, testPhone)
	if c, took, _ := rehearse(t, Options{Also: ESPTouch1}, air, 20*time.Second, testPhone); !told(c, m, ESPTouch1) {
		t.Errorf("got %+v after %v, want %q", c, took, m.SSID)
	}
}

// TestPhoneUnknown: a sender that doesn't give its address.
func TestPhoneUnknown(t *testing.T) {
	t.Parallel()
	m := with(func(m *Message) { m.Phone = netip.Addr{} })
	round, err := touch1Round(&m)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReceiver(Options{Also: ESPTouch1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range addAll(r, slices.Concat(round, round)) {
		if c.Phone != netip.MustParseAddr("255.255.255.255") {
			t.Errorf("got phone %v, want everybody", c.Phone)
		}
		return
	}
	t.Error("nothing was heard")
}
