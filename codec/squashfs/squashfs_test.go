package squashfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// prose is n bytes that compress, the same on every machine.
func prose(n int, seed uint64) []byte {
	words := strings.Fields("the small simple eye of an insect looks at light and the board boots from its slot")
	r := rand.New(rand.NewPCG(seed, 1))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%s %d ", words[r.IntN(len(words))], r.IntN(1000))
	}
	return b.Bytes()[:n]
}

// noise is n bytes that don't.
func noise(n int, seed uint64) []byte {
	r, b := rand.New(rand.NewPCG(seed, 2)), make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func sample() []Entry {
	e := []Entry{
		{Path: ".", Mode: fs.ModeDir | 0o755},
		{Path: "etc", Mode: fs.ModeDir | 0o755},
		{Path: "etc/empty", Mode: 0o600, UID: 1000, GID: 44},
		{Path: "etc/link", Mode: fs.ModeSymlink | 0o777, Target: "../bin/large"},
		{Path: "bin", Mode: fs.ModeDir | 0o750, GID: 1000},
		{Path: "bin/large", Mode: 0o755 | fs.ModeSetuid, Data: prose(5*BlockSize+77, 1)},
		{Path: "bin/exact", Mode: 0o755, Data: prose(2*BlockSize, 2)},
		{Path: "bin/noise", Mode: 0o755, Data: noise(BlockSize+BlockSize/2, 3)},
		{Path: "bin/zeros", Mode: 0o755, Data: make([]byte, 3*BlockSize)},
		{Path: "nothing", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Path: "many", Mode: fs.ModeDir | 0o755},
	}
	for i := range 1600 {
		name := fmt.Sprintf("many/a-file-with-a-rather-long-name-%04d", i)
		e = append(e, Entry{Path: name, Mode: 0o644, Data: prose(i%300, uint64(i))})
	}
	return e
}

func build(t *testing.T, e []Entry, o Options) []byte {
	t.Helper()
	image, err := Build(e, o)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestBuildIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	image := build(t, sample(), Options{Time: 1700000000})
	shuffled := sample()
	slices.Reverse(shuffled)
	if !bytes.Equal(image, build(t, shuffled, Options{Time: 1700000000})) {
		t.Error("the order of the entries changes the image")
	}
	sum := sha256.Sum256(image)
	// A new sum here means that no delta update from an older release applies: ADR 0007.
	if got, want := hex.EncodeToString(sum[:]), golden; got != want {
		t.Errorf("image %s, want %s", got, want)
	}
}

const golden = "b1be5638155594ba0f3d7e2f05c70c1e5444f05e801afedbc4feb77f0299089b"

func TestUnsquashfsReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("unsquashfs")
	if err != nil {
		t.Skip("unsquashfs is not here (package squashfs-tools)")
	}
	for _, size := range []int{4096, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			name, out := filepath.Join(dir, "image"), filepath.Join(dir, "out")
			if err := os.WriteFile(name, build(t, sample(), Options{BlockSize: size}), 0o600); err != nil {
				t.Fatal(err)
			}
			extract := exec.CommandContext(t.Context(), tool, "-no-progress", "-ignore-errors", "-d", out, name)
			if said, err := extract.CombinedOutput(); err != nil {
				t.Logf("unsquashfs: %v\n%s", err, said)
			}
			listing, err := exec.CommandContext(t.Context(), tool, "-lln", name).CombinedOutput()
			if err != nil {
				t.Fatalf("unsquashfs -lln: %v\n%s", err, listing)
			}
			lines := map[string]string{}
			for line := range strings.Lines(string(listing)) {
				if fields := strings.Fields(line); len(fields) >= 6 {
					lines[fields[5]] = line
				}
			}
			for _, e := range sample() {
				same(t, e, out, lines[path.Join("squashfs-root", e.Path)])
			}
		})
	}
}

// same compares an entry with what unsquashfs made of it and says about it.
func same(t *testing.T, e Entry, out, line string) {
	t.Helper()
	name := filepath.Join(out, e.Path)
	switch e.Mode.Type() {
	case 0:
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, e.Data) {
			t.Errorf("%s: %d bytes, %v, want its %d bytes", e.Path, len(got), err, len(e.Data))
		}
	case fs.ModeSymlink:
		if got, err := os.Readlink(name); err != nil || got != e.Target {
			t.Errorf("%s: link to %q, %v, want %q", e.Path, got, err, e.Target)
		}
	}
	info, err := os.Lstat(name)
	if err != nil || info.Mode().Type() != e.Mode.Type() {
		t.Errorf("%s: %v, %v", e.Path, info, err)
	}
	if got, _, _ := strings.Cut(line, " "); len(got) != 10 || got[1:] != rights(e.Mode) ||
		!strings.Contains(line, fmt.Sprintf(" %d/%d ", e.UID, e.GID)) {
		t.Errorf("%s: listed as %q", e.Path, line)
	}
}

// rights writes a mode as ls does.
func rights(m fs.FileMode) string {
	b := []byte(m.Perm().String()[1:])
	if m&fs.ModeSetuid != 0 {
		b[2] = 's'
	}
	if m&fs.ModeSticky != 0 {
		b[8] = 't'
	}
	return string(b)
}

func TestEveryBlockRecompresses(t *testing.T) {
	t.Parallel()
	for _, size := range []int{4096, BlockSize} {
		image := build(t, sample(), Options{BlockSize: size})
		i, err := Open(bytes.NewReader(image))
		if err != nil {
			t.Fatal(err)
		}
		n, failed, err := i.Prove()
		if err != nil || len(failed) > 0 || n < 10 {
			t.Errorf("blocks of %d: %d blocks, %v fail, %v", size, n, failed, err)
		}
	}
}

func TestBlocksHoldAllData(t *testing.T) {
	t.Parallel()
	image := build(t, sample(), Options{})
	i, err := Open(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := i.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	codec, err := NewCodec(i.BlockSize())
	if err != nil {
		t.Fatal(err)
	}
	defer codec.Close()
	total, compressed := 0, 0
	for _, b := range blocks {
		data, err := i.Expand(codec, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		total += len(data)
		if b.Compressed {
			compressed++
		}
	}
	want := 0
	for _, e := range sample() {
		want += len(e.Data)
	}
	if total != want {
		t.Errorf("the blocks hold %d bytes, the files %d", total, want)
	}
	if compressed == len(blocks) || compressed == 0 {
		t.Errorf("%d of %d blocks are compressed: want some, not all", compressed, len(blocks))
	}
	if first, last := blocks[0], blocks[len(blocks)-1]; first.Offset != superblockSize ||
		last.Offset+int64(last.Stored) != int64(i.super.InodeTable) {
		t.Errorf("blocks from %d to %d leave holes", first.Offset, last.Offset)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	root := Entry{Path: ".", Mode: fs.ModeDir | 0o755}
	for name, c := range map[string]struct {
		entries []Entry
		want    error
	}{
		"no root":             {nil, fs.ErrNotExist},
		"twice":               {[]Entry{root, {Path: "a"}, {Path: "a"}}, fs.ErrExist},
		"no directory":        {[]Entry{root, {Path: "a/b"}}, fs.ErrNotExist},
		"below a file":        {[]Entry{root, {Path: "a"}, {Path: "a/b"}}, fs.ErrNotExist},
		"upwards":             {[]Entry{root, {Path: "../a"}}, fs.ErrInvalid},
		"absolute":            {[]Entry{root, {Path: "/a"}}, fs.ErrInvalid},
		"long name":           {[]Entry{root, {Path: strings.Repeat("a", 257)}}, fs.ErrInvalid},
		"device":              {[]Entry{root, {Path: "a", Mode: fs.ModeDevice}}, fs.ErrInvalid},
		"link to nowhere":     {[]Entry{root, {Path: "a", Mode: fs.ModeSymlink}}, fs.ErrInvalid},
		"root that is a file": {[]Entry{{Path: "."}}, fs.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Build(c.entries, Options{}); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if _, err := Build([]Entry{root}, Options{BlockSize: 5000}); err == nil {
		t.Error("a block size of 5000 is taken")
	}
}

func FuzzBlocks(f *testing.F) {
	small, err := Build([]Entry{{Path: ".", Mode: fs.ModeDir}, {Path: "a", Data: prose(9000, 1)},
		{Path: "b", Mode: fs.ModeSymlink, Target: "a"}},
		Options{BlockSize: 4096})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small)
	f.Add(small[:superblockSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		blocks, err := i.Blocks()
		if err != nil {
			if !errors.Is(err, ErrImage) {
				t.Errorf("untyped: %v", err)
			}
			return
		}
		if !slices.IsSortedFunc(blocks, func(a, b Block) int { return int(a.Offset - b.Offset) }) {
			t.Error("blocks out of order")
		}
		_, _, _ = i.Prove()
	})
}
