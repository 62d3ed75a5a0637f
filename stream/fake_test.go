package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
)

// Parameter sets that x264 made.
const (
	sps720 = "\x67\x42\xc0\x1f\xd9\x00\x50\x05\xbb\x01\x10\x00\x00\x03\x00\x10\x00\x00\x03\x03\x20\xf1\x83\x24\x80"
	sps360 = "\x67\x42\xc0\x1e\xd9\x00\xa0\x2f\xf9\x70\x11\x00\x00\x03\x00\x01\x00\x00\x03\x00\x32\x0f\x16\x2e\x48"
	pps    = "\x68\xcb\x83\xcb\x20"
	aud    = "\x09\xf0"
	idr    = "\x65\x88\x84\x01\x02\x03"
	slice  = "\x41\x9a\x02\x03\x04"
)

func annexB(nalus ...string) []byte {
	var b []byte
	for _, u := range nalus {
		b = h264.AppendAnnexB(b, []byte(u))
	}
	return b
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// fakeCamera delivers a frame each interval of its mode's rate.
type fakeCamera struct {
	modes []hal.Mode
	// frame fills in what frame n holds; f has format, size, PTS and Seq. False: nothing comes, the camera stands still.
	frame    func(n int, f *hal.Frame, forced bool) bool
	cannot   []hal.Control // that Control refuses
	choose   func(want hal.Mode) hal.Mode
	startErr func(starts int) error

	mu       sync.Mutex // guards what follows
	open     *fakeCapture
	starts   []hal.Mode
	controls map[hal.Control]int
}

func (c *fakeCamera) Info() hal.DeviceInfo { return hal.DeviceInfo{Name: "fake", Path: "/dev/fake"} }

func (c *fakeCamera) Modes(context.Context) ([]hal.Mode, error) { return c.modes, nil }

func (c *fakeCamera) Start(_ context.Context, want hal.Mode) (hal.Capture, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts = append(c.starts, want)
	if c.startErr != nil {
		if err := c.startErr(len(c.starts)); err != nil {
			return nil, err
		}
	}
	if c.open != nil {
		return nil, hal.ErrBusy
	}
	if c.choose != nil {
		want = c.choose(want)
	}
	c.open = &fakeCapture{camera: c, mode: want, closed: make(chan struct{}), tick: time.NewTicker(want.Rate.Interval())}
	return c.open, nil
}

// started returns the modes of all starts, and whether the camera is open now.
func (c *fakeCamera) started() ([]hal.Mode, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]hal.Mode(nil), c.starts...), c.open != nil
}

func (c *fakeCamera) control(k hal.Control) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.controls[k]
}

// unplug makes the open capture fail.
func (c *fakeCamera) unplug() {
	c.mu.Lock()
	capture := c.open
	c.mu.Unlock()
	capture.gone.Store(true)
}

type fakeCapture struct {
	camera *fakeCamera
	mode   hal.Mode
	tick   *time.Ticker
	once   sync.Once
	closed chan struct{}
	n      int
	force  atomic.Bool
	gone   atomic.Bool
}

func (c *fakeCapture) Mode() hal.Mode { return c.mode }

// epoch makes PTS of several starts go on, as the monotonic clock does.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *fakeCapture) Next(ctx context.Context) (hal.Frame, error) {
	for {
		select {
		case now := <-c.tick.C:
			if c.gone.Load() {
				return hal.Frame{}, fmt.Errorf("capture /dev/fake: %w", hal.ErrClosed)
			}
			f := hal.Frame{
				Format: c.mode.Format, Width: c.mode.Width, Height: c.mode.Height, PTS: now.Sub(epoch), Seq: uint32(c.n),
			}
			n := c.n
			c.n++
			if c.camera.frame(n, &f, c.force.Swap(false)) {
				return f, nil
			}
		case <-c.closed:
			return hal.Frame{}, hal.ErrClosed
		case <-ctx.Done():
			return hal.Frame{}, ctx.Err()
		}
	}
}

func (c *fakeCapture) Control(k hal.Control, value int) error {
	for _, no := range c.camera.cannot {
		if no == k {
			return hal.ErrUnsupported
		}
	}
	c.camera.mu.Lock()
	defer c.camera.mu.Unlock()
	if c.camera.controls == nil {
		c.camera.controls = map[hal.Control]int{}
	}
	c.camera.controls[k] = value
	c.force.Store(c.force.Load() || k == hal.ForceIDR)
	return nil
}

func (c *fakeCapture) Close() error {
	c.once.Do(func() {
		c.tick.Stop()
		close(c.closed)
		c.camera.mu.Lock()
		c.camera.open = nil
		c.camera.mu.Unlock()
	})
	return nil
}

// h264Frames is a camera's H.264: begins in mid-GOP, an IDR each 50 pictures, parameter sets in front of the first.
func h264Frames(n int, f *hal.Frame, forced bool) bool {
	sps := sps720
	if f.Width == 640 {
		sps = sps360
	}
	switch {
	case n == 10:
		f.Data = annexB(aud, sps, pps, idr)
	case forced && n > 10, n%50 == 10:
		f.Data = annexB(aud, idr)
	default:
		f.Data = annexB(aud, slice)
	}
	return true
}

// blank is what fake cameras show; nobody writes into it.
var blank = make([]byte, 1280*720*3/2)

// rawFrames is a camera's planar picture.
func rawFrames(_ int, f *hal.Frame, _ bool) bool {
	f.Data = blank[:f.Width*f.Height*3/2]
	return true
}

// fakeEncoder codes nothing, but says what it was given.
type fakeEncoder struct {
	name   string
	inputs []hal.PixelFormat
	cannot []hal.Control
	openEr error
	fail   func(n int) error

	mu     sync.Mutex // guards what follows
	opened []hal.EncoderConfig
	open   int
	bits   []int
	frames []hal.Frame // Data nil
}

func (e *fakeEncoder) Info() hal.DeviceInfo      { return hal.DeviceInfo{Name: e.name} }
func (e *fakeEncoder) Inputs() []hal.PixelFormat { return e.inputs }

func (e *fakeEncoder) Open(_ context.Context, c hal.EncoderConfig) (hal.Encoding, error) {
	if e.openEr != nil {
		return nil, e.openEr
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.opened = append(e.opened, c)
	e.open++
	return &fakeEncoding{encoder: e, config: c, force: true}, nil
}

func (e *fakeEncoder) state() (opened []hal.EncoderConfig, open int, frames []hal.Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]hal.EncoderConfig(nil), e.opened...), e.open, append([]hal.Frame(nil), e.frames...)
}

type fakeEncoding struct {
	encoder *fakeEncoder
	config  hal.EncoderConfig
	n       int
	force   bool
	closed  bool
}

func (e *fakeEncoding) Encode(_ context.Context, raw hal.Frame) (hal.Frame, error) {
	if e.encoder.fail != nil {
		if err := e.encoder.fail(e.n); err != nil {
			return hal.Frame{}, err
		}
	}
	if raw.Format != e.config.Input || raw.Width != e.config.Width || raw.Height != e.config.Height ||
		len(raw.Data) < wholeFrame(raw) {
		return hal.Frame{}, errors.New("not the picture that was agreed")
	}
	sps := sps720
	if e.config.Width == 640 {
		sps = sps360
	}
	out := raw
	out.Format, out.Data = hal.H264, annexB(slice)
	if e.force || e.n%e.config.GOP == 0 {
		out.Data = annexB(sps, pps, idr)
	}
	e.n, e.force = e.n+1, false
	raw.Data = nil
	e.encoder.mu.Lock()
	e.encoder.frames = append(e.encoder.frames, raw)
	e.encoder.mu.Unlock()
	return out, nil
}

func (e *fakeEncoding) Drain(context.Context) (hal.Frame, error) { return hal.Frame{}, io.EOF }

func (e *fakeEncoding) Control(c hal.Control, value int) error {
	for _, no := range e.encoder.cannot {
		if no == c {
			return hal.ErrUnsupported
		}
	}
	switch c {
	case hal.ForceIDR:
		e.force = true
	case hal.Bitrate:
		e.encoder.mu.Lock()
		e.encoder.bits = append(e.encoder.bits, value)
		e.encoder.mu.Unlock()
	}
	return nil
}

func (e *fakeEncoding) Close() error {
	if !e.closed {
		e.closed = true
		e.encoder.mu.Lock()
		e.encoder.open--
		e.encoder.mu.Unlock()
	}
	return nil
}
