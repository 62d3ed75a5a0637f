package rawstore

import (
	"fmt"

	"github.com/ocellus/ocellus/hal"
)

// Vault is the areas of a board by their names.
type Vault map[hal.Area]*Area

// area returns an area of the vault.
func (v Vault) area(op string, a hal.Area) (*Area, error) {
	if area := v[a]; area != nil {
		return area, nil
	}
	return nil, fmt.Errorf("%s %s: no such area: %w", op, a, hal.ErrUnsupported)
}

// Load implements hal.Vault.
func (v Vault) Load(a hal.Area) ([]byte, error) {
	area, err := v.area("load", a)
	if err != nil {
		return nil, err
	}
	return area.Load()
}

// Store implements hal.Vault.
func (v Vault) Store(a hal.Area, data []byte) error {
	area, err := v.area("store", a)
	if err != nil {
		return err
	}
	return area.Store(data)
}

// Destroy implements hal.Vault.
func (v Vault) Destroy(a hal.Area) error {
	area, err := v.area("destroy", a)
	if err != nil {
		return err
	}
	if a == hal.Persist {
		return fmt.Errorf("destroy %s: it survives everything: %w", a, hal.ErrUnsupported)
	}
	return area.Destroy()
}
