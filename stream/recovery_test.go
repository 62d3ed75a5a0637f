package stream

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/hal"
)

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
		time.Sleep(3*time.Second + 20*time.Millisecond)
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

func TestUndecodable(t *testing.T) {
	camera := &fakeCamera{modes: h264Modes, cannot: []hal.Control{hal.ForceIDR}}
	camera.frame = func(n int, f *hal.Frame, forced bool) bool {
		starts, _ := camera.started()
		if len(starts) > 1 {
			return h264Frames(n, f, forced) // this start it sends its parameter sets
		}
		f.Data = annexB(idr)
		return true
	}
	withSource(t, Options{Camera: camera}, func(t *testing.T, b bench) {
		main := b.read("main")
		time.Sleep(5 * time.Second)
		if s, why := state(b, "main"); s != Failed || !strings.Contains(why, "parameter sets") {
			t.Errorf("state %s, %q", s, why)
		}
		time.Sleep(10 * time.Second)
		if s, why := state(b, "main"); s != Live {
			t.Errorf("after it was opened anew: %s, %q", s, why)
		}
		if len(main.stop()) == 0 {
			t.Error("no pictures")
		}
	})
}

type wedgedCamera struct {
	fakeCamera
	release chan struct{}
}

func (c *wedgedCamera) Start(ctx context.Context, want hal.Mode) (hal.Capture, error) {
	capture, err := c.fakeCamera.Start(ctx, want)
	return &wedgedCapture{capture, c.release}, err
}

type wedgedCapture struct {
	hal.Capture
	release chan struct{}
}

func (c *wedgedCapture) Next(context.Context) (hal.Frame, error) {
	<-c.release
	return hal.Frame{}, hal.ErrClosed
}

func TestAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camera := &wedgedCamera{fakeCamera{modes: h264Modes, frame: h264Frames}, make(chan struct{})}
		s := NewSource(Options{Camera: camera, Config: DefaultConfig(), Log: quiet()})
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = s.Run(ctx) })
		sub := s.Hub("main").Subscribe(1)
		time.Sleep(5 * time.Second)
		if err := s.Alive(); err != nil {
			t.Errorf("standing still: %v", err)
		}
		time.Sleep(30 * time.Second)
		if err := s.Alive(); err == nil {
			t.Error("wedged, and nobody says so")
		}
		sub.Close()
		close(camera.release)
		cancel()
		run.Wait()
		if err := s.Alive(); err != nil {
			t.Errorf("after the end: %v", err)
		}
	})
}

// movingCamera is found under another path each time it is looked for.
type movingCamera struct {
	fakeCamera
	looked int
}

func (c *movingCamera) Info() hal.DeviceInfo {
	return hal.DeviceInfo{Name: "fake", Path: fmt.Sprintf("/dev/fake%d", c.looked)}
}

func (c *movingCamera) Modes(ctx context.Context) ([]hal.Mode, error) {
	c.looked++
	return c.fakeCamera.Modes(ctx)
}

// TestLogNamesTheCameraThatIsThere: one that came back under another number is told by the new one.
func TestLogNamesTheCameraThatIsThere(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	s := NewSource(Options{Camera: &movingCamera{fakeCamera: fakeCamera{modes: h264Modes, frame: h264Frames}},
		Config: DefaultConfig(), Log: slog.New(slog.NewTextHandler(&said, nil))})
	r, err := s.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.capture.Close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(said.String(), "camera=/dev/fake1") {
		t.Errorf("log: %s", said.String())
	}
}
