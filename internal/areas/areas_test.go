package areas

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/rawstore"
	"github.com/ocellus/ocellus/internal/statefile"
)

type mine struct {
	Epoch int `json:"epoch"`
}

type theirs struct {
	Floor int `json:"floor"`
}

// vault keeps the areas in files that stand for partitions.
func vault(t *testing.T) hal.Vault {
	t.Helper()
	v := rawstore.Vault{}
	for _, name := range []hal.Area{hal.Persist, hal.Keys} {
		path := filepath.Join(t.TempDir(), string(name))
		if err := os.WriteFile(path, make([]byte, 128<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := rawstore.OpenFile(path, false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if v[name], err = rawstore.NewArea(string(name), f, f.Lock); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// TestTwoOwners: two parts that know nothing of one another keep their fields in one area, at the same time.
func TestTwoOwners(t *testing.T) {
	t.Parallel()
	p := New(vault(t), hal.Persist)
	if _, err := p.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("load of nothing: %v", err)
	}
	a, b := statefile.At[mine](p, 1), statefile.At[theirs](p, 1)
	var wait sync.WaitGroup
	const times = 50
	for range times {
		wait.Go(func() {
			if err := a.Update(func(v *mine) error { v.Epoch++; return nil }); err != nil {
				t.Error(err)
			}
		})
		wait.Go(func() {
			if err := b.Update(func(v *theirs) error { v.Floor++; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	one, _, err1 := a.Load()
	two, _, err2 := b.Load()
	if err := errors.Join(err1, err2); err != nil || one.Epoch != times || two.Floor != times {
		t.Errorf("got %+v, %+v, %v", one, two, err)
	}
	refused := fmt.Errorf("not now")
	if err := a.Update(func(v *mine) error { v.Epoch = 0; return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	if one, _, _ := a.Load(); one.Epoch != times {
		t.Error("a change that was refused is stored")
	}
}

// TestDamaged: an area of which no copy is whole is told as such, and can be written anew.
func TestDamaged(t *testing.T) {
	t.Parallel()
	p := New(damaged{}, hal.Persist)
	if _, err := p.Load(); !errors.Is(err, statefile.ErrCorrupt) || !errors.Is(err, hal.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

type damaged struct{ hal.Vault }

func (damaged) Load(hal.Area) ([]byte, error) { return nil, hal.ErrDamaged }
