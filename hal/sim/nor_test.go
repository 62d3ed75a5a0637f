package sim

import (
	"fmt"
	"testing"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

// TestNORSlotsLaw: slots on NOR flash keep the law, with small erase blocks and with blocks that hold more than a head.
func TestNORSlotsLaw(t *testing.T) {
	t.Parallel()
	for _, block := range []int64{4 << 10, 64 << 10, 256 << 10} {
		t.Run(fmt.Sprintf("%d KiB", block>>10), func(t *testing.T) {
			t.Parallel()
			const size = 1 << 20
			var flash *NOR
			points := 0
			open := func(*testing.T) hal.Slots {
				flash = NewNOR(size, block)
				return NORSlots(flash, hal.SlotA)
			}
			haltest.Slots(t, open, haltest.SlotsOptions{
				Flash: true,
				Again: func() (hal.Slots, error) { return NORSlots(flash, hal.SlotA), nil },
				Cuts: func(before, change func(hal.Slots) error, check func(hal.Slots, bool) error) (int, error) {
					base := NewNOR(size, block)
					if err := before(NORSlots(base, hal.SlotA)); err != nil {
						return 0, err
					}
					n, err := norCuts(base, change, check)
					points += n
					return n, err
				},
			})
			t.Logf("%d states after power cuts", points)
		})
	}
}

// norCuts cuts the power after each program and erase of a change.
func norCuts(base *NOR, change func(hal.Slots) error, check func(hal.Slots, bool) error) (points int, err error) {
	for steps := 0; ; steps++ {
		f := base.Clone()
		f.CutAfter(steps)
		if err := change(NORSlots(f, hal.SlotA)); !f.Cut() && err != nil {
			return points, err
		}
		for left := range f.Survivors() {
			points++
			if err := check(NORSlots(left, hal.SlotA), !f.Cut()); err != nil {
				return points, fmt.Errorf("cut after %d steps: %w", steps, err)
			}
		}
		if !f.Cut() {
			return points, nil
		}
	}
}

// TestNOR: the flash itself refuses what flash can't do.
func TestNOR(t *testing.T) {
	t.Parallel()
	f := NewNOR(128<<10, 64<<10)
	if err := f.Program([]byte{0x0f}, 10); err != nil {
		t.Fatal(err)
	}
	if err := f.Program([]byte{0xf0}, 10); err == nil {
		t.Error("a zero became a one")
	}
	if err := f.Program([]byte{0x0e}, 10); err != nil {
		t.Error(err)
	}
	for _, bad := range [][2]int64{{1, 64 << 10}, {0, 1}, {64 << 10, 128 << 10}} {
		if err := f.Erase(bad[0], bad[1]); err == nil {
			t.Errorf("erased %v", bad)
		}
	}
	if err := f.Erase(0, 64<<10); err != nil {
		t.Error(err)
	}
	if err := f.Program([]byte{0xf0}, 10); err != nil {
		t.Error(err)
	}
	if err := f.Program([]byte{1, 2}, f.Size()-1); err == nil {
		t.Error("programmed beyond its end")
	}
}
