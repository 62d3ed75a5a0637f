// Package haltest is the law of package hal, executable: one suite a contract, which every driver passes, the simulated
// ones at each run and the real ones on a board or on the kernel's own simulators.
//
// A suite asks the driver what it can do and checks that. What can't be checked is skipped, and the skip says why. The
// suites need nothing but the test binary, so that one which was cross-compiled runs on a bare board. They count
// goroutines and file descriptors of the whole process: call them from tests that do not run in parallel with others.
//
// Each law is a function that returns what is wrong, so that a test of the suites themselves can show that a driver
// which breaks a law is caught: see the Findings functions.
package haltest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
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
	before := count()
	err := within(lawTimeout+unblockWithin, "the check", func() error { return l.check(ctx, device) })
	if leak := before.leaked(); leak != nil {
		return errors.Join(err, leak)
	}
	return err
}

// warmUp lets the runtime open its own descriptors before anybody counts.
func warmUp() {
	if r, w, err := os.Pipe(); err == nil {
		_, _ = r.Close(), w.Close()
	}
}

// holdings is what the process has open.
type holdings struct {
	goroutines  int
	descriptors int // -1 where /proc is not mounted
}

func count() holdings { return holdings{runtime.NumGoroutine(), len(descriptors())} }

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

// leaked waits until there is no more than before, and says what there is when it takes too long.
func (h holdings) leaked() error {
	var now holdings
	for start := time.Now(); time.Since(start) < leakTimeout; runtime.Gosched() {
		if now = count(); now.goroutines <= h.goroutines && now.descriptors <= h.descriptors {
			return nil
		}
		<-time.After(10 * time.Millisecond)
	}
	var faults []error
	if now.goroutines > h.goroutines {
		stacks := make([]byte, 64<<10)
		faults = append(faults, fmt.Errorf("%d goroutines left behind:\n%s",
			now.goroutines-h.goroutines, stacks[:runtime.Stack(stacks, true)]))
	}
	if now.descriptors > h.descriptors {
		faults = append(faults, fmt.Errorf("%d file descriptors left behind, open are: %s",
			now.descriptors-h.descriptors, strings.Join(descriptors(), ", ")))
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

// wantError says what is wrong unless err is target.
func wantError(what string, err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return fmt.Errorf("%s: got error %v, want %q", what, err, target)
}
