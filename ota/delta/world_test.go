package delta_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/squashfs"
	"github.com/ocellus/ocellus/codec/verity"
)

// release is what a small slot is made of.
type release struct {
	name   string
	time   uint32
	insert int  // instructions more in the first function of each program
	kernel byte // another one is another kernel
	few    bool // of the programs the initrd's alone
	odd    bool // kernel and initrd are compressed by another compressor
}

func older() release { return release{name: "1.0.0", time: 1, kernel: 1} }
func newer() release { return release{name: "1.1.0-longer", time: 2, insert: 3, kernel: 1} }

// slot is an image as cmd/mkimage makes them: FIT, squashfs, verity tree.
func (r release) slot(t testing.TB) []byte {
	t.Helper()
	files, err := squashfs.Build(r.entries(), squashfs.Options{Time: r.time})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := verity.New([]byte("salt"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = tree.Write(files)
	behind, root, err := tree.Finish()
	if err != nil {
		t.Fatal(err)
	}
	initrd := append(program(arm, 300, r.insert), fmt.Sprintf("%s %d %s", r.name, r.time, root)...)
	image, err := fit.Build(fit.Image{Arch: "arm64", Time: r.time,
		Kernel: fit.Part{Data: r.gzipped(t, noise(400<<10, uint64(r.kernel))), Compression: "gzip"},
		Initrd: fit.Part{Data: r.gzipped(t, initrd)},
		Slot:   fit.Slot{Compatible: "test", Version: r.name, Payload: fit.Settings, Filesystem: squashfs.Settings}})
	if err != nil {
		t.Fatal(err)
	}
	_, padded, err := fit.Size(image)
	if err != nil {
		t.Fatal(err)
	}
	image = append(image, make([]byte, padded-int64(len(image)))...)
	return append(append(image, files...), behind...)
}

func (r release) entries() []squashfs.Entry {
	all := []squashfs.Entry{
		{Path: ".", Mode: fs.ModeDir | 0o755},
		{Path: "agent", Mode: 0o755, Data: program(arm64, 3000, r.insert)},
		{Path: "busybox", Mode: 0o755, Data: noise(300<<10, 7)},
		{Path: "config", Mode: 0o644, Data: []byte("version: " + r.name)},
		{Path: "helper", Mode: 0o755, Data: program(arm, 3000, r.insert)},
		{Path: "same", Mode: 0o644, Data: bytes.Repeat([]byte("the same in both "), 20000)},
	}
	return slices.DeleteFunc(all, func(e squashfs.Entry) bool { return r.few && (e.Path == "agent" || e.Path == "helper") })
}

// plain is an image that nothing is compressed in.
func (r release) plain() []byte {
	var b []byte
	for _, e := range r.entries() {
		b = append(b, e.Data...)
		b = append(b, make([]byte, -len(b)&4095)...)
	}
	return b
}

func (r release) gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&out)
	var err error
	if !r.odd {
		w, err = fit.NewCompressor(&out)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// noise compresses by a quarter.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(fmt.Sprint(seed)))).Read(b)
	for i := range b {
		b[i] &= 0x3f
	}
	return b
}

type machine int

const (
	arm machine = iota
	arm64
)

// program is an ELF of so many functions that call one another and point at data; the first one has some instructions
// more.
func program(m machine, functions, insert int) []byte {
	const base, dataSize = 0x10000, 64 << 10
	r := rand.New(rand.NewPCG(uint64(m), 9))
	starts := []uint32{base + 0x1000}
	for i := range functions {
		n := 8 + r.Uint32N(40)
		if i == 0 {
			n += uint32(insert)
		}
		starts = append(starts, starts[i]+4*n)
	}
	data := (starts[functions] + 0xffff) &^ 0xffff
	r = rand.New(rand.NewPCG(uint64(m), 10))
	image := make([]byte, data-base+dataSize)
	for i := range functions {
		at := starts[i]
		if i == 0 {
			at += 4 * uint32(insert)
		}
		for ; at < starts[i+1]; at += 4 {
			target := starts[r.IntN(functions)]
			place := data + r.Uint32N(dataSize/8)*8
			at += 4 * uint32(copy(image[at-base:], instruction(m, r, at, target, place))/4-1)
		}
	}
	for at := data; at < data+dataSize; at += 8 { // three pointers, then forty bytes of something else
		if binary.LittleEndian.PutUint32(image[at-base:], starts[r.IntN(functions)]); at/8%8 >= 3 {
			binary.LittleEndian.PutUint64(image[at-base:], r.Uint64())
		}
	}
	copy(image, header(m, starts[functions]-base, data-base, dataSize))
	return image
}

// instruction is one that holds an address, or a pair, or one that holds none.
func instruction(m machine, r *rand.Rand, at, target, place uint32) []byte {
	le := binary.LittleEndian
	switch n := r.IntN(6); {
	case n == 0 && m == arm:
		return le.AppendUint32(nil, 0xeb000000|(target-at-8)>>2&0xffffff)
	case n == 0:
		return le.AppendUint32(nil, 0x94000000|(target-at)>>2&0x3ffffff)
	case n == 1 && m == arm:
		return le.AppendUint32(nil, place)
	case n == 1:
		pages := place>>12 - at>>12
		b := le.AppendUint32(nil, 0x90000001|pages&3<<29|pages>>2&0x7ffff<<5)
		return le.AppendUint32(b, 0x91000021|place&0xfff<<10)
	}
	return le.AppendUint32(nil, 0xe2000000|r.Uint32N(1<<16))
}

// header is that of a static program with a segment of code and one of data.
func header(m machine, code, data, dataSize uint32) []byte {
	type segment struct{ kind, flags, at, size uint32 }
	segments := []segment{{1, 5, 0, code}, {1, 6, data, dataSize}}
	le, base := binary.LittleEndian, uint32(0x10000)
	b := []byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00\x01\x00\x00\x00")
	put32 := func(all ...uint32) {
		for _, n := range all {
			b = le.AppendUint32(b, n)
		}
	}
	put64 := func(all ...uint64) {
		for _, n := range all {
			b = le.AppendUint64(b, n)
		}
	}
	put16 := func(all ...uint16) {
		for _, n := range all {
			b = le.AppendUint16(b, n)
		}
	}
	if m == arm {
		put32(base+0x1000, 52, 0, 0x5000200)
		put16(52, 32, uint16(len(segments)), 40, 0, 0)
		for _, s := range segments {
			put32(s.kind, s.at, base+s.at, base+s.at, s.size, s.size, s.flags, 0x10000)
		}
		return b
	}
	b[4], b[18] = 2, 0xb7
	put64(uint64(base)+0x1000, 64, 0)
	put32(0)
	put16(64, 56, uint16(len(segments)), 64, 0, 0)
	for _, s := range segments {
		put32(s.kind, s.flags)
		put64(uint64(s.at), uint64(base+s.at), uint64(base+s.at), uint64(s.size), uint64(s.size), 0x10000)
	}
	return b
}

// counted counts the bytes that are read.
type counted struct {
	io.ReaderAt
	bytes int
}

func (c *counted) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, at)
	c.bytes += n
	return n, err
}
