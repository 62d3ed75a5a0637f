package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/ocellus/ocellus/ota/bundle"
	"github.com/ocellus/ocellus/ota/trust"
)

type otaBundle struct {
	Repo   string `required:"" type:"path" help:"The directory of the repository."`
	Root   string `type:"existingfile" placeholder:"FILE" help:"The root that cameras have; the first one if not said."`
	Out    string `short:"o" required:"" type:"path" help:"Where the bundle goes."`
	Target string `arg:"" help:"The target to carry, as publish printed it: a release, or a delta that leads to it."`
}

// Run puts into one file what a camera asks a repository for: the metadata, as the walk through it asks, and a target.
func (c *otaBundle) Run(ctx context.Context, s streams) error {
	first := c.Root
	if first == "" {
		first = filepath.Join(c.Repo, metadataName("root", 1))
	}
	root, err := readBounded(first, trust.MaxRoot)
	if err != nil {
		return err
	}
	size := int64(0)
	err = newFile(c.Out, func(to io.Writer) error {
		w := bundle.NewWriter(to)
		u, err := carry(ctx, w, c.Repo, root)
		if err != nil {
			return err
		}
		t, err := u.Find(c.Target)
		if err != nil {
			return err
		}
		size = t.Length
		return errors.Join(carryTarget(w, c.Repo, t, u.Consistent), w.Close())
	})
	if err != nil {
		return fmt.Errorf("bundle %s: %w", c.Target, err)
	}
	_, err = fmt.Fprintf(s.out, "%s: %s, %d bytes, and the metadata that vouches for it\n", c.Out, c.Target, size)
	return err
}

// carry puts the metadata into a bundle, in the order in which a camera verifies it.
func carry(ctx context.Context, w *bundle.Writer, repo string, root []byte) (trust.Update, error) {
	fetch := inRepo(repo)
	return walk(ctx, root, time.Now(), func(ctx context.Context, f trust.File) ([]byte, error) {
		data, err := fetch(ctx, f)
		if err == nil {
			err = w.Add(f.Name, int64(len(data)), bytes.NewReader(data))
		}
		return data, err
	})
}

// carryTarget puts a target into a bundle, unless it is not what was signed.
func carryTarget(w *bundle.Writer, repo string, t trust.Target, consistent bool) error {
	path := t.Path(consistent)
	f, err := os.Open(filepath.Join(repo, bundle.TargetsDir, path))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := t.Verify(f); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return w.Add(bundle.TargetsDir+path, t.Length, f)
}
