package ubootenv

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

// law runs the suite on a node. The laws count goroutines and descriptors of the process: not parallel.
func law(t *testing.T, fresh func(t *testing.T) string, skips map[string]string) {
	var path string
	haltest.BootEnv(t, func(t *testing.T) hal.BootEnv {
		path = fresh(t)
		return reopening{path}
	}, haltest.BootEnvOptions{
		Again:  func() (hal.BootEnv, error) { return reopening{path}, nil },
		Damage: func(copy int) error { return flip(path, int64(copy)*bootstate.Stride+33) },
		Skips:  skips,
	})
}

// reopening opens the node for each call, so that a suite which knows no Close leaves nothing open.
type reopening struct{ path string }

func (r reopening) Get() (map[string]string, error) {
	e, err := Open(r.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.Close() }()
	return e.Get()
}

func (r reopening) Set(changes map[string]string) error {
	e, err := Open(r.path)
	if err != nil {
		return err
	}
	defer func() { _ = e.Close() }()
	return e.Set(changes)
}

// flip flips a bit of a file.
func flip(path string, offset int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	if _, err = f.ReadAt(b[:], offset); err == nil {
		b[0] ^= 1
		_, err = f.WriteAt(b[:], offset)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

func newFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(path, make([]byte, bootstate.Size), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBootEnvLaw(t *testing.T) {
	law(t, newFile, map[string]string{"a power cut leaves before or after": "hal/sim cuts the power under the same code"})
}

// TestHardwareBootEnv runs on a board whose record may be overwritten (OCELLUS_ENV).
func TestHardwareBootEnv(t *testing.T) {
	path := os.Getenv("OCELLUS_ENV")
	if path == "" {
		t.Skip("OCELLUS_ENV names no partition that may be overwritten")
	}
	law(t, func(*testing.T) string { return path }, nil)
}

// TestTwoWriters changes one record from two sides: no change of either is lost.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	var both sync.WaitGroup
	for _, name := range []string{"st_one", "st_two"} {
		both.Go(func() {
			e, err := Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = e.Close() }()
			for i := range 20 {
				if err := e.Set(map[string]string{name: string(rune('a' + i))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	got, err := reopening{path}.Get()
	if err != nil || got["st_one"] != "t" || got["st_two"] != "t" {
		t.Errorf("got %v, %v, want t and t", got, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{short, short + "-none"} {
		if e, err := Open(path); err == nil {
			t.Errorf("%s: got no error", path)
			_ = e.Close()
		}
	}
}
