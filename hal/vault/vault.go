// Package vault is the two areas outside the slots, each on a block partition of its own by its GPT name: persist, which
// survives everything, and keys, which the factory reset destroys. internal/rawstore tells the format (Area).
package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/rawstore"
	"github.com/ocellus/ocellus/internal/statefile"
)

// fileSize is room for two copies of the largest area.
const fileSize = 4 * hal.MaxArea

// Vault is the areas on block devices. It implements hal.Vault.
type Vault struct {
	rawstore.Vault
	files []*rawstore.File
}

// Find returns the nodes of the areas. disk, where it is not empty, is the only disk that counts (mmcblk0).
func Find(disk string) (map[hal.Area]string, error) {
	nodes, err := rawstore.Partitions("/sys", disk, string(hal.Persist), string(hal.Keys))
	if err != nil {
		return nil, err
	}
	return map[hal.Area]string{hal.Persist: nodes[0], hal.Keys: nodes[1]}, nil
}

// Open opens the areas at these nodes. It changes nothing, and it does not mind damaged areas.
func Open(nodes map[hal.Area]string) (*Vault, error) {
	v := &Vault{Vault: rawstore.Vault{}}
	for name, path := range nodes {
		f, err := rawstore.OpenFile(path, false)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open %s: %w", name, err), v.Close())
		}
		v.files = append(v.files, f)
		area, err := rawstore.NewArea(string(name)+" on "+path, f, f.Lock)
		if err != nil {
			return nil, errors.Join(err, v.Close())
		}
		v.Vault[name] = area
	}
	return v, nil
}

// Files opens the areas in two files of a folder, and makes them where they are not there: for a board without
// partitions of its own. What is destroyed there is overwritten in its place, which is as good as the file system and
// the flash below it.
func Files(dir string) (*Vault, error) {
	nodes, err := FilesIn(dir)
	if !errors.Is(err, fs.ErrNotExist) && err != nil {
		return nil, err
	}
	for _, path := range nodes {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if err := statefile.WriteBytes(path, make([]byte, fileSize), 0o600); err != nil {
				return nil, err
			}
		}
	}
	return Open(nodes)
}

// FilesIn returns where Files has the areas in a folder; the error is fs.ErrNotExist where they are not there yet.
func FilesIn(dir string) (map[hal.Area]string, error) {
	nodes := map[hal.Area]string{}
	var missing error
	for _, a := range []hal.Area{hal.Persist, hal.Keys} {
		nodes[a] = filepath.Join(dir, string(a)+".area")
		if _, err := os.Stat(nodes[a]); err != nil {
			missing = err
		}
	}
	return nodes, missing
}

// Close closes the nodes.
func (v *Vault) Close() error {
	var faults []error
	for _, f := range v.files {
		faults = append(faults, f.Close())
	}
	return errors.Join(faults...)
}

var _ hal.Vault = (*Vault)(nil)
