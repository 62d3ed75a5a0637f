package main

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/sim"
	"github.com/ocellus/ocellus/internal/areas"
	"github.com/ocellus/ocellus/internal/sealed"
)

// TestEraseFiles: what is the owner's goes, and is overwritten before; what is not stays, but in a folder of the agent's
// own.
func TestEraseFiles(t *testing.T) {
	t.Parallel()
	gone := []string{"config.yaml", "config.yaml.corrupt", "owner.sealed", ".owner.sealed.tmp", "rtsps.pem", "ports.json",
		"networks.sealed", "viewers.json", ".viewers.json.tmp", "viewers.json.corrupt", "sim-viewer-password",
		"events/0000000000000001", "events/.0000000000000002.tmp"}
	strange := []string{"holiday.jpg", "config.yaml.bak", "album/2026/a.jpg", "album/ota.json"}
	stays := []string{"persist.area", "keys.area", "agent.lock", "ota.json"}
	for _, own := range []bool{false, true} {
		state, links, outside := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "picture")
		for _, name := range slices.Concat(gone, strange, stays, []string{outside}) {
			path := filepath.Join(state, name)
			if name == outside {
				path = outside
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, bytes.Repeat([]byte("the owner's "), 500), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(path, filepath.Join(links, strings.ReplaceAll(name, "/", "_"))); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(outside, filepath.Join(state, "link.sealed")); err != nil {
			t.Fatal(err)
		}
		for range 2 { // a second time, as after a power cut
			if err := eraseFiles(state, own, silent()); err != nil {
				t.Fatal(err)
			}
		}
		want := slices.Concat(stays, strange, []string{"link.sealed"})
		if own {
			want, gone = stays, append(gone, strange...)
		}
		for _, name := range gone {
			if _, err := os.Stat(filepath.Join(state, name)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("own %v: %s is there: %v", own, name, err)
			}
			raw, err := os.ReadFile(filepath.Join(links, strings.ReplaceAll(name, "/", "_")))
			if err != nil || len(bytes.Trim(raw, "\x00")) > 0 {
				t.Errorf("own %v: %s was not overwritten: %v", own, name, err)
			}
		}
		for _, name := range want {
			if _, err := os.Stat(filepath.Join(state, name)); err != nil {
				t.Errorf("own %v: %v", own, err)
			}
		}
		if entries, err := os.ReadDir(state); own && (err != nil || len(entries) != len(stays)) {
			t.Errorf("left: %v, %v", entries, err)
		}
		if raw, err := os.ReadFile(outside); err != nil || len(raw) != 6000 {
			t.Errorf("own %v: what a link leads to was touched: %v", own, err)
		}
	}
}

// camera is a camera on a disk whose power can be cut, and its sealed files. A cut that meets the disk ends the writing
// of files, too, as the next write of a file finds out.
type cutCamera struct {
	disk  *sim.Disk
	files map[string][]byte
}

// file is a place in the folder of a camera.
type cutFile struct {
	c    *cutCamera
	name string
}

func (f cutFile) Load() ([]byte, error) {
	raw, ok := f.c.files[f.name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return raw, nil
}

func (f cutFile) Store(content []byte) error {
	if f.c.disk.Cut() {
		return hal.ErrClosed
	}
	f.c.files[f.name] = bytes.Clone(content)
	return nil
}

func (f cutFile) String() string { return f.name }

// opened is a camera that has started.
type opened struct {
	*access.Ownership
	vault    hal.Vault
	key      [sealed.KeySize]byte
	networks *sealed.Place
}

// end ends a reset as endReset does.
func (c *cutCamera) end(vault hal.Vault) error {
	_, err := access.EndReset(areas.New(vault, hal.Persist), func() error {
		if err := vault.Destroy(hal.Keys); err != nil {
			return err
		}
		if c.disk.Cut() {
			return hal.ErrClosed
		}
		clear(c.files)
		return nil
	})
	return err
}

func (c *cutCamera) start() (o opened, err error) {
	storage, err := sim.NewStorage(c.disk, hal.SlotA)
	if err != nil {
		return o, err
	}
	o.vault = storage
	if err := c.end(storage); err != nil {
		return o, err
	}
	persist := areas.New(storage, hal.Persist)
	hardware, _, err := access.OpenHardware(persist, "TEST-1")
	if err != nil {
		return o, err
	}
	if o.key, err = sealed.OpenKey(areas.New(storage, hal.Keys)); err != nil {
		return o, err
	}
	o.networks = sealed.New("networks", o.key, cutFile{c, "networks.sealed"})
	o.Ownership, err = access.OpenOwnership(hardware, persist, sealed.New("owner", o.key, cutFile{c, ownerName}), silent())
	return o, err
}

// TestResetCut cuts the power at every write and flush of a reset's disk, with every state of it that a cut may leave,
// and looks after the next start: the owner with all that he had, or nobody and nothing that opens; never half.
func TestResetCut(t *testing.T) {
	t.Parallel()
	const network = "the password of the home"
	base := &cutCamera{disk: sim.NewDisk(sim.StorageSize), files: map[string][]byte{}}
	o, err := base.start()
	if err != nil {
		t.Fatal(err)
	}
	p := newPhone(t, "")
	text, err := o.Hardware().Label().Text()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Claim(p.sign(t, text.Reveal(), o.Challenge())); err != nil {
		t.Fatal(err)
	}
	if err := o.networks.Store([]byte(network)); err != nil {
		t.Fatal(err)
	}
	oldKey, fingerprint := o.key, o.Hardware().Label().Fingerprint
	kept := map[string]int{}
	var files map[string][]byte
	reset := func(d *sim.Disk) error {
		c := &cutCamera{disk: d, files: maps.Clone(base.files)}
		files = c.files
		o, err := c.start()
		if err != nil {
			return err
		}
		receipt, err := o.Disown(func() error { return o.vault.Destroy(hal.Keys) })
		if err != nil {
			return err
		}
		if receipt == nil {
			t.Error("no receipt")
		}
		return c.end(o.vault)
	}
	points, err := sim.PowerCuts(base.disk, reset, func(d *sim.Disk, done bool) error {
		left := maps.Clone(files)
		now, err := (&cutCamera{disk: d, files: left}).start()
		if err != nil {
			return err
		}
		raw, fault := sealed.New("networks", now.key, cutFile{&cutCamera{files: left}, "networks.sealed"}).Load()
		switch {
		case now.Hardware().Label().Fingerprint != fingerprint:
			return errors.New("the hardware identity is another one")
		case now.Claimed() && done:
			return errors.New("reset, and there is an owner")
		case now.Claimed() && (fault != nil || string(raw) != network || now.key != oldKey):
			return errors.New("an owner, and half of what was his")
		case !now.Claimed() && (fault == nil || now.key == oldKey || len(left) > 0):
			return errors.New("no owner, and something of his")
		}
		kept[map[bool]string{true: "owner", false: "nobody"}[now.Claimed()]]++
		if now.Claimed() {
			return nil
		}
		_, err = now.Claim(newPhone(t, "").sign(t, text.Reveal(), now.Challenge()))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if t.Logf("%d states: %v", points, kept); kept["owner"] == 0 || kept["nobody"] == 0 {
		t.Error("the cuts do not meet both")
	}
}
