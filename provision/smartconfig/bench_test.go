package smartconfig

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// sample are the seconds of many trials, each from a random moment of the sender's cycle.
type sample struct{ seconds []float64 }

// trials plays a protocol so many times; a trial that tells something else fails the test.
func trials(t testing.TB, m Message, p Protocol, w weather, n int) sample {
	t.Helper()
	limit := 40 * time.Second
	var s sample
	for i := range n {
		rng := newRand(uint64(i))
		from := time.Duration(rng.Float64() * float64(startWindow(p)))
		air := w.listen(rng, sends(t, m, p, rng), from, testPhone)
		c, took, _ := rehearse(t, allOn(), air, limit, testPhone)
		if c != nil && !told(c, m, p) {
			t.Fatalf("%v, seed %d: told %q %q %v, want %q", p, i, c.SSID, c.Password.Reveal(), c.Phone, m.SSID)
		}
		s.seconds = append(s.seconds, took.Seconds())
	}
	slices.Sort(s.seconds)
	return s
}

// startWindow is the time in which a trial begins: some cycles of the sender.
func startWindow(p Protocol) time.Duration {
	switch p {
	case ESPTouch1:
		return 2 * touch1CycleTime
	case AirKiss:
		return 3 * time.Second
	case TuyaEZ:
		return 4 * time.Second
	}
	return 5 * time.Second
}

func (s sample) quantile(q float64) float64 { return s.seconds[int(q*float64(len(s.seconds)-1)+0.5)] }

func (s sample) within(limit float64) float64 {
	n, _ := slices.BinarySearch(s.seconds, limit)
	return float64(n) / float64(len(s.seconds))
}

// BenchmarkAir prints how long each protocol takes, from a random moment of the sender's cycle on: the median, the
// ninth decile and how many are through within 30 s. Loss is that of each of the two copies, independent; the
// others are what weathers says.
func BenchmarkAir(b *testing.B) {
	for _, p := range []Protocol{ESPTouch1, ESPTouch2, ESPTouch2Plain, AirKiss, TuyaEZ} {
		for _, loss := range []float64{0, 0.1, 0.2, 0.3, 0.4, 0.5} {
			b.Run(fmt.Sprintf("%v/loss=%.0f%%", p, loss*100), func(b *testing.B) {
				benchmarkAir(b, p, weather{loss: loss})
			})
		}
		for _, name := range slices.Sorted(maps.Keys(weathers())) {
			if w := weathers()[name]; w != (weather{loss: w.loss}) {
				b.Run(fmt.Sprintf("%v/%s", p, name), func(b *testing.B) { benchmarkAir(b, p, w) })
			}
		}
	}
}

func benchmarkAir(b *testing.B, p Protocol, w weather) {
	m := homeNet()
	if p == ESPTouch2 {
		m.Key = testKey
	}
	var s sample
	for b.Loop() {
		s = trials(b, m, p, w, 400)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(s.quantile(0.5), "median-s")
	b.ReportMetric(s.quantile(0.9), "p90-s")
	b.ReportMetric(100*s.within(30), "in30s-%")
}
