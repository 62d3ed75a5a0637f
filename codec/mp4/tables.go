package mp4

import (
	"encoding/binary"
	"fmt"
	"io"
)

// tables are the sample tables of a track (ISO/IEC 14496-12 8.6, 8.7), each as the bytes of its entries in the file.
type tables struct {
	samples uint32 // how many there are
	fixed   uint32 // size of every sample, if not 0
	sizes   rows   // stsz: size
	chunks  rows   // stsc: first chunk, samples per chunk, description
	offsets rows   // stco, co64: where each chunk begins in the file
	times   rows   // stts: count, delta
	shifts  rows   // ctts: count, offset of composition; may be empty
}

// rows are the entries of one table, width bytes each.
type rows struct {
	b     []byte
	width int
}

func (r rows) len() int { return len(r.b) / r.width }

// at returns the 32-bit column of row i.
func (r rows) at(i, column int) uint32 { return binary.BigEndian.Uint32(r.b[i*r.width+4*column:]) }

// long returns row i as one number of 32 or 64 bits.
func (r rows) long(i int) uint64 {
	if r.width == 8 {
		return binary.BigEndian.Uint64(r.b[8*i:])
	}
	return uint64(binary.BigEndian.Uint32(r.b[4*i:]))
}

func readTables(stbl []byte) (tables, error) {
	var t tables
	var err error
	stsz := find(stbl, "stsz")
	if len(stsz) < 12 {
		return t, fmt.Errorf("%w: no stsz", ErrInvalid)
	}
	t.fixed, t.samples = binary.BigEndian.Uint32(stsz[4:]), binary.BigEndian.Uint32(stsz[8:])
	t.sizes = rows{width: 4}
	if t.fixed == 0 {
		if t.sizes, err = readRows(stsz[4:], "stsz", 4); err != nil {
			return t, err
		}
	}
	for _, table := range []struct {
		kind  string
		width int
		into  *rows
	}{
		{"stsc", 12, &t.chunks}, {"stts", 8, &t.times}, {"ctts", 8, &t.shifts}, {"stco", 4, &t.offsets},
	} {
		if *table.into, err = readRows(find(stbl, table.kind), table.kind, table.width); err != nil {
			return t, err
		}
	}
	if long := find(stbl, "co64"); long != nil {
		t.offsets, err = readRows(long, "co64", 8)
	}
	return t, err
}

// readRows reads version, flags, count and entries; a table that is missing has no rows.
func readRows(b []byte, kind string, width int) (rows, error) {
	if b == nil {
		return rows{width: width}, nil
	}
	if len(b) < 8 {
		return rows{width: width}, fmt.Errorf("%w: %s of %d bytes", ErrInvalid, kind, len(b))
	}
	count := uint64(binary.BigEndian.Uint32(b[4:]))
	if b = b[8:]; count*uint64(width) > uint64(len(b)) {
		return rows{width: width}, fmt.Errorf("%w: %s: %d entries in %d bytes", ErrInvalid, kind, count, len(b))
	}
	return rows{b[:count*uint64(width)], width}, nil
}

// length returns the number of samples and their duration in ticks.
func (t *tables) length() (samples, ticks uint64) {
	left := uint64(t.samples)
	for i := 0; i < t.times.len() && left > 0; i++ {
		n := min(uint64(t.times.at(i, 0)), left)
		ticks += n * uint64(t.times.at(i, 1))
		left -= n
		if ticks > 1<<62 {
			break
		}
	}
	return uint64(t.samples), ticks
}

// maxOffset returns the largest composition offset.
func (t *tables) maxOffset() int64 {
	if t.shifts.len() == 0 {
		return 0
	}
	most := int64(int32(t.shifts.at(0, 1)))
	for i := range t.shifts.len() {
		if t.shifts.at(i, 0) > 0 {
			most = max(most, int64(int32(t.shifts.at(i, 1))))
		}
	}
	return most
}

// cursor is a place in the tables; the zero cursor is before the first sample.
type cursor struct {
	sample uint32
	chunk  int    // the chunk after the current one
	inside uint32 // samples left in the current chunk
	row    int    // of stsc, for the current chunk
	offset uint64
	dts    int64
	time   counter
	shift  counter
}

// counter walks a table of runs: count, value.
type counter struct {
	row  int
	left uint32
}

// next returns the value of one more item; false at the end of the table.
func (c *counter) next(r rows) (value uint32, ok bool) {
	for c.left == 0 {
		if c.row == r.len() {
			return 0, false
		}
		c.left = r.at(c.row, 0)
		c.row++
	}
	c.left--
	return r.at(c.row-1, 1), true
}

type sample struct {
	offset uint64
	size   uint32
	dts    int64 // in ticks
	shown  int64 // composition offset in ticks
}

// next returns the sample at the cursor and moves on; io.EOF behind the last one.
func (t *tables) next(c *cursor) (sample, error) {
	if c.sample == t.samples {
		return sample{}, io.EOF
	}
	if c.inside == 0 {
		if err := t.nextChunk(c); err != nil {
			return sample{}, err
		}
	}
	s := sample{offset: c.offset, size: t.fixed, dts: c.dts}
	if t.fixed == 0 {
		s.size = t.sizes.at(int(c.sample), 0)
	}
	delta, _ := c.time.next(t.times)
	if t.shifts.len() > 0 {
		shown, _ := c.shift.next(t.shifts)
		s.shown = int64(int32(shown))
	}
	c.sample++
	c.inside--
	c.offset += uint64(s.size)
	c.dts += int64(delta)
	return s, nil
}

func (t *tables) nextChunk(c *cursor) error {
	if c.chunk == t.offsets.len() || t.chunks.len() == 0 {
		return fmt.Errorf("read sample %d: %w: no chunk holds it", c.sample, ErrInvalid)
	}
	c.offset = t.offsets.long(c.chunk)
	c.chunk++
	for c.row+1 < t.chunks.len() && uint64(t.chunks.at(c.row+1, 0)) <= uint64(c.chunk) {
		c.row++
	}
	if c.inside = t.chunks.at(c.row, 1); c.inside == 0 {
		return fmt.Errorf("read sample %d: %w: empty chunk", c.sample, ErrInvalid)
	}
	return nil
}
