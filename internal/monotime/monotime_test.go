package monotime

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestNowNeverGoesBack(t *testing.T) {
	t.Parallel()
	last := Now()
	for range 1000 {
		now := Now()
		if now < last {
			t.Fatalf("clock went back from %v to %v", last, now)
		}
		last = now
	}
}

func TestWallOfNowIsNow(t *testing.T) {
	t.Parallel()
	before := time.Now()
	got := Wall(Now())
	after := time.Now()
	const slack = time.Millisecond
	if got.Before(before.Add(-slack)) || got.After(after.Add(slack)) {
		t.Errorf("Wall(Now()) = %v, want between %v and %v", got, before, after)
	}
}

func TestWallKeepsDistances(t *testing.T) {
	t.Parallel()
	at := Now()
	d := Wall(at + time.Second).Sub(Wall(at))
	if diff := (d - time.Second).Abs(); diff > 10*time.Millisecond {
		t.Errorf("one second later on the monotonic clock is %v later on the wall", d)
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, c := range []struct {
			asked, want time.Duration
			err         error
		}{{time.Second, time.Second, nil}, {-time.Second, 0, nil}, {time.Hour, 59 * time.Second, context.DeadlineExceeded}} {
			begin := time.Now()
			if err := Pause(ctx, c.asked); !errors.Is(err, c.err) || time.Since(begin) != c.want {
				t.Errorf("pause of %v: %v after %v, want %v after %v", c.asked, err, time.Since(begin), c.err, c.want)
			}
		}
	})
}

func BenchmarkWall(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Wall(Now())
	}
}
