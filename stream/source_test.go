package stream

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/codec/stamp"
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

// wedgedCapture does not come back.
