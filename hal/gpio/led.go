package gpio

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// How long a lamp shines, and is dark.
const (
	slowBlink = 500 * time.Millisecond // hal.Live
	fastBlink = 100 * time.Millisecond // hal.Trouble
	flicker   = 50 * time.Millisecond
	flash     = 200 * time.Millisecond // short enough to be counted
	wink      = 100 * time.Millisecond
	pause     = 1500 * time.Millisecond
)

// rhythm returns how long the lamp shines, is dark, shines ... before it begins again: nothing where it is still.
func rhythm(p hal.Pattern) (r []time.Duration, known bool) {
	switch p {
	case hal.Off, hal.Ready:
		return nil, true
	case hal.Live:
		return []time.Duration{slowBlink, slowBlink}, true
	case hal.Trouble:
		return []time.Duration{fastBlink, fastBlink}, true
	case hal.Listening:
		return flashes(1), true
	case hal.Unread:
		return []time.Duration{flicker, flicker}, true
	case hal.Joining:
		return []time.Duration{slowBlink, wink}, true
	case hal.Unclaimed:
		return []time.Duration{pause, wink, wink, wink}, true
	case hal.NoNetwork:
		return flashes(2), true
	case hal.BadPassword:
		return flashes(3), true
	case hal.NoAddress:
		return flashes(4), true
	case hal.NoWay:
		return flashes(5), true
	case hal.NotJoined:
		return flashes(6), true
	}
	return nil, false
}

// flashes is n flashes to be counted, and a pause.
func flashes(n int) (r []time.Duration) {
	for range n {
		r = append(r, flash, flash)
	}
	r[len(r)-1] = pause
	return r
}

// LED is a lamp on a line. It implements hal.LED.
type LED struct {
	name    string
	set     func(on bool) error
	release func() error

	mu     sync.Mutex // guards the fields below and orders changes of the lamp
	timer  *time.Timer
	shows  int // counts the Shows: a blink of an older one does nothing
	on     bool
	closed bool
}

// OpenLED opens a lamp. It is off.
func OpenLED(l Line) (*LED, error) {
	f, err := l.open(flagOutput)
	if err != nil {
		return nil, fmt.Errorf("open LED %s: %w", l, err)
	}
	return &LED{name: l.String(), set: func(on bool) error { return setLine(f, on) }, release: f.Close}, nil
}

// setLine makes a line active or not.
func setLine(f *os.File, active bool) error {
	values := lineValues{mask: 1}
	if active {
		values.bits = 1
	}
	err := ioctl(f, setValues, unsafe.Pointer(&values))
	if errors.Is(err, unix.ENODEV) { // the chip was unplugged or unbound
		return fmt.Errorf("%w (%w)", hal.ErrClosed, err)
	}
	return err
}

// Show implements hal.LED.
func (l *LED) Show(p hal.Pattern) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("show LED %s: %w", l.name, hal.ErrClosed)
	}
	r, known := rhythm(p)
	if !known {
		return fmt.Errorf("show %q on LED %s: %w", string(p), l.name, hal.ErrUnsupported)
	}
	l.still()
	l.on = p != hal.Off
	if len(r) > 0 {
		this := l.shows
		l.timer = time.AfterFunc(r[0], func() { l.blink(this, r, 1) })
	}
	if err := l.set(l.on); err != nil {
		return fmt.Errorf("show LED %s: %w", l.name, err)
	}
	return nil
}

// still ends the blinking of the Show before.
func (l *LED) still() {
	l.shows++
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// blink changes the lamp for the next beat of a rhythm, unless there was a Show since. An error shows at the next Show.
func (l *LED) blink(show int, r []time.Duration, beat int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shows != show {
		return
	}
	beat %= len(r)
	l.on = beat%2 == 0
	_ = l.set(l.on)
	l.timer = time.AfterFunc(r[beat], func() { l.blink(show, r, beat+1) })
}

// Close implements hal.LED: the lamp goes off.
func (l *LED) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.still()
	_ = l.set(false) // a chip that is gone is dark too
	return l.release()
}
