package smartconfig

import (
	"slices"
	"testing"
	"time"
)

// find plays receiver and plan together: the radio hears only what is on the channel to which it is tuned. It returns
// the seconds until the credentials are there; 60 if they never are.
func find(t testing.TB, p Protocol, networks []Network, w weather, seed uint64) float64 {
	t.Helper()
	const channel = 11
	rng := newRand(seed)
	m := homeNet()
	if p == ESPTouch2 {
		m.Key = testKey
	}
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

// finds returns the times of so many trials, sorted.
func finds(t testing.TB, p Protocol, networks []Network, w weather, trials uint64) sample {
	t.Helper()
	var s sample
	for seed := range trials {
		s.seconds = append(s.seconds, find(t, p, networks, w, seed))
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
				s := finds(t, p, networks, weather{loss: 0.1}, 8)
				if worst := s.quantile(1); worst > 30 {
					t.Errorf("%s channels: the slowest of %d trials took %.1f s", name, len(s.seconds), worst)
				}
			}
		})
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
					s = finds(b, p, c.networks, weather{loss: 0.1}, 100)
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(s.quantile(0.5), "median-s")
				b.ReportMetric(s.quantile(0.9), "p90-s")
				b.ReportMetric(100*s.within(30), "in30s-%")
			})
		}
	}
}
