package disklog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
)

// Disk is the content of a disk: a base, and the blocks of it that a recorded run changed. A Disk costs what makes it
// different from the one that it was cloned from: thousands of them may share a base. It may be read from many
// goroutines at once.
type Disk struct {
	base  io.ReaderAt
	size  int64
	pages []*page // nil: as the base
	owner *owner
}

const (
	blockSize  = 4096
	pageBlocks = 64
	pageSize   = blockSize * pageBlocks
)

// owner tells whose a page is: whoever is not its owner copies it before he changes it. It is not empty, so that no two
// have one address.
type owner struct{ _ byte }

// page is a piece of the disk in blocks; a nil block is as the base.
type page struct {
	owner  *owner
	blocks [pageBlocks]*block
	sum    atomic.Pointer[Sum] // once it was asked for
}

// block is never changed.
type block struct {
	data []byte
	sum  atomic.Pointer[Sum]
}

// NewDisk is a disk as it was before the run. The base is zeros behind its end.
func NewDisk(base io.ReaderAt, size int64) *Disk {
	return &Disk{base: base, size: size, pages: make([]*page, (size+pageSize-1)/pageSize), owner: &owner{}}
}

// Clone returns a disk that goes its own way. It may not run while d is written to.
func (d *Disk) Clone() *Disk {
	d.owner = &owner{} // what both have is nobody's
	return &Disk{base: d.base, size: d.size, pages: slices.Clone(d.pages), owner: &owner{}}
}

// Size returns the size in bytes.
func (d *Disk) Size() int64 { return d.size }

// block returns the block of a number, nil where it is as the base.
func (d *Disk) block(number int64) *block {
	if p := d.pages[number/pageBlocks]; p != nil {
		return p.blocks[number%pageBlocks]
	}
	return nil
}

// ReadAt reads the disk.
func (d *Disk) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("%w: read at %d", ErrLog, offset)
	}
	n := 0
	for n < len(p) && offset+int64(n) < d.size {
		at := offset + int64(n)
		from := at % blockSize
		part := p[n:min(int64(len(p)), int64(n)+min(blockSize-from, d.size-at))]
		if b := d.block(at / blockSize); b != nil {
			copy(part, b.data[from:])
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

// set puts a block on the disk.
func (d *Disk) set(number int64, b *block) {
	p := d.pages[number/pageBlocks]
	if p == nil || p.owner != d.owner {
		mine := &page{owner: d.owner}
		if p != nil {
			mine.blocks = p.blocks
		}
		p = mine
		d.pages[number/pageBlocks] = p
	}
	p.blocks[number%pageBlocks] = b
	p.sum.Store(nil)
}

// piece is data that go to one place. What it fills is made into blocks once, which the disks that get it share.
type piece struct {
	offset int64
	data   []byte
	blocks []*block // by their number, less that of the first one that the piece touches; nil where it fills it in part
}

// newPiece takes the data over: nobody may change them any more.
func newPiece(offset int64, data []byte) *piece {
	p := &piece{offset: offset, data: data}
	for at := offset / blockSize * blockSize; at < offset+int64(len(data)); at += blockSize {
		var whole *block
		if at >= offset && at+blockSize <= offset+int64(len(data)) {
			whole = &block{data: data[at-offset:][:blockSize:blockSize]}
		}
		p.blocks = append(p.blocks, whole)
	}
	return p
}

// put puts the bytes from..to of a piece on the disk; what lies behind the disk's end is left out.
func (d *Disk) put(p *piece, from, to int64) error {
	end := min(p.offset+to, d.size)
	for at := p.offset + from; at < end; {
		number, in := at/blockSize, at%blockSize
		n := min(end-at, blockSize-in)
		b := p.blocks[number-p.offset/blockSize]
		if b == nil || n < blockSize {
			data := make([]byte, blockSize)
			if _, err := d.ReadAt(data[:min(blockSize, d.size-number*blockSize)], number*blockSize); err != nil {
				return err
			}
			copy(data[in:], p.data[at-p.offset:][:n])
			b = &block{data: data}
		}
		d.set(number, b)
		at += n
	}
	return nil
}

// changes calls visit with every block of a part that is not the base's own.
func (d *Disk) changes(offset, length int64, visit func(offset int64, data []byte) error) error {
	for n := offset / blockSize; n < (offset+length)/blockSize; n++ {
		if d.pages[n/pageBlocks] == nil {
			n += pageBlocks - 1 - n%pageBlocks
			continue
		}
		if b := d.block(n); b != nil {
			if err := visit(n*blockSize, b.data); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sum is a digest of a part of a disk. Two disks of one base have the same one where they hold the same.
type Sum [16]byte

func (s *Sum) add(o Sum) {
	for i := range s {
		s[i] ^= o[i]
	}
}

// Sum returns the digest of the blocks of 4 KiB that a range touches. It costs what changed since the disk was cloned.
func (d *Disk) Sum(offset, length int64) (Sum, error) {
	var sum Sum
	last := min((offset+length+blockSize-1)/blockSize, (d.size+blockSize-1)/blockSize)
	for n := offset / blockSize; n < last; {
		p := d.pages[n/pageBlocks]
		end := (n/pageBlocks + 1) * pageBlocks
		if p == nil {
			n = end
			continue
		}
		if n%pageBlocks == 0 && end <= last {
			s, err := d.pageSum(p, n)
			if err != nil {
				return Sum{}, err
			}
			sum.add(s)
			n = end
			continue
		}
		s, err := d.blockSum(p.blocks[n%pageBlocks], n)
		if err != nil {
			return Sum{}, err
		}
		sum.add(s)
		n++
	}
	return sum, nil
}

func (d *Disk) pageSum(p *page, first int64) (Sum, error) {
	if s := p.sum.Load(); s != nil {
		return *s, nil
	}
	var sum Sum
	for i, b := range p.blocks {
		s, err := d.blockSum(b, first+int64(i))
		if err != nil {
			return Sum{}, err
		}
		sum.add(s)
	}
	p.sum.Store(&sum)
	return sum, nil
}

// blockSum is zero for what is as the base, and hangs on the block's place, so that the digests of blocks can be added.
func (d *Disk) blockSum(b *block, number int64) (Sum, error) {
	if b == nil {
		return Sum{}, nil
	}
	if s := b.sum.Load(); s != nil {
		return *s, nil
	}
	var sum Sum
	before := make([]byte, blockSize)
	if err := readBase(d.base, before, number*blockSize); err != nil {
		return Sum{}, err
	}
	if !bytes.Equal(before, b.data) {
		h := sha256.New()
		_ = binary.Write(h, binary.LittleEndian, number)
		h.Write(b.data)
		copy(sum[:], h.Sum(nil))
	}
	b.sum.Store(&sum)
	return sum, nil
}
