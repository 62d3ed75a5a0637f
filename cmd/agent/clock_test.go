package main

import (
	"errors"
	"testing"
	"time"
)

// TestClockError: what the kernel reckons counts while somebody keeps the clock.
func TestClockError(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		state  int
		err    error
		micros int64
		want   time.Duration
	}{
		"kept":           {0, nil, 1_500_500, 1500500 * time.Microsecond},
		"a leap second":  {1, nil, 20_000, 20 * time.Millisecond},
		"kept by nobody": {unsynchronized, nil, 16_000_000, 0},
		"not to be had":  {0, errors.New("no"), 7, 0},
		"nonsense":       {0, nil, -1, 0},
	} {
		if got := errorOf(tt.state, tt.err, tt.micros); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
