package hal

import (
	"context"
	"fmt"
	"time"
)

// Watchdog is the hardware timer that resets a board whose agent hangs. Only the supervisor pets it.
//
// Law (haltest.Watchdog): Start arms it and returns the timeout that the device really took. After Start, a board that
// is not petted for that long resets. Stop disarms it where the device allows it, else it returns ErrUnsupported and
// the timer goes on (nowayout).
type Watchdog interface {
	Start(timeout time.Duration) (time.Duration, error)
	Pet() error
	Stop() error
}

// ResetCause is a Watchdog that remembers. Fired reports whether the last reset of the board was the watchdog's; known is
// false where the device can't tell.
type ResetCause interface {
	Fired() (fired, known bool)
}

// Pattern is what an LED shows. The board says which lamp and colour that is.
type Pattern string

// The patterns that the agent shows.
const (
	Off     Pattern = "off"
	Ready   Pattern = "ready"   // steady: all is well, nobody watches
	Live    Pattern = "live"    // slow blink: somebody watches or records
	Trouble Pattern = "trouble" // fast blink: something is wrong, see the status

	// From box to owner (docs/provisioning.md shows them to the owner).
	Listening   Pattern = "listening"   // one flash, a long pause: it waits for a network
	Unread      Pattern = "unread"      // flicker: it sees a code and can't read it: closer, darker, hold still
	Joining     Pattern = "joining"     // light that winks: it tries a network
	Unclaimed   Pattern = "unclaimed"   // light that winks twice: it is in the network and has no owner
	NoNetwork   Pattern = "no_network"  // two flashes: no such network
	BadPassword Pattern = "password"    // three flashes: wrong password
	NoAddress   Pattern = "no_address"  // four flashes: the network gave it no address
	NoWay       Pattern = "unreachable" // five flashes: an address, and what it must reach does not answer
	NotJoined   Pattern = "not_joined"  // six flashes: any other reason, see the status
)

// Patterns lists them all.
func Patterns() []Pattern {
	return []Pattern{Off, Ready, Live, Trouble, Listening, Unread, Joining, Unclaimed,
		NoNetwork, BadPassword, NoAddress, NoWay, NotJoined}
}

// LED is the camera's indicator lamp.
//
// Law (haltest.LED): Show returns at once; the driver blinks by itself until the next Show. An unknown pattern is
// ErrUnsupported and changes nothing.
type LED interface {
	Show(p Pattern) error
	Close() error
}

// Tone is a sound of one pitch.
type Tone struct {
	Hz  int // 20 to 20000; 0 is silence
	For time.Duration
}

// Sounder is the camera's beeper, which sounds one tone at a time.
//
// Law (haltest.Sounder): Play returns at once; the driver sounds the tones by itself, one after the other, once, and is
// silent then. The next Play cuts off the one before; one of no tones is silence. Tones that are none are ErrUnsupported
// and change nothing. Play after Close is ErrClosed.
type Sounder interface {
	Play(tones []Tone) error
	Close() error
}

// CheckTones says what is wrong with tones that no beeper sounds.
func CheckTones(tones []Tone) error {
	for _, t := range tones {
		if t.Hz != 0 && (t.Hz < 20 || t.Hz > 20000) || t.For <= 0 || t.For > maxTone {
			return fmt.Errorf("tone of %d Hz for %v: %w", t.Hz, t.For, ErrUnsupported)
		}
	}
	return nil
}

// maxTone is the longest tone: one that is longer is a mistake.
const maxTone = 10 * time.Second

// Button is the camera's push button.
//
// Law (haltest.Button): Next waits for the next release and returns how long the button was held, bounces removed.
// Pressed waits until the button is down and takes nothing away: the Next behind it tells of that press. Both return
// ErrClosed after Close.
type Button interface {
	Pressed(ctx context.Context) error
	Next(ctx context.Context) (held time.Duration, err error)
	Close() error
}
