package sim

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"sync"

	"github.com/ocellus/ocellus/hal"
)

// sectorSize is what a disk writes whole or not at all.
const sectorSize = 512

// Disk is a disk in memory whose power can be cut. What was written since the last Sync may reach it or not, in any
// order, and the last write may be torn.
type Disk struct {
	mu      sync.Mutex // guards all below
	durable []byte     // what a power cut leaves for sure
	view    []byte     // what a reader sees
	pending []pendingWrite
	steps   int // writes and flushes so far
	last    int // after so many the power is gone; negative: never
	cut     bool
	lies    bool // Sync flushes nothing
	broken  map[string]error
}

type pendingWrite struct {
	offset int64
	data   []byte
}

// NewDisk makes a disk of zeros.
func NewDisk(size int64) *Disk {
	return &Disk{durable: make([]byte, size), view: make([]byte, size), last: -1, broken: map[string]error{}}
}

// errPower is what a disk without power says.
func errPower(op string) error { return fmt.Errorf("%s disk sim: no power: %w", op, hal.ErrClosed) }

// CutAfter cuts the power after so many more writes and flushes. The step that it meets fails; a write may then be torn.
func (d *Disk) CutAfter(steps int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = d.steps + steps
}

// LoseFlushes makes Sync a lie, as cheap cards do.
func (d *Disk) LoseFlushes() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lies = true
}

// Break makes "read", "write" or "sync" fail with an error, nil mends it.
func (d *Disk) Break(op string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken[op] = err
}

// Damage flips a bit in each of some bytes, for good.
func (d *Disk) Damage(offset, length int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := offset; i < offset+length; i++ {
		d.durable[i] ^= 0x10
		d.view[i] ^= 0x10
	}
}

// Cut reports whether the power was cut.
func (d *Disk) Cut() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cut
}

// Size implements rawstore.Disk.
func (d *Disk) Size() int64 { return int64(len(d.view)) }

// ReadAt implements rawstore.Disk.
func (d *Disk) ReadAt(p []byte, offset int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut {
		return 0, errPower("read")
	}
	if err := d.broken["read"]; err != nil {
		return 0, err
	}
	if offset < 0 || offset > int64(len(d.view)) {
		return 0, io.EOF
	}
	n := copy(p, d.view[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// step counts a write or a flush; it reports whether there is power for it.
func (d *Disk) step() bool {
	if d.last >= 0 && d.steps >= d.last {
		d.cut = true
	}
	d.steps++
	return !d.cut
}

// WriteAt implements rawstore.Disk.
func (d *Disk) WriteAt(p []byte, offset int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if offset < 0 || offset+int64(len(p)) > int64(len(d.view)) {
		return 0, fmt.Errorf("write disk sim: %d bytes at %d leave its %d bytes", len(p), offset, len(d.view))
	}
	if d.cut {
		return 0, errPower("write")
	}
	if err := d.broken["write"]; err != nil {
		return 0, err
	}
	d.pending = append(d.pending, pendingWrite{offset, bytes.Clone(p)})
	if !d.step() {
		return 0, errPower("write")
	}
	return copy(d.view[offset:], p), nil
}

// Sync implements rawstore.Disk.
func (d *Disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut || !d.step() {
		return errPower("sync")
	}
	if err := d.broken["sync"]; err != nil {
		return err
	}
	if d.lies {
		return nil
	}
	for _, w := range d.pending {
		copy(d.durable[w.offset:], w.data)
	}
	d.pending = nil
	return nil
}

// Close implements rawstore.ClosableDisk.
func (d *Disk) Close() error { return nil }

// Clone returns a disk with power that holds what a reader of d sees, and loses flushes if d does.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	clone := diskOf(d.view)
	clone.lies = d.lies
	return clone
}

func diskOf(content []byte) *Disk {
	return &Disk{durable: bytes.Clone(content), view: bytes.Clone(content), last: -1, broken: map[string]error{}}
}

// Survivors yields the disks that a power cut now may leave, with power again: none, all, every subset of the unflushed
// writes (many of them where they are many), each with the last one torn, and single sectors in any mixture.
func (d *Disk) Survivors() iter.Seq[*Disk] {
	d.mu.Lock()
	durable, pending := bytes.Clone(d.durable), d.pending
	d.mu.Unlock()
	random := rand.New(rand.NewPCG(1, uint64(len(pending))))
	return func(yield func(*Disk) bool) {
		for _, kept := range subsets(len(pending), random) {
			left := diskOf(durable)
			for i, w := range pending {
				if kept>>i&1 == 1 {
					left.keep(w, func(int) bool { return true })
				}
			}
			if !yield(left) {
				return
			}
		}
		for _, torn := range tears(pending, random) {
			left := diskOf(durable)
			for i, w := range pending {
				left.keep(w, func(sector int) bool { return torn(i, sector) })
			}
			if !yield(left) {
				return
			}
		}
	}
}

// keep writes some sectors of a write for good.
func (d *Disk) keep(w pendingWrite, which func(sector int) bool) {
	for sector := 0; sector*sectorSize < len(w.data); sector++ {
		if which(sector) {
			from, to := sector*sectorSize, min((sector+1)*sectorSize, len(w.data))
			copy(d.durable[w.offset+int64(from):], w.data[from:to])
			copy(d.view[w.offset+int64(from):], w.data[from:to])
		}
	}
}

// subsets returns bit masks of n writes: all of them up to 6 writes, else the telling ones and some by chance.
func subsets(n int, random *rand.Rand) []uint64 {
	const exhaustive, most = 6, 63
	if n > most {
		n = most
	}
	all := uint64(1)<<n - 1
	var masks []uint64
	if n <= exhaustive {
		for m := range all + 1 {
			masks = append(masks, m)
		}
		return masks
	}
	for i := range n {
		masks = append(masks, 1<<i, all&^(1<<i), 1<<i-1, all&^(1<<i-1))
	}
	for range 32 {
		masks = append(masks, random.Uint64()&all)
	}
	return append(masks, all)
}

// tears returns ways to keep a part of the sectors.
func tears(pending []pendingWrite, random *rand.Rand) []func(write, sector int) bool {
	if len(pending) == 0 {
		return nil
	}
	last := len(pending) - 1
	sectors := (len(pending[last].data) + sectorSize - 1) / sectorSize
	var ways []func(write, sector int) bool
	for _, n := range []int{1, 2, sectors / 2, sectors - 1} {
		ways = append(ways,
			func(write, sector int) bool { return write < last || sector < n },           // the head arrived
			func(write, sector int) bool { return write < last || sector >= sectors-n },  // the tail did
			func(write, sector int) bool { return write == last && sector < n },          // nothing before it did
			func(write, sector int) bool { return write == last && sector >= sectors-n }) // the same with the tail
	}
	for range 8 {
		seed := random.Uint64()
		ways = append(ways, func(write, sector int) bool {
			return rand.New(rand.NewPCG(seed, uint64(write)<<32|uint64(sector))).IntN(2) == 0
		})
	}
	return ways
}

// Section is a partition of a disk.
type Section struct {
	disk         *Disk
	offset, size int64
}

// Section returns a partition.
func (d *Disk) Section(offset, size int64) Section { return Section{d, offset, size} }

// Size implements rawstore.Disk.
func (s Section) Size() int64 { return s.size }

// ReadAt implements rawstore.Disk.
func (s Section) ReadAt(p []byte, offset int64) (int, error) {
	return io.NewSectionReader(s.disk, s.offset, s.size).ReadAt(p, offset)
}

// WriteAt implements rawstore.Disk.
func (s Section) WriteAt(p []byte, offset int64) (int, error) {
	if offset < 0 || offset+int64(len(p)) > s.size {
		return 0, fmt.Errorf("write disk sim: %d bytes at %d leave a partition of %d bytes", len(p), offset, s.size)
	}
	return s.disk.WriteAt(p, s.offset+offset)
}

// Sync implements rawstore.Disk.
func (s Section) Sync() error { return s.disk.Sync() }

// Close implements rawstore.ClosableDisk.
func (s Section) Close() error { return nil }
