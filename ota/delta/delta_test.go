package delta_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/squashfs"
	"github.com/ocellus/ocellus/ota/delta"
	"github.com/ocellus/ocellus/ota/delta/diff"
	"github.com/ocellus/ocellus/ota/delta/wire"
)

var updateGolden = flag.Bool("update", false, "write testdata anew")

const segment = 64 << 10

// apply makes a target, in segments that go on from one another.
func apply(source, d []byte, size int) ([]byte, error) {
	made := make([]byte, size)
	r, err := delta.Open(bytes.NewReader(source), bytes.NewReader(d), bytes.NewReader(made))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for at := 0; at < size; at += segment {
		if err := r.Segment(made[at:min(at+segment, size)], int64(at)); err != nil {
			return made[:at], err
		}
	}
	return made, nil
}

// TestRoundTrip: what comes out is the target, and how large a delta is.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	kernel := newer()
	kernel.kernel = 2
	few := newer()
	few.few = true
	odd, oddNext := older(), newer()
	odd.odd, oddNext.odd = true, true
	for _, c := range []struct {
		name           string
		source, target []byte
		most           int // bytes
	}{
		{"the same slot", older().slot(t), older().slot(t), 700},
		{"a slot", older().slot(t), newer().slot(t), 6000},
		{"a slot back", newer().slot(t), older().slot(t), 6000},
		{"another kernel", older().slot(t), kernel.slot(t), 330000},
		{"most programs are gone", older().slot(t), few.slot(t), 6000},
		{"a kernel that nobody makes again", odd.slot(t), oddNext.slot(t), 80000},
		{"nothing compressed", older().plain(), newer().plain(), 3000},
		{"a slot from something else", []byte("something else"), newer().slot(t), len(newer().slot(t)) * 2},
		{"something else from a slot", newer().slot(t), []byte("something else"), 1000},
		{"one byte", []byte{1}, []byte{2}, 150},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, report, err := diff.Make(c.source, c.target)
			if err != nil {
				t.Fatal(err)
			}
			made, err := apply(c.source, d, len(c.target))
			if err != nil || !bytes.Equal(made, c.target) {
				t.Fatalf("made %d bytes of %d: %v", len(made), len(c.target), err)
			}
			if len(d) > c.most {
				t.Errorf("%d bytes, want at most %d: %+v", len(d), c.most, report)
			}
			t.Logf("%d bytes of %d: %+v", len(d), len(c.target), report)
		})
	}
}

// TestAddresses: code that moved costs next to nothing, because addresses are known for what they are.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]machine{"A32": arm, "A64": arm64} {
		source, target := program(m, 4000, 0), program(m, 4000, 5)
		differ := 0
		for i := range min(len(source), len(target)) {
			differ += int(min(1, source[i]^target[i]))
		}
		d, report, err := diff.Make(source, target)
		if err != nil {
			t.Fatal(err)
		}
		if len(d) > 1500 || differ < len(source)/3 {
			t.Errorf("%s: %d bytes for %d that differ of %d: %+v", name, len(d), differ, len(source), report)
		}
	}
}

// TestResume: a reader that begins anywhere gives the same, and reads no more than it needs.
func TestResume(t *testing.T) {
	t.Parallel()
	source, target := older().slot(t), newer().slot(t)
	d, _, err := diff.Make(source, target)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(target); at += segment {
		in := &counted{ReaderAt: bytes.NewReader(source)}
		// What lies behind the place was not written yet.
		written := append(bytes.Clone(target[:at]), make([]byte, len(target)-at)...)
		r, err := delta.Open(in, bytes.NewReader(d), bytes.NewReader(written))
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, min(segment, len(target)-at))
		if err := r.Segment(part, int64(at)); err != nil || !bytes.Equal(part, target[at:at+len(part)]) {
			t.Errorf("at %d: another segment, %v", at, err)
		}
		if in.bytes > 1<<20 {
			t.Errorf("at %d: %d bytes of the source were read for one segment", at, in.bytes)
		}
		// Back to the beginning, and over a gap.
		if err := r.Segment(part, 0); err != nil || !bytes.Equal(part, target[:len(part)]) {
			t.Errorf("from %d back to the beginning: %v", at, err)
		}
		r.Close()
	}
}

func typed(err error) bool {
	return errors.Is(err, delta.ErrFormat) || errors.Is(err, delta.ErrTarget) || errors.Is(err, delta.ErrSettings)
}

// TestFaults: what is wrong is told by type, or the bytes that come out are not the target's; nothing panics.
func TestFaults(t *testing.T) {
	t.Parallel()
	source, target := older().slot(t), newer().slot(t)
	d, _, err := diff.Make(source, target)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		source, delta []byte
		want          error
	}{
		"no delta":       {source, target, delta.ErrFormat},
		"empty":          {source, nil, delta.ErrFormat},
		"cut in front":   {source, d[:100], delta.ErrFormat},
		"cut":            {source, d[:len(d)/2], delta.ErrFormat},
		"another source": {target, d, delta.ErrTarget},
		"a short source": {source[:len(source)/2], d, delta.ErrTarget},
		"other settings": {source, resaid(t, d, func(h *wire.Header) { h.Blocks = "another " + h.Blocks }), delta.ErrSettings},
		"other streams":  {source, resaid(t, d, func(h *wire.Header) { h.Streams = "gzip" }), delta.ErrSettings},
		"block size 5000": {source, resaid(t, d, func(h *wire.Header) { h.BlockSize = squashfs.BlockSize + 1 }),
			delta.ErrFormat},
	} {
		if _, err := apply(c.source, c.delta, len(target)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	for at := 0; at < len(d); at += 397 {
		bent := bytes.Clone(d)
		bent[at] ^= 1 << (at % 8)
		if _, err := apply(source, bent, len(target)); err != nil && !typed(err) {
			t.Errorf("bit of byte %d: %v", at, err)
		}
	}
}

// TestStreamsGoForward: a camera expands a stream of the source once, whatever moved in it.
func TestStreamsGoForward(t *testing.T) {
	t.Parallel()
	image := func(order ...uint64) []byte {
		var initrd []byte
		for _, seed := range order {
			initrd = append(initrd, noise(300<<10, seed)...)
		}
		b, err := fit.Build(fit.Image{Arch: "arm", Kernel: fit.Part{Data: []byte("kernel")},
			Initrd: fit.Part{Data: older().gzipped(t, initrd)}, Slot: fit.Slot{Compatible: "test", Payload: fit.Settings}})
		if err != nil {
			t.Fatal(err)
		}
		return append(b, make([]byte, -len(b)&(fit.Align-1))...)
	}
	source, target := image(1, 2, 3, 4, 5), image(5, 1, 3, 2, 4)
	d, _, err := diff.Make(source, target)
	if err != nil {
		t.Fatal(err)
	}
	made, err := apply(source, d, len(target))
	if err != nil || !bytes.Equal(made, target) {
		t.Fatalf("made %d bytes of %d: %v", len(made), len(target), err)
	}
	resaid(t, d, func(h *wire.Header) {
		if len(h.Parts) != 1 || h.Parts[0].Kind != wire.Stream {
			t.Fatalf("parts %+v", h.Parts)
		}
		reached := uint32(0)
		for _, o := range h.Ops {
			if o.Copy > 0 && o.From >= h.Source.Size {
				if o.From+wire.StreamWindow < reached {
					t.Errorf("%+v goes back from %d", o, reached)
				}
				reached = max(reached, o.From+o.Copy)
			}
		}
	})
}

// resaid changes what the header of a delta says.
func resaid(t testing.TB, d []byte, change func(*wire.Header)) []byte {
	t.Helper()
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	stored := int(binary.LittleEndian.Uint32(d[len(wire.Magic):]))
	text, err := z.DecodeAll(d[wire.PrefixSize:wire.PrefixSize+stored], nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := wire.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	change(h)
	return withHeader(t, h.Append(nil), d[wire.PrefixSize+stored:])
}

func withHeader(t testing.TB, header, frames []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	packed := w.EncodeAll(header, nil)
	out := []byte(wire.Magic)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(packed)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(header)))
	return append(append(out, packed...), frames...)
}

// TestGolden: a delta that this release's publisher made is read by every later release.
func TestGolden(t *testing.T) {
	t.Parallel()
	const name = "testdata/slot.delta"
	source, target := older().slot(t), newer().slot(t)
	if *updateGolden {
		d, _, err := diff.Make(source, target)
		if err == nil {
			err = os.WriteFile(name, d, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	made, err := apply(source, d, len(target))
	if err != nil || sha256.Sum256(made) != sha256.Sum256(target) {
		t.Errorf("made %d bytes: %v", len(made), err)
	}
	if !strings.HasPrefix(string(d), wire.Magic) {
		t.Error("no magic")
	}
}

// FuzzOpen: whatever a delta says, memory stays bounded and errors are typed.
func FuzzOpen(f *testing.F) {
	source := older().plain()[:96<<10]
	d, _, err := diff.Make(source, newer().plain()[:80<<10])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(d)
	f.Add(d[:len(d)/2])
	f.Add([]byte(wire.Magic))
	f.Fuzz(func(t *testing.T, d []byte) {
		r, err := delta.Open(bytes.NewReader(source), bytes.NewReader(d), bytes.NewReader(source))
		if err != nil {
			if !typed(err) {
				t.Fatal(err)
			}
			return
		}
		defer r.Close()
		part := make([]byte, 32<<10)
		for _, at := range []int64{0, 32 << 10, 16 << 10} {
			n := min(int64(len(part)), int64(r.Target().Size)-at)
			if n <= 0 {
				continue
			}
			if err := r.Segment(part[:n], at); err != nil && !typed(err) {
				t.Fatal(err)
			}
		}
	})
}

// FuzzHeader is FuzzOpen behind the compression of the header, with frames of zeros.
func FuzzHeader(f *testing.F) {
	source := older().plain()[:96<<10]
	h := wire.Header{Source: wire.Image{Size: uint32(len(source))}, Target: wire.Image{Size: 100},
		Pieces: []wire.Piece{{Kind: wire.Raw, Expanded: 100, Stored: 100}},
		Ops:    []wire.Op{{Copy: 60, From: 5, Changed: true, Fresh: 40}}, Frames: []wire.Frame{{Stored: 50, Expanded: 100}}}
	f.Add(h.Append(nil))
	h.From, h.To = []wire.Span{{Size: 100, Memory: 200, Address: 64, Code: wire.ARM64}}, []wire.Span{{Size: 100, Memory: 100}}
	f.Add(h.Append(nil))
	h.BlockSize = 4096
	h.Parts = []wire.Part{{Kind: wire.Block, Offset: 10, Stored: 100, Expanded: 4096},
		{Kind: wire.Stream, Stored: 9, Expanded: 5}}
	h.Pieces = append(h.Pieces, wire.Piece{Kind: wire.Block, Expanded: 9, Stored: 5},
		wire.Piece{Kind: wire.Tree, Stored: 4096})
	f.Add(h.Append(nil))
	f.Fuzz(func(t *testing.T, header []byte) {
		d := withHeader(t, header, make([]byte, 4096))
		r, err := delta.Open(bytes.NewReader(source), bytes.NewReader(d), bytes.NewReader(source))
		if err != nil {
			if !typed(err) {
				t.Fatal(err)
			}
			return
		}
		defer r.Close()
		part := make([]byte, min(32<<10, r.Target().Size))
		if err := r.Segment(part, 0); err != nil && !typed(err) {
			t.Fatal(err)
		}
	})
}
