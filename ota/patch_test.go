package ota

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/squashfs"
	"github.com/ocellus/ocellus/codec/verity"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/areas"
	"github.com/ocellus/ocellus/internal/rawstore"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota/bundle"
	"github.com/ocellus/ocellus/ota/delta/diff"
	"github.com/ocellus/ocellus/ota/manifest"
)

// targetsSource brings targets by their path, and notes for which it was asked.
type targetsSource struct {
	Source
	files map[string][]byte
	asked []string
}

// Target implements Source.
func (s *targetsSource) Target(_ context.Context, path string, at int64) (io.ReadCloser, error) {
	s.asked = append(s.asked, path)
	b, ok := s.files[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b[at:])), nil
}

func segmentsOf(b []byte, size int) []manifest.Sum {
	var all []manifest.Sum
	for part := range slices.Chunk(b, size) {
		all = append(all, sha256.Sum256(part))
	}
	return all
}

// deltaFrom makes a source of nothing but the delta that leads from one image to another.
func deltaFrom(from, to []byte) (*targetsSource, []shortcut, error) {
	d, _, err := diff.Make(from, to)
	return &targetsSource{files: map[string][]byte{"delta": d}}, []shortcut{{manifest.Delta{Source: sha256.Sum256(from),
		SourceSize: int64(len(from)), Target: "delta", Segments: segmentsOf(d, manifest.Segment)}, "delta",
		int64(len(d))}}, err
}

// slotImage is an image of some MiB as cmd/mkimage makes them, with a mark in a program and in its FIT.
func slotImage(t testing.TB, mark string) []byte {
	t.Helper()
	program := append(randomImage("program"), mark...)
	program = append(program, randomImage("more")...)
	files, err := squashfs.Build([]squashfs.Entry{{Path: ".", Mode: fs.ModeDir | 0o755},
		{Path: "agent", Mode: 0o755, Data: hexed(program)}, {Path: "mark", Mode: 0o644, Data: []byte(mark)}}, squashfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := verity.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = tree.Write(files)
	behind, root, err := tree.Finish()
	if err != nil {
		t.Fatal(err)
	}
	image, err := fit.Build(fit.Image{Arch: "arm", Kernel: fit.Part{Data: randomImage("kernel")},
		Initrd: fit.Part{Data: []byte(mark + root.String())},
		Slot:   fit.Slot{Compatible: "virt", Version: mark, Payload: fit.Settings, Filesystem: squashfs.Settings}})
	if err != nil {
		t.Fatal(err)
	}
	_, padded, err := fit.Size(image)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(image, make([]byte, padded-int64(len(image))), files, behind)
}

// hexed compresses by half.
func hexed(b []byte) []byte { return hex.AppendEncode(nil, b) }

// patching is an engine on files, in whose booted slot an image runs.
type patching struct {
	e    *Engine
	log  *bytes.Buffer
	from []byte
	to   []byte
	slot string
	told func(Status)
}

func newPatching(t *testing.T) *patching {
	t.Helper()
	p := &patching{from: slotImage(t, "1.0.0"), to: slotImage(t, "2.0.0, and longer"), log: &bytes.Buffer{}}
	dir := t.TempDir()
	p.slot = filepath.Join(dir, "slot-b")
	const slotSize = 4 << 20
	own := append(bytes.Clone(p.from), make([]byte, slotSize-len(p.from))...)
	for name, content := range map[string][]byte{"slot-a": own, "slot-b": make([]byte, slotSize)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := newBoard(newWorld()).storage(hal.SlotA)
	if err != nil {
		t.Fatal(err)
	}
	slots := rawstore.NewSlots(hal.SlotA, func(s hal.Slot, _ bool) (rawstore.ClosableDisk, error) {
		return rawstore.OpenFile(filepath.Join(dir, "slot-"+string(s)), false)
	})
	p.e, err = Open(Options{Env: s.BootEnv, Slots: slots, State: statefile.Path(filepath.Join(dir, "ota.json")),
		Persist: areas.New(s.Vault, hal.Persist), Notify: func(s Status) {
			if p.told != nil {
				p.told(s)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// put installs the release, which segments of 64 KiB describe.
func (p *patching) put(ctx context.Context, src Source, shortcuts []shortcut) error {
	p.e.segment = 64 << 10
	r := manifest.Release{Target: "full", Size: int64(len(p.to)), Sum: sha256.Sum256(p.to),
		Segments: segmentsOf(p.to, 64<<10)}
	if err := p.e.step(look, nil); err != nil {
		return err
	}
	return p.e.put(ctx, src, offer{release: r, path: "full", shortcuts: shortcuts})
}

func (p *patching) check(t *testing.T) {
	t.Helper()
	got, err := os.ReadFile(p.slot)
	if err != nil || !bytes.Equal(got[:len(p.to)], p.to) {
		t.Errorf("slot B is not the release: %v", err)
	}
}

// TestPatch: when a camera takes a delta, and that it has the whole image where the delta is no good.
func TestPatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(s *targetsSource, all []shortcut)
		asked  string
	}{
		{"from what runs", func(*targetsSource, []shortcut) {}, "delta"},
		{"from another release", func(_ *targetsSource, all []shortcut) { all[0].Source[0] ^= 1 }, "full"},
		{"from a longer one", func(_ *targetsSource, all []shortcut) { all[0].SourceSize += 4096 }, "full"},
		{"not there", func(s *targetsSource, _ []shortcut) { delete(s.files, "delta") }, "delta full"},
		{"bent", func(s *targetsSource, _ []shortcut) { s.files["delta"][100] ^= 1 }, "delta delta delta full"},
		{"signed, and no delta", func(s *targetsSource, all []shortcut) {
			all[0].Segments[0], all[0].length = sha256.Sum256([]byte("no delta")), 8
			s.files["delta"] = []byte("no delta")
		}, "delta full"},
		{"signed, and to another release", func(s *targetsSource, all []shortcut) {
			other, shortcuts, err := deltaFrom(slotImage(t, "1.0.0"), slotImage(t, "2.0.0, not longer"))
			if err != nil {
				t.Fatal(err)
			}
			s.files["delta"], all[0] = other.files["delta"], shortcuts[0]
		}, "delta full"},
		{"signed, and from another one", func(s *targetsSource, all []shortcut) {
			other, shortcuts, err := deltaFrom(slotImage(t, "1.5.0"), slotImage(t, "2.0.0, and longer"))
			if err != nil {
				t.Fatal(err)
			}
			shortcuts[0].Source, shortcuts[0].SourceSize = all[0].Source, all[0].SourceSize
			s.files["delta"], all[0] = other.files["delta"], shortcuts[0]
		}, "delta full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPatching(t)
			src, shortcuts, err := deltaFrom(p.from, p.to)
			if err != nil {
				t.Fatal(err)
			}
			if len(src.files["delta"]) > len(p.to)/20 {
				t.Errorf("a delta of %d bytes for %d", len(src.files["delta"]), len(p.to))
			}
			src.files["full"] = p.to
			c.change(src, shortcuts)
			if err := p.put(t.Context(), src, shortcuts); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(src.asked, " "); got != c.asked {
				t.Errorf("asked for %s, want %s", got, c.asked)
			}
			p.check(t)
		})
	}
}

// TestPatchResume: an update by a delta that ended at any segment goes on there, by the delta.
func TestPatchResume(t *testing.T) {
	t.Parallel()
	p := newPatching(t)
	src, shortcuts, err := deltaFrom(p.from, p.to)
	if err != nil {
		t.Fatal(err)
	}
	for cut := int64(1); cut < int64(len(p.to))/(64<<10); cut += 5 {
		ctx, cancel := context.WithCancel(t.Context())
		p.told = func(s Status) {
			if s.State == Writing && s.Phase == PhaseWriting && s.Bytes >= cut*64<<10 {
				cancel()
			}
		}
		if err := p.put(ctx, src, shortcuts); !errors.Is(err, Cancelled) {
			t.Fatalf("cut at segment %d: %v", cut, err)
		}
		cancel()
	}
	p.told = nil
	if err := p.put(t.Context(), src, shortcuts); err != nil {
		t.Fatal(err)
	}
	p.check(t)
	if slices.Contains(src.asked, "full") {
		t.Error("the whole image was asked for")
	}
}

// bundled puts targets into a bundle.
func (s *targetsSource) bundled(t *testing.T, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := bundle.NewWriter(&b)
	for _, name := range names {
		if err := w.Add(bundle.TargetsDir+name, int64(len(s.files[name])), bytes.NewReader(s.files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// skipping leaves out what nobody wants, as the serial line does.
type skipping struct {
	*bytes.Reader
	skipped int64
}

func (s *skipping) Skip(n int64) error {
	s.skipped += n
	_, err := s.Seek(n, io.SeekCurrent)
	return err
}

// TestResumeBundle: what an install left in the slot is not read of the same bundle once more, however often it ends.
func TestResumeBundle(t *testing.T) {
	t.Parallel()
	p := newPatching(t)
	src := &targetsSource{files: map[string][]byte{"full": p.to}}
	whole := src.bundled(t, "full")
	for _, cut := range []int64{10, 20, 0} {
		ctx, cancel := context.WithCancel(t.Context())
		p.told = func(s Status) {
			if cut > 0 && s.State == Writing && s.Phase == PhaseWriting && s.Bytes >= cut*64<<10 {
				cancel()
			}
		}
		from := &skipping{Reader: bytes.NewReader(whole)}
		err := p.put(ctx, bundle.NewReader(from), nil)
		cancel()
		if cut > 0 && !errors.Is(err, Cancelled) || cut == 0 && err != nil {
			t.Fatalf("cut at segment %d: %v", cut, err)
		}
		if had := max(cut-12, 0); cut == 0 && from.skipped < 18*64<<10 || from.skipped < had*64<<10 {
			t.Errorf("cut at segment %d: %d bytes were left out", cut, from.skipped)
		}
	}
	p.check(t)
}

// TestPatchBundle: a bundle is read once. A camera must not lose the image in it by asking for a delta that is not.
func TestPatchBundle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		holds []string
		fails bool
	}{{"image", []string{"full"}, false}, {"delta", []string{"delta"}, false}, {"both", []string{"delta", "full"}, false},
		{"a delta from elsewhere, and the image", []string{"elsewhere", "full"}, false},
		{"a delta from elsewhere", []string{"elsewhere"}, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPatching(t)
			src, shortcuts, err := deltaFrom(p.from, p.to)
			if err != nil {
				t.Fatal(err)
			}
			src.files["full"], src.files["elsewhere"] = p.to, []byte("another delta")
			err = p.put(t.Context(), bundle.NewReader(bytes.NewReader(src.bundled(t, c.holds...))), shortcuts)
			if c.fails != (err != nil) || c.fails && !errors.Is(err, Carrier) {
				t.Fatal(err)
			}
			if !c.fails {
				p.check(t)
			}
		})
	}
}

// BenchmarkPatch installs by a delta: OCELLUS_PAIR names what scripts/delta-pair made.
func BenchmarkPatch(b *testing.B) {
	dir := os.Getenv("OCELLUS_PAIR")
	if dir == "" {
		b.Skip("OCELLUS_PAIR names no pair")
	}
	for _, name := range []string{"plain", "slot-armv7", "slot-arm64"} {
		b.Run(name, func(b *testing.B) {
			benchmarkPatch(b, filepath.Join(dir, name))
		})
	}
}

func benchmarkPatch(b *testing.B, pair string) {
	work := b.TempDir()
	d := filepath.Join(work, "delta")
	o, err := pairOffer(pair, d)
	if err != nil {
		b.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // as the agent has it
	b.SetBytes(o.release.Size)
	b.ResetTimer()
	b.ReportMetric(100*float64(o.shortcuts[0].length)/float64(o.release.Size), "%-of-image")
	var most int64
	for range b.N {
		dir := b.TempDir()
		e, err := onFile(dir, newSlot(b, filepath.Join(dir, "slot"), (o.release.Size+1<<20-1)>>20<<20))
		if err != nil {
			b.Fatal(err)
		}
		whole := e.o.Slots
		e.o.Slots = bootedFile{whole, pair + "-old.img"}
		debug.FreeOSMemory()
		stop, peak := watchMemory()
		if err = e.step(look, nil); err == nil {
			err = e.put(context.Background(), fileSource{name: "delta", path: d}, o)
		}
		stop()
		if err != nil {
			b.Fatal(err)
		}
		most = max(most, peak.Load())
	}
	b.ReportMetric(float64(most)/(1<<20), "MiB-added")
}

// pairOffer makes the delta of a pair, and nothing of that stays in memory.
func pairOffer(pair, file string) (offer, error) {
	from, err := os.ReadFile(pair + "-old.img")
	if err != nil {
		return offer{}, err
	}
	to, err := os.ReadFile(pair + "-new.img")
	if err != nil {
		return offer{}, err
	}
	src, shortcuts, err := deltaFrom(from, to)
	if err != nil {
		return offer{}, err
	}
	r := manifest.Release{Target: "full", Size: int64(len(to)), Sum: sha256.Sum256(to),
		Segments: segmentsOf(to, manifest.Segment)}
	return offer{release: r, path: "full", shortcuts: shortcuts}, os.WriteFile(file, src.files["delta"], 0o600)
}

// bootedFile has the booted slot in a file of its own.
type bootedFile struct {
	hal.Slots
	path string
}

// Read implements hal.Slots.
func (s bootedFile) Read(slot hal.Slot) (hal.SlotReader, error) {
	if slot == s.Booted() {
		return rawstore.OpenFile(s.path, false)
	}
	return s.Slots.Read(slot)
}

// fileSource brings one target, and no other.
type fileSource struct {
	Source
	name, path string
}

// Target implements Source.
func (s fileSource) Target(_ context.Context, path string, at int64) (io.ReadCloser, error) {
	if path != s.name {
		return nil, fs.ErrNotExist
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	_, err = f.Seek(at, io.SeekStart)
	return f, err
}
