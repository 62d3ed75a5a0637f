package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/ota/trust"
)

type otaVerify struct {
	Repo string `required:"" type:"path" help:"The directory of the repository."`
	Root string `type:"existingfile" placeholder:"FILE" help:"The root that cameras have; the first one if not said."`
	At   string `placeholder:"TIME" help:"As if it were then: 2026-12-01T08:00:00Z."`
}

// Run looks at a repository as a camera with a good clock does, and reads every target.
func (c *otaVerify) Run(ctx context.Context, s streams) error {
	now, err := c.now()
	if err != nil {
		return err
	}
	first := c.Root
	if first == "" {
		first = filepath.Join(c.Repo, metadataName("root", 1))
	}
	begin, err := readBounded(first, trust.MaxRoot)
	if err != nil {
		return err
	}
	u, err := walk(ctx, begin, now, inRepo(c.Repo))
	if err != nil {
		return fmt.Errorf("repository %s, from the root %s on: %w", c.Repo, first, err)
	}
	if err := c.tell(s.out, u); err != nil {
		return err
	}
	return c.targets(s.out, u)
}

func (c *otaVerify) now() (time.Time, error) {
	if c.At == "" {
		return time.Now(), nil
	}
	at, err := time.Parse(time.RFC3339, c.At)
	if err != nil {
		return time.Time{}, &fault{exitUsage, fmt.Errorf("time %q: want one such as 2026-12-01T08:00:00Z", c.At)}
	}
	return at, nil
}

// walk verifies the metadata by the rules of a camera.
func walk(ctx context.Context, root []byte, now time.Time, fetch trust.Fetch) (trust.Update, error) {
	t := trust.Trusted{Root: root}
	for {
		var u trust.Update
		var err error
		t, u, err = trust.Refresh(ctx, t, trust.Rules{Strict: true, Now: now}, fetch)
		if !errors.Is(err, trust.ErrMore) {
			return u, err
		}
	}
}

// inRepo reads metadata of a repository in a directory.
func inRepo(repo string) trust.Fetch {
	return func(_ context.Context, f trust.File) ([]byte, error) {
		return readBounded(filepath.Join(repo, f.Name), int64(f.Most))
	}
}

// readBounded reads at most so many bytes and one more.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}

// tell says who signed what, until when. It names keys by the first digits of their ids.
func (c *otaVerify) tell(out io.Writer, u trust.Update) error {
	for _, m := range []struct {
		role string
		name string
	}{
		{"root", metadataName("root", u.Root)}, {"timestamp", "timestamp.json"},
		{"snapshot", metadataName("snapshot", u.Snapshot)}, {"targets", metadataName("targets", u.Version)},
	} {
		path := filepath.Join(c.Repo, m.name)
		version, expires, sigs, err := facts(m.role, path)
		if err != nil {
			return err
		}
		var ids []string
		for _, s := range sigs {
			ids = append(ids, s.KeyID[:min(8, len(s.KeyID))])
		}
		if _, err := fmt.Fprintf(out, "%-9s %4d, valid until %s, signatures of %s\n", m.role, version,
			expires.Format(time.RFC3339),
			strings.Join(ids, ", ")); err != nil {
			return err
		}
	}
	return nil
}

// facts reads what every role's metadata has.
func facts(role, path string) (version int64, expires time.Time, sigs []metadata.Signature, err error) {
	switch role {
	case "root":
		m, err := metadata.Root().FromFile(path)
		if err != nil {
			return 0, time.Time{}, nil, err
		}
		return m.Signed.Version, m.Signed.Expires, m.Signatures, nil
	case "timestamp":
		m, err := metadata.Timestamp().FromFile(path)
		if err != nil {
			return 0, time.Time{}, nil, err
		}
		return m.Signed.Version, m.Signed.Expires, m.Signatures, nil
	case "snapshot":
		m, err := metadata.Snapshot().FromFile(path)
		if err != nil {
			return 0, time.Time{}, nil, err
		}
		return m.Signed.Version, m.Signed.Expires, m.Signatures, nil
	}
	m, err := metadata.Targets().FromFile(path)
	if err != nil {
		return 0, time.Time{}, nil, err
	}
	return m.Signed.Version, m.Signed.Expires, m.Signatures, nil
}

// targets reads every target and says what its release is.
func (c *otaVerify) targets(out io.Writer, u trust.Update) error {
	for _, t := range u.Targets {
		f, err := os.Open(filepath.Join(c.Repo, "targets", t.Path(u.Consistent)))
		if err != nil {
			return err
		}
		err = t.Verify(f)
		f.Close()
		if err != nil {
			return err
		}
	}
	releases, faults := manifest.Releases(u)
	for _, r := range releases {
		fmt.Fprintf(out, "%s: release %s for %s, %s, %d bytes, share %d of %d%s\n", r.Target, r.Version,
			strings.Join(r.Compatible, ", "), r.Severity, r.Size, r.Rollout.Share, manifest.AllShare,
			map[bool]string{true: ", HALTED"}[r.Rollout.Halt])
	}
	if len(faults) > 0 {
		return fmt.Errorf("verify releases: %w", faults[0])
	}
	_, err := fmt.Fprintf(out, "%d targets, all as they were signed\n", len(u.Targets))
	return err
}
