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
func model(size int, ops []op, c Cut) []byte {
	disk := bytes.Repeat([]byte{0xee}, size)
	for i, o := range ops[:min(c.Before+1, len(ops))] {
		at := slices.IndexFunc(c.Torn, func(t Torn) bool { return t.Entry == i })
		if slices.Contains(c.Lost, i) || i == c.Before && at < 0 {
			continue
		}
		var t Torn
		torn := at >= 0
		if torn {
			t = c.Torn[at]
		}
		data := o.data
		if o.flags&Discard != 0 {
			data = make([]byte, o.zeros*sector)
		}
		for s := 0; s*sector < len(data); s++ {
			at := (o.sector + s) * sector
			if !torn || int64(s) >= t.From && int64(s) < t.To {
				copy(disk[at:], data[s*sector:(s+1)*sector])
			}
			if t.Garbled && int64(s) == t.garbled() {
				copy(disk[at:], data[s*sector:][:sector/2])
				copy(disk[at+sector/2:], bytes.Repeat([]byte{0xff}, sector/2))
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

// TestStatesAreTheModel compares each state of some runs with the simplest disk that there is, and what Rebuild gives
// for the same cut with both. No flushed write is lost, and every cut point is there.
func TestStatesAreTheModel(t *testing.T) {
	t.Parallel()
	const sectors = 70 // no whole number of blocks
	raw := bytes.Repeat([]byte{0xee}, sectors*sector)
	base := NewDisk(bytes.NewReader(raw), int64(len(raw)))
	for seed := range uint64(4) {
		ops := run(seed, 40, sectors)
		l := parse(t, record(ops...))
		states, cuts := 0, map[int]bool{}
		for s, err := range l.States(base, Plan{}) {
			if err != nil {
				t.Fatal(err)
			}
			states++
			cuts[s.Cut.Before] = true
			durable := l.Durable(s.Cut.Before)
			if slices.ContainsFunc(s.Cut.Lost, func(entry int) bool { return durable[entry] }) {
				t.Fatalf("seed %d, %v: a flushed write is lost", seed, s.Cut)
			}
			want := model(len(raw), ops, s.Cut)
			if !bytes.Equal(content(t, s.Disk), want) {
				t.Fatalf("seed %d, %v: the disk is not the model's", seed, s.Cut)
			}
			again, err := l.Rebuild(base, s.Cut)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(content(t, again), want) {
				t.Fatalf("seed %d, %v: Rebuild gives another disk", seed, s.Cut)
			}
		}
		if len(cuts) != len(ops)+1 || states < 5*len(ops) {
			t.Errorf("seed %d: %d states at %d cut points of %d requests", seed, states, len(cuts), len(ops))
		}
		if !bytes.Equal(content(t, base), raw) {
			t.Error("the base has changed")
		}
	}
}

// TestPart: the cut points of a part of a run are those of the whole.
func TestPart(t *testing.T) {
	t.Parallel()
	l := parse(t, record(run(1, 30, 70)...))
	base := NewDisk(bytes.NewReader(nil), 70*sector)
	list := func(p Plan) (cuts []string) {
		for s, err := range l.States(base, p) {
			if err != nil {
				t.Fatal(err)
			}
			cuts = append(cuts, fmt.Sprintf("%v %x", s.Cut, content(t, s.Disk)))
		}
		return cuts
	}
	parts := slices.Concat(list(Plan{To: 7}), list(Plan{From: 7, To: 8}), list(Plan{From: 8}))
	if whole := list(Plan{}); !slices.Equal(parts, whole) || len(whole) < 100 {
		t.Errorf("got %d states in parts, %d in all", len(parts), len(whole))
	}
}

// TestSum: digests of parts of disks differ exactly where their contents do.
func TestSum(t *testing.T) {
	t.Parallel()
	const sectors = pageSize/sector + 70
	raw := bytes.Repeat([]byte{0xee}, sectors*sector)
	base := NewDisk(bytes.NewReader(raw), int64(len(raw)))
	l := parse(t, record(run(5, 20, sectors)...))
	contents := map[Sum]string{}
	const offset, length = pageSize - 2*blockSize, 3 * blockSize // over a border
	for _, part := range [][2]int64{{0, int64(len(raw))}, {offset, length}} {
		clear(contents)
		sums := map[string]Sum{}
		for s, err := range l.States(base, Plan{}) {
			if err != nil {
				t.Fatal(err)
			}
			sum, err := s.Disk.Sum(part[0], part[1])
			if err != nil {
				t.Fatal(err)
			}
			b := string(content(t, s.Disk)[part[0]:][:part[1]])
			if before, ok := contents[sum]; ok && before != b {
				t.Fatalf("%v: one digest for two contents", s.Cut)
			}
			if before, ok := sums[b]; ok && before != sum {
				t.Fatalf("%v: two digests for one content", s.Cut)
			}
			contents[sum], sums[b] = b, sum
		}
		if len(contents) < 2 {
			t.Errorf("%d contents of the part at %d", len(contents), part[0])
		}
	}
}

func TestRebuildRefuses(t *testing.T) {
	t.Parallel()
	l := parse(t, record(write(1, 1, 2), flush(), write(2, 2, 2)))
	for name, c := range map[string]Cut{
		"behind the end":         {Before: 4},
		"a flushed write":        {Before: 3, Lost: []int{0}},
		"one that was not given": {Before: 2, Lost: []int{2}},
		"a torn flushed write":   {Before: 3, Torn: []Torn{{To: 1}}},
		"torn behind the cut":    {Before: 1, Torn: []Torn{{Entry: 2, To: 1}}},
		"torn behind the log":    {Before: 3, Torn: []Torn{{Entry: 3, To: 1}}},
	} {
		if _, err := l.Rebuild(NewDisk(bytes.NewReader(nil), 1<<16), c); !errors.Is(err, ErrLog) {
			t.Errorf("%s: got %v, want ErrLog", name, err)
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

// TestStatesFindMistakes: what has two copies and flushes between them is whole at every cut; a mistake is found.
func TestStatesFindMistakes(t *testing.T) {
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
		want, got := bytes.Repeat([]byte{2}, 9*sector), make([]byte, 9*sector)
		good := true
		for s, err := range l.States(NewDisk(bytes.NewReader(nil), 200*sector), Plan{}) {
			if err != nil {
				t.Fatal(err)
			}
			at := newest(s.Disk, first, second)
			if _, err := s.Disk.ReadAt(got, content*sector); err != nil {
				t.Fatal(err)
			}
			none := s.Cut.Before >= 2 && at == 0
			early := len(c.ops[2].data) == len(want) && at == 2 && !bytes.Equal(got, want)
			good = good && !none && !early
		}
		if good != c.good {
			t.Errorf("%s: got %v", c.name, good)
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
		d, err := l.Rebuild(NewDisk(bytes.NewReader(nil), 1<<16), Cut{Before: min(len(l.Entries), 20)})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(content(t, d)); got != 1<<16 {
			t.Fatalf("a disk of %d bytes", got)
		}
	})
}

// Example looks at every disk that a power cut may have left of a run that changed one sector.
func Example() {
	r := NewRecorder(NewDisk(bytes.NewReader(nil), 16*sector))
	letter := NewHistory("\x00")
	for _, value := range []string{"A", "B"} {
		begun := r.Now()
		_, _ = r.WriteAt([]byte(value), 8*sector)
		_ = r.Sync()
		letter.Add(Version{Value: value, Begun: begun, Done: r.Now()})
	}
	l, err := r.Log()
	if err != nil {
		fmt.Println(err)
		return
	}
	for s, err := range l.States(NewDisk(bytes.NewReader(nil), 16*sector), Plan{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		b := make([]byte, 1)
		_, _ = s.Disk.ReadAt(b, 8*sector)
		fmt.Printf("%v: %q, %v\n", s.Cut, b, letter.Judge(l.Instant(s.Cut.Before), string(b)))
	}
	// Output:
	// entry 0: "\x00", <nil>
	// entry 0, of 0 the sectors from 0 and before 0, 0 garbled: "A", <nil>
	// entry 1: "A", <nil>
	// entry 1, lost 0: "\x00", <nil>
	// entry 2: "A", <nil>
	// entry 2, of 2 the sectors from 0 and before 0, 0 garbled: "B", <nil>
	// entry 3: "B", <nil>
	// entry 3, lost 2: "A", <nil>
	// entry 4: "B", <nil>
}
