package sim

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"sync"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/rawstore"
)

// NOR is flash in memory whose power can be cut, as small cameras have it instead of a disk: it implements rawstore.Flash.
// What is programmed or erased is done at once and in order; only the last of it may be cut short.
type NOR struct {
	mu    sync.Mutex // guards all below
	data  []byte
	block int64
	steps int
	last  int // after so many the power is gone; negative: never
	cut   bool
	was   []byte // before the step that the power cut met
	erase bool   // it was an erase
	at    int64  // where it was
	size  int64
}

// NewNOR makes an erased flash.
func NewNOR(size, block int64) *NOR {
	return &NOR{data: bytes.Repeat([]byte{0xff}, int(size)), block: block, last: -1}
}

// Size implements rawstore.Flash.
func (f *NOR) Size() int64 { return int64(len(f.data)) }

// EraseSize implements rawstore.Flash.
func (f *NOR) EraseSize() int64 { return f.block }

// ReadAt implements rawstore.Flash.
func (f *NOR) ReadAt(p []byte, offset int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cut {
		return 0, errPower("read")
	}
	if offset < 0 || offset > int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Program implements rawstore.Flash.
func (f *NOR) Program(p []byte, offset int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if offset < 0 || offset+int64(len(p)) > int64(len(f.data)) {
		return fmt.Errorf("program flash sim: %d bytes at %d leave its %d bytes", len(p), offset, len(f.data))
	}
	for i, b := range p {
		if b&^f.data[offset+int64(i)] != 0 {
			return fmt.Errorf("program flash sim: a zero at %d would become a one", offset+int64(i))
		}
	}
	return f.step(false, offset, p)
}

// Erase implements rawstore.Flash.
func (f *NOR) Erase(offset, length int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if offset%f.block != 0 || length%f.block != 0 || offset < 0 || offset+length > int64(len(f.data)) {
		return fmt.Errorf("erase flash sim: %d bytes at %d are no blocks of %d", length, offset, f.block)
	}
	return f.step(true, offset, bytes.Repeat([]byte{0xff}, int(length)))
}

// step writes, if there is power for it.
func (f *NOR) step(erase bool, offset int64, p []byte) error {
	if f.cut {
		return errPower("write")
	}
	if f.last >= 0 && f.steps >= f.last {
		f.cut, f.erase, f.at, f.size = true, erase, offset, int64(len(p))
		f.was = bytes.Clone(f.data[offset : offset+int64(len(p))])
	}
	f.steps++
	copy(f.data[offset:], p)
	if f.cut {
		return errPower("write")
	}
	return nil
}

// CutAfter cuts the power after so many more programs and erases. The one that it meets is cut short.
func (f *NOR) CutAfter(steps int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = f.steps + steps
}

// Cut reports whether the power was cut.
func (f *NOR) Cut() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cut
}

// Clone returns a flash with power that holds the same.
func (f *NOR) Clone() *NOR {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &NOR{data: bytes.Clone(f.data), block: f.block, last: -1}
}

// Survivors yields what the cut may have left: the step that it met not done, done, done up to a byte, and there, where it
// programmed, with some bits programmed and others not.
func (f *NOR) Survivors() iter.Seq[*NOR] {
	return func(yield func(*NOR) bool) {
		if !f.cut {
			yield(f.Clone())
			return
		}
		random := rand.New(rand.NewPCG(2, uint64(f.steps)))
		for _, done := range []int64{0, 1, f.size / 3, f.size / 2, f.size - 1, f.size} {
			left := f.Clone()
			torn := left.data[f.at : f.at+f.size]
			copy(torn[done:], f.was[done:])
			if done < f.size && !f.erase {
				torn[done] = f.data[f.at+done] | f.was[done]&byte(random.Uint32())
			}
			if !yield(left) {
				return
			}
		}
	}
}

// NORSlots are the slots of a board with 16 MB of flash and less: two halves of it.
func NORSlots(f *NOR, booted hal.Slot) hal.Slots {
	half := f.Size() / 2 / f.block * f.block
	return rawstore.NewSlots(booted, func(s hal.Slot, _ bool) (rawstore.ClosableDisk, error) {
		at := int64(0)
		if s == hal.SlotB {
			at = half
		}
		return rawstore.FlashDisk{Flash: norPart{f, at, half}}, nil
	})
}

// norPart is a partition of a flash.
type norPart struct {
	*NOR
	at, size int64
}

func (p norPart) Size() int64 { return p.size }

func (p norPart) ReadAt(b []byte, offset int64) (int, error) {
	return io.NewSectionReader(p.NOR, p.at, p.size).ReadAt(b, offset)
}

func (p norPart) Program(b []byte, offset int64) error { return p.NOR.Program(b, p.at+offset) }

func (p norPart) Erase(offset, length int64) error { return p.NOR.Erase(p.at+offset, length) }
