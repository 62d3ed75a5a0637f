package trust

import "time"

// Rules are what a session goes by besides what is signed.
type Rules struct {
	Now    time.Time // of a clock that the camera believes; zero: it has none
	Local  bool      // the owner brought the metadata: an expired timestamp is waived
	Strict bool      // the standard to the letter: Now counts, whatever it says
}

// Doubt says why the freshness of metadata is unproven. An unproven update may be installed; it may be an old one that
// somebody holds back the newer ones for.
type Doubt string

// The doubts.
const (
	NoClock     Doubt = "no clock"         // this camera does not know what time it is
	ClockBehind Doubt = "clock behind"     // its clock is before the floor: not believed
	ClockAhead  Doubt = "clock ahead"      // its clock is after the end of the newest root: not believed
	Waived      Doubt = "brought by owner" // the timestamp has expired
)

// clock is the instant that a session measures expiry by. It stays the same for the whole session (5.1).
type clock struct {
	at    time.Time
	doubt Doubt
}

// clock decides what time it is, once the newest root is known.
//
// A clock that would lock the camera out is not believed: a root lives ten years and is renewed long before, so a clock
// beyond its end is a broken one. The floor can't be wrong that way; a root that ended before the floor has ended.
func (r Rules) clock(floor, rootEnds time.Time) clock {
	switch {
	case r.Strict:
		return clock{at: r.Now}
	case r.Now.IsZero():
		return clock{floor, NoClock}
	case r.Now.Before(floor):
		return clock{floor, ClockBehind}
	case !r.Now.Before(rootEnds):
		return clock{floor, ClockAhead}
	}
	return clock{at: r.Now}
}

// check refuses what has expired: metadata is valid until the instant before it expires.
func (c clock) check(expires time.Time) error {
	if !c.at.Before(expires) {
		return refuse(Expired, "it was valid until %s, it is %s or later", expires.Format(time.DateTime),
			c.at.Format(time.DateTime))
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
