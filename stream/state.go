package stream

import (
	"fmt"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// State is what a stream is doing.
//
//	idle --demand--> starting --first access unit--> live --no demand--> idle
//	                    |  ^                          | ^
//	               error|  |retry      frame too old  v |next frame
//	                    v  |                        stalled
//	                   failed <----error--------------/
type State string

// The states. They reach status pages and metrics: never renamed.
const (
	Idle     State = "idle"     // nobody wants it
	Starting State = "starting" // somebody does; no access unit yet
	Live     State = "live"
	Stalled  State = "stalled" // the camera stands still
	Failed   State = "failed"  // camera or encoder gave an error; it is tried again
	Stopped  State = "stopped" // its owner wants nobody to have pictures, whatever the source does
)

// stallAfter is the age of the last frame from which a camera stands still, unless it is a slow one: then it is
// stallIntervals of its intervals.
const (
	stallAfter     = 3 * time.Second
	stallIntervals = 5
)

// stallLimit returns the frame age from which a stream of that rate is stalled.
func stallLimit(rate hal.Rate) time.Duration {
	return max(stallAfter, stallIntervals*rate.Interval())
}

// status is what a stream does, as the source told it; that it is stalled follows from the time.
type status struct {
	state  State
	reason string
	since  time.Time // when this state began
	last   time.Time // when the last access unit was published; zero: never
}

func (s *status) set(state State, reason string, now time.Time) {
	s.state, s.reason, s.since = state, reason, now
}

func (s *status) published(now time.Time) {
	s.last = now
	if s.state != Live {
		s.set(Live, "", now)
	}
}

// age returns how old the last access unit is, 0 where there never was one.
func (s *status) age(now time.Time) time.Duration {
	if s.last.IsZero() {
		return 0
	}
	return now.Sub(s.last)
}

// now returns the state at an instant.
func (s *status) now(now time.Time, rate hal.Rate) (State, string) {
	if s.state != Live && s.state != Starting {
		return s.state, s.reason
	}
	from := s.since
	if s.state == Live {
		from = s.last
	}
	if silent := now.Sub(from); silent > stallLimit(rate) {
		return Stalled, fmt.Sprintf("no picture for %v", silent.Truncate(time.Second))
	}
	return s.state, s.reason
}
