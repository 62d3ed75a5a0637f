package sim

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/rawstore"
)

// How large the files of a simulated disk are, in bytes. They have holes where nothing was written.
const (
	machineEnv  = 1 << 20
	machineSlot = 24 << 20
)

// Panics, in place of a kernel, is one that resets the board before anything else of its slot runs.
const Panics = "panics"

// Machine is a simulated board that has slots: its disk is the files env.img, slot-a.img and slot-b.img of a folder, and
// its boot loader is the twin of the boot script (codec/bootstate).
type Machine struct {
	Env    hal.BootEnv
	Slots  hal.Slots
	How    bootstate.How
	System System

	disk *rawstore.File
}

// Close closes the disk, without a flush.
func (m *Machine) Close() error { return m.disk.Close() }

// System is what the slot that runs says of itself. A simulated slot is a FIT alone: its kernel is a word, its initrd
// the update root.
type System struct {
	Compatible, Version string
	Root                []byte
	Built               time.Time
}

// PowerOn switches a board on: the boot loader chooses a slot and counts its tries, as at each boot of a real one. A
// folder without a disk gets one, whose slot A is factory.
func PowerOn(dir string, factory System) (*Machine, error) {
	if err := flash(dir, factory); err != nil {
		return nil, fmt.Errorf("simulated disk %s: %w", dir, err)
	}
	d, err := rawstore.OpenFile(filepath.Join(dir, "env.img"), false)
	if err != nil {
		return nil, fmt.Errorf("simulated disk: %w", err)
	}
	env, err := rawstore.NewBootEnv("sim", d, d.Lock)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	for range 2 * (bootstate.MaxTries + 1) {
		boot, image, err := load(dir, d)
		if err != nil {
			return nil, errors.Join(err, d.Close())
		}
		if string(image.Kernel.Data) == Panics {
			continue
		}
		slots := rawstore.NewSlots(hal.Slot(boot.Slot), func(s hal.Slot, write bool) (rawstore.ClosableDisk, error) {
			if !write {
				return rawstore.OpenFileReadOnly(slotFile(dir, bootstate.Slot(s)))
			}
			return rawstore.OpenFile(slotFile(dir, bootstate.Slot(s)), true)
		})
		return &Machine{env, slots, boot.How, System{image.Slot.Compatible, image.Slot.Version, image.Initrd.Data,
			time.Unix(int64(image.Time), 0)}, d}, nil
	}
	return nil, errors.Join(fmt.Errorf("simulated disk %s: nothing but panics: remove it", dir), d.Close())
}

func slotFile(dir string, s bootstate.Slot) string {
	return filepath.Join(dir, "slot-"+string(s)+".img")
}

// load is the boot loader: it writes the record as the boot script does, and loads a slot.
func load(dir string, env *rawstore.File) (bootstate.Boot, fit.Image, error) {
	var b bootstate.Board
	for i := range b.Copies {
		b.Copies[i] = make([]byte, bootstate.CopySize)
		if _, err := env.ReadAt(b.Copies[i], int64(i)*bootstate.Stride); err != nil {
			return bootstate.Boot{}, fit.Image{}, err
		}
	}
	images := map[bootstate.Slot]fit.Image{}
	b.Verifies = func(s bootstate.Slot) bool {
		image, err := readFIT(slotFile(dir, s))
		images[s] = image
		return err == nil
	}
	boot := bootstate.Next(b)
	if boot.Slot == "" {
		return boot, fit.Image{}, fmt.Errorf("simulated disk %s: no slot verifies: remove it", dir)
	}
	if boot.Write >= 0 {
		if _, err := env.WriteAt(boot.Data, int64(boot.Write)*bootstate.Stride); err != nil {
			return boot, fit.Image{}, err
		}
		if err := env.Sync(); err != nil {
			return boot, fit.Image{}, err
		}
	}
	return boot, images[boot.Slot], nil
}

// readFIT reads the FIT that a slot begins with.
func readFIT(name string) (fit.Image, error) {
	f, err := os.Open(name)
	if err != nil {
		return fit.Image{}, err
	}
	defer f.Close()
	head := make([]byte, 8)
	if _, err := io.ReadFull(f, head); err != nil {
		return fit.Image{}, err
	}
	size, _, err := fit.Size(head)
	if err != nil {
		return fit.Image{}, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		return fit.Image{}, err
	}
	return fit.Parse(b)
}

// flash makes what of the disk is not there. A slot file that somebody laid there (mkimage sim) gets its size.
func flash(dir string, factory System) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	head, err := Image(factory, "")
	if err != nil {
		return err
	}
	record, err := freshRecord()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		size    int64
		content []byte
	}{{slotFile(dir, bootstate.B), machineSlot, nil}, {slotFile(dir, bootstate.A), machineSlot, head},
		{filepath.Join(dir, "env.img"), machineEnv, record}} {
		if err := ensure(f.name, f.size, f.content); err != nil {
			return err
		}
	}
	return nil
}

// Image makes a slot's image of a system. kernel is empty, or Panics.
func Image(s System, kernel string) ([]byte, error) {
	if kernel == "" {
		kernel = "runs"
	}
	return fit.Build(fit.Image{Arch: "sandbox", Time: uint32(s.Built.Unix()), Kernel: fit.Part{Data: []byte(kernel)},
		Initrd: fit.Part{Data: s.Root}, Slot: fit.Slot{Compatible: s.Compatible, Version: s.Version}})
}

func freshRecord() ([]byte, error) {
	env, err := bootstate.Record{Confirmed: bootstate.A}.Apply(nil)
	if err != nil {
		return nil, err
	}
	return bootstate.Format(bootstate.Copy{Seq: 1, Env: env})
}

// ensure makes a file where there is none, and gives it its size.
func ensure(name string, size int64, content []byte) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return err
		}
	case err != nil || info.Size() == size:
		return err
	case info.Size() > size:
		return fmt.Errorf("%s: %d bytes, at most %d", name, info.Size(), size)
	}
	return os.Truncate(name, size)
}
