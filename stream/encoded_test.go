package stream

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/yuv"
	"github.com/ocellus/ocellus/hal"
)

func TestEncoded(t *testing.T) {
	camera := &fakeCamera{modes: rawModes, frame: rawFrames}
	enc := &fakeEncoder{name: "soft", inputs: []hal.PixelFormat{hal.YU12}}
	withSource(t, Options{Camera: camera, Encoders: []hal.Encoder{enc}, Stamp: true}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(4*time.Second + 20*time.Millisecond)
		if opened, _, _ := enc.state(); len(opened) != 1 || opened[0] !=
			(hal.EncoderConfig{Input: hal.YU12, Width: 1280, Height: 720, Rate: hal.FPS(25), BitrateBPS: 2e6, GOP: 50}) {
			t.Errorf("opened %+v", opened)
		}
		sub := b.read("sub")
		time.Sleep(4 * time.Second)
		opened, open, _ := enc.state()
		if len(opened) != 2 || open != 2 || opened[1] !=
			(hal.EncoderConfig{Input: hal.YU12, Width: 640, Height: 360, Rate: hal.FPS(15), BitrateBPS: 512e3, GOP: 30}) {
			t.Errorf("opened %+v, %d are open", opened, open)
		}
		mains := main.stop()
		if len(mains) != 200 || mains[0].nalus != "7865" || mains[1].nalus != "61" || mains[0].stamp.Frame != 0 {
			t.Errorf("main: %d access units, the first %+v", len(mains), mains[0])
		}
		grows(t, mains)
		time.Sleep(DefaultLinger + time.Second)
		if _, open, _ := enc.state(); open != 1 {
			t.Errorf("%d encoders open after main was left", open)
		}
		if s, _ := state(b, "main"); s != Idle {
			t.Errorf("main is %s", s)
		}
		subs := sub.stop()
		if n := len(subs); n < 145 || n > 155 {
			t.Errorf("sub: %d access units in 10 s", n)
		}
		grows(t, subs)
		st := b.Hub("sub").Stats()
		if st.FPS < 14.5 || st.FPS > 15.5 {
			t.Errorf("sub at %v pictures a second", st.FPS)
		}
		time.Sleep(DefaultLinger + time.Second)
		if _, open := b.camera.started(); open {
			t.Error("camera open though nobody wants it")
		}
	})
}

func TestEncodedSettings(t *testing.T) {
	camera := &fakeCamera{modes: rawModes, frame: rawFrames}
	enc := &fakeEncoder{name: "soft", inputs: []hal.PixelFormat{hal.YU12}}
	withSource(t, Options{Camera: camera, Encoders: []hal.Encoder{enc}}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(time.Second)
		if err := b.SetBitrate("main", 1_000_000); err != nil {
			t.Error(err)
		}
		if err := b.SetBitrate("main", 1); err == nil {
			t.Error("a bit rate of 1 was taken")
		}
		if err := b.SetBitrate("third", 1_000_000); !errors.Is(err, hal.ErrUnsupported) {
			t.Errorf("unknown stream: %v", err)
		}
		b.Hub("main").RequestIDR()
		time.Sleep(100 * time.Millisecond)
		enc.mu.Lock()
		if len(enc.bits) != 1 || enc.bits[0] != 1_000_000 {
			t.Errorf("encoder was told %v", enc.bits)
		}
		enc.mu.Unlock()
		idrs := 0
		for _, au := range main.stop() {
			idrs += bit(au.idr)
		}
		if info := b.Hub("main").Describe(); idrs != 2 || info.BitrateBPS != 1_000_000 {
			t.Errorf("%d IDRs, %+v", idrs, info)
		}
	})
}

func TestEncoderFallback(t *testing.T) {
	camera := &fakeCamera{modes: rawModes, frame: rawFrames}
	busy := &fakeEncoder{name: "busy", inputs: []hal.PixelFormat{hal.NV12}, openEr: hal.ErrBusy}
	hard := &fakeEncoder{name: "hard", inputs: []hal.PixelFormat{hal.NV12}, fail: func(n int) error {
		if n == 25 {
			return errors.New("input/output error")
		}
		return nil
	}}
	soft := &fakeEncoder{name: "soft", inputs: []hal.PixelFormat{hal.YU12}}
	withSource(t, Options{Camera: camera, Encoders: []hal.Encoder{busy, hard, soft}}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(3*time.Second + 20*time.Millisecond)
		all := main.stop()
		if len(all) != 74 || !all[25].idr {
			t.Errorf("%d access units", len(all))
		}
		grows(t, all)
		if info := b.Hub("main").Describe(); info.Encoder != "soft" {
			t.Errorf("coded by %s", info.Encoder)
		}
		if b.Stats().Faults["encoder"] != 1 {
			t.Errorf("faults %v", b.Stats().Faults)
		}
	})
}

func TestRawSizeChange(t *testing.T) {
	camera := &fakeCamera{modes: rawModes, frame: func(n int, f *hal.Frame, _ bool) bool {
		if n >= 25 {
			f.Width, f.Height = 640, 360
		}
		rawFrames(n, f, false)
		if n == 10 {
			f.Data = f.Data[:1000]
		}
		return true
	}}
	enc := &fakeEncoder{name: "soft", inputs: []hal.PixelFormat{hal.YU12}}
	withSource(t, Options{Camera: camera, Encoders: []hal.Encoder{enc}}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(2*time.Second + 20*time.Millisecond)
		all := main.stop()
		if len(all) != 49 || !all[24].idr || all[10].lost != 1 {
			t.Errorf("%d access units", len(all))
		}
		if info := b.Hub("main").Describe(); info.Width != 640 || info.Generation != 2 {
			t.Errorf("info %+v", info)
		}
		if f := b.Stats().Faults; f["size_changed"] != 1 || f["truncated"] != 1 {
			t.Errorf("faults %v", f)
		}
	})
}

func TestNoEncoder(t *testing.T) {
	camera := &fakeCamera{modes: rawModes, frame: rawFrames}
	withSource(t, Options{Camera: camera}, func(t *testing.T, b bench) {
		if _, at, err := b.Snapshot(t.Context(), 0); err != nil || at.IsZero() {
			t.Errorf("snapshot without an encoder: %v", err)
		}
		main := b.read("main")
		time.Sleep(time.Second)
		if s, why := state(b, "main"); s != Failed || !strings.Contains(why, "no encoder") {
			t.Errorf("state %s, %q", s, why)
		}
		main.stop()
	})
}

func TestDriverChoosesAnotherFormat(t *testing.T) {
	camera := &fakeCamera{modes: rawModes, frame: rawFrames, choose: func(m hal.Mode) hal.Mode {
		m.Format = hal.FourCC("BA81")
		return m
	}}
	enc := &fakeEncoder{name: "soft", inputs: []hal.PixelFormat{hal.YU12}}
	withSource(t, Options{Camera: camera, Encoders: []hal.Encoder{enc}}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(time.Second)
		if s, why := state(b, "main"); s != Failed || !strings.Contains(why, "BA81") {
			t.Errorf("state %s, %q", s, why)
		}
		main.stop()
	})
}

func TestEncoderWithoutKnobs(t *testing.T) {
	camera := &fakeCamera{modes: rawModes, frame: rawFrames}
	enc := &fakeEncoder{name: "fwht", inputs: []hal.PixelFormat{hal.YU12},
		cannot: []hal.Control{hal.Bitrate, hal.ForceIDR}}
	withSource(t, Options{Camera: camera, Encoders: []hal.Encoder{enc}}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(time.Second)
		if b.Hub("main").RequestIDR() {
			t.Error("an IDR was promised")
		}
		if err := errors.Join(b.SetBitrate("main", 1_000_000), b.SetGOP("main", time.Second)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		opened, open, _ := enc.state()
		if len(opened) != 2 || open != 1 || opened[1].BitrateBPS != 1_000_000 || opened[1].GOP != 25 {
			t.Errorf("opened %+v, %d are open", opened, open)
		}
		all := main.stop()
		grows(t, all)
		if len(all) < 49 {
			t.Errorf("%d access units", len(all))
		}
	})
}

func TestMJPEGToNV12(t *testing.T) {
	picture := jpegOf(t, 320, 180)
	camera := &fakeCamera{modes: []hal.Mode{mode(hal.MJPEG, 320, 180, 25)}}
	camera.frame = func(n int, f *hal.Frame, _ bool) bool {
		f.Data = picture
		switch n {
		case 3:
			f.Data = picture[:len(picture)/3]
		case 4:
			f.Data = []byte("no JPEG")
		}
		return true
	}
	enc := &fakeEncoder{name: "m2m", inputs: []hal.PixelFormat{hal.NV12}}
	withSource(t, Options{Camera: camera, Encoders: []hal.Encoder{enc}}, func(t *testing.T, b bench) {
		main, sub := b.read("main"), b.read("sub")
		time.Sleep(time.Second + 20*time.Millisecond)
		all := main.stop()
		if len(all) != 23 || all[3].lost != 2 || b.Stats().Faults["bad_jpeg"] != 2 {
			t.Errorf("main: %d access units, faults %v", len(all), b.Stats().Faults)
		}
		if n := len(sub.stop()); n < 12 {
			t.Errorf("sub: %d access units", n)
		}
		b.Look(t.Context(), func(pic *yuv.Picture, _ time.Duration) error {
			if y := pic.Y[0]; y < 80 || y > 90 { // full-range 80 in limited range
				t.Errorf("luma %d", y)
			}
			return errSeen
		})
		snap, _, err := b.Snapshot(t.Context(), 95)
		if err != nil {
			t.Fatal(err)
		}
		img, err := jpeg.Decode(bytes.NewReader(snap))
		if err != nil {
			t.Fatal(err)
		}
		if y := img.(*image.YCbCr).Y[0]; y < 78 || y > 82 {
			t.Errorf("snapshot has luma %d, the camera's JPEG 80", y)
		}
	})
}

func jpegOf(t *testing.T, w, h int) []byte {
	t.Helper()
	img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio422)
	for i := range img.Y {
		img.Y[i] = 80
	}
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = 128, 128
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ w, h, boxW, boxH, wantW, wantH int }{
		{1280, 720, 1280, 720, 1280, 720},
		{1280, 720, 640, 360, 640, 360},
		{1920, 1080, 1280, 720, 1280, 720},
		{1280, 960, 1280, 720, 960, 720},
		{640, 480, 640, 360, 480, 360},
		{640, 480, 1280, 720, 640, 480}, // never larger than the camera's
		{720, 1280, 1280, 720, 404, 720},
		{1366, 768, 640, 360, 640, 360},
		{1281, 721, 1280, 720, 1278, 720},
	} {
		if w, h := fit(tt.w, tt.h, tt.boxW, tt.boxH); w != tt.wantW || h != tt.wantH {
			t.Errorf("%dx%d in %dx%d: got %dx%d, want %dx%d", tt.w, tt.h, tt.boxW, tt.boxH, w, h, tt.wantW, tt.wantH)
		}
	}
}
