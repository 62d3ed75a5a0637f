// Package openh264 is the software encoder: Cisco's OpenH264 (Constrained Baseline, ITU-T H.264 Annex A.2.1.1), from
// the static library that github.com/pion/mediadevices brings along.
//
// It has no delay: each picture comes out in the call that it went in. It needs cgo and linux on amd64, arm64 or arm;
// elsewhere New says what is missing.
package openh264

import (
	"context"
	"fmt"

	"github.com/ocellus/ocellus/hal"
)

// Limits of the encoder: level 5.1 at most, and what its motion search takes at least.
const (
	minSide, maxWidth, maxHeight = 16, 3840, 2160
	maxRate                      = 120
	minBitrate, maxBitrate       = 16_000, 100_000_000
)

// Encoder opens encodings. Several may be open at once.
type Encoder struct{}

// New returns the encoder, or hal.ErrUnsupported where this build has none.
func New() (*Encoder, error) {
	if missing != "" {
		return nil, fmt.Errorf("openh264: %s: %w", missing, hal.ErrUnsupported)
	}
	return &Encoder{}, nil
}

// Info implements hal.Encoder.
func (e *Encoder) Info() hal.DeviceInfo {
	return hal.DeviceInfo{Name: "OpenH264", Driver: "openh264", Path: "software"}
}

// Inputs implements hal.Encoder: the first is what the library takes, the others are converted before.
func (e *Encoder) Inputs() []hal.PixelFormat { return []hal.PixelFormat{hal.YU12, hal.NV12, hal.YUYV} }

// Open implements hal.Encoder.
func (e *Encoder) Open(ctx context.Context, c hal.EncoderConfig) (hal.Encoding, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := check(c); err != nil {
		return nil, fmt.Errorf("open openh264 %v %dx%d@%v: %w", c.Input, c.Width, c.Height, c.Rate, err)
	}
	return open(c)
}

func check(c hal.EncoderConfig) error {
	switch {
	case !c.Input.Raw():
		return fmt.Errorf("format %v: %w", c.Input, hal.ErrUnsupported)
	case c.Width < minSide || c.Height < minSide || c.Width > maxWidth || c.Height > maxHeight:
		return fmt.Errorf("size not within %dx%d and %dx%d: %w", minSide, minSide, maxWidth, maxHeight, hal.ErrUnsupported)
	case c.Width%2 != 0 || c.Height%2 != 0:
		return fmt.Errorf("odd size: %w", hal.ErrUnsupported)
	case c.Rate.Float() <= 0 || c.Rate.Float() > maxRate:
		return fmt.Errorf("rate not above 0 and up to %d: %w", maxRate, hal.ErrUnsupported)
	case c.BitrateBPS < minBitrate || c.BitrateBPS > maxBitrate:
		return fmt.Errorf("bitrate %d not within %d and %d: %w", c.BitrateBPS, minBitrate, maxBitrate, hal.ErrUnsupported)
	case c.GOP < 0:
		return fmt.Errorf("GOP %d: %w", c.GOP, hal.ErrUnsupported)
	}
	return nil
}
