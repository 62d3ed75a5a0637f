package sim

import (
	"fmt"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/rawstore"
)

// Where the partitions of a simulated board lie on its disk, in bytes.
const (
	envSize      = 1 << 20
	areaSize     = 128 << 10
	slotSize     = 1 << 20
	slotAOffset  = envSize
	slotBOffset  = slotAOffset + slotSize
	persistStart = slotBOffset + slotSize
	keysStart    = persistStart + areaSize
	// StorageSize is how large a disk NewStorage wants.
	StorageSize = keysStart + areaSize
)

// Storage is what a simulated board has on its disk: the same rules of writing as those of the real drivers.
type Storage struct {
	disk *Disk
	hal.BootEnv
	hal.Slots
	hal.Vault
}

// NewStorage finds boot record, slots and vault on a disk; booted is the slot that runs.
func NewStorage(d *Disk, booted hal.Slot) (*Storage, error) {
	if d.Size() < StorageSize {
		return nil, fmt.Errorf("open storage sim: %d bytes, want %d", d.Size(), StorageSize)
	}
	lock := func() (func(), error) { return func() {}, nil }
	env, err := rawstore.NewBootEnv("sim", d.Section(0, envSize), lock)
	if err != nil {
		return nil, err
	}
	vault := rawstore.Vault{}
	for name, offset := range map[hal.Area]int64{hal.Persist: persistStart, hal.Keys: keysStart} {
		if vault[name], err = rawstore.NewArea(string(name)+" sim", d.Section(offset, areaSize), lock); err != nil {
			return nil, err
		}
	}
	slots := rawstore.NewSlots(booted, func(s hal.Slot, _ bool) (rawstore.ClosableDisk, error) {
		return d.Section(slotOffset(s), slotSize), nil
	})
	return &Storage{disk: d, BootEnv: env, Slots: slots, Vault: vault}, nil
}

func slotOffset(s hal.Slot) int64 {
	if s == hal.SlotB {
		return slotBOffset
	}
	return slotAOffset
}

// Disk returns the disk, to break it.
func (s *Storage) Disk() *Disk { return s.disk }

// PowerCuts does a change on copies of a disk and cuts the power after each of its writes and flushes. It calls check
// with every disk that such a cut may leave, and whether change had returned before it, and returns how many there were.
func PowerCuts(base *Disk, change func(d *Disk) error, check func(d *Disk, done bool) error) (points int, err error) {
	for steps := 0; ; steps++ {
		d := base.Clone()
		d.CutAfter(steps)
		err := change(d)
		if !d.Cut() && err != nil {
			return points, err
		}
		for left := range d.Survivors() {
			points++
			if err := check(left, !d.Cut()); err != nil {
				return points, fmt.Errorf("cut after %d steps: %w", steps, err)
			}
		}
		if !d.Cut() {
			return points, nil
		}
	}
}
