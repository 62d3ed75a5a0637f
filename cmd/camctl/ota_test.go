package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/ota/bundle"
	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/ota/trust"
)

// publisher is a directory with an age identity, keys and a repository.
type publisher struct {
	t   *testing.T
	dir string
}

func (p publisher) path(name string) string { return filepath.Join(p.dir, name) }

func (p publisher) write(name string, b []byte) string {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), b, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return p.path(name)
}

// run runs camctl ota and returns its exit code and what it said.
func (p publisher) run(args ...string) (code int, said string) {
	p.t.Helper()
	var out bytes.Buffer
	code = run(p.t.Context(), append([]string{"ota"}, args...), streams{strings.NewReader(""), &out, &out})
	return code, out.String()
}

// must runs a command that has to go well.
func (p publisher) must(args ...string) string {
	p.t.Helper()
	code, said := p.run(args...)
	if code != exitOK {
		p.t.Fatalf("camctl ota %q: code %d\n%s", args, code, said)
	}
	return said
}

func newPublisher(t *testing.T) publisher {
	t.Helper()
	p := publisher{t, t.TempDir()}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	p.write("identity", []byte(id.String()+"\n"))
	p.must("init", "--keys", p.path("keys"), "--repo", p.path("repo"), "--recipient", id.Recipient().String())
	return p
}

// publish builds and publishes a release, and returns the name of its target.
func (p publisher) publish(version string, image []byte, more ...string) string {
	p.t.Helper()
	slot := p.write("slot-"+version, image)
	p.must("build", "--board", "qemu-virt-arm64", "--slot", slot, "--version", version, "-o", p.path("new.bundle"))
	p.must(append([]string{"publish", "--repo", p.path("repo"), "--keys", p.path("keys"), "--identity", p.path("identity"),
		p.path("new.bundle")}, more...)...)
	return "qemu-virt-arm64/ocellus-" + version + ".img"
}

func (p publisher) change(args ...string) string {
	p.t.Helper()
	return p.must(append([]string{args[0], "--repo", p.path("repo"), "--keys", p.path("keys"), "--identity",
		p.path("identity")}, args[1:]...)...)
}

func wants(t *testing.T, said string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("got %q, want %q in it", said, w)
		}
	}
}

// TestPublish is a publisher's life: keys, two releases, a rollout that widens and is halted.
func TestPublish(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	wants(t, p.must("verify", "--repo", p.path("repo")), "root         1,", "0 targets, all as they were signed")
	image := bytes.Repeat([]byte("slot"), 700_000) // three segments
	p.publish("1.4.0", image)
	target := p.publish("1.5.0", append(image, 'x'), "--share", "100", "--start", "2026-12-01T08:00:00Z")
	said := p.must("verify", "--repo", p.path("repo"), "--root", filepath.Join(p.path("repo"), "1.root.json"))
	wants(t, said, "targets      3,", "release 1.4.0 for qemu-virt-arm64, routine, 2800000 bytes, share 10000",
		"release 1.5.0 for qemu-virt-arm64, routine, 2800001 bytes, share 100 of", "2 targets")
	wants(t, p.change("rollout", "--share", "5000", target), `"share":5000`, `"start":"2026-12-01T08:00:00Z"`)
	wants(t, p.change("rollout", "--halt", target), `"halt":true`, `"share":5000`)
	wants(t, p.must("verify", "--repo", p.path("repo")), "share 5000 of 10000, HALTED")
	wants(t, p.change("rollout", "--resume", target), `"halt":false`)
	wants(t, p.change("renew"), "timestamp 7,")
	p.downloads(target, append(image, 'x'))
}

// downloads lets go-tuf's own client fetch a target from a web server.
func (p publisher) downloads(target string, want []byte) {
	p.t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(p.path("repo"))))
	defer server.Close()
	root, err := os.ReadFile(filepath.Join(p.path("repo"), "1.root.json"))
	if err != nil {
		p.t.Fatal(err)
	}
	cfg, err := config.New(server.URL, root)
	if err != nil {
		p.t.Fatal(err)
	}
	cfg.LocalMetadataDir, cfg.LocalTargetsDir = p.path("theirs"), p.path("theirs")
	client, err := updater.New(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	info, err := client.GetTargetInfo(target)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, got, err := client.DownloadTarget(info, p.path("theirs/image"), ""); err != nil || !bytes.Equal(got, want) {
		p.t.Errorf("go-tuf: got %d bytes, %v, want %d", len(got), err, len(want))
	}
}

// TestPublishRefuses: what build wrote is published as it is, or not at all; no camera takes it before.
func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	image := bytes.Repeat([]byte("slot"), 1000)
	p.must("build", "--board", "b", "--slot", p.write("slot", image), "--version", "1.4.0", "-o", p.path("good"))
	good, err := os.ReadFile(p.path("good"))
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(good, image[:100])
	bent := bytes.Clone(good)
	bent[at] ^= 1
	other := bytes.Replace(good, []byte(`"target": "b/`), []byte(`"target": "c/`), 1)
	for name, content := range map[string][]byte{"bent": bent, "short": good[:at+50], "a script": []byte("#!/bin/sh\n"),
		"another target": other} {
		code, said := p.run("publish", "--repo", p.path("repo"), "--keys", p.path("keys"), "--identity", p.path("identity"),
			p.write("bad", content))
		if code != exitOther {
			t.Errorf("%s: code %d, %s", name, code, said)
		}
	}
	wants(t, p.must("verify", "--repo", p.path("repo")), "0 targets")
	r := bundle.NewReader(bytes.NewReader(good))
	root, err := os.ReadFile(filepath.Join(p.path("repo"), "1.root.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = trust.Refresh(t.Context(), trust.Trusted{Root: root}, trust.Rules{Local: true}, r.Metadata)
	if trust.ReasonOf(err) != trust.Missing {
		t.Errorf("unsigned, on a camera: got %v", err)
	}
}

// TestBundle: a bundle brings a camera that has the first root to the newest release, and so does a later one.
func TestBundle(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	first, err := os.ReadFile(filepath.Join(p.path("repo"), "1.root.json"))
	if err != nil {
		t.Fatal(err)
	}
	p.change("root")
	p.change("root")
	image := bytes.Repeat([]byte("slot"), 400_000)
	target := p.publish("1.4.0", image)
	wants(t, p.must("bundle", "--repo", p.path("repo"), "-o", p.path("b"), target), target, "1600000 bytes")
	f, err := os.Open(p.path("b"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bundle.NewReader(f)
	trusted, u, err := trust.Refresh(t.Context(), trust.Trusted{Root: first}, trust.Rules{Now: time.Now()}, r.Metadata)
	if err != nil || u.Root != 3 || trusted.Timestamp.Version == 0 {
		t.Fatalf("got %+v, %v", u, err)
	}
	found, err := u.Find(target)
	if err != nil {
		t.Fatal(err)
	}
	body, err := r.Target(t.Context(), found.Path(u.Consistent), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := found.Verify(body); err != nil {
		t.Error(err)
	}
	if code, said := p.run("bundle", "--repo", p.path("repo"), "-o", p.path("none"), "other.img"); code == exitOK {
		t.Errorf("a target that is not there: %s", said)
	}
	if _, err := os.Stat(p.path("none")); !os.IsNotExist(err) {
		t.Errorf("half a bundle: %v", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	target := p.publish("1.4.0", []byte("an image"))
	other := newPublisher(t)
	code, said := p.run("verify", "--repo", p.path("repo"), "--root", filepath.Join(other.path("repo"), "1.root.json"))
	if code == exitOK {
		t.Errorf("another publisher's root: %s", said)
	}
	wants(t, said, "threshold not met")
	late := time.Now().AddDate(0, 2, 0).UTC().Format(time.RFC3339)
	_, said = p.run("verify", "--repo", p.path("repo"), "--at", late)
	wants(t, said, "verify timestamp.json: expired")
	files, err := filepath.Glob(filepath.Join(p.path("repo"), "targets", filepath.Dir(target), "*.img"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got %q, %v", files, err)
	}
	if err := os.WriteFile(files[0], []byte("an imagE"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, said = p.run("verify", "--repo", p.path("repo"))
	wants(t, said, "mismatch")
}

// TestKeys: no key lies anywhere in clear, and each opens only for whom it was made.
func TestKeys(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	paths, err := filepath.Glob(p.path("keys/*"))
	if err != nil || len(paths) != 6 {
		t.Fatalf("got %q, %v, want 3 + 3 keys", paths, err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(b, []byte("age-encryption.org/v1\n")) || bytes.Contains(b, []byte("PRIVATE KEY")) {
			t.Errorf("%s: %v, %.40q", path, err, b)
		}
	}
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	id := p.write("stranger", []byte(stranger.String()))
	if code, said := p.run("renew", "--repo", p.path("repo"), "--keys", p.path("keys"), "--identity", id); code == exitOK {
		t.Errorf("a stranger's identity: %s", said)
	}
	for name, args := range map[string][]string{
		"keys in clear": {"init", "--keys", p.path("k"), "--repo", p.path("r")},
		"no root key at all": {"init", "--keys", p.path("k"), "--repo", p.path("r"), "--threshold", "0", "--recipient",
			stranger.Recipient().String()},
		"no way to open": {"renew", "--repo", p.path("repo"), "--keys", p.path("keys")},
		"share of too much": {"rollout", "--repo", p.path("repo"), "--keys", p.path("keys"), "--identity",
			p.path("identity"), "--share", "10001", p.publish("1.0.0", []byte("x"))},
		"bad version": {"build", "--board", "b", "--slot", id, "--version", "1", "-o", p.path("x")},
	} {
		if code, said := p.run(args...); code != exitUsage {
			t.Errorf("%s: code %d, %s", name, code, said)
		}
	}
	for name, args := range map[string][]string{
		"a floor above it": {"build", "--board", "b", "--slot", id, "--version", "1.0.0", "--min-floor", "1.0.1",
			"-o", p.path("x")},
		"an empty image": {"build", "--board", "b", "--slot", p.write("empty", nil), "--version", "1.0.0", "-o",
			p.path("x")},
		"init over a repository": {"init", "--keys", p.path("keys"), "--repo", p.path("repo"), "--recipient",
			stranger.Recipient().String()},
		"init over keys": {"init", "--keys", p.path("keys"), "--repo", p.path("r"), "--recipient",
			stranger.Recipient().String()},
		"the same release again": {"publish", "--repo", p.path("repo"), "--keys", p.path("keys"), "--identity",
			p.path("identity"), p.path("new.bundle")},
		"rollout of nothing": {"rollout", "--repo", p.path("repo"), "--keys", p.path("keys"), "--identity",
			p.path("identity"), "--halt", "nothing"},
	} {
		if code, said := p.run(args...); code != exitOther {
			t.Errorf("%s: code %d, %s", name, code, said)
		}
	}
}

// TestPassphrase: a passphrase makes and opens keys, another one does not.
func TestPassphrase(t *testing.T) {
	t.Parallel()
	p := publisher{t, t.TempDir()}
	r, err := age.NewScryptRecipient("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	r.SetWorkFactor(10) // 18 in earnest: a second
	private, err := newKeyFile(p.path("root-1.key"), r)
	if err != nil {
		t.Fatal(err)
	}
	k, err := metadata.KeyFromPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	id, err := k.ID()
	if err != nil {
		t.Fatal(err)
	}
	for pass, good := range map[string]bool{"correct horse\n": true, "wrong horse\n": false, "": false} {
		ring := keyring{Keys: p.dir, Passphrase: "-"}
		by, err := ring.identity(strings.NewReader(pass))
		if err == nil {
			_, err = ring.signers("root", []string{id}, by)
		}
		if (err == nil) != good {
			t.Errorf("%q: got %v, want it to open: %v", pass, err, good)
		}
		if err != nil && strings.Contains(err.Error(), "horse") {
			t.Errorf("the error tells the passphrase: %v", err)
		}
	}
}

// TestDelta: a delta is a target of its own, which the release names by the slot that it starts from, and a camera makes
// the release out of it.
func TestDelta(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	from, other := make([]byte, 200<<10), make([]byte, 100<<10)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(from)
	_, _ = random.Read(other)
	to := append([]byte("more"), from...)
	old, image := p.write("old.img", from), p.write("new.img", to)
	foreign := p.write("foreign.img", other)
	said := p.must("build", "--board", "b", "--slot", image, "--version", "1.4.0", "--from", old, "--from", foreign, "-o",
		p.path("new.bundle"))
	wants(t, said, "from "+old+": ", "foreign.img: 100 % of the image, left out")
	p.change("publish", p.path("new.bundle"))
	wants(t, p.must("verify", "--repo", p.path("repo")), "release 1.4.0 for b", "2 targets")
	r, err := openRepository(p.path("repo"))
	if err != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(from))
	name := "b/ocellus-1.4.0/from-" + sum[:16] + ".delta"
	wants(t, string(*r.targets.Signed.Targets["b/ocellus-1.4.0.img"].Custom), `"source":"`+sum+`"`, `"target":"`+name+`"`,
		fmt.Sprintf(`"source_size":%d`, len(from)))
	listed := r.targets.Signed.Targets[name]
	file := p.path(fmt.Sprintf("repo/targets/b/ocellus-1.4.0/%x.%s", []byte(listed.Hashes["sha256"]), filepath.Base(name)))
	wants(t, p.must("patch", old, file, "-o", p.path("made.img")), fmt.Sprintf("%x", sha256.Sum256(to)))
	made, err := os.ReadFile(p.path("made.img"))
	if err != nil || !bytes.Equal(made, to) {
		t.Errorf("made %d bytes, %v", len(made), err)
	}
	p.must("bundle", "--repo", p.path("repo"), "-o", p.path("delta.bundle"), name)
	carried, err := os.ReadFile(p.path("delta.bundle"))
	if d, e := os.ReadFile(file); err != nil || e != nil || !bytes.Contains(carried, d) {
		t.Errorf("a bundle of the delta: %v, %v", err, e)
	}
	for _, bad := range [][]string{{foreign, file}, {old, image}} {
		if code, said := p.run("patch", bad[0], bad[1], "-o", p.path("x")); code == 0 {
			t.Errorf("patch %q: %s", bad, said)
		}
	}
}

// TestRolloutKeeps: what a later publisher said in a release stays.
func TestRolloutKeeps(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	target := p.publish("1.4.0", []byte("x"))
	r, err := openRepository(p.path("repo"))
	if err != nil {
		t.Fatal(err)
	}
	raw := bytes.Replace(*r.targets.Signed.Targets[target].Custom, []byte(`"rollout":{`),
		[]byte(`"later":[1],"rollout":{"later":2,`), 1)
	r.targets.Signed.Targets[target].Custom = (*json.RawMessage)(&raw)
	share := 7
	if err := r.setRollout(target, rolloutChange{share: &share}); err != nil {
		t.Fatal(err)
	}
	wants(t, string(*r.targets.Signed.Targets[target].Custom), `"later":[1]`, `"later":2`, `"share":7`)
}

// TestRoot replaces the key of the timestamp and one of root, by two holders of root keys who never meet.
func TestRoot(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	target := p.publish("1.4.0", []byte("an image"))
	recipient, err := os.ReadFile(p.path("identity"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.ParseX25519Identity(strings.TrimSpace(string(recipient)))
	if err != nil {
		t.Fatal(err)
	}
	move := func(from, to string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(p.path(to)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(p.path(from), p.path(to)); err != nil {
			t.Fatal(err)
		}
	}
	move("keys/root-2.key", "ada/root-2.key")
	move("keys/root-3.key", "bob/root-3.key")
	wants(t, p.change("root", "--replace", "timestamp", "--replace", "root-1", "--recipient", id.Recipient().String()),
		"more root keys have to sign") // root-1 signs for the old root, root-2 (new) for the new one
	wants(t, p.must("verify", "--repo", p.path("repo")), "root         1,") // a draft is nobody's business
	if code, said := p.run("root", "--repo", p.path("repo"), "--keys", p.path("keys"), "--identity", p.path("identity"),
		"--replace", "targets", "--recipient", id.Recipient().String()); code != exitOther {
		t.Errorf("other keys in a draft that is signed: code %d, %s", code, said)
	}
	wants(t, p.must("root", "--repo", p.path("repo"), "--keys", p.path("ada"), "--identity", p.path("identity")),
		"root 2,")
	if code, said := p.run("verify", "--repo", p.path("repo")); code == exitOK {
		t.Errorf("the old timestamp under the new root: %s", said)
	}
	p.change("renew") // the new key of timestamp is beside the old one
	wants(t, p.must("verify", "--repo", p.path("repo"), "--root", filepath.Join(p.path("repo"), "1.root.json")),
		"root         2,", "1 targets")
	wants(t, p.change("renew", "--all"), "timestamp")
	p.downloads(target, []byte("an image"))
}

// TestBuildNote: what an image says of itself has to be what is said of it.
func TestBuildNote(t *testing.T) {
	t.Parallel()
	p := publisher{t, t.TempDir()}
	image, err := fit.Build(fit.Image{Arch: "arm64", Kernel: fit.Part{Data: []byte("kernel")},
		Slot: fit.Slot{Compatible: "cam", Version: "1.4.0"}})
	if err != nil {
		t.Fatal(err)
	}
	slot := p.write("slot", image)
	for _, c := range []struct{ board, version, want string }{
		{"cam", "1.4.0", ""}, {"cam", "1.4.1", "VERSION=1.4.1"}, {"toaster", "1.4.0", `is for "cam"`},
	} {
		code, said := p.run("build", "--board", c.board, "--slot", slot, "--version", c.version, "-o", p.path("out"))
		if (code == exitOK) != (c.want == "") || !strings.Contains(said, c.want) {
			t.Errorf("%s %s: code %d, %s; want %q", c.board, c.version, code, said, c.want)
		}
	}
	open, err := fit.Build(fit.Image{Arch: "arm64", Kernel: fit.Part{Data: []byte("kernel")},
		Slot: fit.Slot{Compatible: "cam", Version: "1.4.0", Flavour: fit.Developer}})
	if err != nil {
		t.Fatal(err)
	}
	code, said := p.run("build", "--board", "cam", "--slot", p.write("open", open), "--version", "1.4.0", "-o", p.path("out"))
	if code != exitUsage || !strings.Contains(said, "developer") {
		t.Errorf("a developer's image: code %d, %s", code, said)
	}
	image[len(image)/2] ^= 1
	if code, said := p.run("build", "--board", "cam", "--slot", p.write("slot", image), "--version", "1.4.0", "-o",
		p.path("out")); code == exitOK {
		t.Errorf("a damaged image: %s", said)
	}
}

// TestPublishNote: no key signs for an image that says something else of itself, whatever put it into the bundle: a
// developer's, another board's, another release's.
func TestPublishNote(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	for _, c := range []struct {
		note fit.Slot
		want string
	}{
		{fit.Slot{Compatible: "cam", Version: "1.4.0", Flavour: fit.Developer}, "is a developer's image"},
		{fit.Slot{Compatible: "toaster", Version: "1.4.0"}, `is for "toaster"`},
		{fit.Slot{Compatible: "cam", Version: "1.3.0"}, `is release "1.3.0"`},
		{fit.Slot{Compatible: "cam", Version: "1.4.0"}, ""},
	} {
		image, err := fit.Build(fit.Image{Arch: "arm64", Kernel: fit.Part{Data: []byte("kernel")}, Slot: c.note})
		if err != nil {
			t.Fatal(err)
		}
		slot := p.write("slot", image)
		build := otaBuild{Board: []string{"cam"}, Version: "1.4.0", Kind: "fit-squashfs", Severity: "routine", Out: p.path("foreign")}
		r, err := build.release()
		if err == nil {
			err = hashImage(slot, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
		custom, err := manifest.Format(r)
		if err == nil { // as build does, but for the look at the note
			err = build.bundle(unsigned{Target: "cam/ocellus.img", Custom: custom}, []part{{path: slot, target: "cam/ocellus.img"}})
		}
		if err != nil {
			t.Fatal(err)
		}
		code, said := p.run("publish", "--repo", p.path("repo"), "--keys", p.path("keys"), "--identity", p.path("identity"),
			p.path("foreign"))
		if (code == exitOK) != (c.want == "") || !strings.Contains(said, c.want) {
			t.Errorf("%+v: code %d, %s", c.note, code, said)
		}
		left, err := os.ReadDir(filepath.Join(p.path("repo"), "targets", "cam"))
		if want := map[bool]int{true: 1, false: 0}[c.want == ""]; err != nil || len(left) != want {
			t.Errorf("%+v: %d files among the targets, %v", c.note, len(left), err)
		}
	}
}
