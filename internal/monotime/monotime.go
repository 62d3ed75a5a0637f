// Package monotime reads the one clock of the program: CLOCK_MONOTONIC, on which V4L2 drivers stamp their buffers
// (V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC) and on which every PTS counts (clock_gettime(2)); and waits on it.
package monotime

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// Now returns the time on CLOCK_MONOTONIC: since an instant that the kernel chose, never set back, never stepped.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("monotime: clock_gettime: " + err.Error()) // POSIX: fails only for a clock that does not exist
	}
	return time.Duration(ts.Nano())
}

// Pause waits for d, not at all where that is none, unless ctx ends first: then it returns ctx's error. Go's timers count
// on the same clock.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Wall returns the CLOCK_REALTIME time of the instant pts, by the difference of the two clocks at the moment of the
// call: for an instant of the last seconds it is right to the microsecond, unless the wall clock was stepped since.
func Wall(pts time.Duration) time.Time {
	return time.Unix(0, int64(pts+offset()))
}

// offset returns CLOCK_REALTIME minus CLOCK_MONOTONIC. The monotonic clock is read before and after the other one, so
// that a preemption between two readings is seen and the reading repeated.
func offset() time.Duration {
	const tight, tries = 5 * time.Microsecond, 4
	best, least := time.Duration(0), time.Duration(1<<63-1)
	for range tries {
		before := Now()
		wall := time.Duration(time.Now().UnixNano())
		after := Now()
		if gap := after - before; gap < least {
			best, least = wall-(before+gap/2), gap
		}
		if least <= tight {
			break
		}
	}
	return best
}
