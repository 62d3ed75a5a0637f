package stream

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
)

// feeder publishes access units as a source would.
type feeder struct {
	hub   *Hub
	pool  h264.Pool
	frame uint32
	sets  [3][]byte // SPS, PPS, IDR slice
}

func (f *feeder) publish(key bool) {
	var au *h264.AccessUnit
	if key {
		if f.sets[0] == nil {
			f.sets = [...][]byte{[]byte(sps720), []byte(pps), []byte(idr)}
		}
		au = f.pool.Copy(f.sets[:]...)
	} else {
		au = f.pool.Copy([]byte{0x41, 1, 2, 3})
	}
	au.IDR, au.Frame, au.PTS = key, f.frame, time.Duration(f.frame)*40*time.Millisecond
	f.frame++
	f.hub.Publish(au)
}

// frames publishes a picture for each letter: I an IDR, p another one.
func (f *feeder) frames(kinds string) {
	for _, k := range kinds {
		f.publish(k == 'I')
	}
}

// queued takes out what waits and returns the frame numbers.
func queued(t *testing.T, s *Subscription) []uint32 {
	t.Helper()
	var got []uint32
	for s.Queued() > 0 {
		au, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, au.Frame)
		au.Release()
	}
	return got
}

func TestSubscriptionQueue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		capacity int
		feed     string
		want     []uint32
		dropped  uint64
	}{
		{"begins at an IDR", 8, "ppIpp", []uint32{2, 3, 4}, 0},
		{"nothing without an IDR", 8, "pppp", nil, 0},
		{"full is emptied and resumes at the IDR", 3, "IpppppIp", []uint32{6, 7}, 6},
		{"an IDR into a full queue stays", 2, "IpI", []uint32{2}, 2},
		{"capacity one", 1, "IIpI", []uint32{3}, 3},
		{"capacity below one is one", 0, "I", []uint32{0}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := NewHub("main", HubOptions{})
			s := h.Subscribe(tt.capacity)
			defer s.Close()
			(&feeder{hub: h}).frames(tt.feed)
			got := queued(t, s)
			if len(got) != len(tt.want) {
				t.Fatalf("got frames %v, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Fatalf("got frames %v, want %v", got, tt.want)
				}
			}
			if s.Dropped() != tt.dropped || h.Stats().Dropped != tt.dropped {
				t.Errorf("dropped %d, hub says %d, want %d", s.Dropped(), h.Stats().Dropped, tt.dropped)
			}
		})
	}
}

func TestSlowSubscriptionCostsOthersNothing(t *testing.T) {
	t.Parallel()
	h := NewHub("main", HubOptions{})
	slow, fast := h.Subscribe(4), h.Subscribe(4)
	defer slow.Close()
	defer fast.Close()
	f := &feeder{hub: h}
	for i := range 100 {
		f.publish(i%10 == 0)
		if got := queued(t, fast); len(got) != 1 || got[0] != uint32(i) {
			t.Fatalf("picture %d: fast reader got %v", i, got)
		}
	}
	if slow.Dropped() == 0 || fast.Dropped() != 0 {
		t.Errorf("dropped: slow %d, fast %d", slow.Dropped(), fast.Dropped())
	}
}

func TestNextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := NewHub("main", HubOptions{})
		a, b, c := h.Subscribe(4), h.Subscribe(4), h.Subscribe(4)
		ctx, cancel := context.WithCancel(t.Context())
		errs := make([]error, 3)
		var wg sync.WaitGroup
		wg.Go(func() { _, errs[0] = a.Next(ctx) })
		wg.Go(func() { _, errs[1] = b.Next(t.Context()) })
		wg.Go(func() { _, errs[2] = c.Next(t.Context()) })
		synctest.Wait()
		cancel()
		b.Close()
		b.Close()
		synctest.Wait()
		h.Close()
		wg.Wait()
		for i, want := range []error{context.Canceled, ErrClosed, ErrClosed} {
			if !errors.Is(errs[i], want) {
				t.Errorf("reader %d: got %v, want %v", i, errs[i], want)
			}
		}
		a.Close()
		if _, err := h.Subscribe(1).Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("subscription of a closed hub: %v", err)
		}
		if _, err := h.Params(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("parameter sets of a closed hub: %v", err)
		}
		if n := h.Stats().Demand; n != 0 {
			t.Errorf("demand %d after all closed", n)
		}
	})
}

func TestAllReferencesComeBack(t *testing.T) {
	t.Parallel()
	h := NewHub("main", HubOptions{})
	s := h.Subscribe(4)
	var pool h264.Pool
	var all []*h264.AccessUnit
	for range 3 {
		au := pool.Copy([]byte{0x65, 1})
		au.IDR = true
		all = append(all, au.Retain())
		h.Publish(au)
	}
	au, _ := s.Next(t.Context())
	au.Release()
	s.Close()
	for _, au := range all {
		au.Release() // ours must be the last: one more panics
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a reference was kept")
				}
			}()
			au.Release()
		}()
	}
}

func TestRequestIDR(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		h := NewHub("main", HubOptions{ForceIDR: func() bool { asked++; return true }})
		f := &feeder{hub: h}
		step := func(what string, coming bool, wantAsked int) {
			t.Helper()
			if got := h.RequestIDR(); got != coming || asked != wantAsked {
				t.Fatalf("%s: got %v after %d asked, want %v after %d", what, got, asked, coming, wantAsked)
			}
		}
		step("not running: begins with one", true, 0)
		f.frames("I")
		step("too soon after the last", false, 0)
		time.Sleep(DefaultIDRInterval)
		step("asked", true, 1)
		step("one serves all who wait", true, 1)
		f.frames("p")
		step("still awaited", true, 1)
		f.frames("I")
		step("too soon again", false, 1)
		time.Sleep(DefaultIDRInterval)
		for i := range idrUnanswered {
			step("asked once more", true, 2+i)
			time.Sleep(idrPatience)
		}
		step("a source that never answers can't", false, 1+idrUnanswered)
		if h.Describe().CanForceIDR {
			t.Error("CanForceIDR of a source that never answers")
		}
	})
}

func TestRequestIDROfASourceThatCannot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		for name, h := range map[string]*Hub{
			"no function": NewHub("main", HubOptions{}),
			"refused":     NewHub("main", HubOptions{ForceIDR: func() bool { asked++; return false }}),
		} {
			(&feeder{hub: h}).frames("I")
			time.Sleep(DefaultIDRInterval)
			for range 3 {
				if h.RequestIDR() {
					t.Errorf("%s: true", name)
				}
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

func TestOverflowAsksForAnIDR(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		h := NewHub("main", HubOptions{ForceIDR: func() bool { asked++; return true }})
		s := h.Subscribe(2)
		defer s.Close()
		f := &feeder{hub: h}
		f.frames("I")
		time.Sleep(time.Second)
		f.frames("pp")
		if asked != 1 {
			t.Fatalf("asked %d times after the queue was full", asked)
		}
		for range 20 { // 20 s of a reader that never reads: an IDR each 2 s at most, and none answered within a second
			f.frames("Ip")
			for range 24 {
				time.Sleep(40 * time.Millisecond)
				f.frames("p")
			}
		}
		if asked > 11 {
			t.Errorf("a reader that never reads asked %d times in 20 s", asked)
		}
	})
}

func TestJoinAsksUntilItComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		h := NewHub("main", HubOptions{ForceIDR: func() bool { asked++; return true }})
		f := &feeder{hub: h}
		f.frames("I")
		time.Sleep(100 * time.Millisecond)
		s := h.Subscribe(8) // within the interval: the wish has to survive it
		defer s.Close()
		for range 20 {
			f.frames("p")
			time.Sleep(40 * time.Millisecond)
		}
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

func TestParams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		raised := 0
		h := NewHub("main", HubOptions{demandChanged: func() { raised++ }})
		f := &feeder{hub: h}
		var got Params
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { got, err = h.Params(t.Context()) })
		synctest.Wait()
		if raised != 1 || h.Stats().Demand != 1 {
			t.Errorf("a waiter for parameter sets: raised %d, demand %d", raised, h.Stats().Demand)
		}
		f.frames("pI")
		wg.Wait()
		if err != nil || string(got.SPS) != sps720 || string(got.PPS) != pps || got.Generation != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		if h.Stats().Demand != 0 || !h.demand.wanted(time.Now(), DefaultLinger) {
			t.Error("demand after the waiter left: want none, lingering")
		}
		var pool h264.Pool
		other := pool.Copy([]byte(sps360), []byte(pps), []byte{0x65})
		other.IDR = true
		h.Publish(other)
		f.frames("pp")
		if got, _ := h.Params(t.Context()); string(got.SPS) != sps360 || got.Generation != 2 {
			t.Errorf("after a change: %+v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := NewHub("sub", HubOptions{}).Params(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no parameter sets: %v", err)
		}
	})
}

func TestStats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := NewHub("main", HubOptions{Info: Info{Rate: hal.FPS(25)}})
		if s := h.Stats(); s.State != Idle || s.FPS != 0 || s.LastFrameAge != 0 {
			t.Errorf("fresh: %+v", s)
		}
		f := &feeder{hub: h}
		for i := range 200 {
			f.publish(i%50 == 0)
			time.Sleep(40 * time.Millisecond)
		}
		s := h.Stats()
		if s.State != Live || s.FPS < 24.9 || s.FPS > 25.1 || s.Frames != 200 || s.IDRs != 4 {
			t.Errorf("running: %+v", s)
		}
		if want := 25 * 4 * 8.0; s.BitrateBPS < want || s.BitrateBPS > want*1.2 {
			t.Errorf("bitrate %v, want about %v", s.BitrateBPS, want)
		}
		time.Sleep(2 * time.Second)
		if s := h.Stats(); s.State != Live || s.FPS > 20 {
			t.Errorf("2 s of silence: %+v", s)
		}
		time.Sleep(2 * time.Second)
		if s := h.Stats(); s.State != Stalled || s.Reason != "no picture for 4s" || s.LastFrameAge < 4*time.Second {
			t.Errorf("4 s of silence: %+v", s)
		}
		f.frames("p")
		if s := h.Stats(); s.State != Live {
			t.Errorf("moving again: %+v", s)
		}
	})
}

func TestStallLimitOfASlowCamera(t *testing.T) {
	t.Parallel()
	for rate, want := range map[hal.Rate]time.Duration{
		{}: stallAfter, hal.FPS(25): stallAfter, {Num: 1, Den: 2}: 10 * time.Second,
	} {
		if got := stallLimit(rate); got != want {
			t.Errorf("%v: got %v, want %v", rate, got, want)
		}
	}
}

func TestPublishAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("sync.Pool forgets at random under the race detector")
	}
	h := NewHub("main", HubOptions{})
	s := h.Subscribe(8)
	defer s.Close()
	f := &feeder{hub: h}
	f.frames("Ip")
	got := testing.AllocsPerRun(200, func() {
		f.publish(f.frame%50 == 0)
		for s.Queued() > 0 {
			au, _ := s.Next(context.Background())
			au.Release()
		}
	})
	if got != 0 {
		t.Errorf("%v allocations for a picture", got)
	}
}

func TestConcurrentSubscribers(t *testing.T) {
	t.Parallel()
	h := NewHub("main", HubOptions{ForceIDR: func() bool { return true }})
	stop := make(chan struct{})
	var publisher, readers sync.WaitGroup
	publisher.Go(func() {
		f := &feeder{hub: h}
		for {
			select {
			case <-stop:
				return
			default:
				f.publish(f.frame%5 == 0)
			}
		}
	})
	for range 4 {
		readers.Go(func() {
			for range 20 {
				s := h.Subscribe(3)
				for range 5 {
					au, err := s.Next(context.Background())
					if err != nil {
						t.Error(err)
						break
					}
					au.Release()
				}
				s.Close()
			}
		})
	}
	readers.Wait()
	close(stop)
	publisher.Wait()
	if s := h.Stats(); s.Subscribers != 0 || s.Demand != 0 {
		t.Errorf("left: %+v", s)
	}
}

func BenchmarkPublish(b *testing.B) {
	h := NewHub("main", HubOptions{})
	s := h.Subscribe(8)
	defer s.Close()
	f := &feeder{hub: h}
	b.ReportAllocs()
	for b.Loop() {
		f.publish(f.frame%50 == 0)
		for s.Queued() > 0 {
			au, _ := s.Next(context.Background())
			au.Release()
		}
	}
}
