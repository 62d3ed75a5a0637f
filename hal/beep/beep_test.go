package beep

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

// TestLaw checks the law without a device: what is below is the write alone.
func TestLaw(t *testing.T) {
	var mu sync.Mutex // guards heard
	var heard []int
	haltest.Sounder(t, func(*testing.T) hal.Sounder {
		mu.Lock()
		defer mu.Unlock()
		heard = nil
		return &Beeper{name: "test", release: func() error { return nil }, tone: func(hz int) error {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, hz)
			return nil
		}}
	}, haltest.SounderOptions{Heard: func() []int {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(heard)
	}})
}

// TestNoBeeper: what takes no tones is left aside.
func TestNoBeeper(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if b := Find(dir); b != nil {
		t.Errorf("found %+v in an empty folder", b)
	}
	file := filepath.Join(dir, "event0")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("a plain file: %v", err)
	}
	if b := Find(dir); b != nil {
		t.Errorf("found %+v", b)
	}
	if got := unsafe.Sizeof(event{}); got != 2*unsafe.Sizeof(uintptr(0))+8 {
		t.Errorf("struct input_event has %d bytes", got)
	}
}
