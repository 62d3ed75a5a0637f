package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/ocellus/ocellus/codec/cjson"
	"github.com/ocellus/ocellus/ota/bundle"
	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/ota/trust"
)

type otaInit struct {
	lives
	Keys       string `required:"" type:"path" help:"The directory of the key files, made if it is not there."`
	Repo       string `required:"" type:"path" help:"The directory of the repository, made if it is not there."`
	Recipient  string `xor:"seal" placeholder:"age1..." help:"The age recipient that keys are encrypted for."`
	Online     string `placeholder:"age1..." help:"Another one for the keys of snapshot and timestamp."`
	Passphrase string `name:"passphrase-file" xor:"seal" placeholder:"FILE" help:"Encrypt by its first line; - is stdin."`
	RootKeys   int    `default:"3" help:"How many root keys."`
	Threshold  int    `default:"2" help:"How many of them have to sign."`
}

// Run makes keys and an empty repository.
func (c *otaInit) Run(s streams) error {
	if c.Threshold < 1 || c.RootKeys < c.Threshold {
		return &fault{exitUsage, errors.New("at least one root key has to sign, and no more than there are")}
	}
	if _, err := openRepository(c.Repo); err == nil {
		return fmt.Errorf("make repository %s: it is there already", c.Repo)
	}
	offline, err := recipient(c.Recipient, c.Passphrase, s.in)
	if err != nil {
		return err
	}
	online := offline
	if c.Online != "" {
		if online, err = recipient(c.Online, "", s.in); err != nil {
			return err
		}
	}
	for _, dir := range []string{c.Keys, c.Repo, filepath.Join(c.Repo, "targets")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	ring := newRing{dir: c.Keys, public: map[string][]ed25519.PublicKey{}, signers: map[string][]signature.Signer{}}
	for i := range c.RootKeys {
		ring.make("root", i+1, offline)
	}
	ring.make("targets", 1, offline)
	ring.make("snapshot", 1, online)
	ring.make("timestamp", 1, online)
	if ring.err != nil {
		return ring.err
	}
	return c.publish(s.out, ring)
}

func (c *otaInit) publish(out io.Writer, ring newRing) error {
	now := time.Now()
	r, err := newRepository(c.Repo, ring.public, c.Threshold, now, c.lives)
	if err != nil {
		return err
	}
	data, err := sign(r.root, ring.signers["root"])
	if err != nil {
		return fmt.Errorf("sign root: %w", err)
	}
	if err := r.write(metadataName("root", 1), data); err != nil {
		return err
	}
	keys := openedKeys{ring.signers["targets"], ring.signers["snapshot"], ring.signers["timestamp"]}
	if err := r.publish(keys, now, c.lives); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "repository %s: root 1, signed by %d keys, %d needed\nthe root for images: %s\n"+
		"keys in %s: take root-*.key to places of their own, far from one another. targets-*.key, snapshot-*.key and\n"+
		"timestamp-*.key publish and change rollouts, timestamp-*.key alone renews\n",
		c.Repo, c.RootKeys, c.Threshold, filepath.Join(c.Repo, metadataName("root", 1)), c.Keys)
	return err
}

// newRing makes keys. Its first error stays.
type newRing struct {
	dir     string
	public  map[string][]ed25519.PublicKey
	signers map[string][]signature.Signer
	err     error
}

func (r *newRing) make(role string, number int, to age.Recipient) {
	if r.err != nil {
		return
	}
	private, err := newKeyFile(filepath.Join(r.dir, fmt.Sprintf("%s-%d.key", role, number)), to)
	if err != nil {
		r.err = err
		return
	}
	signer, err := signature.LoadSigner(private, crypto.Hash(0))
	if err != nil {
		r.err = err
		return
	}
	r.public[role] = append(r.public[role], private.Public().(ed25519.PublicKey))
	r.signers[role] = append(r.signers[role], signer)
}

type otaBuild struct {
	Slot       string        `required:"" type:"existingfile" help:"The slot's image."`
	Board      []string      `required:"" help:"The board that it is for: BOARD of make image. Several if it fits them."`
	Version    string        `required:"" help:"MAJOR.MINOR.PATCH or MAJOR.MINOR.PATCH-PRE."`
	Kind       string        `default:"fit-squashfs" help:"How the slot is laid out."`
	MinFloor   string        `placeholder:"VERSION" help:"Once this release is confirmed no older one is installed."`
	Bootloader string        `placeholder:"VERSION" help:"The oldest boot loader for it; U-Boot 2023.01 is 2023.1.0."`
	Storage    []string      `help:"What the slot must lie on: block, nor, nand. Any if not said."`
	Needs      []string      `help:"What a camera must know to install it."`
	Notes      string        `type:"existingfile" help:"A file with notes for the owner."`
	Severity   string        `enum:"routine,important,security" default:"routine" help:"${enum}."`
	Downtime   time.Duration `default:"60s" help:"How long the camera will be away."`
	From       []string      `type:"existingfile" placeholder:"OLD.img" help:"Slot images of older releases: make deltas."`
	Out        string        `short:"o" required:"" type:"path" help:"Where the bundle goes: publish takes it and signs."`
}

// unsigned is what build hands to publish, in front of the image and its deltas: a bundle that no camera takes yet.
type unsigned struct {
	Target string          `json:"target"`
	Custom json.RawMessage `json:"custom"`
	Deltas []string        `json:"deltas,omitempty"` // names of targets
}

// unsignedName is its name in the bundle.
const unsignedName = "release.json"

// part is a file that goes into a bundle, or what would be in it.
type part struct {
	path, target string
	data         []byte // instead of a file
}

// Run puts an image into a bundle, with what is said of it.
func (c *otaBuild) Run(s streams) error {
	r, err := c.release()
	if err != nil {
		return err
	}
	if err := errors.Join(sameAsNote(c.Slot, c.Slot, r), hashImage(c.Slot, &r)); err != nil {
		return err
	}
	deltas, err := c.deltas(s.out, &r)
	if err != nil {
		return err
	}
	custom, err := manifest.Format(r)
	if err != nil {
		return err
	}
	name := path.Join(r.Compatible[0], "ocellus-"+r.Version.String()+".img")
	if err := sound(name, r, custom); err != nil {
		return err
	}
	if err := c.bundle(unsigned{Target: name, Custom: custom}, append([]part{{path: c.Slot, target: name}}, deltas...)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s: release %s for %s, %d bytes, sha256 %x\n", name, r.Version,
		strings.Join(r.Compatible, ", "), r.Size, r.Sum)
	return err
}

// release takes what the command line says.
func (c *otaBuild) release() (manifest.Release, error) {
	r := manifest.Release{Compatible: c.Board, Slot: c.Kind, Needs: c.Needs, Storage: manifest.Storage{Kinds: c.Storage},
		Severity: manifest.Severity(c.Severity), Downtime: c.Downtime.Truncate(time.Second),
		Rollout: manifest.Rollout{Share: manifest.AllShare}}
	for _, v := range []struct {
		text string
		to   *manifest.Version
	}{{c.Version, &r.Version}, {c.MinFloor, &r.MinFloor}, {c.Bootloader, &r.Bootloader}} {
		if v.text == "" {
			continue
		}
		var err error
		if *v.to, err = manifest.ParseVersion(v.text); err != nil {
			return manifest.Release{}, &fault{exitUsage, err}
		}
	}
	if c.Notes != "" {
		notes, err := os.ReadFile(c.Notes)
		if err != nil {
			return manifest.Release{}, err
		}
		r.Notes = strings.TrimSpace(string(notes))
	}
	return r, nil
}

// bundle writes the bundle: what is said first, then the image, then the deltas.
func (c *otaBuild) bundle(u unsigned, parts []part) error {
	for _, p := range parts[1:] {
		u.Deltas = append(u.Deltas, p.target)
	}
	text, err := json.MarshalIndent(u, "", "  ")
	if err != nil {
		return err
	}
	return newFile(c.Out, func(to io.Writer) error {
		w := bundle.NewWriter(to)
		if err := w.Add(unsignedName, int64(len(text)), bytes.NewReader(text)); err != nil {
			return err
		}
		for _, p := range parts {
			if err := p.add(w); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

func (p part) add(w *bundle.Writer) error {
	if p.data != nil {
		return w.Add(bundle.TargetsDir+p.target, int64(len(p.data)), bytes.NewReader(p.data))
	}
	f, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return w.Add(bundle.TargetsDir+p.target, info.Size(), f)
}

// sound refuses what no camera could read.
func sound(name string, r manifest.Release, custom []byte) error {
	v, err := cjson.Parse(custom)
	if err != nil {
		return err
	}
	_, err = manifest.Read(name, r.Size, r.Sum, v)
	return err
}

// hashImage fills in size and hashes.
func hashImage(name string, r *manifest.Release) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	all := sha256.New()
	for {
		part := sha256.New()
		n, err := io.CopyN(io.MultiWriter(all, part), f, manifest.Segment)
		if n > 0 {
			r.Size += n
			r.Segments = append(r.Segments, manifest.Sum(part.Sum(nil)))
		}
		if errors.Is(err, io.EOF) {
			r.Sum = manifest.Sum(all.Sum(nil))
			return nil
		}
		if err != nil {
			return fmt.Errorf("hash %s: %w", name, err)
		}
	}
}

type otaPublish struct {
	lives
	keyring
	Repo   string `required:"" type:"path" help:"The directory of the repository."`
	Share  int    `default:"10000" help:"The cameras that may have it at first, in ten thousandths."`
	Start  string `placeholder:"TIME" help:"From when on: 2026-12-01T08:00:00Z."`
	Bundle string `arg:"" type:"existingfile" help:"What build wrote."`
}

// Run adds a release and signs.
func (c *otaPublish) Run(ctx context.Context, s streams) error {
	f, err := os.Open(c.Bundle)
	if err != nil {
		return err
	}
	defer f.Close()
	from := bundle.NewReader(bufio.NewReader(f))
	raw, err := from.Metadata(ctx, trust.File{Name: unsignedName, Most: bundle.MaxMetadata})
	if err != nil {
		return fmt.Errorf("%s: not what camctl ota build writes: %w", c.Bundle, err)
	}
	var d unsigned
	if err := json.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("read %s: %w", c.Bundle, err)
	}
	r, err := openRepository(c.Repo)
	if err != nil {
		return err
	}
	if _, there := r.targets.Signed.Targets[d.Target]; there {
		return fmt.Errorf("publish %s: it is there already; a release never changes", d.Target)
	}
	keys, err := c.open(r, s.in)
	if err != nil {
		return err
	}
	if err := r.take(ctx, from, d); err != nil {
		return fmt.Errorf("%s: %w", c.Bundle, err)
	}
	if err := r.setRollout(d.Target, rolloutChange{share: &c.Share, start: c.Start}); err != nil {
		return err
	}
	if err := r.publish(keys, time.Now(), c.lives); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "published %s: targets %d, snapshot %d, timestamp %d\n", d.Target,
		r.targets.Signed.Version,
		r.snapshot.Signed.Version, r.timestamp.Signed.Version)
	return err
}

// open opens the keys that a publication needs.
func (k keyring) open(r *repository, in io.Reader) (keys openedKeys, err error) {
	by, err := k.identity(in)
	if err != nil {
		return openedKeys{}, err
	}
	for role, to := range map[string]*[]signature.Signer{"targets": &keys.targets, "snapshot": &keys.snapshot,
		"timestamp": &keys.timestamp} {
		if *to, err = k.signers(role, r.root.Signed.Roles[role].KeyIDs, by); err != nil {
			return openedKeys{}, err
		}
	}
	return keys, nil
}

type otaRenew struct {
	lives
	keyring
	Repo string `required:"" type:"path" help:"The directory of the repository."`
	All  bool   `help:"Targets and snapshot, too: before they expire, or once root has given them other keys."`
}

// Run signs the timestamp anew.
func (c *otaRenew) Run(s streams) error {
	r, err := openRepository(c.Repo)
	if err != nil {
		return err
	}
	if err := c.sign(r, s.in); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "timestamp %d, valid until %s\n", r.timestamp.Signed.Version,
		r.timestamp.Signed.Expires.Format(time.RFC3339))
	return err
}

func (c *otaRenew) sign(r *repository, in io.Reader) error {
	if c.All {
		keys, err := c.open(r, in)
		if err != nil {
			return err
		}
		return r.publish(keys, time.Now(), c.lives)
	}
	by, err := c.identity(in)
	if err != nil {
		return err
	}
	keys, err := c.signers("timestamp", r.root.Signed.Roles["timestamp"].KeyIDs, by)
	if err != nil {
		return err
	}
	return r.renew(keys, time.Now(), c.lives)
}

type otaRollout struct {
	lives
	keyring
	Repo   string `required:"" type:"path" help:"The directory of the repository."`
	Share  *int   `xor:"what" help:"The cameras that may have it, in ten thousandths. Cameras that had it keep it."`
	Halt   bool   `xor:"what" help:"Nobody installs it any more."`
	Resume bool   `xor:"what" help:"Take a halt back."`
	Start  string `placeholder:"TIME" help:"From when on: 2026-12-01T08:00:00Z."`
	Target string `arg:"" help:"The release's target, as publish printed it."`
}

// Run changes a release's rollout.
func (c *otaRollout) Run(s streams) error {
	r, err := openRepository(c.Repo)
	if err != nil {
		return err
	}
	change := rolloutChange{share: c.Share, start: c.Start}
	if c.Halt || c.Resume {
		change.halt = &c.Halt
	}
	keys, err := c.open(r, s.in)
	if err != nil {
		return err
	}
	if err := r.setRollout(c.Target, change); err != nil {
		return err
	}
	if err := r.publish(keys, time.Now(), c.lives); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s: %s\n", c.Target, r.rollout(c.Target))
	return err
}
