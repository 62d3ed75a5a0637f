package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ocellus/ocellus/ota/bundle"
	"github.com/ocellus/ocellus/ota/trust"
)

var update = flag.Bool("update", false, "write testdata/small.bundle anew")

type file struct{ name, content string }

// longName needs the second field of a header.
const longName = "targets/qemu-virt-arm64/" + "0123456789012345678901234567890123456789012345678901234567890123" +
	".ocellus-1.4.0.img"

func small() []file {
	return []file{{"2.root.json", "root two"}, {"3.root.json", "root three"}, {"timestamp.json", "now"},
		{"7.snapshot.json", ""}, {"5.targets.json", strings.Repeat("t", 512)}, {"targets/a.img", "first image"},
		{longName, strings.Repeat("x", 1000)}}
}

func write(t testing.TB, files []file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := bundle.NewWriter(&b)
	for _, f := range files {
		if err := w.Add(f.name, int64(len(f.content)), strings.NewReader(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestGolden: cameras in the field read what this writer writes.
func TestGolden(t *testing.T) {
	t.Parallel()
	got := write(t, small())
	golden := filepath.Join("testdata", "small.bundle")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the writer no longer writes %s", golden)
	}
}

// TestTar: the reader of the format that everybody has agrees.
func TestTar(t *testing.T) {
	t.Parallel()
	tar := exec.CommandContext(t.Context(), "tar", "-xvf", "-", "-C", t.TempDir())
	tar.Stdin = bytes.NewReader(write(t, small()))
	out, err := tar.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range small() {
		want = append(want, f.name)
		got, err := os.ReadFile(filepath.Join(tar.Args[len(tar.Args)-1], f.name))
		if err != nil || string(got) != f.content {
			t.Errorf("%s: got %q, %v", f.name, got, err)
		}
	}
	if got := strings.Fields(string(out)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// ask walks through a bundle as a session does, and returns what it got.
func ask(r *bundle.Reader, root int, target string, offset int64) (string, error) {
	ctx := context.Background()
	var got []string
	for {
		b, err := r.Metadata(ctx, trust.File{Name: fmt.Sprintf("%d.root.json", root+1), Most: 100, Optional: true})
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return "", err
		}
		root++
		got = append(got, string(b))
	}
	for _, name := range []string{"timestamp.json", "7.snapshot.json", "5.targets.json"} {
		b, err := r.Metadata(ctx, trust.File{Name: name, Most: 600})
		if err != nil {
			return "", err
		}
		got = append(got, fmt.Sprint(len(b)))
	}
	c, err := r.Target(ctx, target, offset)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return strings.Join(append(got, string(b)), "|"), err
}

func TestReader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		root   int
		target string
		offset int64
		want   string
	}{
		{"all roots", 1, "a.img", 0, "root two|root three|3|0|512|first image"},
		{"a root that is had already", 2, "a.img", 0, "root three|3|0|512|first image"},
		{"no newer root", 3, "a.img", 6, "3|0|512|image"},
		{"the second target", 3, strings.TrimPrefix(longName, bundle.TargetsDir), 998, "3|0|512|xx"},
		{"the end of a target", 3, "a.img", 11, "3|0|512|"},
	} {
		b := write(t, small())
		for _, from := range []io.Reader{bytes.NewReader(b), iotest.OneByteReader(bytes.NewReader(b)),
			iotest.DataErrReader(bytes.NewReader(b))} {
			if got, err := ask(bundle.NewReader(from), c.root, c.target, c.offset); got != c.want || err != nil {
				t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
			}
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	t.Parallel()
	whole := write(t, small())
	bent := func(at int, to byte) []byte {
		b := bytes.Clone(whole)
		b[at] = to
		return b
	}
	many := make([]file, bundle.MaxEntries)
	for i := range many {
		many[i] = file{fmt.Sprintf("1.%d.json", i), ""}
	}
	header := len(write(t, nil)) / 2
	second := slices.Concat(write(t, many)[:header*bundle.MaxEntries], whole)
	swapped := slices.Concat(write(t, small()[5:])[:1024], whole)
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, bundle.ErrFormat},
		{"a script", []byte("#!/bin/sh\n" + strings.Repeat("rm -rf /\n", 100)), bundle.ErrFormat},
		{"a symbolic link", bent(156, '2'), bundle.ErrFormat},
		{"another mode", bent(106, '7'), bundle.ErrFormat},
		{"a size in base 256", bent(124, 0x80), bundle.ErrFormat},
		{"a path that leaves", bent(0, '/'), bundle.ErrFormat},
		{"too many files", second, bundle.ErrFormat},
		{"metadata behind a target", swapped, fs.ErrNotExist},
		{"only its end", write(t, nil), fs.ErrNotExist},
		{"no target", write(t, small()[:5]), fs.ErrNotExist},
		{"cut in metadata", whole[:700], io.ErrUnexpectedEOF},
		{"cut in a target", whole[:bytes.Index(whole, []byte("first image"))+4], io.ErrUnexpectedEOF},
	} {
		if got, err := ask(bundle.NewReader(bytes.NewReader(c.b)), 1, "a.img", 0); !errors.Is(err, c.want) {
			t.Errorf("%s: got %q, %v, want %v", c.name, got, err, c.want)
		}
	}
}

// skipping is a carrier that leaves out what nobody wants.
type skipping struct {
	*bytes.Reader
	skipped int64
}

func (s *skipping) Skip(n int64) error {
	if n > int64(s.Len()) {
		return io.ErrUnexpectedEOF
	}
	s.skipped += n
	_, err := s.Seek(n, io.SeekCurrent)
	return err
}

// TestReaderOnce: a bundle goes one way, and what nobody wants of it need not come.
func TestReaderOnce(t *testing.T) {
	t.Parallel()
	whole := write(t, small())
	from := &skipping{Reader: bytes.NewReader(whole)}
	r := bundle.NewReader(from)
	got := ""
	for _, c := range []struct {
		at   int64
		size int
	}{{0, 2}, {2, 1}, {6, 3}} { // straight on, and further on
		b := make([]byte, c.size)
		in, err := r.Target(t.Context(), "a.img", c.at)
		if err == nil {
			_, err = io.ReadFull(in, b)
		}
		if err != nil {
			t.Fatal(err)
		}
		got += string(b)
	}
	metadata := int64(len("root two") + len("root three") + len("now") + 512) // and what fills their blocks up
	if got != "firima" || from.skipped < metadata+3 {
		t.Errorf("got %q, %d bytes left out", got, from.skipped)
	}
	if _, err := r.Target(t.Context(), "a.img", 8); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was read: got %v", err)
	}
	cutIn := bundle.NewReader(&skipping{Reader: bytes.NewReader(whole[:len(whole)-2000])})
	if _, err := cutIn.Target(t.Context(), strings.TrimPrefix(longName, bundle.TargetsDir), 900); !errors.Is(err, bundle.ErrFormat) {
		t.Errorf("a bundle that ends where it is left out: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bundle.NewReader(bytes.NewReader(nil)).Target(ctx, "a.img", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, before string
		size         int64
		content      string
	}{
		{name: "../etc/passwd"},
		{name: "/timestamp.json"},
		{name: "two words"},
		{name: ""},
		{name: "targets/" + strings.Repeat("n", 101)},
		{name: "timestamp.json", before: "targets/a.img"},
		{name: "targets/a.img", size: 1 << 33},
		{name: "timestamp.json", size: bundle.MaxMetadata + 1, content: strings.Repeat("x", bundle.MaxMetadata+1)},
		{name: "targets/a.img", size: 5, content: "four"},
	} {
		w := bundle.NewWriter(io.Discard)
		if c.before != "" {
			if err := w.Add(c.before, 0, strings.NewReader("")); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Add(c.name, c.size, strings.NewReader(c.content)); err == nil {
			t.Errorf("%q, %d bytes: accepted", c.name, c.size)
		}
	}
}

// FuzzReader: whatever comes in, what is read of it was in it, or there is an error; and never more than was asked for.
func FuzzReader(f *testing.F) {
	whole := write(f, small())
	f.Add(whole)
	f.Add(whole[:700])
	f.Add(whole[512*9:])
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bundle.NewReader(bytes.NewReader(b))
		for n := range 3 {
			data, err := r.Metadata(t.Context(), trust.File{Name: small()[n].name, Most: 10, Optional: n < 2})
			if err == nil && (len(data) > 11 || !bytes.Contains(b, data)) {
				t.Fatalf("%d bytes", len(data))
			}
		}
		c, err := r.Target(t.Context(), "a.img", 2)
		if err != nil {
			return
		}
		if data, err := io.ReadAll(c); err == nil && !bytes.Contains(b, data) {
			t.Fatalf("got %q, which is not in it", data)
		}
	})
}
