package provision

import (
	"errors"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// bracket takes turns between the camera's own exposure and darker ones, while nothing is read: a camera that exposes for
// a dim room shows a screen in it as one white spot. Its own comes first and has most of the time. It is for one goroutine.
type bracket struct {
	expose func(milliEV int) error
	off    bool // the camera can't
	turn   int
	until  time.Time
}

// exposures are the turns.
func exposures() []struct {
	milliEV int
	last    time.Duration
} {
	return []struct {
		milliEV int
		last    time.Duration
	}{{0, 1500 * time.Millisecond}, {-2000, 800 * time.Millisecond}, {0, time.Second}, {-3500, 800 * time.Millisecond}}
}

// next takes the next turn if it is time. A camera that has just shown something is left as it is for a while, so that
// the other parts of a long code are read as the first one was.
func (b *bracket) next(now time.Time, read bool) error {
	all := exposures()
	switch {
	case b.off:
		return nil
	case read:
		b.until = now.Add(all[0].last)
		return nil
	case now.Before(b.until):
		return nil
	}
	if !b.until.IsZero() {
		b.turn = (b.turn + 1) % len(all)
	}
	b.until = now.Add(all[b.turn].last)
	return b.set(all[b.turn].milliEV)
}

// end gives the choice back.
func (b *bracket) end() {
	if !b.off {
		_ = b.set(0) // it may be gone
	}
}

func (b *bracket) set(milliEV int) error {
	err := b.expose(milliEV)
	if errors.Is(err, hal.ErrUnsupported) {
		b.off, err = true, nil
	}
	return err
}
