package control

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/envelope"
)

// TestGently: after an outage a camera lets the others begin, at a time of its own within ten seconds; then it tells fifty
// events a second, the most important first. After a moment without a broker it begins at once.
func TestGently(t *testing.T) {
	t.Parallel()
	const events = 200
	begins := func(outage time.Duration) (begin, took time.Duration, first string) {
		synctest.Test(t, func(t *testing.T) {
			clock := func() (time.Time, bool) { return time.Now(), true }
			q, err := OpenQueue(QueueOptions{Store: shelf{}, Clock: clock, Log: quiet(),
				Camera: func() ([envelope.IDSize]byte, error) { return [envelope.IDSize]byte{1}, nil }})
			if err != nil {
				t.Fatal(err)
			}
			for i := range events - 1 {
				q.Tell(Lifecycle, fmt.Sprint(i), nil)
			}
			q.Tell(Security, "last", nil)
			var told []time.Time
			began := time.Now()
			s := NewSession(SessionOptions{Queue: q, Clock: clock, Log: quiet(), Audience: func(time.Time) []ed25519.PublicKey {
				if len(told) == 0 {
					first = q.next(time.Now()).Name
				}
				told = append(told, time.Now())
				return nil // nobody is there, so nobody misses it
			}})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			(&link{s: s}).tell(ctx, outage)
			if len(told) != events {
				t.Fatalf("%d told", len(told))
			}
			begin, took = told[0].Sub(began), told[events-1].Sub(told[0])
		})
		return begin, took, first
	}
	latest := time.Duration(0)
	for range 20 {
		begin, took, first := begins(time.Hour)
		if begin > gently || took < (events-1)*pace || first != "last" {
			t.Errorf("begins after %v with %s, takes %v", begin, first, took)
		}
		latest = max(latest, begin)
	}
	if latest < gently/5 { // all twenty of them: once in 10^14 times
		t.Errorf("all begin within %v", latest)
	}
	if begin, took, _ := begins(afterOutage / 2); begin > 0 || took < (events-1)*pace {
		t.Errorf("after a moment: begins after %v, takes %v", begin, took)
	}
}
