package smartconfig

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/internal/secret"
)

// find plays receiver and plan together: the radio hears only what is on the channel to which it is tuned. It returns
// the seconds until the credentials are there; 60 if they never are.
func find(t testing.TB, m Message, p Protocol, networks []Network, w weather, seed uint64) float64 {
	t.Helper()
	const channel = 11
	rng := newRand(seed)
	r, err := NewReceiver(allOn())
	if err != nil {
		t.Fatal(err)
	}
	plan := NewPlan(0, channels13(), networks)
	step := plan.Next(0)
	from := time.Duration(rng.Float64() * float64(startWindow(p)))
	air := together(w.listen(rng, sends(t, m, p, rng), from, testPhone), traffic(newRand(seed), 10, 100, usualLength))
	for h := range air {
		for h.at >= step.Until {
			step = plan.Next(step.Until)
		}
		if step.Channel != channel && h.frame.SA == testPhone {
			continue // the others are everywhere
		}
		s, _ := r.Add(h.at, &h.frame)
		if s.Credentials != nil {
			if !told(s.Credentials, m, p) {
				t.Fatalf("%v, seed %d: told %+v", p, seed, s.Credentials)
			}
			return h.at.Seconds()
		}
		if plan.Heard(h.at, s, step.Channel) {
			step = plan.Next(h.at)
		}
		if h.at > time.Minute {
			break
		}
	}
	return 60
}

// findMessage is what a phone of ours says by a protocol, if it says no more than the network.
func findMessage(p Protocol) Message {
	m := homeNet()
	if p == ESPTouch2 {
		m.Key = testKey
	}
	return m
}

// finds returns the times of so many trials, sorted.
func finds(t testing.TB, m Message, p Protocol, networks []Network, w weather, trials uint64) sample {
	t.Helper()
	var s sample
	for seed := range trials {
		s.seconds = append(s.seconds, find(t, m, p, networks, w, seed))
	}
	slices.Sort(s.seconds)
	return s
}

// TestFinds: every protocol is found, on one channel of three with networks and on one of all thirteen.
func TestFinds(t *testing.T) {
	t.Parallel()
	for _, p := range allProtocols() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			for name, networks := range map[string][]Network{"three": testNetworks(), "all": nil} {
				s := finds(t, findMessage(p), p, networks, weather{loss: 0.1}, 8)
				if worst := s.quantile(1); worst > 30 {
					t.Errorf("%s channels: the slowest of %d trials took %.1f s", name, len(s.seconds), worst)
				}
			}
		})
	}
}

// TestFindsLong: the longest message that a phone of ours sends, who will own the camera in it, takes 6 s a round and says
// once a round what it is. It is found at the first visit or the second.
func TestFindsLong(t *testing.T) {
	t.Parallel()
	m := findMessage(ESPTouch2)
	m.SSID = bytes.Repeat([]byte("s"), MaxSSID)
	m.Password = secret.Secret(strings.Repeat("p", 63))
	m.Reserved = Claimant{}.Text()
	for name, networks := range map[string][]Network{"three": testNetworks(), "all": nil} {
		s := finds(t, m, ESPTouch2, networks, weather{loss: 0.1}, 40)
		t.Logf("%s channels: median %.1f s, the slowest %.1f s", name, s.quantile(0.5), s.quantile(1))
		if s.quantile(1) > 30 {
			t.Errorf("%s channels: the slowest of %d trials took %.1f s", name, len(s.seconds), s.quantile(1))
		}
	}
}

// BenchmarkFind prints how long it takes with the search for the channel, 10 % of each copy lost.
func BenchmarkFind(b *testing.B) {
	for _, p := range allProtocols() {
		for _, c := range []struct {
			name     string
			networks []Network
		}{{"three channels", testNetworks()}, {"thirteen channels", nil}} {
			b.Run(p.String()+"/"+c.name, func(b *testing.B) {
				var s sample
				for b.Loop() {
					s = finds(b, findMessage(p), p, c.networks, weather{loss: 0.1}, 100)
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(s.quantile(0.5), "median-s")
				b.ReportMetric(s.quantile(0.9), "p90-s")
				b.ReportMetric(100*s.within(30), "in30s-%")
			})
		}
	}
}
