package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/ocellus/ocellus/codec/cjson"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota/bundle"
	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/ota/trust"
)

// repository is a TUF repository in a directory, with consistent snapshots: metadata at the top, targets in targets.
type repository struct {
	dir       string
	root      *metadata.Metadata[metadata.RootType]
	timestamp *metadata.Metadata[metadata.TimestampType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	targets   *metadata.Metadata[metadata.TargetsType]
}

// metadataName is how metadata of a version is called.
func metadataName(role string, version int64) string {
	return strconv.FormatInt(version, 10) + "." + role + ".json"
}

// openRepository reads the present state of a repository. It does not verify it: whoever holds the keys made it.
func openRepository(dir string) (*repository, error) {
	r := &repository{dir: dir, root: metadata.Root(), timestamp: metadata.Timestamp(), snapshot: metadata.Snapshot(),
		targets: metadata.Targets()}
	newest := int64(0)
	for {
		_, err := os.Stat(filepath.Join(dir, metadataName("root", newest+1)))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		newest++
	}
	if newest == 0 {
		return nil, fmt.Errorf("open repository %s: no root in it; camctl ota init makes one", dir)
	}
	if _, err := r.root.FromFile(filepath.Join(dir, metadataName("root", newest))); err != nil {
		return nil, fmt.Errorf("open repository %s: %w", dir, err)
	}
	if _, err := r.timestamp.FromFile(filepath.Join(dir, "timestamp.json")); err != nil {
		return nil, fmt.Errorf("open repository %s: %w", dir, err)
	}
	listed, ok := r.timestamp.Signed.Meta["snapshot.json"]
	if !ok {
		return nil, fmt.Errorf("open repository %s: its timestamp names no snapshot", dir)
	}
	if _, err := r.snapshot.FromFile(filepath.Join(dir, metadataName("snapshot", listed.Version))); err != nil {
		return nil, fmt.Errorf("open repository %s: %w", dir, err)
	}
	if listed, ok = r.snapshot.Signed.Meta["targets.json"]; !ok {
		return nil, fmt.Errorf("open repository %s: its snapshot names no targets", dir)
	}
	if _, err := r.targets.FromFile(filepath.Join(dir, metadataName("targets", listed.Version))); err != nil {
		return nil, fmt.Errorf("open repository %s: %w", dir, err)
	}
	return r, nil
}

// newRepository makes an empty one, whose root names keys for the roles.
func newRepository(dir string, keys map[string][]ed25519.PublicKey, rootThreshold int, now time.Time,
	l lives) (*repository, error) {
	r := &repository{dir: dir, root: metadata.Root(whole(now.Add(l.Root))), timestamp: metadata.Timestamp(),
		snapshot: metadata.Snapshot(), targets: metadata.Targets()}
	for role, all := range keys {
		for _, public := range all {
			k, err := metadata.KeyFromPublicKey(public)
			if err != nil {
				return nil, err
			}
			if err := r.root.Signed.AddKey(k, role); err != nil {
				return nil, err
			}
		}
	}
	r.root.Signed.Roles["root"].Threshold = rootThreshold
	r.timestamp.Signed.Version, r.snapshot.Signed.Version, r.targets.Signed.Version = 0, 0, 0 // each publish counts on
	return r, nil
}

// whole leaves out what TUF's times don't have.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// sign signs metadata with all keys that it is given.
func sign[T metadata.Roles](m *metadata.Metadata[T], signers []signature.Signer) ([]byte, error) {
	m.ClearSignatures()
	for _, s := range signers {
		if _, err := m.Sign(s); err != nil {
			return nil, err
		}
	}
	return m.ToBytes(false)
}

// openedKeys are the keys that a publication needs.
type openedKeys struct{ targets, snapshot, timestamp []signature.Signer }

// publish signs new versions of targets, snapshot and timestamp, and writes them. The timestamp comes last: until it is
// there, the repository is what it was.
func (r *repository) publish(keys openedKeys, now time.Time, l lives) error {
	t := &r.targets.Signed
	t.Version++
	t.Expires = whole(now.Add(l.Targets))
	if t.UnrecognizedFields == nil {
		t.UnrecognizedFields = map[string]any{}
	}
	t.UnrecognizedFields["issued"] = whole(now).Format(time.RFC3339)
	data, err := sign(r.targets, keys.targets)
	if err != nil {
		return fmt.Errorf("sign targets: %w", err)
	}
	if len(data) > trust.MaxTargets {
		return fmt.Errorf("sign targets: %d bytes, cameras take %d: take old releases out", len(data), trust.MaxTargets)
	}
	if err := r.write(metadataName("targets", t.Version), data); err != nil {
		return err
	}
	s := &r.snapshot.Signed
	s.Version++
	s.Expires = t.Expires
	s.Meta["targets.json"] = listing(t.Version, data)
	if data, err = sign(r.snapshot, keys.snapshot); err != nil {
		return fmt.Errorf("sign snapshot: %w", err)
	}
	if err := r.write(metadataName("snapshot", s.Version), data); err != nil {
		return err
	}
	r.timestamp.Signed.Meta["snapshot.json"] = listing(s.Version, data)
	return r.renew(keys.timestamp, now, l)
}

// renew signs a new timestamp and nothing else.
func (r *repository) renew(keys []signature.Signer, now time.Time, l lives) error {
	t := &r.timestamp.Signed
	t.Version++
	t.Expires = whole(now.Add(l.Timestamp))
	if t.UnrecognizedFields == nil {
		t.UnrecognizedFields = map[string]any{}
	}
	t.UnrecognizedFields["issued"] = whole(now).Format(time.RFC3339)
	data, err := sign(r.timestamp, keys)
	if err != nil {
		return fmt.Errorf("sign timestamp: %w", err)
	}
	return r.write("timestamp.json", data)
}

func (r *repository) write(name string, data []byte) error {
	return statefile.WriteBytes(filepath.Join(r.dir, name), data, 0o644)
}

// listing is what metadata says of other metadata.
func listing(version int64, data []byte) *metadata.MetaFiles {
	sum := sha256.Sum256(data)
	return &metadata.MetaFiles{Version: version, Length: int64(len(data)), Hashes: metadata.Hashes{"sha256": sum[:]}}
}

// take adds a release and its deltas out of a bundle, unless the image is not the one that is described. Whatever built
// the bundle: what the image says of itself is looked at once more, before a key signs for it.
func (r *repository) take(ctx context.Context, from *bundle.Reader, d unsigned) error {
	said, err := cjson.Parse(d.Custom)
	if err != nil {
		return err
	}
	judge := func(file string, t *metadata.TargetFiles) error {
		release, err := manifest.Read(d.Target, t.Length, manifest.Sum(t.Hashes["sha256"]), said)
		if err != nil {
			return err
		}
		t.Custom = &d.Custom
		return sameAsNote(file, "the image", release)
	}
	for _, name := range append([]string{d.Target}, d.Deltas...) {
		body, err := from.Target(ctx, name, 0)
		if err != nil {
			return err
		}
		if err := r.add(name, body, judge); err != nil {
			return fmt.Errorf("add target %s: %w", name, err)
		}
		judge = nil
	}
	return nil
}

// add puts a file among the targets: its bytes, under the name that consistent snapshots give it, and its entry. judge,
// where it is set, may refuse what came.
func (r *repository) add(name string, from io.Reader, judge func(file string, t *metadata.TargetFiles) error) error {
	dir, base := filepath.Split(filepath.Join(r.dir, "targets", name))
	incoming := filepath.Join(dir, ".incoming-"+base)
	defer os.Remove(incoming) // gone after the rename
	h := sha256.New()
	var n int64
	err := newFile(incoming, func(to io.Writer) (err error) {
		n, err = io.Copy(io.MultiWriter(to, h), from)
		return err
	})
	if err != nil {
		return err
	}
	t := &metadata.TargetFiles{Length: n, Hashes: metadata.Hashes{"sha256": h.Sum(nil)}}
	if judge != nil {
		if err := judge(incoming, t); err != nil {
			return err
		}
	}
	if err := os.Rename(incoming, filepath.Join(dir, fmt.Sprintf("%x.%s", h.Sum(nil), base))); err != nil {
		return err
	}
	r.targets.Signed.Targets[name] = t
	return nil
}

// newFile fills a file that appears whole or not at all.
func newFile(to string, fill func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(to), ".adding-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // gone after the rename
	err = fill(temp)
	if err == nil {
		err = errors.Join(temp.Chmod(0o644), temp.Sync())
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), to)
}
