package statefile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

type member struct {
	Role string `json:"role"`
	Note string `json:"note,omitempty"`
}

type state struct {
	Name    string            `json:"name"`
	Members map[string]member `json:"members"`
	List    []string          `json:"list,omitempty"`
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.json")
	f := New[state](path, 2)
	if _, _, err := f.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("load of nothing: got %v, want %v", err, fs.ErrNotExist)
	}
	want := state{Name: "n", Members: map[string]member{"a": {Role: "owner"}}}
	if err := f.Store(want); err != nil {
		t.Fatal(err)
	}
	got, version, err := f.Load()
	if err != nil || version != 2 || got.Name != want.Name || got.Members["a"] != want.Members["a"] {
		t.Errorf("got %+v, version %d, %v; want %+v", got, version, err, want)
	}
	golden := "{\n  \"version\": 2,\n  \"members\": {\n    \"a\": {\n      \"role\": \"owner\"\n    }\n  },\n  \"name\": \"n\"\n}\n"
	if raw, _ := os.ReadFile(path); string(raw) != golden {
		t.Errorf("got file\n%s\nwant\n%s", raw, golden)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v; want 0600", info.Mode(), err)
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(names) > 0 {
		t.Errorf("got %v left behind, want nothing", names)
	}
}

// TestOlderKeepsNewer: an older release rewrites the file of a newer one and loses nothing that it does not know.
func TestOlderKeepsNewer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.json")
	newer := `{"version": 9, "name": "old", "colour": "red", "members": {
		"a": {"role": "viewer", "note": "gone", "until": 5}, "b": {"role": "viewer", "until": 6}}}`
	if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	f := New[state](path, 2)
	v, version, err := f.Load()
	if err != nil || version != 9 {
		t.Fatalf("got version %d, %v; want 9", version, err)
	}
	v.Name = "new"
	v.Members["a"] = member{Role: "owner"}
	delete(v.Members, "b")
	if err := f.Store(v); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{`"version": 9`: true, `"colour": "red"`: true, `"until": 5`: true,
		`"name": "new"`: true, `"role": "owner"`: true, `"note"`: false, `"b"`: false, `"until": 6`: false} {
		if got := strings.Contains(string(raw), text); got != want {
			t.Errorf("%s in the file: got %v, want %v\n%s", text, got, want, raw)
		}
	}
}

func TestCorrupt(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"empty": "", "half": `{"version": 1, "na`, "no version": `{"name": "x"}`, "list": `[]`, "null": `null`,
		"wrong type": `{"version": 1, "name": 5}`,
		"too big":    `{"version": 1, "name": "` + strings.Repeat("x", MaxSize) + `"}`,
	} {
		path := filepath.Join(t.TempDir(), "s.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f := New[state](path, 1)
		if _, _, err := f.Load(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v, want %v", name, err, ErrCorrupt)
		}
		if aside, err := SetAside(path); err != nil || !strings.HasSuffix(aside, ".corrupt") {
			t.Errorf("%s: set aside: got %q, %v", name, aside, err)
		}
		if err := f.Store(state{Name: "again"}); err != nil {
			t.Errorf("%s: store afterwards: %v", name, err)
		}
	}
}

// TestPowerCut cuts the power after every prefix of the operations of a write, with every unflushed byte and name
// lost or kept, and wants the old content or the new one.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	const path = "/d/s.json"
	for keep := range 2 {
		for cut := 0; ; cut++ {
			d := &cuttable{cut: cut, names: map[string]*inode{}, synced: map[string]*inode{}}
			old := &inode{data: []byte("old"), flushed: []byte("old")}
			d.names[path], d.synced[path] = old, old
			err := write(d, path, []byte("new content"), 0o600)
			got := string(d.afterCut(path, keep == 1))
			if got != "old" && got != "new content" {
				t.Errorf("cut after %d operations, unflushed kept %v: got %q", cut, keep == 1, got)
			}
			if err == nil {
				if got != "new content" {
					t.Errorf("store returned, then the power failed: got %q, want the new content", got)
				}
				break
			}
		}
	}
}

// fullDisk has no room for a file's content.
type fullDisk struct{ osDisk }

type fullFile struct{ Handle }

func (fullDisk) Create(path string, mode fs.FileMode) (Handle, error) {
	f, err := osDisk{}.Create(path, mode)
	return fullFile{f}, err
}

func (fullFile) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestFullDisk: what was there stays, and nothing is left that takes room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "s.json")
	if err := write(osDisk{}, path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(fullDisk{}, path, []byte("new"), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want %v", err, syscall.ENOSPC)
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "old" {
		t.Errorf("got %q, %v", raw, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

type inode struct{ data, flushed []byte }

// cuttable is a file system with a write cache: it forgets what was not flushed.
type cuttable struct {
	cut           int               // operations until the power fails
	names, synced map[string]*inode // directory as seen, directory on the platter
}

var errPower = errors.New("power failed")

func (d *cuttable) step() error {
	if d.cut == 0 {
		return errPower
	}
	d.cut--
	return nil
}

func (d *cuttable) Create(path string, _ fs.FileMode) (Handle, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	n := &inode{}
	d.names[path] = n
	return &cutFile{d, n}, nil
}

func (d *cuttable) Remove(path string) {
	if d.step() == nil {
		delete(d.names, path)
	}
}

func (d *cuttable) Rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *cuttable) SyncDir(string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.synced = map[string]*inode{}
	for name, n := range d.names {
		d.synced[name] = n
	}
	return nil
}

// afterCut reads path as it is after the power came back. A journalling file system may or may not have written the
// directory before it was asked to: namesKept chooses.
func (d *cuttable) afterCut(path string, namesKept bool) []byte {
	dir := d.synced
	if namesKept {
		dir = d.names
	}
	return bytes.Clone(dir[path].flushed)
}

type cutFile struct {
	d *cuttable
	n *inode
}

func (f *cutFile) Write(b []byte) (int, error) {
	if err := f.d.step(); err != nil {
		f.n.data = append(f.n.data, b[:len(b)/2]...)
		return 0, err
	}
	f.n.data = append(f.n.data, b...)
	return len(b), nil
}

func (f *cutFile) Sync() error {
	if err := f.d.step(); err != nil {
		return err
	}
	f.n.flushed = bytes.Clone(f.n.data)
	return nil
}

func (f *cutFile) Close() error { return f.d.step() }

func Example() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	type lamp struct {
		Bright bool `json:"bright"`
	}
	f := New[lamp](filepath.Join(dir, "lamp.json"), 1)
	fmt.Println(f.Store(lamp{Bright: true}))
	v, version, err := f.Load()
	fmt.Println(v.Bright, version, err)
	// Output:
	// <nil>
	// true 1 <nil>
}
