package statefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// Directory keeps small named records in a directory, a file each. Place, where set, makes the place of a file: a sealed
// one, so that what happened is gone with the owner's keys.
type Directory struct {
	Path  string
	Place func(name string, file Place) Place
}

var recordName = regexp.MustCompile(`^[0-9a-f]{16}$`)

// List returns the names in ascending order; a directory that is not there yet has none. What a power cut left half
// written has another form of name.
func (d Directory) List() ([]string, error) {
	entries, err := os.ReadDir(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if recordName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (d Directory) place(name string) Place {
	var p Place = Path(filepath.Join(d.Path, name))
	if d.Place != nil {
		p = d.Place(name, p)
	}
	return p
}

// Load reads a record.
func (d Directory) Load(name string) ([]byte, error) { return d.place(name).Load() }

// Store writes a record; it is on the disk when Store returns.
func (d Directory) Store(name string, content []byte) error {
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return err
	}
	return d.place(name).Store(content)
}

// Remove removes a record. A power cut may bring it back: it is told again then.
func (d Directory) Remove(name string) error { return os.Remove(filepath.Join(d.Path, name)) }
