package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	web  string // and where a server has its files one by one; empty: it has none
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
		b[(at+len(b))%len(b)] ^= 0x01 // a digit of a key's id or of a signature becomes no quotation mark
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
		{"a header", flip(0)(bytes.Clone(good)), "no bundle", ""},
		{"cut in metadata", good[:1000], "no bundle", ""},
		{"cut in the image", good[:len(good)-3<<20], "no bundle", ""},
		{"10 GB", huge, "no bundle", ""},
		{"a path that leaves", bundleOf(t, renamed), "no bundle", "carrier"},
		{"of another publisher", other, "threshold not met", "threshold not met"},
		{"replayed", replayed, "rollback", "rollback"},
		{"no signature", change(t, good, "targets.json", unsigned), "mismatch", "mismatch"},
		{"no signature of the timestamp", change(t, good, "timestamp.json", unsigned), "threshold not met",
			"threshold not met"},
		{"in the wrong role", change(t, good, "timestamp.json", always(entryNamed(t, all, "snapshot.json"))), "wrong role",
			"wrong role"},
		{"metadata beyond its bound", change(t, good, "snapshot.json", always(bytes.Repeat([]byte(" "), 80<<10))), "too big",
			"too big"},
		{"a script in place of the image", change(t, good, ".img", always(script)), "carrier", "carrier"},
		{"another image than was signed", change(t, good, ".img", func(b []byte) []byte {
			clear(b)
			return b
		}), "carrier", "bad segment"},
		{"nothing", nil, "no bundle", ""},
		{"something else", []byte(strings.Repeat("PK\x03\x04", 500)), "no bundle", ""},
	}
	add := func(name string, at int, file, want, web string) {
		list = append(list, badBundle{fmt.Sprintf("a bit of %s at %d", name, at), change(t, good, file, flip(at)), want, web})
	}
	add("the timestamp", 40, "timestamp.json", "threshold not met", "threshold not met") // the key's id
	add("the timestamp", -40, "timestamp.json", "malformed", "malformed")                // a mark of JSON
	for _, at := range []int{40, -40} {
		add("the snapshot", at, "snapshot.json", "mismatch", "mismatch")
		add("the targets", at, "targets.json", "mismatch", "mismatch")
	}
	for _, at := range []int{0, len(image.data) / 2, -1} {
		add("the image", at, ".img", "carrier", "bad segment")
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

// corpusRig is a camera with an owner, whose system was built an hour from now: what ends before has ended for sure.
type corpusRig struct {
	*agent
	p       *publisher
	running string // file of the slot that runs
	cards   int
}

func newCorpusRig(t *testing.T, p *publisher) *corpusRig {
	t.Helper()
	state := p.camera("-time", fmt.Sprint(time.Now().Add(time.Hour).Unix()))
	return &corpusRig{startAgent(t, agentOptions{state: state}), p, filepath.Join(state, "sim", "slot-a.img"), 0}
}

// insert puts a card with a bundle into the camera in place of the one before, and waits for what is said of it.
func (c *corpusRig) insert(t *testing.T, raw []byte) ran {
	t.Helper()
	dir := filepath.Join(c.state, "sim", "card")
	name := func(n int) string { return filepath.Join(dir, fmt.Sprintf("%04d.bundle", n)) }
	c.cards++
	temporary := filepath.Join(c.p.dir, "card")
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, name(c.cards)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(name(c.cards - 1)); err != nil && c.cards > 1 {
		t.Fatal(err)
	}
	said := ""
	until(t, time.Minute, "the card is looked at", func() bool {
		for line := range strings.Lines(c.log.String()) {
			if strings.Contains(line, "a card with an update") && strings.Contains(line, name(c.cards)) {
				said = line
			}
		}
		return said != ""
	})
	if strings.Contains(said, `reason="" err=<nil>`) {
		return ran{out: said}
	}
	return ran{code: 1, errs: said}
}

// fetch has the camera install from a server that has the files of a bundle. No good MiB of another carrier's is in the
// slot: it would not be asked for.
func (c *corpusRig) fetch(t *testing.T, raw []byte) ran {
	t.Helper()
	if _, err := os.Stat(c.otherSlot()); err == nil {
		c.spoilSlot(t)
	}
	files := map[string][]byte{}
	for _, e := range entriesOf(t, raw) {
		files["/"+e.name] = e.data
	}
	c.p.spoil(func(w http.ResponseWriter, r *http.Request) bool {
		if data, ok := files[r.URL.Path]; ok {
			serveBytes(w, r, data)
		} else {
			http.NotFound(w, r)
		}
		return true
	})
	defer c.p.spoil(nil)
	return c.ota(t, "install", c.p.url)
}

// refuses brings a bundle by every carrier: it is refused for its reason, and nothing is under way afterwards.
func (c *corpusRig) refuses(t *testing.T, b badBundle) {
	t.Helper()
	file := filepath.Join(c.p.dir, "bad.bundle")
	if err := os.WriteFile(file, b.raw, 0o600); err != nil {
		t.Fatal(err)
	}
	carriers := map[string]ran{
		"a file":    c.ota(t, "install", file),
		"the phone": tool(t, time.Minute, program("camctl"), "ota", "push", "--home", c.home, "camera", file),
		"a card":    c.insert(t, b.raw),
	}
	if b.web != "" {
		carriers["the web"] = c.fetch(t, b.raw)
	}
	for carrier, r := range carriers {
		want := b.want
		if carrier == "the web" {
			want = b.web
		}
		if r.code != 1 || !strings.Contains(r.errs, want) {
			t.Errorf("%s by %s: exit code %d, %s%s; want %q", b.name, carrier, r.code, r.out, r.errs, want)
		}
	}
	if s, ok := c.otaStatus(t); !ok || s.State != "idle" && s.State != "failed" || s.Slot != "a" {
		t.Errorf("%s: %+v", b.name, s)
	}
}

// TestBadBundles: none of the corpus is accepted on any carrier, each for a reason of its own, no byte of the slot that
// runs changes, nothing is armed, and whoever watches misses nothing.
func TestBadBundles(t *testing.T) {
	t.Parallel()
	p, stranger := newPublisher(t), newPublisher(t)
	c := newCorpusRig(t, p)
	record := filepath.Join(c.state, "sim", "env.img")
	before := [...][sha256.Size]byte{sha256.Sum256(readFile(t, c.running)), sha256.Sum256(readFile(t, record))}
	end := watching(t, c.url("main"))
	c.refusesInTurn(t)
	replayed := readFile(t, p.bundle(p.publish("sim", p.simSlot(p.path("slot"), "1.1.0"), "1.1.0")))
	slot := p.simSlot(p.path("slot"), "1.2.0")
	good := readFile(t, p.bundle(p.publish("sim", slot, "1.2.0")))
	other := readFile(t, stranger.bundle(stranger.publish("sim", slot, "1.2.0")))
	if r := c.ota(t, "check", p.url); r.code != 0 { // the camera has seen the newest metadata, so an older one is a replay
		t.Fatalf("check: %s%s", r.out, r.errs)
	}
	for _, b := range badBundles(t, good, replayed, other) {
		c.refuses(t, b)
	}
	c.swapped(t, good)
	c.faults(t)
	for i, name := range []string{c.running, record} {
		if sha256.Sum256(readFile(t, name)) != before[i] {
			t.Errorf("%s is another", filepath.Base(name))
		}
	}
	if s, r := end(); r.code != 0 || !s.whole() {
		t.Errorf("who watched missed pictures: %+v\n%s", s, r.errs)
	} else {
		t.Logf("%d pictures watched, 0 dropped", s.Pictures)
	}
	c.mended(t)
}

// watching watches a stream until end is called.
func watching(t *testing.T, url string) (end func() (summary, ran)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, program("camctl"), "watch", "--json", "--duration", "0s", url)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var out, errs output
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait := func() {
		cancel()
		_ = cmd.Wait() // its exit code tells
	}
	t.Cleanup(wait)
	return func() (summary, ran) {
		wait()
		return parseSummary(t, out.String()), ran{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	}
}

// refusesInTurn brings what is wrong with a release whose signatures and bytes are all good: each is the newest that
// the publisher has signed by then.
func (c *corpusRig) refusesInTurn(t *testing.T) {
	t.Helper()
	toast := c.p.path("toast")
	if err := os.WriteFile(toast, static(3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := c.p.publish("toaster", toast, "1.1.0")
	c.refuses(t, badBundle{"for another board", readFile(t, c.p.bundle(foreign)), "other board",
		"other board"})
	old := c.p.publish("sim", c.p.simSlot(c.p.path("slot"), "0.9.0"), "0.9.0")
	c.refuses(t, badBundle{"downgraded", readFile(t, c.p.bundle(old)), "not newer", "not newer"})
	c.p.publish("sim", c.p.simSlot(c.p.path("slot"), "1.0.1"), "1.0.1")
	c.p.signs("renew", "--all", "--targets", "30m", "--timestamp", "30m")
	c.refuses(t, badBundle{"expired", readFile(t, c.p.bundle("sim/ocellus-1.0.1.img")), "expired", "expired"})
}

// swapped: a bundle becomes another one while it comes in, behind a MiB that was verified.
func (c *corpusRig) swapped(t *testing.T, good []byte) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd := exec.Command(program("agent"), "ota", "--state", c.state, "install", "-")
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	half := len(good) - 4<<20
	if _, err := out.Write(good[:half]); err != nil {
		t.Fatal(err)
	}
	until(t, time.Minute, "the first half is verified and written", func() bool {
		s, ok := c.otaStatus(t)
		return ok && s.State == "writing" && s.Bytes >= 3<<20
	})
	_, _ = out.Write(static(len(good) - half)) // the camera hangs up in the middle of it
	_ = out.Close()
	err = cmd.Wait()
	if err == nil || !strings.Contains(said.String(), "bad segment") && !strings.Contains(said.String(), "carrier") {
		t.Errorf("swapped in its middle: %v, %s", err, &said)
	}
}
