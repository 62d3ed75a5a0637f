package lab

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// entry is a file of a bundle.
type entry struct {
	name string
	data []byte
}

func (e entry) isTarget() bool { return strings.HasPrefix(e.name, "targets/") }

// entriesOf reads a bundle as any tar does.
func entriesOf(t *testing.T, raw []byte) (all []entry) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entry{h.Name, data})
	}
}

// bundleOf writes a bundle.
func bundleOf(t *testing.T, all []entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range all {
		h := &tar.Header{Name: e.name, Size: int64(len(e.data)), Mode: 0o644, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
			ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// badBundle is a bundle that no camera takes, and why.
type badBundle struct {
	name string
	raw  []byte
	want string // of what the camera says
}

// change makes a bundle of a good one, with the entries that match changed.
func change(t *testing.T, good []byte, match string, to func([]byte) []byte) []byte {
	t.Helper()
	all := entriesOf(t, good)
	found := false
	for i, e := range all {
		if strings.Contains(e.name, match) {
			all[i].data, found = to(bytes.Clone(e.data)), true
		}
	}
	if !found {
		t.Fatalf("no %s in the bundle", match)
	}
	return bundleOf(t, all)
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[(at+len(b))%len(b)] ^= 0x10
		return b
	}
}

func always(data []byte) func([]byte) []byte { return func([]byte) []byte { return data } }

// badBundles is the corpus. replayed is an older bundle of the same repository, other one of another publisher's.
func badBundles(t *testing.T, good, replayed, other []byte) []badBundle {
	t.Helper()
	all := entriesOf(t, good)
	image := all[len(all)-1]
	renamed := append(append([]entry{}, all[:len(all)-1]...), entry{"targets/../../../etc/passwd", image.data})
	unsigned := func(b []byte) []byte {
		at := bytes.Index(b, []byte(`"signatures"`))
		begin := at + bytes.IndexByte(b[at:], '[')
		end := begin + bytes.IndexByte(b[begin:], ']')
		return append(append(bytes.Clone(b[:begin+1]), []byte{}...), b[end:]...)
	}
	huge := bytes.Clone(good) // 10 GB as GNU tar says it (base-256), in the first header
	copy(huge[124:136], "\x80\x00\x00\x00\x00\x00\x00\x02\x54\x0b\xe4\x00")
	script := []byte("#!/bin/sh\nreboot\n")
	list := []badBundle{
		{"a header", flip(0)(bytes.Clone(good)), "no bundle"},
		{"cut in metadata", good[:1000], "no bundle"},
		{"cut in the image", good[:len(good)-3<<20], "no bundle"},
		{"10 GB", huge, "no bundle"},
		{"a path that leaves", bundleOf(t, renamed), "no bundle"},
		{"of another publisher", other, "threshold not met"},
		{"replayed", replayed, "rollback"},
		{"no signature", change(t, good, "targets.json", unsigned), "mismatch"},
		{"no signature of the timestamp", change(t, good, "timestamp.json", unsigned), "threshold not met"},
		{"in the wrong role", change(t, good, "timestamp.json", always(entryNamed(t, all, "snapshot.json"))), "wrong role"},
		{"metadata beyond its bound", change(t, good, "snapshot.json", always(bytes.Repeat([]byte(" "), 80<<10))), "too big"},
		{"a script in place of the image", change(t, good, ".img", always(script)), "carrier"},
		{"another image than was signed", change(t, good, ".img", func(b []byte) []byte {
			clear(b)
			return b
		}), "carrier"},
		{"nothing", nil, "no bundle"},
		{"something else", []byte(strings.Repeat("PK\x03\x04", 500)), "no bundle"},
	}
	for _, name := range []string{"timestamp.json", "snapshot.json", "targets.json"} {
		want := map[string]string{"timestamp.json": "", "snapshot.json": "mismatch", "targets.json": "mismatch"}[name]
		for _, at := range []int{40, -40} {
			list = append(list, badBundle{fmt.Sprintf("a bit of %s at %d", name, at), change(t, good, name, flip(at)), want})
		}
	}
	for _, at := range []int{0, len(image.data) / 2, -1} {
		list = append(list, badBundle{fmt.Sprintf("a bit of the image at %d", at), change(t, good, ".img", flip(at)), "carrier"})
	}
	return list
}

func entryNamed(t *testing.T, all []entry, name string) []byte {
	t.Helper()
	for _, e := range all {
		if strings.Contains(e.name, name) {
			return e.data
		}
	}
	t.Fatalf("no %s", name)
	return nil
}

// TestBadBundles: none of the corpus is accepted on any carrier, each for a reason of its own, no byte of the slot that
// runs changes, nothing is armed, and whoever watches misses nothing.
func TestBadBundles(t *testing.T) {
	t.Parallel()
	p, stranger := newPublisher(t), newPublisher(t)
	state := t.TempDir()
	if err := os.Mkdir(filepath.Join(state, "sim"), 0o700); err != nil {
		t.Fatal(err)
	}
	running := filepath.Join(state, "sim", "slot-a.img")
	p.simSlot(running, "1.0.0")
	read := func(name string) []byte {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	slot := p.simSlot(p.path("slot"), "1.1.0")
	toast := p.path("toast")
	if err := os.WriteFile(toast, static(3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := p.bundle(p.publish("toaster", toast, "1.1.0"))
	replayed := read(p.bundle(p.publish("sim", slot, "1.1.0")))
	slot = p.simSlot(p.path("slot"), "1.2.0")
	good := read(p.bundle(p.publish("sim", slot, "1.2.0")))
	other := read(stranger.bundle(stranger.publish("sim", slot, "1.2.0")))
	a := startAgent(t, agentOptions{state: state})
	before, record := sha256.Sum256(read(running)), sha256.Sum256(read(filepath.Join(state, "sim", "env.img")))
	if r := a.ota(t, "install", foreign); r.code != 1 || !strings.Contains(r.errs, "other board") {
		t.Errorf("for another board: %d %s%s", r.code, r.out, r.errs)
	}
	if r := a.ota(t, "check", p.url); r.code != 0 { // the camera has seen the newest metadata, so an older one is a replay
		t.Fatalf("check: %s%s", r.out, r.errs)
	}
	var watched atomic.Bool
	done := make(chan struct{})
	url := a.url("main")
	go func() {
		defer close(done)
		s, r := watch(t, 20*time.Second, url)
		watched.Store(r.code == 0 && s.whole())
	}()
	for _, b := range badBundles(t, good, replayed, other) {
		file := filepath.Join(p.dir, "bad.bundle")
		if err := os.WriteFile(file, b.raw, 0o600); err != nil {
			t.Fatal(err)
		}
		for carrier, r := range map[string]ran{
			"a file":    a.ota(t, "install", file),
			"the phone": tool(t, time.Minute, program("camctl"), "ota", "push", "--home", a.home, "camera", file),
		} {
			if r.code != 1 || !strings.Contains(r.errs, b.want) {
				t.Errorf("%s by %s: exit code %d, %s%s; want %q", b.name, carrier, r.code, r.out, r.errs, b.want)
			}
		}
		if s, ok := a.otaStatus(t); !ok || s.State != "idle" && s.State != "failed" || s.Slot != "a" {
			t.Errorf("%s: %+v", b.name, s)
		}
	}
	if sha256.Sum256(read(running)) != before {
		t.Error("the slot that runs is another")
	}
	if sha256.Sum256(read(filepath.Join(state, "sim", "env.img"))) != record {
		t.Error("the boot record is another")
	}
	<-done
	if !watched.Load() {
		t.Error("who watched missed pictures")
	}
	p.faults(t, a)
}

// faults are those of a CDN: what comes wrong once is fetched once more, what never comes right is given up.
func (p *publisher) faults(t *testing.T, a *agent) {
	t.Helper()
	p.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".img") {
			http.Error(w, "gone", http.StatusNotFound)
			return true
		}
		return false
	})
	if r := a.ota(t, "install", p.url); r.code != 1 || !strings.Contains(r.errs, "404") {
		t.Errorf("404 for ever: %d %s%s", r.code, r.out, r.errs)
	}
	p.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".img") {
			http.Redirect(w, r, "http://192.0.2.7/evil.img", http.StatusFound)
			return true
		}
		return false
	})
	if r := a.ota(t, "install", p.url); r.code != 1 || !strings.Contains(r.errs, "redirect to another place") {
		t.Errorf("another host: %d %s%s", r.code, r.out, r.errs)
	}
	flipped := false
	p.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, ".img") {
			return false
		}
		raw, err := os.ReadFile(filepath.Join(p.path("repo"), r.URL.Path))
		if err != nil {
			return false
		}
		if !flipped {
			flipped = true
			raw[5<<20] ^= 1
		}
		http.ServeContent(&countedWriter{w, p, ".img"}, r, "image", time.Time{}, bytes.NewReader(raw))
		return true
	})
	if r := a.ota(t, "install", "--now", p.url); r.code != 0 {
		t.Fatalf("a byte flipped once: %d %s%s", r.code, r.out, r.errs)
	}
	a.becomes(t, "1.2.0", "confirmed 1.2.0")
	if n := p.fetched(".img"); n > 10<<20 { // 8.4 MB and a MiB, and what was under way when it was given up
		t.Errorf("%d bytes were fetched", n)
	}
}
