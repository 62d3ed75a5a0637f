package vault

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

const size = 256 << 10

// reopening opens the nodes for each call, so that a suite which knows no Close leaves nothing open.
type reopening map[hal.Area]string

func (r reopening) do(use func(*Vault) error) error {
	v, err := Open(r)
	if err != nil {
		return err
	}
	defer func() { _ = v.Close() }()
	return use(v)
}

func (r reopening) Load(a hal.Area) (b []byte, err error) {
	return b, r.do(func(v *Vault) error { b, err = v.Load(a); return err })
}

func (r reopening) Store(a hal.Area, data []byte) error {
	return r.do(func(v *Vault) error { return v.Store(a, data) })
}

func (r reopening) Destroy(a hal.Area) error {
	return r.do(func(v *Vault) error { return v.Destroy(a) })
}

func files(t *testing.T) reopening {
	dir := t.TempDir()
	nodes := reopening{hal.Persist: filepath.Join(dir, "persist"), hal.Keys: filepath.Join(dir, "keys")}
	for _, path := range nodes {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// The laws count goroutines and descriptors of the process, so these tests are not parallel.

func TestVaultLaw(t *testing.T) {
	var nodes reopening
	const cut = "hal/sim cuts the power under the same code"
	haltest.Vault(t, func(t *testing.T) hal.Vault { nodes = files(t); return nodes }, haltest.VaultOptions{
		Again: func() (hal.Vault, error) { return nodes, nil },
		Damage: func(copy int) error {
			f, err := os.OpenFile(nodes[hal.Persist], os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			_, err = f.WriteAt([]byte("bad bits"), int64(copy)*size/2+30)
			return err
		},
		Skips: map[string]string{"a power cut in store leaves before or after": cut,
			"a power cut in destroy leaves before or nothing": cut},
	})
}

// TestHardwareVault runs on a board whose areas may be overwritten (OCELLUS_PERSIST, OCELLUS_KEYS).
func TestHardwareVault(t *testing.T) {
	nodes := reopening{hal.Persist: os.Getenv("OCELLUS_PERSIST"), hal.Keys: os.Getenv("OCELLUS_KEYS")}
	if nodes[hal.Persist] == "" || nodes[hal.Keys] == "" {
		t.Skip("OCELLUS_PERSIST and OCELLUS_KEYS name no partitions that may be overwritten")
	}
	haltest.Vault(t, func(*testing.T) hal.Vault { return nodes }, haltest.VaultOptions{
		Again: func() (hal.Vault, error) { return nodes, nil }})
}

// TestKeysAreGone looks for the bytes of destroyed and of replaced keys on the disk.
func TestKeysAreGone(t *testing.T) {
	t.Parallel()
	nodes := files(t)
	for _, c := range []struct {
		name string
		then func() error
	}{
		{"replaced", func() error { return nodes.Store(hal.Keys, []byte("other")) }},
		{"destroyed", func() error { return nodes.Destroy(hal.Keys) }},
	} {
		secret := make([]byte, 9000)
		for i := range secret {
			secret[i] = 0xa7
		}
		for range 3 { // both copies
			if err := nodes.Store(hal.Keys, secret); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.then(); err != nil {
			t.Fatal(err)
		}
		disk, err := os.ReadFile(nodes[hal.Keys])
		if err != nil {
			t.Fatal(err)
		}
		left := 0
		for _, b := range disk {
			if b == 0xa7 {
				left++
			}
		}
		if left > 4 { // a CRC or a length may have the byte by chance
			t.Errorf("%s: %d bytes of the key are on the disk", c.name, left)
		}
	}
}

// TestFiles: a board without partitions has its areas in files, which are made once and keep what is stored.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		v, err := Files(dir)
		if err != nil {
			t.Fatal(err)
		}
		old, err := v.Load(hal.Persist)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Store(hal.Persist, append(old, 1)); err != nil {
			t.Error(err)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
	v, err := Files(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	if got, err := v.Load(hal.Persist); err != nil || len(got) != 2 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := v.Store(hal.Keys, make([]byte, hal.MaxArea)); err != nil {
		t.Errorf("the largest area: %v", err)
	}
	if _, err := Files(dir + "/none"); err == nil {
		t.Error("a folder that is not there")
	}
}
