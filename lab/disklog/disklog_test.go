package disklog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

const sector = 512

// op is one request of a synthetic run.
type op struct {
	flags  uint64
	sector int
	data   []byte
	zeros  int // sectors of a discard
}

func write(at int, fill byte, sectors int) op {
	return op{sector: at, data: bytes.Repeat([]byte{fill}, sectors*sector)}
}

func flush() op { return op{flags: Flush} }

// record writes a log as QEMU's block/blklogwrites.c does.
func record(ops ...op) []byte {
	le := binary.LittleEndian
	b := make([]byte, sector)
	le.PutUint64(b[0:], magic)
	le.PutUint64(b[8:], version)
	le.PutUint64(b[16:], uint64(len(ops)))
	le.PutUint32(b[24:], sector)
	for _, o := range ops {
		var e [sector]byte
		le.PutUint64(e[0:], uint64(o.sector))
		le.PutUint64(e[8:], uint64(len(o.data)/sector+o.zeros))
		le.PutUint64(e[16:], o.flags)
		b = append(append(b, e[:]...), o.data...)
	}
	return b
}

func parse(t testing.TB, b []byte) *Log {
	t.Helper()
	l, err := Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// content reads a whole disk.
func content(t testing.TB, d *Disk) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(d, 0, d.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// model is the simplest disk that there is.
func model(size int, ops []op, lost func(int) bool, torn func(int64) bool, before int) []byte {
	disk := bytes.Repeat([]byte{0xee}, size)
	for i, o := range ops[:min(before+1, len(ops))] {
		if i < before && lost(i) {
			continue
		}
		data := o.data
		if o.flags&Discard != 0 {
			data = make([]byte, o.zeros*sector)
		}
		for s := 0; s*sector < len(data); s++ {
			if i < before || torn != nil && torn(int64(s)) {
				copy(disk[(o.sector+s)*sector:], data[s*sector:(s+1)*sector])
			}
		}
	}
	return disk
}

// run makes requests by chance.
func run(seed uint64, n, sectors int) []op {
	random := rand.New(rand.NewPCG(seed, seed))
	ops := make([]op, n)
	for i := range ops {
		at := random.IntN(sectors - 20)
		switch random.IntN(6) {
		case 0:
			ops[i] = flush()
		case 1:
			ops[i] = op{flags: Discard, sector: at, zeros: random.IntN(10)}
		case 2:
			ops[i] = write(at, byte(i), 1)
			ops[i].flags = FUA
		default:
			ops[i] = write(at, byte(i+1), 1+random.IntN(20))
		}
	}
	return ops
}

// TestRebuildEveryCut compares each cut point of some runs with the model.
func TestRebuildEveryCut(t *testing.T) {
	t.Parallel()
	const sectors = 70 // no whole number of blocks
	base := bytes.Repeat([]byte{0xee}, sectors*sector)
	for seed := range uint64(8) {
		ops := run(seed, 60, sectors)
		l := parse(t, record(ops...))
		random := rand.New(rand.NewPCG(seed, 9))
		for before := range len(ops) + 1 {
			durable := l.Durable(before)
			gone := make([]bool, before)
			for i := range gone {
				gone[i] = random.IntN(2) == 0
			}
			keep := random.Uint64()
			torn := func(s int64) bool { return keep>>(s%64)&1 == 1 }
			d, err := l.Rebuild(NewDisk(bytes.NewReader(base), int64(len(base))),
				Cut{Before: before, Lost: func(i int) bool { return gone[i] }, Torn: torn})
			if err != nil {
				t.Fatal(err)
			}
			want := model(len(base), ops, func(i int) bool { return !durable[i] && gone[i] }, torn, before)
			if !bytes.Equal(content(t, d), want) {
				t.Fatalf("seed %d, cut before entry %d: the disk is not the model's", seed, before)
			}
		}
	}
}

func TestDurable(t *testing.T) {
	t.Parallel()
	fua, preflush := write(3, 3, 1), write(4, 4, 1)
	fua.flags, preflush.flags = FUA, Flush
	l := parse(t, record(write(1, 1, 1), flush(), write(2, 2, 1), fua, preflush, write(5, 5, 1)))
	for before, want := range [][]bool{
		{}, {false}, {true, false}, {true, false, false}, {true, false, false, true},
		{true, true, true, true, false}, {true, true, true, true, false, false},
	} {
		if got := l.Durable(before); !slices.Equal(got, want) {
			t.Errorf("cut before %d: got %v, want %v", before, got, want)
		}
	}
}

// TestWalkIsRebuild: what Walk shows is what Rebuild gives for the same cut, and no write that was flushed is lost.
func TestWalkIsRebuild(t *testing.T) {
	t.Parallel()
	const sectors = 64
	base := bytes.Repeat([]byte{0xee}, sectors*sector)
	ops := run(3, 40, sectors)
	l := parse(t, record(ops...))
	points, cuts := 0, map[int]bool{}
	err := l.Walk(NewDisk(bytes.NewReader(base), int64(len(base))), func(c Cut, what string, d *Disk) error {
		points++
		cuts[c.Before] = true
		again, err := l.Rebuild(NewDisk(bytes.NewReader(base), int64(len(base))), c)
		if err != nil {
			return err
		}
		if !bytes.Equal(content(t, d), content(t, again)) {
			return errors.New("Rebuild gives another disk")
		}
		return nil
	})
	if err != nil || len(cuts) != len(ops)+1 || points < 5*len(ops) {
		t.Errorf("%d states at %d cut points of %d requests: %v", points, len(cuts), len(ops), err)
	}
}

// seal is a block of two sectors that tells whether it is whole.
func seal(sequence byte) []byte {
	b := bytes.Repeat([]byte{sequence}, 2*sector)
	binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return b
}

// newest returns the highest sequence of the whole blocks among some, 0 for none.
func newest(d io.ReaderAt, sectors ...int) (sequence byte) {
	b := make([]byte, 2*sector)
	for _, at := range sectors {
		_, err := d.ReadAt(b, int64(at)*sector)
		if err == nil && binary.LittleEndian.Uint32(b) == crc32.ChecksumIEEE(b[4:]) && b[4] > sequence {
			sequence = b[4]
		}
	}
	return sequence
}

// TestWalkFindsMistakes: what has two copies and flushes between them is whole at every cut; a mistake is found.
func TestWalkFindsMistakes(t *testing.T) {
	t.Parallel()
	block := func(at int, sequence byte) op { return op{sector: at, data: seal(sequence)} }
	const first, second, content = 0, 64, 100
	for _, c := range []struct {
		name string
		ops  []op
		good bool
	}{
		{"two copies", []op{block(first, 1), flush(), block(second, 2), flush(), block(first, 3), flush()}, true},
		{"one copy", []op{block(first, 1), flush(), block(first, 2), flush()}, false},
		{"no flush between", []op{block(first, 1), flush(), block(second, 2), block(first, 3), flush()}, false},
		{"content first", []op{block(first, 1), flush(), write(content, 2, 9), flush(), block(second, 2), flush()}, true},
		{"content with it", []op{block(first, 1), flush(), write(content, 2, 9), block(second, 2), flush()}, false},
	} {
		l := parse(t, record(c.ops...))
		err := l.Walk(NewDisk(bytes.NewReader(nil), 200*sector), func(cut Cut, _ string, d *Disk) error {
			at := newest(d, first, second)
			if cut.Before >= 2 && at == 0 {
				return errors.New("no copy is whole")
			}
			want, got := bytes.Repeat([]byte{2}, 9*sector), make([]byte, 9*sector)
			if _, err := d.ReadAt(got, content*sector); err != nil {
				return err
			}
			if len(c.ops[2].data) == len(want) && at == 2 && !bytes.Equal(got, want) {
				return errors.New("the record tells of content that is not there")
			}
			return nil
		})
		if (err == nil) != c.good {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	good := record(write(1, 1, 2), flush())
	change := func(offset int, value byte) []byte {
		b := bytes.Clone(good)
		b[offset] ^= value
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"short":           good[:20],
		"magic":           change(0, 1),
		"version":         change(8, 2),
		"sector size 0":   change(25, 2),
		"sector size odd": change(24, 1),
		"too many":        change(23, 0x80),
		"far sector":      change(sector+7, 0x80),
		"long mark":       change(sector+26, 1),
	} {
		if l, err := Read(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrLog) {
			t.Errorf("%s: got %+v, %v, want ErrLog", name, l, err)
		}
	}
}

// TestKilled: a log whose end is missing is read up to its last whole entry.
func TestKilled(t *testing.T) {
	t.Parallel()
	b := record(write(1, 1, 2), flush(), write(5, 5, 4))
	for _, c := range []struct{ size, entries int }{
		{len(b), 3}, {len(b) - 1, 2}, {len(b) - 4*sector, 2}, {len(b) - 5*sector, 2}, {len(b) - 5*sector - 1, 1}, {sector, 0},
	} {
		if l := parse(t, b[:c.size]); len(l.Entries) != c.entries {
			t.Errorf("%d of %d bytes: got %d entries, want %d", c.size, len(b), len(l.Entries), c.entries)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(record(write(1, 1, 2), flush(), op{flags: Discard, sector: 4, zeros: 3}, op{flags: Mark}))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		d, err := l.Rebuild(NewDisk(bytes.NewReader(nil), 1<<20), Cut{Before: min(len(l.Entries), 20)})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(content(t, d)); got != 1<<20 {
			t.Fatalf("a disk of %d bytes", got)
		}
	})
}

func Example() {
	log := record(write(8, 'A', 1), flush(), write(8, 'B', 1))
	l, err := Read(bytes.NewReader(log), int64(len(log)))
	if err != nil {
		fmt.Println(err)
		return
	}
	base := NewDisk(bytes.NewReader(make([]byte, 16*sector)), 16*sector)
	_ = l.Walk(base, func(_ Cut, what string, d *Disk) error {
		b := make([]byte, 1)
		_, err := d.ReadAt(b, 8*sector)
		fmt.Printf("%s: %q\n", what, b)
		return err
	})
	// Output:
	// entry 0 of 3, 0 unflushed: nothing lost: "\x00"
	// entry 1 of 3, 1 unflushed: nothing lost: "A"
	// entry 1 of 3, 1 unflushed: all lost: "\x00"
	// entry 2 of 3, 0 unflushed: nothing lost: "A"
	// entry 3 of 3, 1 unflushed: nothing lost: "B"
	// entry 3 of 3, 1 unflushed: all lost: "A"
}
