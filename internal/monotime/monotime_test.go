package monotime

import (
	"testing"
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

func BenchmarkWall(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Wall(Now())
	}
}
