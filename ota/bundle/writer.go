package bundle

import (
	"fmt"
	"io"
)

// Writer makes a bundle.
type Writer struct {
	to      io.Writer
	entries int
	targets bool
}

// NewWriter makes a bundle that goes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{to: w} }

// Add puts a file of so many bytes at the end. Metadata comes before targets, in the order in which a camera asks for
// it: roots, timestamp, snapshot, targets.
func (w *Writer) Add(name string, size int64, content io.Reader) error {
	header, err := entry{name, size}.format()
	switch {
	case err != nil:
		return fmt.Errorf("add to bundle: %w", err)
	case w.entries == MaxEntries:
		return fmt.Errorf("add %s to bundle: %w: more than %d files", name, ErrFormat, MaxEntries)
	case w.targets && !isTarget(name):
		return fmt.Errorf("add %s to bundle: %w: metadata behind a target", name, ErrFormat)
	case !isTarget(name) && size > MaxMetadata:
		return fmt.Errorf("add %s to bundle: %w: %d bytes of metadata, at most %d", name, ErrFormat, size, MaxMetadata)
	}
	w.entries++
	w.targets = isTarget(name)
	if _, err := w.to.Write(header); err != nil {
		return fmt.Errorf("add %s to bundle: %w", name, err)
	}
	if n, err := io.CopyN(w.to, content, size); err != nil {
		return fmt.Errorf("add %s to bundle: after %d of %d bytes: %w", name, n, size, err)
	}
	if _, err := w.to.Write(make([]byte, padding(size))); err != nil {
		return fmt.Errorf("add %s to bundle: %w", name, err)
	}
	return nil
}

// Close writes the end of the bundle. It does not close what the bundle goes to.
func (w *Writer) Close() error {
	if _, err := w.to.Write(make([]byte, 2*blockSize)); err != nil {
		return fmt.Errorf("end bundle: %w", err)
	}
	return nil
}
