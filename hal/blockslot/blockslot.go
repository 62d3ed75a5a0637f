// Package blockslot is slots in block partitions (virtual board, SD card, eMMC), by their GPT names slot-a and slot-b.
//
// The first 64 KiB, where the FIT's header is, are zeros on the disk while a slot is being written, and come last. What
// is written goes out early and leaves the page cache, so that a slot larger than the memory does no harm; what is read
// back by a writer comes from the device (O_DIRECT). The other slot is opened with O_EXCL: a mounted one is busy.
package blockslot

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/rawstore"
)

// cmdlineName is the word of the kernel's command line by which the boot script tells the slot.
const cmdlineName = "ocellus.slot="

// Find returns the nodes of the slots. disk, where it is not empty, is the only disk that counts (mmcblk0).
func Find(disk string) (map[hal.Slot]string, error) {
	nodes, err := rawstore.Partitions("/sys", disk, "slot-"+string(hal.SlotA), "slot-"+string(hal.SlotB))
	if err != nil {
		return nil, err
	}
	return map[hal.Slot]string{hal.SlotA: nodes[0], hal.SlotB: nodes[1]}, nil
}

// Partition returns the node of any partition by its GPT name; fs.ErrNotExist for none.
func Partition(name string) (string, error) { return rawstore.Partition("/sys", "", name) }

// Booted returns the slot that the boot script told the kernel (/proc/cmdline), empty where it told none.
func Booted() (hal.Slot, error) {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return "", fmt.Errorf("booted slot: %w", err)
	}
	return bootedIn(string(line)), nil
}

// bootedIn reads the slot out of a command line; the boot script appends, so the last word counts.
func bootedIn(line string) hal.Slot {
	var booted hal.Slot
	for word := range strings.FieldsSeq(line) {
		if value, ok := strings.CutPrefix(word, cmdlineName); ok {
			booted = hal.Slot(value)
		}
	}
	if booted != hal.SlotA && booted != hal.SlotB {
		return ""
	}
	return booted
}

// New serves the slots at these nodes. With no booted slot none can be written.
func New(booted hal.Slot, nodes map[hal.Slot]string) *rawstore.Slots {
	return rawstore.NewSlots(booted, func(s hal.Slot, write bool) (rawstore.ClosableDisk, error) {
		var f *rawstore.File
		var err error
		if write {
			f, err = rawstore.OpenFile(nodes[s], true)
		} else {
			f, err = rawstore.OpenFileReadOnly(nodes[s])
		}
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: %w", hal.ErrClosed, err)
		}
		if err != nil {
			return nil, fmt.Errorf("slot %s: %w", s, err)
		}
		return f, nil
	})
}
