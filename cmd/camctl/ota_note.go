package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/ota/manifest"
)

// sameAsNote refuses an image that says something else of itself than the command line does (codec/fit, Slot): a camera
// that runs it would take it for another release, and install this one again and again. An image that is no FIT has no
// such note. name is what the file is called where somebody is told.
func sameAsNote(file, name string, r manifest.Release) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 8)
	n, err := io.ReadFull(f, head)
	if err != nil && n == 0 {
		return fmt.Errorf("%s: no image: %w", name, err)
	}
	size, _, err := fit.Size(head[:n])
	if errors.Is(err, fit.ErrFIT) {
		return nil
	}
	whole := make([]byte, size)
	if _, err := f.ReadAt(whole, 0); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	image, err := fit.Parse(whole)
	switch note := image.Slot; {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case note.Flavour != "":
		return &fault{exitUsage, fmt.Errorf("%s is a %s's image, open to whoever has wires on it: no release is made of one; "+
			"make image without FLAVOUR=%[2]s", name, note.Flavour)}
	case note.Version != r.Version.String():
		return &fault{exitUsage, fmt.Errorf("%s is release %q, not %s: build it with VERSION=%s", name, note.Version,
			r.Version, r.Version)}
	case !slices.Contains(r.Compatible, note.Compatible):
		return &fault{exitUsage, fmt.Errorf("%s is for %q, not for %q", name, note.Compatible, r.Compatible)}
	}
	return nil
}
