package provision

import (
	"time"

	"github.com/ocellus/ocellus/hal"
)

// tune is what is heard when the lamp begins to show a pattern: as many low tones as the lamp flashes for a reason, rising
// ones where it goes on. Nothing where there is nothing new.
func tune(p hal.Pattern) []hal.Tone {
	switch p {
	case hal.Unread: // closer
		return tones(short, 1760, 0, 1760)
	case hal.Joining:
		return tones(short, 660, 880)
	case hal.Unclaimed: // in the network
		return tones(short, 660, 880, 1320)
	case hal.Ready: // yours
		return tones(long, 880, 1320, 1760)
	case hal.NoNetwork:
		return beeps(2)
	case hal.BadPassword:
		return beeps(3)
	case hal.NoAddress:
		return beeps(4)
	case hal.NoWay:
		return beeps(5)
	case hal.NotJoined:
		return beeps(6)
	}
	return nil
}

// How long a tone is.
const (
	short = 120 * time.Millisecond
	long  = 250 * time.Millisecond
	low   = 330 // Hz
)

func tones(each time.Duration, hz ...int) (list []hal.Tone) {
	for _, f := range hz {
		list = append(list, hal.Tone{Hz: f, For: each})
	}
	return list
}

// beeps are n low tones to be counted.
func beeps(n int) (list []hal.Tone) {
	for range n {
		list = append(list, tones(long, low, 0)...)
	}
	return list
}

// sounding reports whether a change of the lamp is heard. A camera with an owner is silent, whatever becomes of its
// network at night; the last thing that it says is that it has one.
func sounding(before, now hal.Pattern, claimed bool) bool {
	return !claimed || before == hal.Unclaimed && now == hal.Ready
}
