package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// mediaClock is the clock rate of H.264 over RTP (RFC 6184 8.2.1).
const mediaClock = 90000

// unwrapper continues 32-bit RTP timestamps beyond their end.
type unwrapper struct {
	begun bool
	last  uint32
	total int64
}

// ticks returns the timestamp counted from the first one; it may go back.
func (u *unwrapper) ticks(timestamp uint32) int64 {
	if !u.begun {
		u.begun, u.last = true, timestamp
	}
	u.total += int64(int32(timestamp - u.last))
	u.last = timestamp
	return u.total
}

func ticksToDuration(ticks int64) time.Duration {
	return time.Duration(float64(ticks) / mediaClock * float64(time.Second))
}

// report is a sender report: NTP time and media time of one instant (RFC 3550 6.4.1).
type report struct {
	ntp     time.Time
	ticks   int64
	arrived time.Time
}

// senderClock compares the NTP times of the sender reports with the media clock.
type senderClock struct {
	reports []report
	offsets []time.Duration // NTP time of an access unit by the last report, minus its capture stamp
}

// drift is how much faster the NTP clock of the reports runs than the media clock, in parts per million, by least
// squares; false with less than three reports, or when they span less than a second.
func (c *senderClock) drift() (ppm float64, ok bool) {
	if len(c.reports) < 3 {
		return 0, false
	}
	first := c.reports[0]
	var n, sx, sy, sxx, sxy float64
	for _, r := range c.reports {
		x := float64(r.ticks-first.ticks) / mediaClock
		y := r.ntp.Sub(first.ntp).Seconds() - x
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if spread := n*sxx - sx*sx; spread > 1 {
		return (n*sxy - sx*sy) / spread * 1e6, true
	}
	return 0, false
}

// compare notes how far the last report's clock is from an access unit's capture stamp.
func (c *senderClock) compare(ticks int64, captured time.Time) {
	if len(c.reports) == 0 || len(c.offsets) >= maxSamples {
		return
	}
	last := c.reports[len(c.reports)-1]
	c.offsets = append(c.offsets, last.ntp.Add(ticksToDuration(ticks-last.ticks)).Sub(captured))
}

// ahead is the median of how far the sender's wall clock is ahead of ours, the time on the wire included.
func (c *senderClock) ahead() time.Duration {
	var all []time.Duration
	for _, r := range c.reports {
		all = append(all, r.ntp.Sub(r.arrived))
	}
	return quantile(all, 0.5)
}

// Bounds within which a difference of two clocks is believed to be a latency.
const (
	earliest = -2 * time.Millisecond // a stamp may lie this far in the future: clocks are set in steps
	longest  = 10 * time.Second
	wobble   = 50 * time.Millisecond // between the halves of the measurement, for clocks of two machines
)

// sharedClock judges whether the differences between arrival and capture stamp are latencies, and says why not.
func sharedClock(differences []time.Duration, sameHost bool) (shared bool, why string) {
	if len(differences) == 0 {
		return false, "the stream carries no capture stamps"
	}
	low, middle := slices.Min(differences), quantile(differences, 0.5)
	switch {
	case low < earliest:
		return false, fmt.Sprintf("the camera's clock is ahead of ours by %v or more", rounded(-low))
	case middle > longest:
		return false, fmt.Sprintf("the camera's clock is behind ours, or the pictures are %v old", rounded(middle))
	case sameHost:
		return true, ""
	case len(differences) < 50:
		return false, "too few pictures to tell whether the clocks of the two machines agree"
	}
	half := len(differences) / 2
	if d := quantile(differences[:half], 0.5) - quantile(differences[half:], 0.5); d.Abs() > wobble {
		return false, fmt.Sprintf("the clocks of the two machines drift apart (%v within the measurement)", rounded(d.Abs()))
	}
	return true, ""
}

// quantile returns the value below which the part q of the values lies; 0 if there are none.
func quantile[T int | time.Duration](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Round(q*float64(len(sorted)-1)))]
}

func rounded(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
