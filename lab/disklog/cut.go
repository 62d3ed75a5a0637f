package disklog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// load reads the data of an entry; what lies behind the disk's end is nowhere.
func (l *Log) load(e Entry, size int64) (*piece, error) {
	data := make([]byte, min(e.Length, max(size-e.Offset, 0)))
	if err := l.Data(e, data, 0); err != nil {
		return nil, err
	}
	return newPiece(e.Offset, data), nil
}

// Durable returns which of the first n entries were surely on the disk when the power was cut before entry n: those
// that a later flush among them covers, and those that said so themselves (FUA).
//
// QEMU logs a request when it is done. A write that was begun during a flush and was done before it counts as covered
// by it, although a drive need not have cared: such writes are a little safer here than in life.
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

// Cut says what a power cut left. It is a plain value: a test prints the one that it does not like, and Rebuild makes
// its disk again.
type Cut struct {
	Before int    // how many entries the disk had been given
	Lost   []int  // those of them that never arrived, in order; no flush covers them
	Torn   []Torn // those that arrived in part, in order: of these, and the one in flight, at Before
}

// Torn says that of an entry only the sectors From to To arrived, To not among them: its head or its tail.
type Torn struct {
	Entry    int
	From, To int64
	// Garbled: the sector at the border, which was being written, is neither old nor new. Drives promise that there is
	// no such thing, and file systems lean on it; cards break it.
	Garbled bool
}

// garbled is the sector that is neither old nor new.
func (t Torn) garbled() int64 {
	if t.From > 0 {
		return t.From - 1
	}
	return t.To
}

// String says what happened: "entry 12, lost 9 11, of 12 the sectors from 0 and before 4".
func (c Cut) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "entry %d", c.Before)
	if len(c.Lost) > 0 {
		fmt.Fprintf(&s, ", lost %s", strings.Trim(fmt.Sprint(c.Lost), "[]"))
	}
	for _, t := range c.Torn {
		fmt.Fprintf(&s, ", of %d the sectors from %d and before %d", t.Entry, t.From, t.To)
		if t.Garbled {
			fmt.Fprintf(&s, ", %d garbled", t.garbled())
		}
	}
	return s.String()
}

// Rebuild returns the disk after a cut. Writes that no flush covers reach a disk in any order; those that survive are
// applied in theirs, since a drive does not reorder two writes to the same sector. It reads the log from its beginning:
// States is the way to many.
func (l *Log) Rebuild(base *Disk, c Cut) (*Disk, error) {
	if c.Before < 0 || c.Before > len(l.Entries) {
		return nil, fmt.Errorf("%w: cut before entry %d of %d", ErrLog, c.Before, len(l.Entries))
	}
	if err := l.check(c); err != nil {
		return nil, err
	}
	d := base.Clone()
	for i, e := range l.Entries[:min(c.Before+1, len(l.Entries))] {
		torn := slices.IndexFunc(c.Torn, func(t Torn) bool { return t.Entry == i })
		if !e.Writes() || torn < 0 && (i == c.Before || slices.Contains(c.Lost, i)) {
			continue
		}
		p, err := l.load(e, d.size)
		if err == nil && torn >= 0 {
			err = l.tear(d, p, c.Torn[torn])
		} else if err == nil {
			err = d.put(p, 0, int64(len(p.data)))
		}
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

// check refuses a cut that can't be: a flushed entry is lost or torn.
func (l *Log) check(c Cut) error {
	durable := l.Durable(c.Before)
	for _, entry := range c.Lost {
		if entry < 0 || entry >= c.Before || durable[entry] {
			return fmt.Errorf("%w: no cut before entry %d loses entry %d", ErrLog, c.Before, entry)
		}
	}
	for _, t := range c.Torn {
		if t.Entry < 0 || t.Entry >= len(l.Entries) || t.Entry > c.Before || t.Entry < c.Before && durable[t.Entry] {
			return fmt.Errorf("%w: no cut before entry %d tears entry %d", ErrLog, c.Before, t.Entry)
		}
	}
	return nil
}

// tear puts the sectors of a piece on the disk that arrived.
func (l *Log) tear(d *Disk, p *piece, t Torn) error {
	n := int64(len(p.data))
	if err := d.put(p, min(t.From*l.SectorSize, n), min(t.To*l.SectorSize, n)); err != nil || !t.Garbled {
		return err
	}
	from := min(t.garbled()*l.SectorSize, n)
	data := bytes.Repeat([]byte{0xff}, int(min(l.SectorSize, n-from)))
	copy(data, p.data[from:][:len(data)/2])
	return d.put(newPiece(p.offset+from, data), 0, int64(len(data)))
}
