package sim

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/testcard"
	"github.com/ocellus/ocellus/hal"
)

var small = hal.Mode{Format: hal.YU12, Width: 320, Height: 240, Rate: hal.FPS(25)}

const interval = 40 * time.Millisecond

// bubble runs a test with a camera whose clock is that of a synctest bubble.
func bubble(t *testing.T, o Options, test func(t *testing.T, c *Camera)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o.Now = func() time.Duration { return time.Since(start) }
		c, err := NewCamera(o)
		if err != nil {
			t.Fatal(err)
		}
		test(t, c)
	})
}

func start(t *testing.T, c *Camera, m hal.Mode) hal.Capture {
	t.Helper()
	cap, err := c.Start(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cap.Close() })
	return cap
}

func next(t *testing.T, c hal.Capture) hal.Frame {
	t.Helper()
	f, err := c.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestCardKeepsTime(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(t *testing.T, cam *Camera) {
		c := start(t, cam, small)
		begin := cam.now()
		for n := range uint32(100) {
			f := next(t, c)
			if want := begin + time.Duration(n)*interval; f.PTS != want || cam.now() != want || f.Seq != n || f.Lost != 0 {
				t.Fatalf("picture %d: PTS %v at %v, seq %d, lost %d, want %v", n, f.PTS, cam.now(), f.Seq, f.Lost, want)
			}
			stamp, err := testcard.Read(f.Data, f.Width, f.Height, f.Width)
			if err != nil || stamp.Frame != f.Seq || !stamp.Time().Equal(time.Now()) {
				t.Fatalf("picture %d: barcode %+v, %v at %v", n, stamp, err, time.Now())
			}
		}
	})
}

func TestLateReader(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(t *testing.T, cam *Camera) {
		c := start(t, cam, small)
		next(t, c)
		time.Sleep(3 * interval) // within the queue: nothing is lost
		for n := uint32(1); n <= 3; n++ {
			if f := next(t, c); f.Seq != n || f.Lost != 0 {
				t.Errorf("seq %d lost %d, want %d and 0", f.Seq, f.Lost, n)
			}
		}
		time.Sleep(20 * interval)
		f := next(t, c)
		if f.Lost == 0 || f.Seq != 4+f.Lost {
			t.Errorf("after a long pause: seq %d lost %d", f.Seq, f.Lost)
		}
		if age := cam.now() - f.PTS; age >= interval {
			t.Errorf("after a long pause: picture is %v old", age)
		}
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		test func(t *testing.T, cam *Camera, c hal.Capture)
	}{
		{"stall", func(t *testing.T, cam *Camera, c hal.Capture) {
			cam.Faults().Stall()
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if _, err := c.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("stalled: %v", err)
				}
				cancel()
			}
			cam.Faults().Resume()
			if f := next(t, c); f.Seq != 1 || f.Lost != 0 || f.PTS < 3*time.Second {
				t.Errorf("after the stall: seq %d lost %d PTS %v", f.Seq, f.Lost, f.PTS)
			}
		}},
		{"unplug", func(t *testing.T, cam *Camera, c hal.Capture) {
			go func() {
				time.Sleep(interval / 2)
				cam.Faults().Unplug()
			}()
			if _, err := c.Next(t.Context()); !errors.Is(err, hal.ErrClosed) {
				t.Errorf("unplugged: %v", err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if _, err := cam.Start(t.Context(), small); !errors.Is(err, hal.ErrClosed) {
				t.Errorf("start while unplugged: %v", err)
			}
			cam.Faults().Replug()
			next(t, start(t, cam, small))
		}},
		{"gap", func(t *testing.T, cam *Camera, c hal.Capture) {
			cam.Faults().Gap(3)
			if f := next(t, c); f.Seq != 4 || f.Lost != 3 {
				t.Errorf("gap: seq %d lost %d", f.Seq, f.Lost)
			}
			if f := next(t, c); f.Seq != 5 || f.Lost != 0 {
				t.Errorf("after the gap: seq %d lost %d", f.Seq, f.Lost)
			}
		}},
		{"late", func(t *testing.T, cam *Camera, c hal.Capture) {
			cam.Faults().Late(time.Second)
			for n := range uint32(5) {
				if f := next(t, c); cam.now()-f.PTS != time.Second || f.Seq != n+1 || f.Lost != 0 {
					t.Errorf("late: seq %d is %v old, lost %d", f.Seq, cam.now()-f.PTS, f.Lost)
				}
			}
		}},
		{"damage", func(t *testing.T, cam *Camera, c hal.Capture) {
			full := 320 * 240 * 3 / 2
			for i, d := range []Damage{Empty, Truncated, Garbage, Flagged} {
				cam.Faults().Damage(d, 1)
				f := next(t, c)
				if want := []int{0, full / 2, full, full}[i]; len(f.Data) != want || f.Corrupt != (d == Flagged) {
					t.Errorf("damage %d: %d bytes, corrupt %v", d, len(f.Data), f.Corrupt)
				}
			}
			if f := next(t, c); len(f.Data) != full || f.Corrupt || f.Lost != 0 {
				t.Errorf("after the damage: %d bytes, corrupt %v, lost %d", len(f.Data), f.Corrupt, f.Lost)
			}
		}},
		{"resize", func(t *testing.T, cam *Camera, c hal.Capture) {
			cam.Faults().Resize(640, 480)
			if f := next(t, c); f.Width != 640 || f.Height != 480 || len(f.Data) != 640*480*3/2 || f.Seq != 1 {
				t.Errorf("resized: %dx%d, %d bytes, seq %d", f.Width, f.Height, len(f.Data), f.Seq)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, Options{}, func(t *testing.T, cam *Camera) {
				c := start(t, cam, small)
				next(t, c)
				tt.test(t, cam, c)
			})
		})
	}
}
