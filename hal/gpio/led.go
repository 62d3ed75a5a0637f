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

// How long a blinking lamp shines, and is dark.
const (
	slowBlink = 500 * time.Millisecond // hal.Live
	fastBlink = 100 * time.Millisecond // hal.Trouble
)

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
	var every time.Duration
	switch p {
	case hal.Off, hal.Ready:
	case hal.Live:
		every = slowBlink
	case hal.Trouble:
		every = fastBlink
	default:
		return fmt.Errorf("show %q on LED %s: %w", string(p), l.name, hal.ErrUnsupported)
	}
	l.still()
	l.on = p != hal.Off
	if every > 0 {
		this := l.shows
		l.timer = time.AfterFunc(every, func() { l.blink(this, every) })
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

// blink changes the lamp, unless there was a Show since. An error shows at the next Show.
func (l *LED) blink(show int, every time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shows != show {
		return
	}
	l.on = !l.on
	_ = l.set(l.on)
	l.timer.Reset(every)
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
