package stream

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/codec/stamp"
	"github.com/ocellus/ocellus/codec/yuv"
	"github.com/ocellus/ocellus/hal"
)

// bench is a running source in a synctest bubble.
type bench struct {
	*testing.T
	*Source
	camera *fakeCamera
}

// withSource runs test beside a running source.
func withSource(t *testing.T, o Options, test func(t *testing.T, b bench)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if o.Config == (Config{}) {
			o.Config = DefaultConfig()
		}
		o.Log = quiet()
		s := NewSource(o)
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Errorf("run: %v", err)
			}
		})
		test(t, bench{t, s, o.Camera.(*fakeCamera)})
		cancel()
		run.Wait()
		if _, open := o.Camera.(*fakeCamera).started(); open {
			t.Error("the camera was left open")
		}
		for _, e := range o.Encoders {
			if _, open, _ := e.(*fakeEncoder).state(); open != 0 {
				t.Errorf("%d encoders were left open", open)
			}
		}
	})
}

// reader takes everything from a stream until it is closed.
type reader struct {
	*Subscription
	mu   sync.Mutex // guards aus
	aus  []seen
	done sync.WaitGroup
}

type seen struct {
	at    time.Time
	pts   time.Duration
	idr   bool
	lost  uint32
	frame uint32
	nalus string // types, as digits in hexadecimal
	stamp stamp.Stamp
}

func (b bench) read(name string) *reader {
	b.Helper()
	r := &reader{Subscription: b.Hub(name).Subscribe(50)}
	r.done.Go(func() {
		for {
			au, err := r.Next(b.Context())
			if err != nil {
				return
			}
			s := seen{at: time.Now(), pts: au.PTS, idr: au.IDR, lost: au.Lost, frame: au.Frame}
			for _, u := range au.NALUs {
				s.nalus += string("0123456789"[h264.TypeOf(u)])
			}
			s.stamp, _ = stamp.Find(au.NALUs)
			au.Release()
			r.mu.Lock()
			r.aus = append(r.aus, s)
			r.mu.Unlock()
		}
	})
	return r
}

// stop closes the subscription and returns what came.
func (r *reader) stop() []seen {
	r.Close()
	r.done.Wait()
	return r.aus
}

// soFar returns what came until now.
func (r *reader) soFar() []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]seen(nil), r.aus...)
}

func grows(t *testing.T, all []seen) {
	t.Helper()
	for i := 1; i < len(all); i++ {
		if all[i].pts <= all[i-1].pts {
			t.Errorf("PTS %v after %v", all[i].pts, all[i-1].pts)
		}
	}
}

func state(b bench, name string) (State, string) {
	s := b.Hub(name).Stats()
	return s.State, s.Reason
}

var (
	h264Modes = []hal.Mode{mode(hal.H264, 1280, 720, 25), mode(hal.H264, 640, 360, 25)}
	rawModes  = []hal.Mode{mode(hal.YU12, 1280, 720, 25)}
)

func TestStraight(t *testing.T) {
	camera := &fakeCamera{modes: h264Modes, frame: h264Frames}
	withSource(t, Options{Camera: camera, Stamp: true}, func(t *testing.T, b bench) {
		time.Sleep(time.Minute)
		if starts, _ := b.camera.started(); len(starts) != 0 {
			t.Fatalf("started %v without demand", starts)
		}
		main := b.read("main")
		time.Sleep(10*time.Second + 20*time.Millisecond)
		if s, _ := state(b, "main"); s != Live {
			t.Errorf("state %s", s)
		}
		all := main.stop()
		if len(all) != 240 { // of 250 the first ten are not decodable
			t.Errorf("%d access units", len(all))
		}
		grows(t, all)
		for i, au := range all {
			want := "61"
			if i%50 == 0 {
				want = "7865"
			}
			if au.nalus != want || au.idr != (i%50 == 0) || au.lost != 0 || au.frame != uint32(i+10) {
				t.Errorf("access unit %d: %+v, want NAL units %s", i, au, want)
			}
			if au.stamp.Frame != uint64(au.frame) {
				t.Errorf("access unit %d: stamp %+v", i, au.stamp)
			}
		}
		info := b.Hub("main").Describe()
		if info.Width != 1280 || info.Height != 720 || info.Encoder != "fake" || !info.CanForceIDR || info.Generation != 1 {
			t.Errorf("info %+v", info)
		}
		if br, gop := b.camera.control(hal.Bitrate), b.camera.control(hal.GOP); br != 2_000_000 || gop != 50 {
			t.Errorf("camera was told bitrate %d, GOP %d", br, gop)
		}
		if n := b.Stats().Faults["not_decodable"]; n != 10 {
			t.Errorf("%d pictures before the first IDR", n)
		}
		time.Sleep(DefaultLinger - time.Second)
		if _, open := b.camera.started(); !open {
			t.Error("closed before the linger was over")
		}
		time.Sleep(2 * time.Second)
		if _, open := b.camera.started(); open {
			t.Error("still open after the linger")
		}
		if s, _ := state(b, "main"); s != Idle {
			t.Errorf("state %s", s)
		}
	})
}

func TestStraightForcesIDR(t *testing.T) {
	camera := &fakeCamera{modes: h264Modes, frame: h264Frames}
	withSource(t, Options{Camera: camera}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(1500 * time.Millisecond)
		asked := time.Now()
		if !b.Hub("main").RequestIDR() {
			t.Error("no IDR will come")
		}
		time.Sleep(200 * time.Millisecond)
		all := main.stop()
		for _, au := range all {
			if au.idr && au.at.After(asked) {
				if wait := au.at.Sub(asked); wait > 80*time.Millisecond {
					t.Errorf("IDR came after %v", wait)
				}
				return
			}
		}
		t.Error("no IDR came")
	})
}

func TestStraightCannotForceIDR(t *testing.T) {
	camera := &fakeCamera{modes: h264Modes, frame: h264Frames,
		cannot: []hal.Control{hal.ForceIDR, hal.Bitrate, hal.GOP}}
	withSource(t, Options{Camera: camera}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(1500 * time.Millisecond)
		if b.Hub("main").RequestIDR() || b.Hub("main").Describe().CanForceIDR {
			t.Error("a camera that can't force an IDR was believed to")
		}
		if err := b.SetBitrate("main", 1_000_000); !errors.Is(err, hal.ErrUnsupported) {
			t.Errorf("set bitrate: %v", err)
		}
		main.stop()
	})
}

func TestStraightServesBothFromH264Only(t *testing.T) {
	camera := &fakeCamera{modes: h264Modes, frame: h264Frames}
	withSource(t, Options{Camera: camera}, func(t *testing.T, b bench) {
		sub := b.read("sub")
		time.Sleep(2 * time.Second)
		main := b.read("main") // more important: the camera changes its size, sub goes on with it
		time.Sleep(5 * time.Second)
		subs, mains := sub.stop(), main.stop()
		grows(t, subs)
		if len(mains) < 100 || len(subs) < 140 {
			t.Errorf("main %d, sub %d access units", len(mains), len(subs))
		}
		starts, _ := b.camera.started()
		if len(starts) != 2 || starts[0].Width != 640 || starts[1].Width != 1280 {
			t.Errorf("started %v", starts)
		}
		if info := b.Hub("sub").Describe(); info.Width != 1280 || info.Generation != 2 {
			t.Errorf("sub %+v", info)
		}
	})
}

func TestUnplug(t *testing.T) {
	camera := &fakeCamera{modes: h264Modes, frame: h264Frames}
	var away int
	camera.startErr = func(starts int) error {
		if starts > 1 && starts < 5 {
			away++
			return hal.ErrClosed
		}
		return nil
	}
	withSource(t, Options{Camera: camera}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(3 * time.Second)
		before := len(main.soFar())
		b.camera.unplug()
		time.Sleep(time.Second)
		if s, why := state(b, "main"); s != Failed || !strings.Contains(why, "device closed") {
			t.Errorf("state %s, %q", s, why)
		}
		time.Sleep(10 * time.Second)
		all := main.stop()
		grows(t, all)
		if len(all) < before+100 || !all[before].idr || away != 3 {
			t.Errorf("%d access units before, %d after; %d tries failed", before, len(all)-before, away)
		}
		if st := b.Stats(); st.Failures != 4 || st.Starts != 2 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestStall(t *testing.T) {
	camera := &fakeCamera{modes: h264Modes}
	var standing sync.Mutex
	still := false
	set := func(v bool) { standing.Lock(); still = v; standing.Unlock() }
	camera.frame = func(n int, f *hal.Frame, forced bool) bool {
		standing.Lock()
		defer standing.Unlock()
		return !still && h264Frames(n, f, forced)
	}
	withSource(t, Options{Camera: camera}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(2 * time.Second)
		set(true)
		time.Sleep(time.Second)
		if s, _ := state(b, "main"); s != Live {
			t.Errorf("after 1 s: %s", s)
		}
		n := len(main.soFar())
		time.Sleep(2500 * time.Millisecond)
		if s, why := state(b, "main"); s != Stalled || why == "" {
			t.Errorf("after 3.5 s: %s, %q", s, why)
		}
		if len(main.soFar()) != n {
			t.Error("old pictures were repeated")
		}
		set(false)
		time.Sleep(time.Second)
		if s, _ := state(b, "main"); s != Live {
			t.Errorf("moving again: %s", s)
		}
		set(true)
		time.Sleep(11 * time.Second)
		if starts, _ := b.camera.started(); len(starts) < 2 {
			t.Error("a camera that stood still for 11 s was not opened again")
		}
		main.stop()
	})
}

func TestBadBuffers(t *testing.T) {
	bad := map[int]func(f *hal.Frame){
		0:  func(f *hal.Frame) { f.Data = make([]byte, 1000) },                    // stale buffer of zeros
		3:  func(f *hal.Frame) { f.Data = []byte("no start code at all") },        // garbage
		20: func(f *hal.Frame) { f.Data = nil },                                   // empty
		21: func(f *hal.Frame) { f.Corrupt = true },                               // the driver says so
		22: func(f *hal.Frame) { f.Data = annexB("\x06\x05\x01\x00\x80") },        // SEI alone
		23: func(f *hal.Frame) { f.Lost = 3 },                                     // a gap
		24: func(f *hal.Frame) { f.Data = annexB("\x67", slice) },                 // a broken SPS
		25: func(f *hal.Frame) { f.PTS -= 500 * time.Millisecond },                // late
		26: func(f *hal.Frame) { f.Data = annexB("\xff\xff\xff\xff\xff", slice) }, // forbidden bit
	}
	camera := &fakeCamera{modes: h264Modes, frame: func(n int, f *hal.Frame, forced bool) bool {
		h264Frames(n, f, forced)
		if spoil := bad[n]; spoil != nil {
			spoil(f)
		}
		return true
	}}
	withSource(t, Options{Camera: camera}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(4*time.Second + 20*time.Millisecond)
		all := main.stop()
		grows(t, all)
		if len(all) != 100-10-3 {
			t.Errorf("%d access units", len(all))
		}
		for _, au := range all {
			want := uint32(0)
			if au.frame == 23 {
				want = 3 + 3
			}
			if au.lost != want || strings.ContainsAny(au.nalus, "09") {
				t.Errorf("%+v, want %d lost", au, want)
			}
		}
		got := b.Stats().Faults
		for kind, want := range map[string]uint64{
			"no_start_code": 2, "empty": 1, "corrupt": 1, "no_picture": 1, "lost": 3, "bad_params": 1, "late": 1,
		} {
			if got[kind] != want {
				t.Errorf("fault %s: %d, want %d", kind, got[kind], want)
			}
		}
	})
}

func TestResolutionChange(t *testing.T) {
	camera := &fakeCamera{modes: h264Modes, frame: func(n int, f *hal.Frame, forced bool) bool {
		h264Frames(n, f, forced)
		if n == 60 {
			f.Data = annexB(sps360, pps, idr)
		}
		return true
	}}
	withSource(t, Options{Camera: camera}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(time.Second)
		first, _ := b.Hub("main").Params(t.Context())
		time.Sleep(3 * time.Second)
		second, _ := b.Hub("main").Params(t.Context())
		if string(first.SPS) != sps720 || string(second.SPS) != sps360 || second.Generation != first.Generation+1 {
			t.Errorf("parameter sets: generation %d, then %d", first.Generation, second.Generation)
		}
		if info := b.Hub("main").Describe(); info.Width != 640 || info.Height != 360 {
			t.Errorf("info %+v", info)
		}
		main.stop()
	})
}

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
