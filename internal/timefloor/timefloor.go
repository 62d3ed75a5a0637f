// Package timefloor keeps the time floor: it is at least this late. Every part of a camera that judges by time shares it,
// it lies in the area that outlives slots and resets, and it only moves forward. Only what nobody on a network can forge
// may raise it, the build time of a confirmed system and what release keys signed: a floor that is later than the true
// time would make a camera refuse both good metadata and good clocks.
package timefloor

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/ocellus/ocellus/internal/statefile"
)

// Floor is the time floor. Open is the only door; its methods may be called at once from many goroutines.
type Floor struct {
	file *statefile.File[lasting]

	mu sync.Mutex // guards at, over its write too
	at time.Time
}

// lasting is what lies in the area persist. Other parts have fields of their own there. Fields are only added.
type lasting struct {
	Floor int64 `json:"time_floor,omitempty"` // seconds since 1970
}

// Open reads the floor. A camera that knows none yet has 1970.
func Open(persist statefile.Place) (*Floor, error) {
	f := &Floor{file: statefile.At[lasting](persist, 1)}
	v, _, err := f.file.Load()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("time floor: %w", err)
	}
	f.at = time.Unix(v.Floor, 0).UTC()
	return f, nil
}

// Time returns the floor; 1970 where f is nil.
func (f *Floor) Time() time.Time {
	if f == nil {
		return time.Unix(0, 0)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

// Raise says that it is at least this late, to the second. What is not later changes nothing.
func (f *Floor) Raise(at time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at = at.UTC().Truncate(time.Second)
	if !at.After(f.at) {
		return nil
	}
	err := f.file.Update(func(v *lasting) error {
		v.Floor = max(v.Floor, at.Unix())
		return nil
	})
	if err != nil {
		return fmt.Errorf("time floor: %w", err)
	}
	f.at = at
	return nil
}
