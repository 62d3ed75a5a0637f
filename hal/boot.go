package hal

import (
	"errors"
	"io"
)

// ErrDamaged: what is stored is not whole, in no copy. Storing anew cures it.
var ErrDamaged = errors.New("stored data damaged")

// BootEnv is the boot record that agent and boot loader share. What its variables mean is codec/bootstate's business.
//
// Law (haltest.BootEnv):
//   - Get returns all variables, or ErrDamaged where no copy of them is whole. One damaged copy is not noticed.
//   - Set changes some variables, "" takes one away, and keeps the others, all or nothing: a power cut at any instant
//     leaves the variables of before or those of after. When it has returned they are on the disk. A name or value that
//     the boot loader could not carry is refused before anything is written. After ErrDamaged, Set writes all anew.
//   - Set that changes nothing writes nothing.
type BootEnv interface {
	Get() (map[string]string, error)
	Set(changes map[string]string) error
}

// Slot names one of the two places that hold a whole system. Empty means that it is not known.
type Slot string

// The slots.
const (
	SlotA Slot = "a"
	SlotB Slot = "b"
)

// SlotHead is how many bytes at the beginning of a slot are written last, so that nobody takes half a slot for a whole.
const SlotHead = 64 << 10

// Slots are the two places that hold a whole system: the booted one, and the other, into which updates go.
//
// Law (haltest.Slots):
//   - Other is the slot that was not booted. Where the booted one is not known, Other is neither.
//   - Open takes the other slot alone; the booted one and one that is open are ErrBusy. It makes the first SlotHead
//     bytes invalid on the disk before it returns, and leaves the rest as it is: a write that was cut short goes on.
//   - Read opens any slot that no writer has.
type Slots interface {
	Booted() Slot
	Other() Slot
	Open(s Slot) (SlotWriter, error)
	Read(s Slot) (SlotReader, error)
}

// SlotReader reads a slot.
type SlotReader interface {
	io.ReaderAt
	Size() int64 // of the slot, not of what is in it
	Close() error
}

// SlotWriter fills a slot.
//
// Law (haltest.Slots):
//   - ReadAt reads back what was written, from the device, around caches, so that a hash over it proves the device.
//   - The slot counts when Commit has returned: that flushes the rest, then writes the first SlotHead bytes, and reads
//     them back. After a WriteAt that failed, and when the head was never written, Commit fails.
//   - Close without Commit leaves the slot invalid. A power cut before Commit's end leaves it invalid, or whole.
type SlotWriter interface {
	SlotReader
	io.WriterAt
	Commit() error
}

// Area is a place outside the slots that no update touches.
type Area string

// The areas.
const (
	Persist Area = "persist" // hardware identity, version floor, epoch: survives updates and the factory reset
	Keys    Area = "keys"    // the keys that wrap the data: destroyed at the factory reset
)

// MaxArea is how many bytes an area holds at most.
const MaxArea = 32 << 10

// Vault keeps the areas.
//
// Law (haltest.Vault):
//   - Load returns what was stored last; nothing, without an error, when nothing was; ErrDamaged when no copy is whole.
//     One damaged copy is not noticed.
//   - Store replaces all or nothing, as BootEnv.Set does. What was there before is overwritten when it has returned.
//   - Destroy overwrites and discards all of an area, and has read back that it is gone when it returns. Persist can't
//     be destroyed: ErrUnsupported. A power cut in it leaves what was there, or nothing.
type Vault interface {
	Load(a Area) ([]byte, error)
	Store(a Area, data []byte) error
	Destroy(a Area) error
}
