package stream

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// instantCapture delivers pictures of 9 kB without waiting, an IDR of 40 kB each 50.
type instantCapture struct {
	n      int
	idr, p []byte
}

func newInstantCapture() *instantCapture {
	return &instantCapture{
		idr: annexB(aud, sps720, pps, idr+strings.Repeat("\x55", 40_000)),
		p:   annexB(aud, slice+strings.Repeat("\x55", 9_000)),
	}
}

func (c *instantCapture) Mode() hal.Mode                 { return mode(hal.H264, 1280, 720, 25) }
func (c *instantCapture) Control(hal.Control, int) error { return nil }
func (c *instantCapture) Close() error                   { return nil }

func (c *instantCapture) Next(context.Context) (hal.Frame, error) {
	f := hal.Frame{Format: hal.H264, Width: 1280, Height: 720, Data: c.p, Seq: uint32(c.n)}
	if c.n%50 == 0 {
		f.Data = c.idr
	}
	f.PTS = time.Duration(c.n) * 40 * time.Millisecond
	c.n++
	return f, nil
}

// hotPath returns a function that moves one picture from camera to reader, with capture stamp.
func hotPath(t testing.TB) func() {
	s := NewSource(Options{Camera: &fakeCamera{modes: h264Modes}, Config: DefaultConfig(), Log: quiet(), Stamp: true})
	d := direct{
		run: &run{src: s, capture: newInstantCapture(), started: time.Now()},
		asm: assembler{pool: &s.pool, faults: &s.faults, mark: s.outputs[0].mark},
	}
	reader := s.Hub("main").Subscribe(8)
	t.Cleanup(reader.Close)
	return func() {
		if err := d.step(context.Background()); err != nil {
			t.Fatal(err)
		}
		for reader.Queued() > 0 {
			au, err := reader.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			au.Release()
		}
	}
}

func TestStraightAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("sync.Pool forgets at random under the race detector")
	}
	step := hotPath(t)
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(500, step); n != 0 {
		t.Errorf("%v allocations for a picture", n)
	}
}

func BenchmarkStraight(b *testing.B) {
	step := hotPath(b)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
