package haltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// SounderOptions say what the suite may do with a beeper.
type SounderOptions struct {
	// Heard returns the frequencies that it sounded since it was opened, in hertz, in order; nil where nobody hears it.
	Heard func() []int
	// Skips names laws that are not to be checked, and why.
	Skips map[string]string
}

// Sounder checks the law of hal.Sounder.
func Sounder(t *testing.T, open func(t *testing.T) hal.Sounder, o SounderOptions) {
	t.Helper()
	run(t, sounderLaws(o), open, o.Skips)
}

func sounderLaws(o SounderOptions) []law[hal.Sounder] {
	return []law[hal.Sounder]{
		{"play sounds each tone once, and is silent then", o.soundsEach},
		{"play cuts off the one before", o.cutsOff},
		{"tones that are none are unsupported", o.refusesTones},
		{"close is silent and idempotent", o.closesSilent},
	}
}

// hears waits until these are the frequencies that were sounded.
func (o SounderOptions) hears(ctx context.Context, want ...int) error {
	if o.Heard == nil {
		return skipf("nobody hears it")
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); ; {
		got := o.Heard()
		if slices.Equal(got, want) {
			return nil
		}
		if time.Since(begin) > unblockWithin {
			return fmt.Errorf("sounded %v Hz, want %v", got, want)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func tune(hz ...int) (tones []hal.Tone) {
	for _, f := range hz {
		tones = append(tones, hal.Tone{Hz: f, For: 30 * time.Millisecond})
	}
	return tones
}

func (o SounderOptions) soundsEach(ctx context.Context, s hal.Sounder) error {
	err := within(promptly, "Play", func() error { return s.Play(tune(440, 0, 880)) })
	if err == nil {
		err = o.hears(ctx, 440, 0, 880, 0)
	}
	return errors.Join(err, s.Close())
}

func (o SounderOptions) cutsOff(ctx context.Context, s hal.Sounder) error {
	long := []hal.Tone{{Hz: 440, For: 10 * time.Second}, {Hz: 880, For: time.Second}}
	err := errors.Join(s.Play(long), s.Play(tune(660)))
	if err == nil {
		err = o.hears(ctx, 440, 660, 0)
	}
	if err == nil {
		err = errors.Join(s.Play(long), s.Play(nil))
	}
	if err == nil {
		err = o.hears(ctx, 440, 660, 0, 440, 0)
	}
	return errors.Join(err, s.Close())
}

func (o SounderOptions) refusesTones(ctx context.Context, s hal.Sounder) error {
	faults := []error{s.Play([]hal.Tone{{Hz: 440, For: 10 * time.Second}})}
	for _, bad := range []hal.Tone{{Hz: -1, For: time.Second}, {Hz: 19, For: time.Second}, {Hz: 1 << 20, For: time.Second},
		{Hz: 440}, {Hz: 440, For: time.Hour}} {
		err := s.Play([]hal.Tone{{Hz: 660, For: time.Second}, bad})
		faults = append(faults, wantError(fmt.Sprintf("Play %+v", bad), err, hal.ErrUnsupported))
	}
	if err := errors.Join(faults...); err != nil {
		return errors.Join(err, s.Close())
	}
	return errors.Join(o.hears(ctx, 440), s.Close())
}

func (o SounderOptions) closesSilent(ctx context.Context, s hal.Sounder) error {
	err := errors.Join(s.Play([]hal.Tone{{Hz: 440, For: 10 * time.Second}}), s.Close(), s.Close())
	if err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	if err := wantError("Play after Close", s.Play(tune(440)), hal.ErrClosed); err != nil {
		return err
	}
	return o.hears(ctx, 440, 0)
}
