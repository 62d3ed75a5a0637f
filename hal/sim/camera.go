// Package sim is hardware that is not there: a camera that draws a test card or plays a clip in real time, a watchdog,
// an LED and a button. They keep the law of hal as real drivers do (hal/haltest), and they break on demand, so that a
// test sees what the program does when a real one would.
//
// The card's barcode says Frame.Seq and the wall clock of Frame.PTS: the same facts as the capture stamp in the stream.
// Nothing runs and no memory is held while nothing is started; a capture works in its caller's goroutine.
package sim

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/codec/testcard"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
)

// Options say what a simulated camera is. The zero Options are a camera that draws the test card.
type Options struct {
	// Clip is the path of a file to play in real time, over and over, instead of the card: H.264 in an Annex B stream
	// or in an MP4. The camera then has the clip's mode alone, as a camera with a built-in encoder but without controls.
	//
	// A clip with B-frames keeps their order: its PTS go back and forth as those of no real camera do.
	Clip string
	// Hold is the path of a PNG image that is held before the card, for as long as there is such a file. Empty: none.
	Hold string
	// Card says that a camera with a clip has the card's modes too.
	Card bool
	// Modes are the card's modes; nil means the usual ones.
	Modes []hal.Mode
	// Product is the name on the card.
	Product string
	// Location is that of the card's clock; the local one when nil.
	Location *time.Location
	// Now is the clock that stands for CLOCK_MONOTONIC; nil means the real one.
	Now func() time.Duration
}

// Camera is a simulated camera.
type Camera struct {
	o      Options
	clip   hal.Mode // zero without a clip
	faults Faults
	held   *held // nil for none

	exposure atomic.Int32 // of the capture that is open, in thousandths of EV

	mu   sync.Mutex // guards open
	open *capture
}

// NewCamera makes a camera. It fails when the clip can't be played.
func NewCamera(o Options) (*Camera, error) {
	if o.Product == "" {
		o.Product = "Ocellus"
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Modes == nil {
		o.Modes = usualModes()
	}
	c := &Camera{o: o}
	c.faults.init()
	if o.Hold != "" {
		c.held = &held{path: o.Hold}
		if err := c.held.look(); err != nil {
			return nil, err
		}
	}
	if o.Clip == "" {
		return c, nil
	}
	clip, err := openClip(o.Clip)
	if err != nil {
		return nil, err
	}
	c.clip = clipMode(clip.Info())
	return c, clip.Close()
}

func clipMode(i h264.ClipInfo) hal.Mode {
	return hal.Mode{Format: hal.H264, Width: i.Width, Height: i.Height, Rate: hal.Rate{Num: i.RateNum, Den: i.RateDen}}
}

func usualModes() []hal.Mode {
	var modes []hal.Mode
	for _, size := range [][2]int{{1920, 1080}, {1280, 720}, {640, 480}, {640, 360}, {320, 240}} {
		for _, rate := range []uint32{30, 25, 15, 10, 5} {
			modes = append(modes, hal.Mode{Format: hal.YU12, Width: size[0], Height: size[1], Rate: hal.FPS(rate)})
		}
	}
	return modes
}

// Info implements hal.Camera.
func (c *Camera) Info() hal.DeviceInfo {
	if c.o.Clip != "" {
		return hal.DeviceInfo{Name: "clip " + c.o.Clip, Driver: "sim", Path: "sim"}
	}
	return hal.DeviceInfo{Name: "test card", Driver: "sim", Path: "sim"}
}

// Modes implements hal.Camera.
func (c *Camera) Modes(ctx context.Context) ([]hal.Mode, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var modes []hal.Mode
	if c.o.Clip != "" {
		modes = append(modes, c.clip)
	}
	if c.o.Clip == "" || c.o.Card {
		modes = append(modes, c.o.Modes...)
	}
	return modes, nil
}

// Start implements hal.Camera.
func (c *Camera) Start(ctx context.Context, want hal.Mode) (hal.Capture, error) {
	modes, err := c.Modes(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != nil {
		return nil, fmt.Errorf("start camera sim: %w", hal.ErrBusy)
	}
	now := c.faults.look()
	if now.unplugged {
		return nil, fmt.Errorf("start camera sim: unplugged: %w", hal.ErrClosed)
	}
	mode := nearest(modes, want)
	p, err := c.player(mode)
	if err != nil {
		return nil, fmt.Errorf("start camera sim: %w", err)
	}
	c.open = &capture{camera: c, mode: mode, player: p, plug: now.plug, done: make(chan struct{}), sizes: now.sizes}
	return c.open, nil
}

// player makes what delivers the pictures of a mode.
func (c *Camera) player(m hal.Mode) (player, error) {
	if m.Format == hal.H264 {
		return newClipPlayer(c.o.Clip, c.now())
	}
	return newCardPlayer(c, m, c.now())
}

func (c *Camera) card(m hal.Mode) (*testcard.Card, error) {
	return testcard.New(testcard.Options{Width: m.Width, Height: m.Height, Name: c.o.Product, Location: c.o.Location,
		Text: fmt.Sprintf("%d×%d · %v fps", m.Width, m.Height, m.Rate)})
}

// Faults returns the handle that breaks the camera.
func (c *Camera) Faults() *Faults { return &c.faults }

func (c *Camera) now() time.Duration {
	if c.o.Now != nil {
		return c.o.Now()
	}
	return monotime.Now()
}

// wall is the wall clock of an instant.
func (c *Camera) wall(pts time.Duration) time.Time {
	if c.o.Now != nil {
		return time.Now().Add(pts - c.o.Now())
	}
	return monotime.Wall(pts)
}

// nearest returns the mode that a driver would choose: the format first, then the size, then the rate.
func nearest(modes []hal.Mode, want hal.Mode) hal.Mode {
	return slices.MinFunc(modes, func(a, b hal.Mode) int {
		x, y := distance(a, want), distance(b, want)
		return slices.Compare(x[:], y[:])
	})
}

func distance(m, want hal.Mode) [3]int {
	d := [3]int{0, absolute(m.Width-want.Width) + absolute(m.Height-want.Height),
		absolute(int(1000 * (m.Rate.Float() - want.Rate.Float())))}
	if m.Format != want.Format {
		d[0] = 1
	}
	if want.Rate.Num == 0 {
		d[2] = 0
	}
	return d
}

func absolute(n int) int { return max(n, -n) }
