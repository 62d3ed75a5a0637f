package sim

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

// The clips in testdata are 50 test cards of 160x120, an IDR each 20, coded by hal/openh264 at 60 kbit/s; the MP4 holds
// the same access units.
var clips = []string{"testdata/card.h264", "testdata/card.mp4"}

const clipPictures = 50

func TestClipLaw(t *testing.T) {
	for _, clip := range clips {
		var cam *Camera
		haltest.Camera(t, func(t *testing.T) hal.Camera {
			var err error
			if cam, err = NewCamera(Options{Clip: clip}); err != nil {
				t.Fatal(err)
			}
			return cam
		}, haltest.CameraOptions{
			Unplug: func() error { cam.Faults().Unplug(); return nil },
			Replug: func() error { cam.Faults().Replug(); return nil },
		})
	}
}

func TestClipKeepsTime(t *testing.T) {
	t.Parallel()
	for _, clip := range clips {
		bubble(t, Options{Clip: clip}, func(t *testing.T, cam *Camera) {
			modes, err := cam.Modes(t.Context())
			want := hal.Mode{Format: hal.H264, Width: 160, Height: 120, Rate: hal.FPS(25)}
			if err != nil || len(modes) != 1 || modes[0] != want {
				t.Errorf("%s: modes %v, %v, want %v", clip, modes, err, want)
			}
			c := start(t, cam, want)
			begin := cam.now()
			var first []byte
			for n := range uint32(3 * clipPictures) { // three rounds: time goes on
				f := next(t, c)
				if due := begin + time.Duration(n)*interval; f.PTS != due || cam.now() != due || f.Seq != n || f.Lost != 0 {
					t.Fatalf("%s picture %d: PTS %v at %v, seq %d, lost %d, want %v", clip, n, f.PTS, cam.now(), f.Seq, f.Lost, due)
				}
				if idr := h264.HasIDR(h264.SplitAnnexB(nil, f.Data)); idr != (n%clipPictures%20 == 0) {
					t.Errorf("%s picture %d: IDR %v", clip, n, idr)
				}
				switch n {
				case 0:
					first = bytes.Clone(f.Data)
				case clipPictures:
					if !bytes.Equal(f.Data, first) {
						t.Errorf("%s: the second round begins with another picture", clip)
					}
				}
			}
		})
	}
}

func TestLateClipReaderGoesOnAtIDR(t *testing.T) {
	t.Parallel()
	bubble(t, Options{Clip: clips[0]}, func(t *testing.T, cam *Camera) {
		c := start(t, cam, hal.Mode{})
		next(t, c)
		time.Sleep(25 * interval)
		f := next(t, c)
		if f.Lost == 0 || f.Seq != f.Lost+1 || !h264.HasIDR(h264.SplitAnnexB(nil, f.Data)) {
			t.Errorf("after a pause: seq %d lost %d, IDR %v", f.Seq, f.Lost, h264.HasIDR(h264.SplitAnnexB(nil, f.Data)))
		}
		if f := next(t, c); f.Lost != 0 {
			t.Errorf("the picture after it: lost %d", f.Lost)
		}
	})
}

func TestClipFaults(t *testing.T) {
	t.Parallel()
	bubble(t, Options{Clip: clips[0], Card: true}, func(t *testing.T, cam *Camera) {
		if modes, err := cam.Modes(t.Context()); err != nil || len(modes) < 2 || !modes[0].Format.Coded() {
			t.Errorf("modes %v, %v: want the clip's first, then the card's", modes, err)
		}
		c := start(t, cam, hal.Mode{Format: hal.H264})
		next(t, c)
		cam.Faults().Gap(2)
		if f := next(t, c); f.Seq != 3 || f.Lost != 2 {
			t.Errorf("gap: seq %d lost %d", f.Seq, f.Lost)
		}
		cam.Faults().Replay(clips[1])
		if f := next(t, c); f.Seq != 4 || f.Lost != 0 || !h264.HasIDR(h264.SplitAnnexB(nil, f.Data)) {
			t.Errorf("other clip: seq %d lost %d", f.Seq, f.Lost)
		}
		cam.Faults().Resize(640, 480)
		if _, err := c.Next(t.Context()); err == nil {
			t.Error("a clip was resized")
		}
	})
}

func TestBadClips(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(clips[1])
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"empty": {}, "text": []byte("no video at all\n"), "half an MP4": whole[:len(whole)/2], "start code": {0, 0, 0, 1},
	} {
		file := t.TempDir() + "/clip"
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := NewCamera(Options{Clip: file}); err == nil {
			t.Errorf("%s is a clip", name)
		}
	}
	if _, err := NewCamera(Options{Clip: t.TempDir() + "/none"}); err == nil {
		t.Error("no file is a clip")
	}
}

// BenchmarkNext makes a picture without waiting for it.
func BenchmarkNext(b *testing.B) {
	for name, o := range map[string]Options{"card": {}, "clip": {Clip: clips[0]}} {
		b.Run(name, func(b *testing.B) {
			var now time.Duration
			o.Now = func() time.Duration { now += interval; return now }
			cam, err := NewCamera(o)
			if err != nil {
				b.Fatal(err)
			}
			c, err := cam.Start(b.Context(), hal.Mode{Format: hal.YU12, Width: 1280, Height: 720, Rate: hal.FPS(25)})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Next(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
