package blockslot

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

// The laws count goroutines and descriptors of the process, so these tests are not parallel.

func TestSlotsLaw(t *testing.T) {
	var dir string
	again := func() (hal.Slots, error) {
		return New(hal.SlotB, map[hal.Slot]string{hal.SlotA: filepath.Join(dir, "a"), hal.SlotB: filepath.Join(dir, "b")}), nil
	}
	open := func(t *testing.T) hal.Slots {
		dir = t.TempDir()
		for _, name := range []string{"a", "b"} {
			if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 1<<20+512), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, _ := again()
		return s
	}
	haltest.Slots(t, open, haltest.SlotsOptions{Again: again, Skips: map[string]string{
		"a power cut leaves an invalid slot or a whole one": "hal/sim cuts the power under the same code"}})
}

// TestHardwareSlots runs on a board whose slots may be overwritten (OCELLUS_SLOT_A, OCELLUS_SLOT_B).
func TestHardwareSlots(t *testing.T) {
	nodes := map[hal.Slot]string{hal.SlotA: os.Getenv("OCELLUS_SLOT_A"), hal.SlotB: os.Getenv("OCELLUS_SLOT_B")}
	if nodes[hal.SlotA] == "" || nodes[hal.SlotB] == "" {
		t.Skip("OCELLUS_SLOT_A and OCELLUS_SLOT_B name no partitions that may be overwritten")
	}
	again := func() (hal.Slots, error) { return New(hal.SlotA, nodes), nil }
	haltest.Slots(t, func(*testing.T) hal.Slots { return New(hal.SlotA, nodes) }, haltest.SlotsOptions{Again: again})
}

func TestBooted(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]hal.Slot{
		"": "", "quiet ocellus.slot=a\n": "a", "ocellus.slot=a ocellus.slot=b ocellus.boot=trial": "b", "ocellus.slot=c": "",
		"xocellus.slot=a": "", "ocellus.slot=": "",
	} {
		if got := bootedIn(line); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}
