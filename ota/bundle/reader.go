package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/ocellus/ocellus/ota/trust"
)

// Reader reads a bundle once, from its beginning to its end, and holds no more of it than one file of metadata. It is
// what the update engine takes for a carrier; it has one user, who asks in the order of a trust.Session.
type Reader struct {
	from    io.Reader
	entry   entry
	have    bool  // entry stands before what from gives next
	left    int64 // bytes of entry's content and padding that were not read
	pad     int64 // how many of them are padding
	entries int
	err     error // what ended the bundle: io.EOF, ErrFormat, one of from
}

// NewReader reads a bundle from r, which the caller closes. A read of it that hangs is its owner's to end. An r with
// Skip(n int64) error is asked to leave out what nobody wants: what a camera has already is not sent once more.
func NewReader(r io.Reader) *Reader { return &Reader{from: r} }

// pass goes past n bytes of the present file.
func (r *Reader) pass(n int64) error {
	var err error
	if s, ok := r.from.(interface{ Skip(n int64) error }); ok {
		err = s.Skip(n)
	} else {
		_, err = io.CopyN(io.Discard, r.from, n)
	}
	r.left -= n
	return err
}

// next goes to the next file, unless the present one was not asked for yet.
func (r *Reader) next() error {
	if r.have || r.err != nil {
		return r.err
	}
	r.err = r.header()
	return r.err
}

func (r *Reader) header() error {
	if err := r.pass(r.left); err != nil {
		return cut(err)
	}
	b := make([]byte, blockSize)
	if _, err := io.ReadFull(r.from, b); err != nil {
		return cut(err)
	}
	e, ok, err := parse(b)
	switch {
	case err != nil:
		return err
	case !ok:
		return io.EOF
	case r.entries == MaxEntries:
		return fmt.Errorf("%w: more than %d files", ErrFormat, MaxEntries)
	case !isTarget(e.name) && e.size > MaxMetadata:
		return fmt.Errorf("%w: %s: %d bytes of metadata, at most %d", ErrFormat, e.name, e.size, MaxMetadata)
	case isTarget(r.entry.name) && !isTarget(e.name):
		return fmt.Errorf("%w: %s behind a target", ErrFormat, e.name)
	}
	r.entries++
	r.entry, r.have = e, true
	r.pad = padding(e.size)
	r.left = e.size + r.pad
	return nil
}

// cut tells a bundle that ends in its middle from one that is through.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends in its middle: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	return err
}

// Metadata returns a file of metadata (trust.Fetch). Files in front of it are left out. A root that the bundle does not
// have is fs.ErrNotExist, and so is everything else once the metadata has ended.
func (r *Reader) Metadata(ctx context.Context, f trust.File) ([]byte, error) {
	for {
		err := r.next()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("read bundle: %w", err)
		case err != nil, isTarget(r.entry.name), f.Optional && !isRoot(r.entry.name):
			return nil, fmt.Errorf("read bundle: %s: %w", f.Name, fs.ErrNotExist)
		}
		r.have = false
		if r.entry.name != f.Name {
			continue
		}
		data, err := io.ReadAll(io.LimitReader(content{r}, int64(f.Most)+1))
		if err != nil {
			return nil, fmt.Errorf("read bundle: %s: %w", f.Name, err)
		}
		return data, nil
	}
}

func isRoot(name string) bool { return strings.HasSuffix(name, ".root.json") }

// Target returns the content of a target from an offset on. path is what trust.Target.Path says. Since a bundle is read
// once, nothing that was read, or lies in front of it, can be had a second time.
func (r *Reader) Target(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	for {
		at := r.entry.size + r.pad - r.left // in the present file
		if !r.have && r.err == nil && r.entry.name == TargetsDir+path && offset >= at {
			return r.goOn(path, offset, offset-at)
		}
		err := r.next()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("read bundle: target %s: %w", path, fs.ErrNotExist)
		case err != nil:
			return nil, fmt.Errorf("read bundle: %w", err)
		}
		r.have = false
	}
}

// goOn reads the present file from an offset on, so many bytes behind what was read.
func (r *Reader) goOn(path string, offset, ahead int64) (io.ReadCloser, error) {
	if offset > r.entry.size {
		return nil, fmt.Errorf("read bundle: target %s: offset %d of %d bytes", path, offset, r.entry.size)
	}
	if err := r.pass(ahead); err != nil {
		return nil, fmt.Errorf("read bundle: target %s: %w", path, cut(err))
	}
	return content{r}, nil
}

// NextTarget returns the path of the target that comes next, and leaves it there.
func (r *Reader) NextTarget(ctx context.Context) (string, error) {
	for {
		err := r.next()
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case errors.Is(err, io.EOF):
			return "", fmt.Errorf("read bundle: another target: %w", fs.ErrNotExist)
		case err != nil:
			return "", fmt.Errorf("read bundle: %w", err)
		}
		if isTarget(r.entry.name) {
			return strings.TrimPrefix(r.entry.name, TargetsDir), nil
		}
		r.have = false
	}
}

// content reads the present file.
type content struct{ r *Reader }

// Read implements io.Reader.
func (c content) Read(p []byte) (int, error) {
	rest := c.r.left - c.r.pad
	if rest <= 0 {
		return 0, io.EOF
	}
	n, err := c.r.from.Read(p[:min(int64(len(p)), rest)])
	c.r.left -= int64(n)
	if err != nil && int64(n) < rest {
		return n, cut(err)
	}
	return n, nil
}

// Close implements io.Closer. What was not read is passed over when the next file is asked for.
func (c content) Close() error { return nil }
