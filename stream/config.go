package stream

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// Config is what a person sets about the streams of a camera.
type Config struct {
	Main Output `yaml:"main"` // the stream that is recorded and looked at: /main
	Sub  Output `yaml:"sub"`  // the small one for lists and slow links: /sub
}

// Output is one stream that is made of the camera's pictures. Where the camera itself codes, size and rate are the
// nearest ones that it has.
type Output struct {
	Enabled    bool       `yaml:"enabled"`
	Width      int        `yaml:"width"`       // in pixels, even
	Height     int        `yaml:"height"`      // in pixels, even
	FPS        int        `yaml:"fps"`         // pictures per second at most
	Bitrate    Bitrate    `yaml:"bitrate"`     // bits per second: 2M, 1500k, 800000
	GOPSeconds float64    `yaml:"gop_seconds"` // from one IDR to the next
	CaptureSEI CaptureSEI `yaml:"capture_sei"` // auto, on, off
	Stopped    bool       `yaml:"stopped"`     // nobody gets pictures of it
}

// CaptureSEI says whether frame number and capture time travel with each picture (codec/stamp).
type CaptureSEI string

// The choices. Auto is what the board says.
const (
	CaptureAuto CaptureSEI = "auto"
	CaptureOn   CaptureSEI = "on"
	CaptureOff  CaptureSEI = "off"
)

// DefaultConfig returns what holds where nobody says otherwise.
func DefaultConfig() Config {
	return Config{
		Main: Output{true, 1280, 720, 25, 2_000_000, 2, CaptureAuto, false},
		Sub:  Output{true, 640, 360, 15, 512_000, 2, CaptureAuto, false},
	}
}

// Rate returns the picture rate as a driver wants it.
func (o Output) Rate() hal.Rate { return hal.FPS(uint32(o.FPS)) }

// Interval returns the time between two pictures.
func (o Output) Interval() time.Duration { return o.Rate().Interval() }

// GOP returns the pictures from one IDR to the next at a rate, 1 at least.
func (o Output) GOP(rate hal.Rate) int {
	return max(1, int(math.Round(o.GOPSeconds*rate.Float())))
}

// Limits of what a person may set: generous, they only keep nonsense from a driver.
const (
	minSide, maxSide       = 64, 8192
	maxFPS                 = 240
	minBitrate, maxBitrate = 16_000, 200_000_000
	minGOP, maxGOP         = 0.1, 60.0
)

// Validate reports all faults at once, each with the key it is about.
func (c Config) Validate() error {
	return errors.Join(c.Main.validate("main"), c.Sub.validate("sub"))
}

func (o Output) validate(name string) error {
	var faults []error
	check := func(good bool, key string, value any, want string) {
		if !good {
			faults = append(faults, fmt.Errorf("%s.%s: %v: want %s", name, key, value, want))
		}
	}
	side := fmt.Sprintf("an even number from %d to %d", minSide, maxSide)
	check(goodSide(o.Width), "width", o.Width, side)
	check(goodSide(o.Height), "height", o.Height, side)
	check(o.FPS >= 1 && o.FPS <= maxFPS, "fps", o.FPS, fmt.Sprintf("1 to %d", maxFPS))
	check(o.Bitrate >= minBitrate && o.Bitrate <= maxBitrate, "bitrate", o.Bitrate,
		fmt.Sprintf("%v to %v", Bitrate(minBitrate), Bitrate(maxBitrate)))
	check(o.GOPSeconds >= minGOP && o.GOPSeconds <= maxGOP, "gop_seconds", o.GOPSeconds,
		fmt.Sprintf("%v to %v", minGOP, maxGOP))
	check(o.CaptureSEI == CaptureAuto || o.CaptureSEI == CaptureOn || o.CaptureSEI == CaptureOff,
		"capture_sei", fmt.Sprintf("%q", string(o.CaptureSEI)), "auto, on or off")
	return errors.Join(faults...)
}

func goodSide(n int) bool { return n >= minSide && n <= maxSide && n%2 == 0 }
