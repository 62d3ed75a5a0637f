package stream

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/yuv"
	"github.com/ocellus/ocellus/hal"
)

func TestLook(t *testing.T) {
	camera := &fakeCamera{modes: append(rawModes[:1:1], h264Modes...)}
	camera.frame = func(n int, f *hal.Frame, forced bool) bool {
		if f.Format.Coded() {
			return h264Frames(n, f, forced)
		}
		return rawFrames(n, f, forced)
	}
	enc := &fakeEncoder{name: "soft", inputs: []hal.PixelFormat{hal.YU12}}
	withSource(t, Options{Camera: camera, Encoders: []hal.Encoder{enc}}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(2 * time.Second)
		n, last := 0, time.Duration(0)
		err := b.Look(t.Context(), func(pic *yuv.Picture, pts time.Duration) error {
			if pic.Width != 1280 || pic.Height != 720 || pts <= last {
				t.Errorf("picture %dx%d at %v after %v", pic.Width, pic.Height, pts, last)
			}
			last = pts
			n++
			time.Sleep(100 * time.Millisecond) // a slow looker
			if n == 10 {
				return errSeen
			}
			return nil
		})
		if !errors.Is(err, errSeen) {
			t.Errorf("look: %v", err)
		}
		all := main.soFar()
		if len(all) < 60 {
			t.Errorf("the stream had %d access units beside a slow looker", len(all))
		}
		grows(t, all)
		time.Sleep(settleAfter + DefaultLinger + 2*time.Second)
		main.stop()
		starts, _ := b.camera.started()
		if len(starts) != 3 || starts[0].Format != hal.H264 || starts[1].Format != hal.YU12 || starts[2].Format != hal.H264 {
			t.Errorf("started %v: want H.264, raw while somebody looks, H.264 after that", starts)
		}
	})
}

func TestLookUnsupported(t *testing.T) {
	camera := &fakeCamera{modes: h264Modes, frame: h264Frames}
	withSource(t, Options{Camera: camera}, func(t *testing.T, b bench) {
		err := b.Look(t.Context(), func(*yuv.Picture, time.Duration) error { return nil })
		if !errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), "H.264 only") {
			t.Errorf("got %v", err)
		}
		if starts, _ := b.camera.started(); len(starts) != 0 {
			t.Error("the camera was started for nothing")
		}
	})
}

func TestLookRefusedWhileStreaming(t *testing.T) {
	camera := &fakeCamera{modes: append(rawModes[:1:1], h264Modes...), frame: h264Frames}
	withSource(t, Options{Camera: camera}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(2 * time.Second)
		_, _, err := b.Snapshot(t.Context(), 50)
		if !errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), "no encoder") {
			t.Errorf("got %v", err)
		}
		main.stop()
	})
}
