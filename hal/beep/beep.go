// Package beep sounds tones by an input device of Linux that takes them: SND_TONE, whose value is the frequency in hertz
// and 0 silence (Documentation/input/event-codes.rst, EV_SND). pwm-beeper, gpio-beeper and a PC's speaker are such
// devices.
package beep

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// Numbers of linux/input-event-codes.h and linux/input.h.
const (
	evSound   = 0x12
	soundTone = 2
	bits      = 8                                            // of the kinds of sound, in bytes
	getBits   = 2<<30 | bits<<16 | 'E'<<8 | (0x20 + evSound) // EVIOCGBIT(EV_SND, 8)
)

// event is struct input_event of linux/input.h.
type event struct {
	time       unix.Timeval // of no meaning on its way to the device
	kind, code uint16
	value      int32
}

// Beeper is an input device that takes tones. It implements hal.Sounder.
type Beeper struct {
	name    string
	tone    func(hz int) error
	release func() error

	mu     sync.Mutex // guards the fields below and orders what is sounded
	timer  *time.Timer
	plays  int // counts the Plays: a tone of an older one is not sounded
	closed bool
}

// Find opens the first input device under dev ("/dev/input") that takes tones and may be written to; nil where there is
// none.
func Find(dev string) *Beeper {
	paths, _ := filepath.Glob(filepath.Join(dev, "event*")) // the pattern is right
	for _, path := range paths {
		if b, err := Open(path); err == nil {
			return b
		}
	}
	return nil
}

// Open opens an input device. hal.ErrUnsupported where it takes no tones.
func Open(path string) (*Beeper, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open beeper: %w", err)
	}
	var kinds [bits]byte
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), getBits, uintptr(unsafe.Pointer(&kinds)))
	if errno != 0 || kinds[0]&(1<<soundTone) == 0 {
		return nil, errors.Join(fmt.Errorf("open beeper %s: no tones: %w", path, hal.ErrUnsupported), f.Close())
	}
	return &Beeper{name: path, tone: func(hz int) error { return write(f, hz) }, release: f.Close}, nil
}

// write sounds a frequency until the next.
func write(f *os.File, hz int) error {
	e := event{kind: evSound, code: soundTone, value: int32(hz)}
	_, err := f.Write(unsafe.Slice((*byte)(unsafe.Pointer(&e)), unsafe.Sizeof(e)))
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%w (%w)", hal.ErrClosed, err)
	}
	return err
}

// Play implements hal.Sounder.
func (b *Beeper) Play(tones []hal.Tone) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := hal.CheckTones(tones)
	if b.closed {
		err = hal.ErrClosed
	}
	if err == nil {
		b.still()
		err = b.sound(b.plays, tones)
	}
	if err != nil {
		return fmt.Errorf("play on %s: %w", b.name, err)
	}
	return nil
}

// still ends the Play before.
func (b *Beeper) still() {
	b.plays++
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
}

// sound sounds the first of some tones, and sees to it that the others follow.
func (b *Beeper) sound(play int, tones []hal.Tone) error {
	if len(tones) == 0 {
		return b.tone(0)
	}
	b.timer = time.AfterFunc(tones[0].For, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.plays == play {
			_ = b.sound(play, tones[1:]) // an error shows at the next Play
		}
	})
	return b.tone(tones[0].Hz)
}

// Close implements hal.Sounder: it is silent.
func (b *Beeper) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	b.still()
	_ = b.tone(0) // a device that is gone is silent too
	return b.release()
}
