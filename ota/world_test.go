package ota

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/codec/cjson"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/areas"
	"github.com/ocellus/ocellus/internal/rawstore"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota/bundle"
	"github.com/ocellus/ocellus/ota/httprepo"
	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/ota/trust"
)

// publisher signs a repository of one release.
type publisher struct {
	files map[string][]byte // metadata, by name
	root  []byte
	image []byte
	path  string // of the target
	asked map[int64]int
	bend  func(at int64, r io.Reader) (io.Reader, error)
}

// releaseOf describes an image of 640 KiB, which fits a slot of 1 MiB.
func releaseOf(version string, image []byte) manifest.Release {
	v, _ := manifest.ParseVersion(version)
	return manifest.Release{Compatible: []string{"virt"}, Slot: "fit", Version: v, Size: int64(len(image)),
		Sum: sha256.Sum256(image), Segments: []manifest.Sum{sha256.Sum256(image)}, Severity: manifest.Routine,
		Rollout: manifest.Rollout{Share: manifest.AllShare}}
}

func randomImage(seed string) []byte {
	image := make([]byte, 640<<10)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(image)
	return image
}

type object map[string]any

// publish signs a release. change may bend what is said before it is signed.
func publish(t testing.TB, version string, change func(*manifest.Release)) *publisher {
	t.Helper()
	p := &publisher{image: randomImage(version), asked: map[int64]int{}}
	r := releaseOf(version, p.image)
	if change != nil {
		change(&r)
	}
	custom, err := manifest.Format(r)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(p.image)
	p.path = hex.EncodeToString(sum[:]) + ".cam.img"
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	mine := object{"keyids": []any{"k"}, "threshold": 1}
	p.root = signed(t, key, "root", object{"consistent_snapshot": true,
		"keys": object{"k": object{"keytype": "ed25519", "scheme": "ed25519",
			"keyval": object{"public": hex.EncodeToString(key.Public().(ed25519.PublicKey))}}},
		"roles": object{"root": mine, "timestamp": mine, "snapshot": mine, "targets": mine}})
	p.files = map[string][]byte{
		"timestamp.json":  signed(t, key, "timestamp", object{"meta": object{"snapshot.json": object{"version": 1}}}),
		"1.snapshot.json": signed(t, key, "snapshot", object{"meta": object{"targets.json": object{"version": 1}}}),
		"1.targets.json": signed(t, key, "targets", object{"issued": "2027-02-01T00:00:00Z",
			"targets": object{"cam.img": object{"length": len(p.image),
				"hashes": object{"sha256": hex.EncodeToString(sum[:])}, "custom": json.RawMessage(custom)}}}),
	}
	return p
}

func signed(t testing.TB, key ed25519.PrivateKey, role string, more object) []byte {
	t.Helper()
	s := object{"_type": role, "spec_version": "1.0", "version": 1, "expires": "2030-01-01T00:00:00Z"}
	for name, v := range more {
		s[name] = v
	}
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	v, err := cjson.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	sig := ed25519.Sign(key, v.AppendCanonical(nil))
	file, err := json.Marshal(object{"signed": json.RawMessage(raw),
		"signatures": []any{object{"keyid": "k", "sig": hex.EncodeToString(sig)}}})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Metadata implements Source.
func (p *publisher) Metadata(_ context.Context, f trust.File) ([]byte, error) {
	if b, ok := p.files[f.Name]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

// Target implements Source.
func (p *publisher) Target(_ context.Context, path string, at int64) (io.ReadCloser, error) {
	if path != p.path {
		return nil, fs.ErrNotExist
	}
	p.asked[at]++
	r := io.Reader(bytes.NewReader(p.image[at:]))
	if p.bend != nil {
		bent, err := p.bend(at, r)
		return io.NopCloser(bent), err
	}
	return io.NopCloser(r), nil
}

// served is the same repository on a web server.
func (p *publisher) served(t testing.TB) *httprepo.Repository {
	t.Helper()
	files := fstest.MapFS{bundle.TargetsDir + p.path: {Data: p.image}}
	for name, data := range p.files {
		files[name] = &fstest.MapFile{Data: data}
	}
	server := httptest.NewServer(http.FileServerFS(files))
	t.Cleanup(server.Close)
	r, err := httprepo.New(server.URL, nil, httprepo.Limits{Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// bundled is the same repository in one file.
func (p *publisher) bundled(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := bundle.NewWriter(&b)
	for _, name := range []string{"timestamp.json", "1.snapshot.json", "1.targets.json"} {
		if err := w.Add(name, int64(len(p.files[name])), bytes.NewReader(p.files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Add(bundle.TargetsDir+p.path, int64(len(p.image)), bytes.NewReader(p.image)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// camera is a simulated board with an engine. It boots by the Go twin of the boot script.
type camera struct {
	t       testing.TB
	board   *board
	state   statefile.Place
	root    []byte
	wrong   map[string]string // facts that are not good
	reboots []string
	engine  *Engine
	storage storage
	change  func(*Options)
}

// storage is what a board has on its disk.
type storage struct {
	*rawstore.BootEnv
	*rawstore.Slots
	rawstore.Vault
}

// bigSlot is a slot that holds a segment of the real size.
const bigSlot = 1 << 20

func (b *board) storage(booted hal.Slot) (storage, error) {
	env, err := rawstore.NewBootEnv("env", disk{b, envDisk}, unlocked)
	return storage{env, rawstore.NewSlots(booted, func(s hal.Slot, _ bool) (rawstore.ClosableDisk, error) {
		return disk{b, slotOf(s)}, nil
	}), b.vault()}, err
}

func newCamera(t testing.TB, root []byte, change func(*Options)) *camera {
	t.Helper()
	w := newWorld()
	w.media[slotADisk].pages, w.media[slotBDisk].pages = make([]*page, bigSlot/pageSize), make([]*page, bigSlot/pageSize)
	c := &camera{t: t, board: newBoard(w), root: root, wrong: map[string]string{}, change: change,
		state: statefile.Path(t.TempDir() + "/ota.json")}
	s, err := c.board.storage(hal.SlotA)
	if err != nil {
		t.Fatal(err)
	}
	env, err := bootstate.Record{Confirmed: bootstate.A}.Apply(nil)
	if err == nil {
		err = s.Set(env)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.start(hal.SlotA, bootstate.Confirmed, "1.0.0")
	return c
}

// start opens the engine in a slot.
func (c *camera) start(slot hal.Slot, how bootstate.How, running string) {
	c.t.Helper()
	s, err := c.board.storage(slot)
	if err != nil {
		c.t.Fatal(err)
	}
	v, err := manifest.ParseVersion(running)
	if err != nil {
		c.t.Fatal(err)
	}
	o := Options{Env: s.BootEnv, Slots: s.Slots, State: c.state, Persist: areas.New(s.Vault, hal.Persist), Root: c.root,
		How: string(how), Device: manifest.Device{Compatible: []string{"virt"}, Slot: "fit", Running: v},
		Facts: func(context.Context) []Fact {
			var all []Fact
			for _, name := range []string{"frames", "rtsp", "network"} {
				all = append(all, Fact{name, c.wrong[name] == "", c.wrong[name]})
			}
			return all
		},
		Reboot: func(_ context.Context, why string) error {
			c.reboots = append(c.reboots, why)
			return errReboot
		}}
	if c.change != nil {
		c.change(&o)
	}
	if c.engine, err = Open(o); err != nil {
		c.t.Fatal(err)
	}
	c.storage = s
}

// record is what the boot record says.
func (c *camera) record() bootstate.Record {
	c.t.Helper()
	env, err := c.storage.Get()
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := bootstate.Read(env)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// slot reads what is in a slot.
func (c *camera) slot(s hal.Slot, n int) []byte {
	c.t.Helper()
	r, err := c.storage.Read(s)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Close()
	b := make([]byte, n)
	if _, err := r.ReadAt(b, 0); err != nil {
		c.t.Fatal(err)
	}
	return b
}

func (c *camera) told() string {
	s := c.engine.Status()
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", s.State, s.Version, s.Reason))
}
