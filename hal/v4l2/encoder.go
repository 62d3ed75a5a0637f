package v4l2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
)

const (
	inputBuffers = 3 // pictures that may be inside at once
	codedBuffers = 4 // one is lent to the caller
)

// OpenEncoder returns the encoder behind a stateful memory-to-memory node that makes H.264.
func OpenEncoder(path string, log *slog.Logger) (hal.Encoder, error) {
	return openEncoder(openNode, path, hal.H264, log)
}

// OpenEncoderFor is OpenEncoder for another coded format. It exists for FWHT, the codec of the kernel's simulated
// encoder (vicodec), on which haltest runs.
func OpenEncoderFor(path string, coded hal.PixelFormat, log *slog.Logger) (hal.Encoder, error) {
	return openEncoder(openNode, path, coded, log)
}

type encoder struct {
	open   opener
	path   string
	coded  hal.PixelFormat
	info   hal.DeviceInfo
	inputs []hal.PixelFormat
	log    *slog.Logger
}

func openEncoder(open opener, path string, coded hal.PixelFormat, log *slog.Logger) (*encoder, error) {
	e := &encoder{open: open, path: path, coded: coded, log: log.With("part", "v4l2", "device", path)}
	d, err := openDevice(open, path)
	if err != nil {
		return nil, err
	}
	e.info = d.info
	return e, errors.Join(e.look(d), d.close())
}

// look finds out what the device takes.
func (e *encoder) look(d *device) error {
	if !d.memoryToMemory() {
		return fmt.Errorf("open encoder %s: not a memory-to-memory device: %w", e.path, hal.ErrUnsupported)
	}
	typ := d.captureType()
	in, out := d.formatsOf(outputType(typ)), d.formatsOf(typ)
	if why := notEncoder(in, out, e.coded); why != "" {
		return fmt.Errorf("open encoder %s: %s: %w", e.path, why, hal.ErrUnsupported)
	}
	for _, f := range in { // the driver lists its own favourites first
		if h, ok := halFormat(uint32(f)); ok && h.Raw() && !slices.Contains(e.inputs, h) {
			e.inputs = append(e.inputs, h)
		}
	}
	return nil
}

func (e *encoder) Info() hal.DeviceInfo { return e.info }

func (e *encoder) Inputs() []hal.PixelFormat { return slices.Clone(e.inputs) }

func (e *encoder) Open(ctx context.Context, c hal.EncoderConfig) (hal.Encoding, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !even(c.Width) || !even(c.Height) || !slices.Contains(e.inputs, c.Input) {
		return nil, fmt.Errorf("open encoder %s: %v %dx%d: %w", e.path, c.Input, c.Width, c.Height, hal.ErrUnsupported)
	}
	d, err := openDevice(e.open, e.path)
	if err != nil {
		return nil, err
	}
	s := &encoding{session: session{d: d}, log: e.log, coded: e.coded, cfg: c, lent: -1}
	if err := s.set(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if err := s.begin(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	e.log.Info("encoder opened", "input", s.pic.fourCC.String(), "width", s.pic.width, "height", s.pic.height,
		"stride_bytes", s.pic.planes[0].stride, "rate", s.rate.String(),
		"input_buffers", s.in.count, "coded_buffers", s.out.count, "coded_buffer_bytes", len(s.out.memory(0, 0)))
	return s, nil
}

// even reports whether n is a picture's width or height that 4:2:0 can have; no level of H.264 goes beyond 16384.
func even(n int) bool { return n > 0 && n <= 16384 && n%2 == 0 }

// set makes the settings in the order of the kernel's "Memory-to-Memory Stateful Video Encoder Interface": the coded
// format, the raw format, the visible part, the rate, the controls. All of it comes before the first REQBUFS: a driver
// answers EBUSY to a format once either queue has buffers.
func (s *encoding) set() error {
	typ := s.d.captureType()
	list, err := s.d.formats(outputType(typ))
	if err != nil {
		return err
	}
	code, ok := offered(list, s.cfg.Input)
	if !ok {
		return fmt.Errorf("open encoder %s: no %v: %w", s.d.path, s.cfg.Input, hal.ErrUnsupported)
	}
	// A coded picture is never larger than a byte a pixel, or the rate control would be broken.
	want := max(128<<10, s.cfg.Width*s.cfg.Height)
	if _, err := s.d.setFormat(newFormat(typ, uint32(s.coded), s.cfg.Width, s.cfg.Height, want)); err != nil {
		return err
	}
	s.pic, err = s.d.setFormat(newFormat(outputType(typ), code, s.cfg.Width, s.cfg.Height, 0))
	if err != nil {
		return err
	}
	if err := s.checkInput(code); err != nil {
		return err
	}
	coded, err := s.d.format(typ)
	if err != nil {
		return err
	}
	if coded.fourCC != s.coded || len(coded.planes) != 1 {
		return fmt.Errorf("open encoder %s: asked for %v, the driver chose %v in %d planes: %w", s.d.path, s.coded,
			coded.fourCC, len(coded.planes), hal.ErrUnsupported)
	}
	if s.rate, err = s.d.setRate(outputType(typ), s.cfg.Rate); err != nil {
		return err
	}
	return s.setControls()
}

// checkInput checks what the driver made of the raw format, and tells it the visible part where it wants more rows or
// columns than there are (1088 for 1080).
func (s *encoding) checkInput(code uint32) error {
	p, c := s.pic, s.cfg
	if uint32(p.fourCC) != code || p.width < c.Width || p.height < c.Height || len(p.planes) != memoryPlanes(code) {
		return fmt.Errorf("open encoder %s: asked for %v %dx%d, the driver chose %v %dx%d: %w", s.d.path, c.Input,
			c.Width, c.Height, p.fourCC, p.width, p.height, hal.ErrUnsupported)
	}
	if p.width == c.Width && p.height == c.Height {
		return nil
	}
	var err error
	// Before Linux 4.13 some drivers took only the one type here and some only the other.
	for _, typ := range []uint32{typeOutput, typeOutputMP} {
		r := selection{typ: typ, target: selTgtCrop, width: uint32(c.Width), height: uint32(c.Height)}
		if err = s.d.k.ioctl(vidiocSSelection, unsafe.Pointer(&r)); err == nil {
			if int(r.width) == c.Width && int(r.height) == c.Height {
				return nil
			}
			err = fmt.Errorf("it crops to %dx%d", r.width, r.height)
		}
	}
	return fmt.Errorf("open encoder %s: %dx%d becomes %dx%d and can't be cropped: %w (%w)", s.d.path, c.Width, c.Height,
		p.width, p.height, hal.ErrUnsupported, err)
}

// setControls sets what the configuration says and what the law of hal.Encoding needs. A control that the device lacks
// is left alone: it then does as it pleases, and the log says so where it matters.
func (s *encoding) setControls() error {
	controls := []struct {
		name   string
		value  int
		matter bool
		ids    []uint32
	}{
		{"b_frames", 0, false, []uint32{cidBFrames}}, // pictures come out in the order in which they went in
		{"header_mode", headerJoined, false, []uint32{cidHeaderMode}},
		{"repeat_header", 1, false, []uint32{cidPrependSPS, cidRepeatHeader}},
		{"rate_control", 1, false, []uint32{cidFrameRC}},
		{"bitrate_mode", bitrateModeCBR, false, []uint32{cidBitrateMode}},
		{"bitrate", s.cfg.BitrateBPS, true, []uint32{cidBitrate}},
		{"gop", s.cfg.GOP, true, []uint32{cidGOPSize, cidIPeriod}},
	}
	for _, c := range controls {
		if c.matter && c.value <= 0 {
			continue // left to the device
		}
		err := s.d.setControl(c.value, c.ids...)
		switch {
		case errors.Is(err, hal.ErrClosed):
			return err
		case err != nil && c.matter:
			s.log.Warn("the encoder does not take a setting", "control", c.name, "value", c.value, "error", err)
		}
	}
	return nil
}

// begin allocates both queues, gives the empty buffers to the driver and starts it.
func (s *encoding) begin() (err error) {
	typ := s.d.captureType()
	if s.in, err = s.d.newQueue(outputType(typ), inputBuffers, len(s.pic.planes)); err != nil {
		return err
	}
	if s.out, err = s.d.newQueue(typ, codedBuffers, 1); err != nil {
		return err
	}
	for i := range s.in.count {
		s.free = append(s.free, i)
	}
	for i := range s.out.count {
		if err := s.out.put(i, nil, 0); err != nil {
			return err
		}
	}
	s.most = min(s.in.count, s.out.count) - 1
	return errors.Join(s.in.start(), s.out.start())
}

// patience is how long an encoder that was given enough pictures may take for one before we believe that it wants to
// see another one first.
const patience = 500 * time.Millisecond
