package haltest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// WatchdogOptions say what the suite may do with a watchdog.
type WatchdogOptions struct {
	// Reset is told when the watchdog would reset the board; nil on a board that it really resets.
	Reset <-chan struct{}
	// Skips names laws that are not to be checked, and why.
	Skips map[string]string
}

// Watchdog checks the law of hal.Watchdog. It arms the device, and pets it until it is stopped: on a board whose
// watchdog can't be stopped, the board resets after the test.
func Watchdog(t *testing.T, open func(t *testing.T) hal.Watchdog, o WatchdogOptions) {
	t.Helper()
	run(t, watchdogLaws(o), open, o.Skips)
}

// WatchdogFindings checks what Watchdog checks.
func WatchdogFindings(ctx context.Context, open func() hal.Watchdog, o WatchdogOptions) []Finding {
	return findings(ctx, watchdogLaws(o), open, o.Skips)
}

func watchdogLaws(o WatchdogOptions) []law[hal.Watchdog] {
	return []law[hal.Watchdog]{
		{"start tells the timeout", startTellsTimeout},
		{"start again takes the new timeout", startAgain},
		{"stop disarms or says that it can't", stopIsHonest},
		{"an unpetted watchdog resets", o.unpettedResets},
	}
}

// stop stops a watchdog that may be unstoppable.
func stop(w hal.Watchdog) error {
	if err := w.Stop(); err != nil && !errors.Is(err, hal.ErrUnsupported) {
		return fmt.Errorf("Stop: %w", err)
	}
	return nil
}

func startTellsTimeout(_ context.Context, w hal.Watchdog) error {
	took, err := w.Start(30 * time.Second)
	if err != nil {
		return fmt.Errorf("Start: %w", err)
	}
	for range 3 {
		if err := w.Pet(); err != nil {
			return errors.Join(fmt.Errorf("Pet: %w", err), stop(w))
		}
	}
	if took <= 0 {
		return errors.Join(fmt.Errorf("Start took a timeout of %v", took), stop(w))
	}
	return stop(w)
}

func startAgain(_ context.Context, w hal.Watchdog) error {
	for _, timeout := range []time.Duration{20 * time.Second, 40 * time.Second} {
		took, err := w.Start(timeout)
		if err != nil {
			return errors.Join(fmt.Errorf("Start %v: %w", timeout, err), stop(w))
		}
		if took <= 0 {
			return errors.Join(fmt.Errorf("Start %v took %v", timeout, took), stop(w))
		}
	}
	return errors.Join(w.Pet(), stop(w))
}

func stopIsHonest(_ context.Context, w hal.Watchdog) error {
	if _, err := w.Start(30 * time.Second); err != nil {
		return fmt.Errorf("Start: %w", err)
	}
	switch err := w.Stop(); {
	case errors.Is(err, hal.ErrUnsupported):
		return w.Pet() // it goes on, so it has to take this
	case err != nil:
		return fmt.Errorf("Stop: %w", err)
	}
	return nil
}

func (o WatchdogOptions) unpettedResets(ctx context.Context, w hal.Watchdog) error {
	if o.Reset == nil {
		return skipf("it would reset this board")
	}
	took, err := w.Start(time.Second)
	if err != nil {
		return fmt.Errorf("Start: %w", err)
	}
	begin := time.Now()
	select {
	case <-o.Reset:
	case <-time.After(took + unblockWithin):
		return errors.Join(fmt.Errorf("no reset within %v of a timeout of %v", time.Since(begin), took), stop(w))
	case <-ctx.Done():
		return ctx.Err()
	}
	if early := took - time.Since(begin); early > took/10 {
		return errors.Join(fmt.Errorf("reset %v before the timeout of %v", early, took), stop(w))
	}
	return stop(w)
}

// LED checks the law of hal.LED.
func LED(t *testing.T, open func(t *testing.T) hal.LED, skips map[string]string) {
	t.Helper()
	run(t, ledLaws(), open, skips)
}

// LEDFindings checks what LED checks.
func LEDFindings(ctx context.Context, open func() hal.LED, skips map[string]string) []Finding {
	return findings(ctx, ledLaws(), open, skips)
}

func ledLaws() []law[hal.LED] {
	return []law[hal.LED]{
		{"show takes every pattern at once", showTakesAll},
		{"an unknown pattern is unsupported", unknownPattern},
		{"close is idempotent", closeLED},
	}
}

func showTakesAll(_ context.Context, l hal.LED) error {
	for _, p := range append(hal.Patterns(), hal.Off, hal.Live) {
		err := within(promptly, "Show "+string(p), func() error { return l.Show(p) })
		if err != nil {
			return errors.Join(fmt.Errorf("Show %s: %w", p, err), l.Close())
		}
	}
	return l.Close()
}

func unknownPattern(_ context.Context, l hal.LED) error {
	err := wantError("Show of an unknown pattern", l.Show("disco"), hal.ErrUnsupported)
	return errors.Join(err, l.Close())
}

func closeLED(_ context.Context, l hal.LED) error {
	if err := l.Show(hal.Live); err != nil {
		return err
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	return wantError("Show after Close", l.Show(hal.Ready), hal.ErrClosed)
}

// ButtonOptions say what the suite may do with a button.
type ButtonOptions struct {
	// Press holds the button down for that long and lets go; nil where nobody can press it.
	Press func(held time.Duration) error
	// Skips names laws that are not to be checked, and why.
	Skips map[string]string
}

// Button checks the law of hal.Button.
func Button(t *testing.T, open func(t *testing.T) hal.Button, o ButtonOptions) {
	t.Helper()
	run(t, buttonLaws(o), open, o.Skips)
}

// ButtonFindings checks what Button checks.
func ButtonFindings(ctx context.Context, open func() hal.Button, o ButtonOptions) []Finding {
	return findings(ctx, buttonLaws(o), open, o.Skips)
}

func buttonLaws(o ButtonOptions) []law[hal.Button] {
	return []law[hal.Button]{
		{"next tells how long it was held", o.tellsHeld},
		{"a bounce is no press", o.ignoresBounce},
		{"pressed tells a press and leaves it to next", o.tellsPressed},
		{"next heeds its context", buttonHeedsContext},
		{"pressed heeds its context", pressedHeedsContext},
		{"close unblocks next", closeUnblocksButton},
		{"close is idempotent", closeButtonTwice},
	}
}

func (o ButtonOptions) tellsHeld(ctx context.Context, b hal.Button) error {
	if o.Press == nil {
		return errors.Join(skipf("nobody can press this button"), b.Close())
	}
	for _, want := range []time.Duration{200 * time.Millisecond, time.Second} {
		if err := o.Press(want); err != nil {
			return errors.Join(fmt.Errorf("press: %w", err), b.Close())
		}
		got, err := b.Next(ctx)
		if err != nil {
			return errors.Join(fmt.Errorf("Next: %w", err), b.Close())
		}
		if off := (got - want).Abs(); off > 100*time.Millisecond {
			return errors.Join(fmt.Errorf("held for %v, told %v", want, got), b.Close())
		}
	}
	return b.Close()
}

func (o ButtonOptions) ignoresBounce(ctx context.Context, b hal.Button) error {
	if o.Press == nil {
		return errors.Join(skipf("nobody can press this button"), b.Close())
	}
	if err := o.Press(time.Millisecond); err != nil {
		return errors.Join(fmt.Errorf("press: %w", err), b.Close())
	}
	soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if held, err := b.Next(soon); err == nil {
		return errors.Join(fmt.Errorf("a bounce of 1ms was told as a press of %v", held), b.Close())
	}
	return b.Close()
}

func (o ButtonOptions) tellsPressed(ctx context.Context, b hal.Button) error {
	if o.Press == nil {
		return errors.Join(skipf("nobody can press this button"), b.Close())
	}
	for range 2 {
		soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		err := wantError("Pressed of a button that is up", b.Pressed(soon), context.DeadlineExceeded)
		cancel()
		if err == nil {
			err = o.Press(200 * time.Millisecond)
		}
		if err == nil {
			err = errors.Join(b.Pressed(ctx), b.Pressed(ctx)) // the second one is a look at the same press
		}
		held, fault := b.Next(ctx)
		if err = errors.Join(err, fault); err != nil {
			return errors.Join(err, b.Close())
		}
		if held < 100*time.Millisecond {
			return errors.Join(fmt.Errorf("held for 200ms, told %v", held), b.Close())
		}
	}
	return b.Close()
}

func pressedHeedsContext(ctx context.Context, b hal.Button) error {
	err := within(promptly, "Pressed with a deadline", func() error {
		soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		return wantError("Pressed with a deadline", b.Pressed(soon), context.DeadlineExceeded)
	})
	return errors.Join(err, b.Close())
}

func buttonHeedsContext(ctx context.Context, b hal.Button) error {
	err := within(promptly, "Next with a deadline", func() error {
		soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		_, err := b.Next(soon)
		return wantError("Next with a deadline", err, context.DeadlineExceeded)
	})
	return errors.Join(err, b.Close())
}

func closeUnblocksButton(ctx context.Context, b hal.Button) error {
	return closeUnblocks("Next", inAMoment(b.Close), func() error {
		_, err := b.Next(ctx)
		return err
	})
}

func closeButtonTwice(ctx context.Context, b hal.Button) error {
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	return within(promptly, "Next after Close", func() error {
		_, err := b.Next(ctx)
		return errors.Join(wantError("Next after Close", err, hal.ErrClosed),
			wantError("Pressed after Close", b.Pressed(ctx), hal.ErrClosed))
	})
}
