package haltest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
)

// These tests show that a device which breaks a law is caught, and by which law. The suites count goroutines of the
// process, so they are not parallel.

// fakeCamera keeps the law, unless one of its flaws says otherwise.
type fakeCamera struct {
	flaw string

	mu   sync.Mutex // guards the fields below
	open *fakeCapture
	leak []*os.File
	stop chan struct{} // ends goroutines that the flaw left behind
}

func (c *fakeCamera) Info() hal.DeviceInfo { return hal.DeviceInfo{Name: "fake"} }

func (c *fakeCamera) Modes(context.Context) ([]hal.Mode, error) {
	m := hal.Mode{Format: hal.YU12, Width: 32, Height: 16, Rate: hal.FPS(200)}
	switch c.flaw {
	case "no modes":
		return nil, nil
	case "mode twice":
		return []hal.Mode{m, m}, nil
	}
	return []hal.Mode{m}, nil
}

func (c *fakeCamera) Start(context.Context, hal.Mode) (hal.Capture, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != nil && c.flaw != "never busy" {
		return nil, fmt.Errorf("fake: %w", hal.ErrBusy)
	}
	cap := &fakeCapture{camera: c, data: make([]byte, 32*16*3/2), done: make(chan struct{})}
	c.open = cap
	switch c.flaw {
	case "leaks goroutine":
		go func() { <-c.stop }()
	case "leaks descriptor":
		f, err := os.Open(os.DevNull)
		if err != nil {
			return nil, err
		}
		c.leak = append(c.leak, f)
	}
	return cap, nil
}

type fakeCapture struct {
	camera *fakeCamera
	data   []byte
	seq    uint32
	once   sync.Once
	done   chan struct{}
	twice  bool
}

func (c *fakeCapture) Mode() hal.Mode {
	m := hal.Mode{Format: hal.YU12, Width: 32, Height: 16, Rate: hal.FPS(200)}
	if c.camera.flaw == "other mode" {
		m.Width = 64
	}
	return m
}

func (c *fakeCapture) Next(ctx context.Context) (hal.Frame, error) {
	flaw := c.camera.flaw
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	done, cancelled := (<-chan struct{})(c.done), ctx.Done()
	if flaw == "deaf to close" && c.seq > 0 {
		done, timer.C = nil, nil
	}
	if flaw == "deaf to context" {
		cancelled = nil
	}
	if flaw != "deaf to context" && ctx.Err() != nil {
		return hal.Frame{}, ctx.Err()
	}
	select {
	case <-done:
		if flaw == "other error" {
			return hal.Frame{}, errors.New("bad file descriptor")
		}
		return hal.Frame{}, fmt.Errorf("fake: %w", hal.ErrClosed)
	case <-cancelled:
		return hal.Frame{}, ctx.Err()
	case <-timer.C:
	}
	return c.frame(flaw), nil
}

func (c *fakeCapture) frame(flaw string) hal.Frame {
	f := hal.Frame{Format: hal.YU12, Width: 32, Height: 16, Data: c.data, Seq: c.seq, PTS: monotime.Now()}
	c.seq++
	switch flaw {
	case "hides a gap":
		c.seq++
	case "time goes back":
		f.PTS -= time.Duration(c.seq) * time.Second
	case "wall clock":
		f.PTS = time.Duration(time.Now().UnixNano())
	case "short frame":
		f.Data = f.Data[:100]
	case "reuses memory":
		data := f.Data
		go func() {
			select {
			case <-time.After(2 * time.Millisecond):
				data[0]++
			case <-c.done:
			}
		}()
	}
	return f
}

func (c *fakeCapture) Control(k hal.Control, value int) error {
	if c.camera.flaw == "says yes" || k == hal.Exposure && (value != 0 || c.camera.flaw != "keeps exposure") {
		return nil
	}
	return fmt.Errorf("fake: %w", hal.ErrUnsupported)
}

func (c *fakeCapture) Close() error {
	if c.twice && c.camera.flaw == "close once" {
		return errors.New("closed already")
	}
	c.twice = true
	c.once.Do(func() {
		close(c.done)
		c.camera.mu.Lock()
		if c.camera.flaw != "no second start" {
			c.camera.open = nil
		}
		c.camera.mu.Unlock()
	})
	return nil
}

func broken(found []Finding) []string {
	var laws []string
	for _, f := range found {
		var skip Skip
		if f.Err != nil && !errors.As(f.Err, &skip) {
			laws = append(laws, f.Law)
		}
	}
	return laws
}

func TestSuiteCatchesCamera(t *testing.T) {
	tests := []struct{ flaw, law string }{
		{"", ""},
		{"no modes", "modes are sound"},
		{"mode twice", "modes are sound"},
		{"other mode", "start delivers a listed mode"},
		{"reuses memory", "a frame stays until the next call"},
		{"short frame", "start delivers a listed mode"},
		{"never busy", "start while open is busy"},
		{"no second start", "start after close works"},
		{"hides a gap", "frames come in order"},
		{"time goes back", "frames come in order"},
		{"wall clock", "frames are on the monotonic clock"},
		{"deaf to context", "next heeds its context"},
		{"deaf to close", "close unblocks next"},
		{"other error", "close unblocks next"},
		{"close once", "close is idempotent"},
		{"says yes", "controls are honest"},
		{"keeps exposure", "controls are honest"},
		{"leaks goroutine", "start after close works"},
		{"leaks descriptor", "start after close works"},
	}
	for _, tt := range tests {
		t.Run(tt.flaw, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // a driver that hangs is waited for in no time
				cam := &fakeCamera{flaw: tt.flaw, stop: make(chan struct{})}
				defer func() {
					close(cam.stop)
					for _, f := range cam.leak {
						_ = f.Close()
					}
				}()
				picked := only(cameraLaws(CameraOptions{Frames: 4, Modes: 1}), tt.law)
				found := findings(t.Context(), picked, func() hal.Camera { return cam }, nil)
				laws := broken(found)
				if tt.law == "" && len(laws) > 0 {
					t.Errorf("a lawful camera breaks %v: %v", laws, found)
				}
				if tt.law != "" && !slices.Contains(laws, tt.law) {
					t.Errorf("broken laws %v, want %q", laws, tt.law)
				}
			})
		})
	}
}
