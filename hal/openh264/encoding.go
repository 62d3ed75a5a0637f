//go:build cgo && linux && (amd64 || arm64 || arm)

package openh264

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
	"unsafe"

	// Brings the library into the link; its bindings are not used.
	_ "github.com/pion/mediadevices/pkg/codec/openh264"

	"github.com/ocellus/ocellus/codec/yuv"
	"github.com/ocellus/ocellus/hal"
)

const missing = ""

// encoding is one opened encoder.
type encoding struct {
	config hal.EncoderConfig

	mu      sync.Mutex // guards the fields below; held while a picture is encoded
	engine  *C.oce_encoder
	picture yuv.Picture
	data    []byte
	gop     int
	since   int // pictures since the last IDR, that one included
	force   bool
	lost    uint32 // pictures that the next access unit has to tell of
	closed  bool
}

func open(c hal.EncoderConfig) (hal.Encoding, error) {
	e := &encoding{config: c, gop: c.GOP}
	if e.gop == 0 {
		e.gop = max(int(2*c.Rate.Float()), 1)
	}
	var result C.int
	e.engine = C.oce_open(C.oce_config{width: C.int(c.Width), height: C.int(c.Height), bitrate: C.int(c.BitrateBPS),
		rate: C.float(c.Rate.Float())}, &result)
	if e.engine == nil {
		return nil, fmt.Errorf("open openh264 %dx%d@%v: %w", c.Width, c.Height, c.Rate, resultError(result))
	}
	return e, nil
}

func resultError(r C.int) error {
	switch r {
	case C.OCE_NO_LIBRARY:
		return fmt.Errorf("library not linked: %w", hal.ErrUnsupported)
	case C.OCE_NO_MEMORY, 3:
		return fmt.Errorf("out of memory")
	case 1, 5:
		return fmt.Errorf("parameters refused: %w", hal.ErrUnsupported)
	}
	return fmt.Errorf("library says %d", int(r))
}

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
	e.lost += raw.Lost
	size, idr, err := e.code(raw)
	if err != nil || size == 0 { // 0: rate control skipped the picture
		e.lost++
	}
	if err != nil {
		return hal.Frame{}, fmt.Errorf("encode openh264: %w", err)
	}
	if size == 0 {
		return hal.Frame{}, nil
	}
	e.since++
	if idr {
		e.since, e.force = 1, false
	}
	lost := e.lost
	e.lost = 0
	return hal.Frame{Format: hal.H264, Width: e.config.Width, Height: e.config.Height, Data: e.data,
		PTS: raw.PTS, Seq: raw.Seq, Lost: lost, Corrupt: raw.Corrupt}, nil
}

// code codes a picture into e.data.
func (e *encoding) code(raw hal.Frame) (size int, idr bool, err error) {
	if err := e.lay(raw); err != nil {
		return 0, false, err
	}
	var force C.int
	if e.force || e.since >= e.gop {
		force = 1
	}
	p := &e.picture
	coded := C.oce_encode(e.engine, pointer(p.Y), pointer(p.Cb), pointer(p.Cr), C.int(p.YStride), C.int(p.CStride),
		C.int64_t(raw.PTS/time.Millisecond), force)
	if coded.result != 0 {
		return 0, false, resultError(coded.result)
	}
	size = int(coded.size)
	e.data = slices.Grow(e.data[:0], size)[:size]
	if size > 0 {
		C.oce_take(e.engine, pointer(e.data))
	}
	return size, coded.idr != 0, nil
}

func pointer(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b))) }

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
		if result := C.oce_set_bitrate(e.engine, C.int(rate)); result != 0 {
			return fmt.Errorf("openh264: bitrate %d: %w", rate, resultError(result))
		}
		return nil
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
	C.oce_close(e.engine)
	e.closed, e.engine, e.picture, e.data = true, nil, yuv.Picture{}, nil
	return nil
}

func closedError() error { return fmt.Errorf("openh264: %w", hal.ErrClosed) }
