package control

import "time"

// bucket lets a burst pass, and then so many a second.
type bucket struct {
	level float64 // what is left
	at    time.Time
}

// take reports whether there is room for one more, and takes it.
func (b *bucket) take(now time.Time, perSecond, burst float64) bool {
	if b.at.IsZero() {
		b.level = burst
	} else if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.level = min(burst, b.level+passed*perSecond)
	}
	b.at = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

// What one source may ask in the long run, and at once.
const (
	perSecond, burst         = 20, 40
	oncePerSecond, onceBurst = 2, 20    // of what changes something
	finalPerSecond           = 5.0 / 60 // of what can't be taken back
	finalBurst               = 5
)

// budget is what is left to one source. Each has its own, so that nobody uses up another's.
type budget struct {
	all, once, final bucket
	again            bucket // answers to what is old: said again, expired
}

// allows reports whether a source may have one more operation of this kind now.
func (b *budget) allows(now time.Time, op Operation) bool {
	if op.Final && !b.final.take(now, finalPerSecond, finalBurst) {
		return false
	}
	return !op.Once || b.once.take(now, oncePerSecond, onceBurst)
}

// Seldom lets what strangers can bring about be told at once, and then the more rarely the more often it comes: whoever can
// write to the broker could push what else happened out of the queue. The zero value is useful.
type Seldom struct {
	told  time.Time
	pause time.Duration // until it may be told again
	times uint64        // that came since
}

// The pauses between two that are told.
const (
	firstPause   = 10 * time.Second
	longestPause = time.Hour // and so long a silence after that is the end of it
)

// Take counts one, and says how many there were if that is told now.
func (s *Seldom) Take(now time.Time) (times uint64, tell bool) {
	s.times++
	since := now.Sub(s.told)
	switch {
	case s.told.IsZero(), since > longestPause+s.pause:
		s.pause = firstPause
	case since < s.pause:
		return 0, false
	default:
		s.pause = min(2*s.pause, longestPause)
	}
	times, s.times, s.told = s.times, 0, now
	return times, true
}
