package stream

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestStop: whoever watches is cut off at once, nobody else comes in, the camera is closed, and after Start it is as
// before.
func TestStop(t *testing.T) {
	withSource(t, Options{Camera: &fakeCamera{modes: h264Modes, frame: h264Frames}}, func(t *testing.T, b bench) {
		h := b.Hub("main")
		s := h.Subscribe(4)
		time.Sleep(time.Second)
		if _, open := b.camera.started(); !open {
			t.Fatal("the camera does not run")
		}
		if err := b.SetStopped("main", true); err != nil {
			t.Fatal(err)
		}
		for err := error(nil); !errors.Is(err, ErrClosed); {
			_, err = s.Next(t.Context())
		}
		if _, err := h.Subscribe(4).Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("a new reader: %v", err)
		}
		if _, err := h.Params(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("parameter sets: %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if _, open := b.camera.started(); open || h.Stats().State != Stopped || h.Stats().Demand != 0 {
			t.Errorf("the camera is open: %v; %+v", open, h.Stats())
		}
		if err := b.SetStopped("main", false); err != nil {
			t.Fatal(err)
		}
		s = h.Subscribe(4)
		defer s.Close()
		au, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		au.Release()
	})
}
