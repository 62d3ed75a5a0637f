package haltest

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
)

// CameraOptions say what the suite may do with a camera.
type CameraOptions struct {
	// Frames is how many frames are looked at in each mode; 8 when 0.
	Frames int
	// Modes is how many modes are started, picked evenly from what the camera lists; 6 when 0.
	Modes int
	// Unplug takes the camera away, Replug brings it back; nil where that can't be done.
	Unplug, Replug func() error
	// Skips names laws that are not to be checked, and why.
	Skips map[string]string
}

// Camera checks the law of hal.Camera and hal.Capture. open hands out the camera, anew for each law.
func Camera(t *testing.T, open func(t *testing.T) hal.Camera, o CameraOptions) {
	t.Helper()
	run(t, cameraLaws(o), open, o.Skips)
}

// CameraFindings checks what Camera checks.
func CameraFindings(ctx context.Context, open func() hal.Camera, o CameraOptions) []Finding {
	return findings(ctx, cameraLaws(o), open, o.Skips)
}

func cameraLaws(o CameraOptions) []law[hal.Camera] {
	if o.Frames == 0 {
		o.Frames = 8
	}
	if o.Modes == 0 {
		o.Modes = 6
	}
	return []law[hal.Camera]{
		{"modes are sound", modesAreSound},
		{"modes change nothing", modesChangeNothing},
		{"start delivers a listed mode", o.startDeliversMode},
		{"start delivers the nearest mode", o.startDeliversNearest},
		{"start while open is busy", startIsBusy},
		{"frames come in order", o.framesInOrder},
		{"frames are on the monotonic clock", framesOnClock},
		{"a frame stays until the next call", frameStays},
		{"next heeds its context", nextHeedsContext},
		{"close unblocks next", closeUnblocksNext},
		{"close is idempotent", closeTwice},
		{"start after close works", startAfterClose},
		{"controls are honest", o.controlsAreHonest},
		{"an unplugged camera is closed", o.unplugged},
	}
}

func modesAreSound(ctx context.Context, c hal.Camera) error {
	if c.Info().Name == "" {
		return errors.New("Info: no name")
	}
	modes, err := c.Modes(ctx)
	if err != nil {
		return fmt.Errorf("Modes: %w", err)
	}
	if len(modes) == 0 {
		return errors.New("Modes: none")
	}
	for i, m := range modes {
		if m.Format == 0 || m.Width <= 0 || m.Height <= 0 {
			return fmt.Errorf("Modes: mode %d is %v", i, m)
		}
		if slices.Contains(modes[:i], m) {
			return fmt.Errorf("Modes: %v is listed twice", m)
		}
	}
	return nil
}

func modesChangeNothing(ctx context.Context, c hal.Camera) error {
	before, err := c.Modes(ctx)
	if err != nil {
		return err
	}
	return withCapture(ctx, c, before[0], func(cap hal.Capture) error {
		mode := cap.Mode()
		during, err := c.Modes(ctx)
		if err != nil {
			return fmt.Errorf("Modes during a capture: %w", err)
		}
		if !slices.Equal(before, during) {
			return fmt.Errorf("Modes during a capture: %v, before: %v", during, before)
		}
		if cap.Mode() != mode {
			return fmt.Errorf("Modes changed the capture from %v to %v", mode, cap.Mode())
		}
		return nil
	})
}

// withCapture starts a capture, uses it and closes it.
func withCapture(ctx context.Context, c hal.Camera, m hal.Mode, use func(hal.Capture) error) error {
	cap, err := c.Start(ctx, m)
	if err != nil {
		return fmt.Errorf("Start %v: %w", m, err)
	}
	err = use(cap)
	if closed := cap.Close(); closed != nil {
		err = errors.Join(err, fmt.Errorf("Close: %w", closed))
	}
	return err
}

// withFirstMode is withCapture with the first mode that the camera lists.
func withFirstMode(ctx context.Context, c hal.Camera, use func(hal.Capture) error) error {
	modes, err := c.Modes(ctx)
	if err != nil {
		return err
	}
	if len(modes) == 0 {
		return errors.New("Modes: none")
	}
	return withCapture(ctx, c, modes[0], use)
}

// some picks modes evenly, the first and the last among them.
func (o CameraOptions) some(modes []hal.Mode) []hal.Mode {
	if len(modes) <= o.Modes {
		return modes
	}
	picked := make([]hal.Mode, 0, o.Modes)
	for i := range o.Modes {
		picked = append(picked, modes[i*(len(modes)-1)/max(o.Modes-1, 1)])
	}
	return picked
}

func (o CameraOptions) startDeliversMode(ctx context.Context, c hal.Camera) error {
	modes, err := c.Modes(ctx)
	if err != nil {
		return err
	}
	for _, m := range o.some(modes) {
		err := withCapture(ctx, c, m, func(cap hal.Capture) error {
			got := cap.Mode()
			if got.Format != m.Format || got.Width != m.Width || got.Height != m.Height {
				return fmt.Errorf("Start %v: Mode is %v", m, got)
			}
			for range min(o.Frames, 3) {
				f, err := cap.Next(ctx)
				if err != nil {
					return fmt.Errorf("%v: Next: %w", m, err)
				}
				if err := frameHasMode(f, got); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// frameHasMode says what of a frame does not fit the mode of its capture.
func frameHasMode(f hal.Frame, m hal.Mode) error {
	if f.Format != m.Format || f.Width != m.Width || f.Height != m.Height {
		return fmt.Errorf("frame of %v %dx%d in mode %v", f.Format, f.Width, f.Height, m)
	}
	if least := leastBytes(f); len(f.Data) < least && !f.Corrupt {
		return fmt.Errorf("frame of %v %dx%d stride %d: %d bytes, want %d", f.Format, f.Width, f.Height, f.Stride,
			len(f.Data), least)
	}
	return nil
}

// leastBytes is how long the data of a whole frame are at least.
func leastBytes(f hal.Frame) int {
	padding, row := 0, f.Width
	if f.Format == hal.YUYV {
		row *= 2
	}
	if f.Stride > row {
		padding = f.Stride - row
	}
	switch f.Format {
	case hal.YUYV:
		return (row+padding)*f.Height - padding
	case hal.YU12, hal.NV12:
		return (row+padding)*f.Height*3/2 - padding
	}
	return 1
}

func (o CameraOptions) startDeliversNearest(ctx context.Context, c hal.Camera) error {
	modes, err := c.Modes(ctx)
	if err != nil {
		return err
	}
	want := hal.Mode{Format: modes[0].Format, Width: 1234, Height: 778, Rate: hal.Rate{Num: 7}}
	return withCapture(ctx, c, want, func(cap hal.Capture) error {
		f, err := cap.Next(ctx)
		if err != nil {
			return fmt.Errorf("Start %v, got %v: Next: %w", want, cap.Mode(), err)
		}
		return frameHasMode(f, cap.Mode())
	})
}

func startIsBusy(ctx context.Context, c hal.Camera) error {
	return withFirstMode(ctx, c, func(cap hal.Capture) error {
		second, err := c.Start(ctx, cap.Mode())
		if err == nil {
			_ = second.Close()
		}
		return wantError("Start while a capture is open", err, hal.ErrBusy)
	})
}

func (o CameraOptions) framesInOrder(ctx context.Context, c hal.Camera) error {
	return withFirstMode(ctx, c, func(cap hal.Capture) error {
		var last hal.Frame
		for i := range o.Frames {
			f, err := cap.Next(ctx)
			if err != nil {
				return fmt.Errorf("Next %d: %w", i, err)
			}
			if i > 0 {
				if f.PTS < last.PTS {
					return fmt.Errorf("frame %d: PTS went back from %v to %v", i, last.PTS, f.PTS)
				}
				if f.Seq-last.Seq != f.Lost+1 {
					return fmt.Errorf("frame %d: Seq went from %d to %d, Lost is %d", i, last.Seq, f.Seq, f.Lost)
				}
			}
			last = f
		}
		return nil
	})
}

func framesOnClock(ctx context.Context, c hal.Camera) error {
	return withFirstMode(ctx, c, func(cap hal.Capture) error {
		if _, err := cap.Next(ctx); err != nil {
			return err
		}
		f, err := cap.Next(ctx)
		if err != nil {
			return err
		}
		const oldest, ahead = 10 * time.Second, 100 * time.Millisecond
		if age := monotime.Now() - f.PTS; age > oldest || age < -ahead {
			return fmt.Errorf("frame is %v old on CLOCK_MONOTONIC", age)
		}
		return nil
	})
}

func frameStays(ctx context.Context, c hal.Camera) error {
	return withFirstMode(ctx, c, func(cap hal.Capture) error {
		f, err := cap.Next(ctx)
		if err != nil {
			return err
		}
		before := crc32.ChecksumIEEE(f.Data)
		interval := min(max(cap.Mode().Rate.Interval(), 40*time.Millisecond), 200*time.Millisecond)
		select { // long enough for a driver to write the frames after it
		case <-time.After(3 * interval):
		case <-ctx.Done():
			return ctx.Err()
		}
		if crc32.ChecksumIEEE(f.Data) != before {
			return errors.New("the data changed before the next call")
		}
		return nil
	})
}

func nextHeedsContext(ctx context.Context, c hal.Camera) error {
	return withFirstMode(ctx, c, func(cap hal.Capture) error {
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		err := within(promptly, "Next with a cancelled context", func() error {
			_, err := cap.Next(cancelled)
			return wantError("Next with a cancelled context", err, context.Canceled)
		})
		if err != nil {
			return err
		}
		return within(promptly, "Next with a deadline", func() error {
			soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			for {
				if _, err := cap.Next(soon); err != nil {
					return wantError("Next with a deadline", err, context.DeadlineExceeded)
				}
			}
		})
	})
}

func closeUnblocksNext(ctx context.Context, c hal.Camera) error {
	return withFirstMode(ctx, c, func(cap hal.Capture) error {
		if _, err := cap.Next(ctx); err != nil {
			return err
		}
		return closeUnblocks("Next", cap.Close, func() error {
			for {
				if _, err := cap.Next(ctx); err != nil {
					return err
				}
			}
		})
	})
}

func closeTwice(ctx context.Context, c hal.Camera) error {
	return withFirstMode(ctx, c, func(cap hal.Capture) error {
		for i := range 2 {
			if err := cap.Close(); err != nil {
				return fmt.Errorf("Close number %d: %w", i+1, err)
			}
		}
		return within(promptly, "Next after Close", func() error {
			_, err := cap.Next(ctx)
			return wantError("Next after Close", err, hal.ErrClosed)
		})
	})
}

func startAfterClose(ctx context.Context, c hal.Camera) error {
	for i := range 3 {
		err := withFirstMode(ctx, c, func(cap hal.Capture) error {
			_, err := cap.Next(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("capture number %d: %w", i+1, err)
		}
	}
	return nil
}

func (o CameraOptions) controlsAreHonest(ctx context.Context, c hal.Camera) error {
	return withFirstMode(ctx, c, func(cap hal.Capture) error {
		const noSuchControl = hal.Control(9999)
		if err := wantError("Control 9999", cap.Control(noSuchControl, 1), hal.ErrUnsupported); err != nil {
			return err
		}
		if err := exposureGoesBack(cap); err != nil {
			return err
		}
		coded := cap.Mode().Format.Coded()
		for control, value := range map[hal.Control]int{hal.Bitrate: 1_000_000, hal.GOP: 30, hal.ForceIDR: 0} {
			err := cap.Control(control, value)
			if err != nil && !errors.Is(err, hal.ErrUnsupported) {
				return fmt.Errorf("Control %v %d: %w", control, value, err)
			}
			if err == nil && !coded {
				return fmt.Errorf("Control %v works on a capture of %v, which has no encoder", control, cap.Mode().Format)
			}
			if control == hal.ForceIDR && err == nil {
				if err := idrComes(ctx, cap); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// idrComes looks for the IDR that was asked for: not later than a driver's queue and an encoder's pipeline are long.
func idrComes(ctx context.Context, cap hal.Capture) error {
	const queue = 16
	for range queue {
		f, err := cap.Next(ctx)
		if err != nil {
			return err
		}
		if h264.HasIDR(h264.SplitAnnexB(nil, f.Data)) {
			return nil
		}
	}
	return fmt.Errorf("no IDR within %d frames after ForceIDR", queue)
}

func (o CameraOptions) unplugged(ctx context.Context, c hal.Camera) error {
	if o.Unplug == nil || o.Replug == nil {
		return skipf("this camera can't be unplugged by a test")
	}
	err := withFirstMode(ctx, c, func(cap hal.Capture) error {
		if _, err := cap.Next(ctx); err != nil {
			return err
		}
		if err := o.Unplug(); err != nil {
			return skipf("unplug: %v", err)
		}
		return within(unblockWithin, "Next after unplugging", func() error {
			for {
				if _, err := cap.Next(ctx); err != nil {
					return wantError("Next after unplugging", err, hal.ErrClosed)
				}
			}
		})
	})
	if err != nil {
		return err
	}
	if cap, err := c.Start(ctx, hal.Mode{}); err == nil {
		return errors.Join(errors.New("Start of an unplugged camera works"), cap.Close())
	}
	if err := o.Replug(); err != nil {
		return fmt.Errorf("replug: %w", err)
	}
	return withFirstMode(ctx, c, func(cap hal.Capture) error {
		_, err := cap.Next(ctx)
		return err
	})
}

// exposureGoesBack: a camera whose exposure can be changed takes its own choice back.
func exposureGoesBack(cap hal.Capture) error {
	for n, ev := range []int{-2000, 1000, 0, 0} {
		err := cap.Control(hal.Exposure, ev)
		if errors.Is(err, hal.ErrUnsupported) && n == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("Control %v %d: %w", hal.Exposure, ev, err)
		}
	}
	return nil
}
