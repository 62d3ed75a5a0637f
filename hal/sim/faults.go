package sim

import (
	"sync"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// Faults breaks a simulated camera while it runs. Its methods may be called from any goroutine.
type Faults struct {
	mu     sync.Mutex // guards all below
	state  state
	gap    uint32
	damage []Damage
}

// state is what a capture looks at before each picture.
type state struct {
	unplugged bool
	plug      int // how often it was plugged in again
	stalled   bool
	late      time.Duration
	glare     int // in thousandths of EV
	size      size
	sizes     int           // how often the size was changed
	changed   chan struct{} // closed by the next change
}

// size is what the pictures of a running capture become.
type size struct {
	width, height int
	clip          string
}

// Damage is what may be wrong with a buffer.
type Damage int

// What may be wrong with a buffer.
const (
	Empty     Damage = iota + 1 // no bytes at all
	Truncated                   // the first half alone
	Garbage                     // other bytes than those of the picture
	Flagged                     // whole, but marked as damaged by the driver
)

func (f *Faults) init() { f.state.changed = make(chan struct{}) }

func (f *Faults) look() state {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// change does one change and wakes who waits.
func (f *Faults) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.state.changed)
	f.state.changed = make(chan struct{})
}

// Unplug takes the camera away: what was started is dead, what is started fails with hal.ErrClosed.
func (f *Faults) Unplug() { f.change(func() { f.state.unplugged = true }) }

// Replug brings the camera back. It can be started again; what was started before stays dead.
func (f *Faults) Replug() {
	f.change(func() {
		if f.state.unplugged {
			f.state.plug++
		}
		f.state.unplugged = false
	})
}

// Stall stops the pictures without a word, as a sensor does that hangs.
func (f *Faults) Stall() { f.change(func() { f.state.stalled = true }) }

// Resume lets the pictures go on. None is lost: the sensor made none.
func (f *Faults) Resume() { f.change(func() { f.state.stalled = false }) }

// Gap drops the next n pictures: the one after them has a Seq that is n further, and Lost says so.
func (f *Faults) Gap(n uint32) { f.change(func() { f.gap += n }) }

// Late delivers each picture so much later than its PTS says; 0 ends it.
func (f *Faults) Late(by time.Duration) { f.change(func() { f.state.late = by }) }

// Glare makes what is held before the lens a screen that is so much lighter than what the camera is set to, in
// thousandths of EV: its white is cut off, and its black, which glows, is grey. 0 ends it.
func (f *Faults) Glare(milliEV int) { f.change(func() { f.state.glare = milliEV }) }

// Damage spoils the next n buffers.
func (f *Faults) Damage(d Damage, n int) {
	f.change(func() {
		for range n {
			f.damage = append(f.damage, d)
		}
	})
}

// Resize gives the card's pictures another size from the next one on, as a driver does whose source changed.
func (f *Faults) Resize(width, height int) {
	f.change(func() { f.state.size, f.state.sizes = size{width: width, height: height}, f.state.sizes+1 })
}

// Replay makes the camera play another clip from the next picture on.
func (f *Faults) Replay(clip string) {
	f.change(func() { f.state.size, f.state.sizes = size{clip: clip}, f.state.sizes+1 })
}

// takeGap returns how many pictures are to be dropped now.
func (f *Faults) takeGap() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.gap
	f.gap = 0
	return n
}

// takeDamage returns what is wrong with the next buffer, 0 when nothing is.
func (f *Faults) takeDamage() Damage {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.damage) == 0 {
		return 0
	}
	d := f.damage[0]
	f.damage = f.damage[1:]
	return d
}

// damage spoils a picture.
func (c *capture) damage(f hal.Frame, d Damage) hal.Frame {
	switch d {
	case Empty:
		f.Data = f.Data[:0]
	case Truncated:
		f.Data = f.Data[:len(f.Data)/2]
	case Flagged:
		f.Corrupt = true
	case Garbage:
		c.data = append(c.data[:0], f.Data...)
		noise := uint32(f.Seq)*2654435761 + 1
		for i := range c.data {
			noise ^= noise << 13
			noise ^= noise >> 17
			noise ^= noise << 5
			c.data[i] = byte(noise)
		}
		f.Data = c.data
	}
	return f
}
