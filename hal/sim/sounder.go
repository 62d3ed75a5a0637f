package sim

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// Sounder is a beeper that remembers what it sounded. The zero Sounder is ready, and silent.
type Sounder struct {
	mu     sync.Mutex // guards the fields below
	heard  []int
	timer  *time.Timer
	plays  int
	closed bool
}

// maxHeard bounds what is remembered: the last ones.
const maxHeard = 1024

// Play implements hal.Sounder.
func (s *Sounder) Play(tones []hal.Tone) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("play on sounder sim: %w", hal.ErrClosed)
	}
	if err := hal.CheckTones(tones); err != nil {
		return fmt.Errorf("play on sounder sim: %w", err)
	}
	s.plays++
	s.sound(s.plays, slices.Clone(tones))
	return nil
}

// sound sounds the first of some tones; the others follow unless there was another Play.
func (s *Sounder) sound(play int, tones []hal.Tone) {
	if s.timer != nil {
		s.timer.Stop()
	}
	hz := 0
	if len(tones) > 0 {
		hz = tones[0].Hz
		s.timer = time.AfterFunc(tones[0].For, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.plays == play {
				s.sound(play, tones[1:])
			}
		})
	}
	s.heard = append(s.heard, hz)
	s.heard = s.heard[max(0, len(s.heard)-maxHeard):]
}

// Heard returns the frequencies that were sounded, in hertz, 0 for silence: the last thousand.
func (s *Sounder) Heard() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

// Close implements hal.Sounder: it is silent.
func (s *Sounder) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.plays++
		s.sound(s.plays, nil)
	}
	return nil
}
