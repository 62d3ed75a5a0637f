// Package haltest is the law of package hal, executable: one suite a contract, which every driver passes, the simulated
// ones at each run and the real ones on a board or on the kernel's own simulators.
//
// A suite asks the driver what it can do and checks that. What can't be checked is skipped, and the skip says why. The
// suites need nothing but the test binary, so that one which was cross-compiled runs on a bare board. They count the
// file descriptors of the whole process: call them from tests that do not run in parallel with others.
//
// Each law is a function that returns what is wrong, so that a test of the suites themselves can show that a driver
// which breaks a law is caught: see the Findings functions.
package haltest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// Finding is what the check of one law found.
type Finding struct {
	Law string
	// Err is nil when the law is kept, a Skip when it could not be checked, else what is wrong.
	Err error
}

// Skip is the reason why a law was not checked.
type Skip string

func (s Skip) Error() string { return "skipped: " + string(s) }

func skipf(format string, args ...any) error { return Skip(fmt.Sprintf(format, args...)) }

// law is one sentence of a contract about a device of type D.
type law[D any] struct {
	name  string
	check func(ctx context.Context, device D) error
}

// Patience of the suites. An emulated board is slow; a driver that hangs is found all the same.
const (
	lawTimeout    = 2 * time.Minute  // for one law
	unblockWithin = 5 * time.Second  // for a call that Close has to unblock
	leakTimeout   = 10 * time.Second // for goroutines and descriptors that are on their way out
	promptly      = 2 * time.Second  // for what must not wait
)

// run checks the laws one after the other as subtests.
func run[D any](t *testing.T, laws []law[D], open func(t *testing.T) D, skips map[string]string) {
	t.Helper()
	for _, l := range laws {
		t.Run(strings.ReplaceAll(l.name, " ", "_"), func(t *testing.T) {
			err := l.find(t.Context(), func() D { return open(t) }, skips)
			var skip Skip
			switch {
			case errors.As(err, &skip):
				t.Skip(string(skip))
			case err != nil:
				t.Error(err)
			}
		})
	}
}

// findings checks the laws one after the other.
func findings[D any](ctx context.Context, laws []law[D], open func() D, skips map[string]string) []Finding {
	found := make([]Finding, len(laws))
	for i, l := range laws {
		found[i] = Finding{l.name, l.find(ctx, open, skips)}
	}
	return found
}

// find checks one law on a device of its own, and that nothing is left behind.
func (l law[D]) find(ctx context.Context, open func() D, skips map[string]string) error {
	if why, ok := skips[l.name]; ok {
		return Skip(why)
	}
	ctx, cancel := context.WithTimeout(ctx, lawTimeout)
	defer cancel()
	warmUp()
	device := open()
	before := len(descriptors())
	label := fmt.Sprintf("%s %x", l.name, rand.Uint64())
	err := within(lawTimeout+unblockWithin, "the check", func() (err error) {
		pprof.Do(ctx, pprof.Labels(labelKey, label), func(ctx context.Context) { err = l.check(ctx, device) })
		return err
	})
	return errors.Join(err, leaked(label, before))
}

// warmUp lets the runtime open its own descriptors before anybody counts.
func warmUp() {
	if r, w, err := os.Pipe(); err == nil {
		_, _ = r.Close(), w.Close()
	}
}

// descriptors lists what the process's descriptors point to.
func descriptors() []string {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var targets []string
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			targets = append(targets, e.Name()+" -> "+target)
		}
	}
	return targets
}

// Goroutines inherit the profiler's labels of those who start them: so each check knows its own, whatever else runs.
const labelKey = "haltest"

// goroutines counts those with the label and returns their stacks.
func goroutines(label string) (n int, stacks string) {
	var profile strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return 0, ""
	}
	for _, group := range strings.Split(profile.String(), "\n\n") { // "3 @ 0x..." and labels, then the stack
		if !strings.Contains(group, fmt.Sprintf("%q:%q", labelKey, label)) {
			continue
		}
		alike := 1
		_, _ = fmt.Sscanf(group, "%d @", &alike)
		n += alike
		stacks += group + "\n\n"
	}
	return n, stacks
}

// leaked waits until the check's goroutines have ended and no more descriptors are open than before, and says what is
// left when that takes too long.
func leaked(label string, before int) error {
	var left, open int
	var stacks string
	pause := time.Millisecond
	for start := time.Now(); time.Since(start) < leakTimeout; pause = min(2*pause, time.Second) {
		left, stacks = goroutines(label)
		if open = len(descriptors()); left == 0 && open <= before {
			return nil
		}
		<-time.After(pause)
	}
	var faults []error
	if left > 0 {
		faults = append(faults, fmt.Errorf("%d goroutines left behind:\n%s", left, stacks))
	}
	if open > before {
		faults = append(faults, fmt.Errorf("%d file descriptors left behind, open are: %s",
			open-before, strings.Join(descriptors(), ", ")))
	}
	return errors.Join(faults...)
}

// within runs a call that has to return in time.
func within(limit time.Duration, what string, call func() error) error {
	done := make(chan error, 1) // capacity 1: a call that returns too late must not hang
	go func() { done <- call() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%s did not return within %v", what, limit)
	}
}

// closeUnblocks closes something while a call of it runs, which has to end with [hal.ErrClosed].
func closeUnblocks(what string, shut, call func() error) error {
	ended := make(chan error, 1) // capacity 1: the last word of the goroutine below
	started := make(chan struct{})
	go func() {
		close(started)
		ended <- call()
	}()
	<-started
	if err := within(unblockWithin, "Close during "+what, shut); err != nil {
		return err
	}
	err := within(unblockWithin, what+" after Close", func() error { return <-ended })
	return wantError(what+" that Close unblocked", err, hal.ErrClosed)
}

// inAMoment is a Close for a call that was made just now and first has to come to where it waits.
func inAMoment(shut func() error) func() error {
	return func() error {
		time.Sleep(50 * time.Millisecond)
		return shut()
	}
}

// wantError says what is wrong unless err is target.
func wantError(what string, err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return fmt.Errorf("%s: got error %v, want %q", what, err, target)
}
