//go:build cgo && linux && (amd64 || arm64 || arm)

package openh264

import (
	"context"
	"fmt"
	"image"
	"io"
	"sync"

	"github.com/pion/mediadevices/pkg/codec"
	"github.com/pion/mediadevices/pkg/codec/openh264"
	"github.com/pion/mediadevices/pkg/prop"

	"github.com/ocellus/ocellus/codec/yuv"
	"github.com/ocellus/ocellus/hal"
)

const missing = ""

// encoding is one opened encoder. The wrapped one pulls its picture from Read, so a picture is laid down in picture
// and then pulled.
type encoding struct {
	config hal.EncoderConfig

	mu      sync.Mutex // guards the fields below; held while a picture is encoded
	wrapped codec.ReadCloser
	picture yuv.Picture
	gop     int
	since   int // pictures since the last IDR
	force   bool
	lost    uint32 // pictures that the next access unit has to tell of
	closed  bool
}

func open(c hal.EncoderConfig) (hal.Encoding, error) {
	p, err := openh264.NewParams()
	if err != nil {
		return nil, fmt.Errorf("open openh264: %w", err)
	}
	p.BitRate = c.BitrateBPS
	p.EnableFrameSkip = false
	p.IntraPeriod = 0 // the GOP is counted here, so that it can change
	p.MultipleThreadIdc = 1
	p.SliceMode = openh264.SMSingleSlice
	e := &encoding{config: c, gop: c.GOP}
	if e.gop == 0 {
		e.gop = max(int(2*c.Rate.Float()), 1)
	}
	e.wrapped, err = p.BuildVideoEncoder(e, prop.Media{Video: prop.Video{
		Width: c.Width, Height: c.Height, FrameRate: float32(c.Rate.Float())}})
	if err != nil {
		return nil, fmt.Errorf("open openh264: %w", err)
	}
	return e, nil
}

// Read hands the picture to the wrapped encoder (video.Reader).
func (e *encoding) Read() (image.Image, func(), error) { return e.picture.Image(), func() {}, nil }

// Encode implements hal.Encoding.
func (e *encoding) Encode(ctx context.Context, raw hal.Frame) (hal.Frame, error) {
	if err := ctx.Err(); err != nil {
		return hal.Frame{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return hal.Frame{}, closedError()
	}
	if err := e.lay(raw); err != nil {
		e.lost += raw.Lost + 1
		return hal.Frame{}, fmt.Errorf("encode openh264: %w", err)
	}
	if e.force || e.since >= e.gop {
		if err := e.wrapped.Controller().(codec.KeyFrameController).ForceKeyFrame(); err != nil {
			return hal.Frame{}, fmt.Errorf("encode openh264: force IDR: %w", err)
		}
	}
	data, _, err := e.wrapped.Read()
	e.lost += raw.Lost
	if err != nil {
		e.lost++
		return hal.Frame{}, fmt.Errorf("encode openh264: %w", err)
	}
	if len(data) == 0 { // rate control skipped the picture
		e.lost++
		return hal.Frame{}, nil
	}
	return e.coded(raw, data), nil
}

// coded makes the frame of an access unit.
func (e *encoding) coded(raw hal.Frame, data []byte) hal.Frame {
	e.since++
	if startsWithSPS(data) {
		e.since, e.force = 1, false
	}
	lost := e.lost
	e.lost = 0
	return hal.Frame{Format: hal.H264, Width: e.config.Width, Height: e.config.Height, Data: data,
		PTS: raw.PTS, Seq: raw.Seq, Lost: lost, Corrupt: raw.Corrupt}
}

// lay brings a frame into the form that the library takes.
func (e *encoding) lay(raw hal.Frame) error {
	c := e.config
	if raw.Format != c.Input || raw.Width != c.Width || raw.Height != c.Height {
		return fmt.Errorf("frame of %v %dx%d, opened for %v %dx%d: %w",
			raw.Format, raw.Width, raw.Height, c.Input, c.Width, c.Height, hal.ErrUnsupported)
	}
	if raw.Format == hal.YU12 {
		return e.picture.View(raw.Data, raw.Width, raw.Height, raw.Stride)
	}
	return e.picture.From(uint32(raw.Format), raw.Data, raw.Width, raw.Height, raw.Stride)
}

// startsWithSPS reports whether an access unit of this library is an IDR: it puts SPS and PPS before each, and begins
// none other with them.
func startsWithSPS(data []byte) bool {
	const nalSPS = 7
	return len(data) > 4 && data[0] == 0 && data[1] == 0 && data[2] == 0 && data[3] == 1 && data[4]&31 == nalSPS
}

// Drain implements hal.Encoding: nothing is ever inside.
func (e *encoding) Drain(ctx context.Context) (hal.Frame, error) {
	if err := ctx.Err(); err != nil {
		return hal.Frame{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return hal.Frame{}, closedError()
	}
	return hal.Frame{}, io.EOF
}

// Control implements hal.Encoding.
func (e *encoding) Control(k hal.Control, value int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return closedError()
	}
	switch k {
	case hal.ForceIDR:
		e.force = true
		return nil
	case hal.GOP:
		e.gop = max(value, 1)
		return nil
	case hal.Bitrate:
		rate := min(max(value, minBitrate), maxBitrate)
		return e.wrapped.Controller().(codec.BitRateController).SetBitRate(rate)
	}
	return fmt.Errorf("openh264: %v: %w", k, hal.ErrUnsupported)
}

// Close implements hal.Encoding. A picture that is being encoded is waited for: a few milliseconds.
func (e *encoding) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed, e.picture = true, yuv.Picture{}
	return e.wrapped.Close()
}

func closedError() error { return fmt.Errorf("openh264: %w", hal.ErrClosed) }
