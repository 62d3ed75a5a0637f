package rawstore

import (
	"bytes"
	"fmt"
)

// Flash is NOR flash: an erase makes a whole block ones, programming makes zeros of ones and never the reverse.
type Flash interface {
	ReadAt(p []byte, offset int64) (int, error)
	// Program writes; what would make a one of a zero is an error. When it returns it is on the flash.
	Program(p []byte, offset int64) error
	// Erase erases the blocks from offset on.
	Erase(offset, length int64) error
	EraseSize() int64
	Size() int64
}

// FlashDisk is a Disk on Flash. What can be programmed is programmed; a block is erased only where it has to be, and then
// programmed from its end to its beginning, so that its beginning counts last. Zeros need no erase, so that a slot's head
// becomes invalid with the first thing that is written.
type FlashDisk struct{ Flash }

// programSize is how much is programmed at once, in bytes.
const programSize = 4 << 10

// WriteAt implements Disk.
func (d FlashDisk) WriteAt(p []byte, offset int64) (int, error) {
	if offset < 0 || offset > d.Size()-int64(len(p)) {
		return 0, fmt.Errorf("write flash: %d bytes at %d leave its %d bytes", len(p), offset, d.Size())
	}
	block := d.EraseSize()
	for n := 0; n < len(p); {
		at := offset + int64(n)
		begin := at / block * block
		part := p[n:min(int64(len(p)), int64(n)+begin+block-at)]
		if err := d.writeBlock(begin, part, at-begin); err != nil {
			return n, fmt.Errorf("write flash: %w", err)
		}
		n += len(part)
	}
	return len(p), nil
}

// writeBlock changes a part of a block.
func (d FlashDisk) writeBlock(begin int64, part []byte, from int64) error {
	old := make([]byte, min(d.EraseSize(), d.Size()-begin))
	if err := readFull(d, old, begin); err != nil {
		return err
	}
	fresh := bytes.Clone(old)
	copy(fresh[from:], part)
	if programmable(old, fresh) {
		return d.program(begin, old, fresh)
	}
	if err := d.Erase(begin, int64(len(old))); err != nil {
		return err
	}
	return d.program(begin, bytes.Repeat([]byte{0xff}, len(old)), fresh)
}

// programmable reports whether no zero has to become a one.
func programmable(old, fresh []byte) bool {
	for i := range old {
		if fresh[i]&^old[i] != 0 {
			return false
		}
	}
	return true
}

// program programs what differs, the end first.
func (d FlashDisk) program(begin int64, old, fresh []byte) error {
	for at := (len(fresh) - 1) / programSize * programSize; at >= 0; at -= programSize {
		end := min(at+programSize, len(fresh))
		if bytes.Equal(old[at:end], fresh[at:end]) {
			continue
		}
		if err := d.Program(fresh[at:end], begin+int64(at)); err != nil {
			return err
		}
	}
	return nil
}

// Sync implements Disk: nothing waits.
func (d FlashDisk) Sync() error { return nil }

// Close implements ClosableDisk.
func (d FlashDisk) Close() error { return nil }
