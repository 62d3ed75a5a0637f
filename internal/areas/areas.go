// Package areas makes the areas of a vault places for state (internal/statefile), so that what lies outside of the file
// system is written by the same rules as what lies in it. Several parts keep fields of their own in one area, each by a
// statefile.File: a Place is their common lock.
package areas

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/statefile"
)

// Place is an area of a vault. It implements statefile.Place and sync.Locker.
type Place struct {
	sync.Mutex
	vault hal.Vault
	area  hal.Area
}

// New makes the one Place of an area.
func New(v hal.Vault, a hal.Area) *Place { return &Place{vault: v, area: a} }

// Load returns what was stored last.
func (p *Place) Load() ([]byte, error) {
	raw, err := p.vault.Load(p.area)
	switch {
	case errors.Is(err, hal.ErrDamaged):
		return nil, fmt.Errorf("%w: %w", statefile.ErrCorrupt, err)
	case err == nil && len(raw) == 0:
		return nil, fmt.Errorf("load %s: %w", p, fs.ErrNotExist)
	}
	return raw, err
}

// Store replaces it.
func (p *Place) Store(content []byte) error { return p.vault.Store(p.area, content) }

func (p *Place) String() string { return "area " + string(p.area) }
