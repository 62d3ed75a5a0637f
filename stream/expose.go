package stream

import (
	"errors"
	"fmt"

	"github.com/ocellus/ocellus/hal"
)

// Expose makes the camera's pictures lighter than it would by itself, in thousandths of EV, until it is closed; 0 gives
// it the choice back. A camera that is not running has its own choice already. hal.ErrUnsupported where it can't.
func (s *Source) Expose(milliEV int) error {
	s.mu.Lock()
	r := s.current
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	if err := r.capture.Control(hal.Exposure, milliEV); err != nil && !errors.Is(err, hal.ErrClosed) {
		return fmt.Errorf("expose %s: %w", s.camera.Info().Path, err)
	}
	return nil
}
