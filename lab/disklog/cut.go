package disklog

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
)

// Disk is the content of a disk: a base, and the blocks of it that a recorded run changed. A Disk costs what was
// written, not what the disk is large; a million of them may share a base.
type Disk struct {
	base   io.ReaderAt
	size   int64
	blocks map[int64][]byte // by number; never changed once they are in a second map
}

const blockSize = 4096

// NewDisk is a disk as it was before the run.
func NewDisk(base io.ReaderAt, size int64) *Disk {
	return &Disk{base: base, size: size, blocks: map[int64][]byte{}}
}

// Clone returns a disk that goes its own way.
func (d *Disk) Clone() *Disk {
	blocks := make(map[int64][]byte, len(d.blocks))
	for n, b := range d.blocks {
		blocks[n] = b
	}
	return &Disk{base: d.base, size: d.size, blocks: blocks}
}

// Size returns the size in bytes.
func (d *Disk) Size() int64 { return d.size }

// ReadAt reads the disk.
func (d *Disk) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("%w: read at %d", ErrLog, offset)
	}
	n := 0
	for n < len(p) && offset+int64(n) < d.size {
		at := offset + int64(n)
		number, from := at/blockSize, at%blockSize
		part := p[n:min(int64(len(p)), int64(n)+min(blockSize-from, d.size-at))]
		if b, ok := d.blocks[number]; ok {
			copy(part, b[from:])
		} else if err := readBase(d.base, part, at); err != nil {
			return n, err
		}
		n += len(part)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readBase reads a base, which is zeros behind its end.
func readBase(base io.ReaderAt, p []byte, offset int64) error {
	n, err := base.ReadAt(p, offset)
	clear(p[n:])
	if err == io.EOF {
		return nil
	}
	return err
}

// write puts bytes on the disk; what lies behind its end is left out.
func (d *Disk) write(p []byte, offset int64) error {
	for len(p) > 0 && offset < d.size {
		number, from := offset/blockSize, offset%blockSize
		part := p[:min(int64(len(p)), blockSize-from)]
		block := make([]byte, blockSize)
		if b, ok := d.blocks[number]; ok {
			copy(block, b)
		} else if int64(len(part)) < blockSize {
			if err := readBase(d.base, block, number*blockSize); err != nil {
				return err
			}
		}
		copy(block[from:], part)
		d.blocks[number] = block
		p, offset = p[len(part):], offset+int64(len(part))
	}
	return nil
}

// Apply puts sectors of an entry on the disk: those for which keep is true, all for nil.
func (l *Log) Apply(d *Disk, e Entry, keep func(sector int64) bool) error {
	if !e.Writes() {
		return nil
	}
	const piece = 1 << 20
	length := min(e.Length, max(d.size-e.Offset, 0)) // what lies behind the disk's end is nowhere
	buffer := make([]byte, min(length, piece))
	for at := int64(0); at < length; at += piece {
		p := buffer[:min(length-at, piece)]
		if err := l.Data(e, p, at); err != nil {
			return err
		}
		kept := func(s int64) bool { return keep == nil || keep((at+s)/l.SectorSize) }
		for s := int64(0); s < int64(len(p)); {
			run := s
			for run < int64(len(p)) && kept(run) {
				run += l.SectorSize
			}
			if err := d.write(p[s:min(run, int64(len(p)))], e.Offset+at+s); err != nil {
				return err
			}
			s = max(run, s+l.SectorSize)
		}
	}
	return nil
}

// Durable returns which of the first n entries were surely on the disk when the power was cut before entry n: those
// that a later flush among them covers, and those that said so themselves (FUA).
func (l *Log) Durable(n int) []bool {
	durable := make([]bool, n)
	flushed := false
	for i := n - 1; i >= 0; i-- {
		e := l.Entries[i]
		durable[i] = flushed || e.Flags&FUA != 0
		flushed = flushed || e.Flags&Flush != 0
	}
	return durable
}

// Cut says what a power cut left.
type Cut struct {
	// Before is how many entries had been given to the disk; the next one may be torn.
	Before int
	// Lost says of an entry that no flush covers whether it never reached the disk; nil loses none.
	Lost func(entry int) bool
	// Torn says which sectors of entry Before reached the disk; nil for none.
	Torn func(sector int64) bool
}

// Rebuild returns the disk after a cut. Writes that no flush covers reach a disk in any order; those that survive are
// applied in theirs, since a drive does not reorder two writes to the same sector.
func (l *Log) Rebuild(base *Disk, c Cut) (*Disk, error) {
	if c.Before < 0 || c.Before > len(l.Entries) {
		return nil, fmt.Errorf("%w: cut before entry %d of %d", ErrLog, c.Before, len(l.Entries))
	}
	d := base.Clone()
	for i, durable := range l.Durable(c.Before) {
		if !durable && c.Lost != nil && c.Lost(i) {
			continue
		}
		if err := l.Apply(d, l.Entries[i], nil); err != nil {
			return nil, err
		}
	}
	if c.Torn != nil && c.Before < len(l.Entries) {
		return d, l.Apply(d, l.Entries[c.Before], c.Torn)
	}
	return d, nil
}

// Walk calls visit with the disk of every cut point of the run, many for each: nothing lost, all lost, each unflushed
// write alone lost and alone kept, some mixtures by chance (the same ones each time), each of them with the next write
// torn at its head and at its tail. It rebuilds step by step, so that a long run is walked in the time of reading it.
func (l *Log) Walk(base *Disk, visit func(c Cut, what string, d *Disk) error) error {
	durable := base.Clone() // all that is surely there
	var open []int          // entries that no flush covers yet
	for n := 0; n <= len(l.Entries); n++ {
		for _, lost := range losses(l.losable(open), uint64(n)) {
			for _, torn := range l.tears(n) {
				d := durable.Clone()
				for _, entry := range open {
					if lost.entries[entry] {
						continue
					}
					if err := l.Apply(d, l.Entries[entry], nil); err != nil {
						return err
					}
				}
				if torn.keep != nil {
					if err := l.Apply(d, l.Entries[n], torn.keep); err != nil {
						return err
					}
				}
				what := fmt.Sprintf("entry %d of %d, %d unflushed: %s%s", n, len(l.Entries), len(open), lost.what, torn.what)
				cut := Cut{Before: n, Lost: func(entry int) bool { return lost.entries[entry] }, Torn: torn.keep}
				if err := visit(cut, what, d); err != nil {
					return fmt.Errorf("%s: %w", what, err)
				}
			}
		}
		if n == len(l.Entries) {
			break
		}
		var err error
		if open, err = l.settle(durable, open, n); err != nil {
			return err
		}
	}
	return nil
}

// settle gives entry n to the disk: a flush makes the open entries durable.
func (l *Log) settle(durable *Disk, open []int, n int) ([]int, error) {
	e := l.Entries[n]
	if e.Flags&Flush != 0 {
		for _, entry := range open {
			if err := l.Apply(durable, l.Entries[entry], nil); err != nil {
				return nil, err
			}
		}
		open = nil
	}
	if !e.Writes() {
		return open, nil
	}
	if e.Flags&FUA != 0 && len(open) == 0 {
		return open, l.Apply(durable, e, nil)
	}
	return append(open, n), nil
}

// losable returns the open entries that a power cut may take.
func (l *Log) losable(open []int) []int {
	return slices.DeleteFunc(slices.Clone(open), func(entry int) bool { return l.Entries[entry].Flags&FUA != 0 })
}

// loss is one choice of the unflushed writes that never arrived.
type loss struct {
	what    string
	entries map[int]bool
}

func losses(open []int, seed uint64) []loss {
	n := len(open)
	all := []loss{{"nothing lost", nil}}
	lose := func(what string, which func(i int) bool) {
		lost := loss{what, map[int]bool{}}
		for i, entry := range open {
			lost.entries[entry] = which(i)
		}
		all = append(all, lost)
	}
	if n == 0 {
		return all
	}
	lose("all lost", func(int) bool { return true })
	const exhaustive = 4
	if n <= exhaustive {
		for mask := 1; mask < 1<<n-1; mask++ {
			lose(fmt.Sprintf("lost %0*b", n, mask), func(i int) bool { return mask>>i&1 == 1 })
		}
		return all
	}
	random := rand.New(rand.NewPCG(seed, 1))
	for range 2 {
		one := random.IntN(n)
		lose(fmt.Sprintf("only %d lost", open[one]), func(i int) bool { return i == one })
		lose(fmt.Sprintf("only %d kept", open[one]), func(i int) bool { return i != one })
		lose("a mixture lost", func(int) bool { return random.IntN(2) == 0 })
	}
	return all
}

// tear is one way in which the write in flight arrived in part.
type tear struct {
	what string
	keep func(sector int64) bool
}

// tears lists the ways for entry n, not to have arrived at all among them.
func (l *Log) tears(n int) []tear {
	whole := []tear{{}}
	if n == len(l.Entries) || !l.Entries[n].Writes() {
		return whole
	}
	sectors := l.Entries[n].Length / l.SectorSize
	for _, k := range []int64{1, sectors / 2, sectors - 1} {
		if k <= 0 || k >= sectors {
			continue
		}
		whole = append(whole,
			tear{fmt.Sprintf(", the next one torn after %d sectors", k), func(s int64) bool { return s < k }},
			tear{fmt.Sprintf(", the next one torn before its last %d sectors", k), func(s int64) bool { return s >= sectors-k }})
	}
	return whole
}

// Equal reports whether two disks hold the same in a range.
func Equal(a, b io.ReaderAt, offset, length int64) (bool, error) {
	const piece = 1 << 16
	p, q := make([]byte, piece), make([]byte, piece)
	for at := offset; at < offset+length; at += piece {
		n := min(piece, offset+length-at)
		if _, err := a.ReadAt(p[:n], at); err != nil {
			return false, err
		}
		if _, err := b.ReadAt(q[:n], at); err != nil {
			return false, err
		}
		if !bytes.Equal(p[:n], q[:n]) {
			return false, nil
		}
	}
	return true, nil
}
