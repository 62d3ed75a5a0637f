package sim

import (
	"testing"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

// opened is a fresh disk and what a suite may do with it.
func opened[D any](t *testing.T, pick func(*Storage) D, damage func(d *Disk, copy int)) (func(*testing.T) D,
	haltest.StorageOptions[D]) {
	t.Helper()
	var disk *Disk
	storage := func(d *Disk) (D, error) {
		s, err := NewStorage(d, hal.SlotA)
		if err != nil {
			t.Fatal(err)
		}
		return pick(s), nil
	}
	open := func(*testing.T) D {
		disk = NewDisk(StorageSize)
		d, _ := storage(disk)
		return d
	}
	points := 0
	t.Cleanup(func() { t.Logf("%d states after power cuts", points) })
	return open, haltest.StorageOptions[D]{
		Again:  func() (D, error) { return storage(disk) },
		Damage: func(copy int) error { damage(disk, copy); return nil },
		Cuts: func(before, change, check func(D) error) (int, error) {
			base := NewDisk(StorageSize)
			on := func(do func(D) error) func(*Disk) error {
				return func(d *Disk) error { s, _ := storage(d); return do(s) }
			}
			if err := on(before)(base); err != nil {
				return 0, err
			}
			n, err := PowerCuts(base, on(change), on(check))
			points += n
			return n, err
		},
	}
}

func TestBootEnvLaw(t *testing.T) {
	open, o := opened(t, func(s *Storage) hal.BootEnv { return s.BootEnv },
		func(d *Disk, copy int) { d.Damage(int64(copy)*bootstate.Stride+20, 1) })
	haltest.BootEnv(t, open, o)
}

func TestSlotsLaw(t *testing.T) {
	open, o := opened(t, func(s *Storage) hal.Slots { return s.Slots }, nil)
	haltest.Slots(t, open, o)
}

func TestVaultLaw(t *testing.T) {
	open, o := opened(t, func(s *Storage) hal.Vault { return s.Vault },
		func(d *Disk, copy int) { d.Damage(persistStart+int64(copy)*areaSize/2+40, 1) })
	haltest.Vault(t, open, o)
}
