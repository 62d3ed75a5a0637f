package control

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/envelope"
)

// TestWeek: the broker of a whole camera is away for a week of simulated time. The camera tries now and then, keeps what
// happened within its bounds, and every alarm of it.
func TestWeek(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := DefaultConfig()
		c.Broker = "mqtt://127.0.0.1:1" // refused at once
		p := newPlace(t, c)
		p.again = again
		q, err := OpenQueue(QueueOptions{Store: shelf{}, Clock: p.clock.read, Log: quiet(),
			Camera: func() ([envelope.IDSize]byte, error) { return p.camera, nil }})
		if err != nil {
			t.Fatal(err)
		}
		p.queue = q
		p.begin()
		const week, every = 7 * 24 * time.Hour, 10 * time.Minute
		alarms, most := 0, 0
		for began := time.Now(); time.Since(began) < week; {
			time.Sleep(every)
			for i := range 3 {
				q.Tell(Lifecycle, fmt.Sprint("restart ", i), i)
				q.Tell(Telemetry, fmt.Sprint("load ", i), i)
			}
			if rand.N(4) == 0 {
				q.Tell(Alarm, "motion", alarms)
				alarms++
			}
			s := q.Stats()
			most = max(most, s.Waiting)
			if s.Waiting > maxQueued || s.Bytes > maxBytes || s.Lost["alarm"] > 0 {
				t.Fatalf("after %v: %+v", time.Since(began), s)
			}
		}
		p.stop()
		names, _ := q.Store.List()
		if most < maxQueued || len(names) > maxQueued+1 {
			t.Errorf("at most %d waited, %d on the disk", most, len(names))
		}
		told := 0
		for _, name := range drain(q, time.Now()) {
			if name == "motion" {
				told++
			}
		}
		if told != alarms {
			t.Errorf("%d alarms of %d", told, alarms)
		}
		mean := again * longestTry / 2
		if n := p.session.State().Failures; n < int(week/mean)*9/10 || n > int(week/mean)*11/10 {
			t.Errorf("%d tries in a week", n)
		}
	})
}

// TestBackAfterAWeek: two thousand cameras whose broker comes back after a week find it within five minutes, spread; and
// those whose broker was away for a moment within the first wait, no more than a tenth of them in one second.
func TestBackAfterAWeek(t *testing.T) {
	t.Parallel()
	const cameras = 2000
	for away, limits := range map[time.Duration]struct {
		longest time.Duration
		percent float64 // of them in the worst second
	}{
		7 * 24 * time.Hour: {again * longestTry, 2}, time.Millisecond: {again + again/3, 8}, 9 * time.Second: {again * longestTry, 10},
	} {
		seconds := map[int]int{}
		for range cameras {
			at := time.Duration(0)
			for failures := 0; at < away || failures == 0; failures++ {
				at += backoff(again, failures)
			}
			back := at - away
			if back > limits.longest {
				t.Errorf("away for %v: one comes back after %v", away, back)
			}
			seconds[int(back/time.Second)]++
		}
		for second, n := range seconds {
			if percent := 100 * float64(n) / cameras; percent > limits.percent {
				t.Errorf("away for %v: %.1f %% come back in second %d", away, percent, second)
			}
		}
	}
}
