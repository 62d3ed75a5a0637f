package sealed

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ocellus/ocellus/internal/statefile"
)

func TestSealed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.json")
	key := [KeySize]byte{1, 2, 3}
	p := New("network", key, statefile.Path(path))
	if _, err := p.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("load of nothing: %v", err)
	}
	const content = "the password of the home"
	if err := p.Store([]byte(content)); err != nil {
		t.Fatal(err)
	}
	first, _ := os.ReadFile(path)
	if bytes.Contains(first, []byte("password")) {
		t.Error("the content lies open")
	}
	if got, err := p.Load(); err != nil || string(got) != content {
		t.Errorf("got %q, %v", got, err)
	}
	if err := p.Store([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if second, _ := os.ReadFile(path); bytes.Equal(first, second) {
		t.Error("the same nonce twice")
	}
	other := key
	other[31] = 9
	for name, q := range map[string]*Place{
		"another key": New("network", other, statefile.Path(path)), "another name": New("owner", key, statefile.Path(path)),
	} {
		if _, err := q.Load(); !errors.Is(err, statefile.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.json")
	p := New("x", [KeySize]byte{}, statefile.Path(path))
	if err := p.Store([]byte("content")); err != nil {
		t.Fatal(err)
	}
	good, _ := os.ReadFile(path)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		for _, b := range [][]byte{bad, good[:i]} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Load(); !errors.Is(err, statefile.ErrCorrupt) {
				t.Errorf("byte %d, %d bytes: %v", i, len(b), err)
			}
		}
	}
}

func TestOpenKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	key, err := OpenKey(statefile.Path(path))
	if err != nil || key == [KeySize]byte{} {
		t.Fatal(key, err)
	}
	if again, err := OpenKey(statefile.Path(path)); err != nil || again != key {
		t.Errorf("the key changed: %v", err)
	}
	if other, err := OpenKey(statefile.Path(path + "2")); err != nil || other == key {
		t.Errorf("two cameras have one key: %v", err)
	}
	for _, content := range []string{"", `{"version":1,"data_key":"AAAA"}`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKey(statefile.Path(path)); !errors.Is(err, statefile.ErrCorrupt) {
			t.Errorf("%q: %v", content, err)
		}
	}
}
