package stream

import (
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
)

func TestTimeline(t *testing.T) {
	t.Parallel()
	ms := func(all ...int) (d []time.Duration) {
		for _, n := range all {
			d = append(d, time.Duration(n)*time.Millisecond)
		}
		return d
	}
	tests := []struct {
		name     string
		in, want []time.Duration
		late     int
	}{
		{"as it should be", ms(0, 40, 80), ms(0, 40, 80), 0},
		{"one late", ms(100, 140, 139, 220), ms(100, 140, 141, 220), 1},
		{"the same twice", ms(100, 100, 140), ms(100, 101, 140), 1},
		{"clock set anew", ms(9000, 9040, 0, 40, 80), ms(9000, 9040, 9080, 9120, 9160), 1},
		{"and again", ms(9000, 0, 5000, 0, 40), ms(9000, 9040, 14040, 14080, 14120), 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var tl timeline
			var got []time.Duration
			late := 0
			for _, pts := range tt.in {
				p, l := tl.forward(pts)
				got = append(got, p)
				late += bit(l)
			}
			if !slices.Equal(got, tt.want) || late != tt.late {
				t.Errorf("got %v, %d late, want %v, %d", got, late, tt.want, tt.late)
			}
		})
	}
}

func TestDecimator(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		camera, want hal.Rate
		real         float64 // the camera's true rate
		min, max     int     // pictures of 10 s
	}{
		{"same rate takes all", hal.FPS(25), hal.FPS(25), 25, 250, 250},
		{"slower camera takes all", hal.FPS(10), hal.FPS(25), 10, 100, 100},
		{"nearly the same takes all", hal.FPS(30), hal.Rate{Num: 30000, Den: 1001}, 30, 300, 300},
		{"25 to 15", hal.FPS(25), hal.FPS(15), 25, 149, 151},
		{"30 to 15", hal.FPS(30), hal.FPS(15), 30, 149, 151},
		{"60 to 25", hal.FPS(60), hal.FPS(25), 60, 249, 251},
		{"unknown rate, too fast", hal.Rate{}, hal.FPS(25), 50, 249, 251},
		{"unknown rate, slow", hal.Rate{}, hal.FPS(25), 10, 100, 100},
		{"camera slower than it says", hal.FPS(30), hal.FPS(15), 12, 118, 121},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDecimator(tt.camera, tt.want)
			n := 0
			for i := range int(tt.real * 10) {
				jitter := time.Duration(i%3-1) * 4 * time.Millisecond
				if d.take(time.Second + time.Duration(float64(i)/tt.real*1e9) + jitter) {
					n++
				}
			}
			if n < tt.min || n > tt.max {
				t.Errorf("%d pictures, want %d to %d", n, tt.min, tt.max)
			}
		})
	}
}

func TestReordered(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		format hal.PixelFormat
		data   []byte
		want   bool
	}{
		"B slice":       {hal.H264, annexB(aud, "\x01\xa8\x10"), true}, // first_mb 0, slice_type 1
		"P slice":       {hal.H264, annexB(aud, "\x41\xe8\x10"), false},
		"IDR":           {hal.H264, annexB(sps720, pps, idr), false},
		"garbage":       {hal.H264, []byte("garbage"), false},
		"not a picture": {hal.YU12, annexB("\x01\xa8\x10"), false},
	} {
		if got := reordered(hal.Frame{Format: tt.format, Data: tt.data}); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
