package sim

import (
	"errors"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

// opened is a fresh disk and what a suite may do with it.
func opened[D any](t *testing.T, pick func(*Storage) D, damage func(d *Disk, copy int), lose bool) (func(*testing.T) D,
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
		Cuts: func(before, change func(D) error, check func(D, bool) error) (int, error) {
			base := NewDisk(StorageSize)
			d, _ := storage(base)
			if err := before(d); err != nil {
				return 0, err
			}
			if lose {
				base.LoseFlushes()
			}
			n, err := PowerCuts(base,
				func(left *Disk) error { d, _ := storage(left); return change(d) },
				func(left *Disk, done bool) error { d, _ := storage(left); return check(d, done) })
			points += n
			return n, err
		},
	}
}

// TestLawsFindLostFlushes: on a disk whose flushes are lies the laws about power cuts are broken, and no others.
func TestLawsFindLostFlushes(t *testing.T) {
	find := func(found []haltest.Finding) {
		t.Helper()
		for _, f := range found {
			var skipped haltest.Skip
			if aboutCuts := strings.Contains(f.Law, "power cut"); (f.Err != nil) != aboutCuts || errors.As(f.Err, &skipped) {
				t.Errorf("%s: got %v", f.Law, f.Err)
			}
		}
	}
	openEnv, env := opened(t, func(s *Storage) hal.BootEnv { return s.BootEnv }, damageEnv, true)
	find(haltest.BootEnvFindings(t.Context(), func() hal.BootEnv { return openEnv(t) }, env))
	openSlots, slots := opened(t, func(s *Storage) hal.Slots { return s.Slots }, nil, true)
	find(haltest.SlotsFindings(t.Context(), func() hal.Slots { return openSlots(t) }, slots))
	openVault, vault := opened(t, func(s *Storage) hal.Vault { return s.Vault }, damageVault, true)
	find(haltest.VaultFindings(t.Context(), func() hal.Vault { return openVault(t) }, vault))
}

func TestBootEnvLaw(t *testing.T) {
	open, o := opened(t, func(s *Storage) hal.BootEnv { return s.BootEnv },
		damageEnv, false)
	haltest.BootEnv(t, open, o)
}

func TestSlotsLaw(t *testing.T) {
	open, o := opened(t, func(s *Storage) hal.Slots { return s.Slots }, nil, false)
	haltest.Slots(t, open, o)
}

func TestVaultLaw(t *testing.T) {
	open, o := opened(t, func(s *Storage) hal.Vault { return s.Vault },
		damageVault, false)
	haltest.Vault(t, open, o)
}

func damageEnv(d *Disk, copy int) { d.Damage(int64(copy)*bootstate.Stride+20, 1) }

func damageVault(d *Disk, copy int) { d.Damage(persistStart+int64(copy)*areaSize/2+40, 1) }
