package ota

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/ota/manifest"
)

// recordFault is an error of the boot record.
func recordFault(err error) error { return fmt.Errorf("update: %w: %w", RecordFault, err) }

// record reads the boot record. Its floor is 0 where it can't be read.
func (e *Engine) record() (bootstate.Record, error) {
	env, err := e.o.Env.Get()
	if err != nil {
		return bootstate.Record{}, err
	}
	return bootstate.Read(env)
}

// change changes the boot record by one atomic write.
func (e *Engine) change(do func(*bootstate.Record)) error {
	env, err := e.o.Env.Get()
	if err != nil {
		return recordFault(err)
	}
	r, err := bootstate.Read(env)
	if err != nil {
		return recordFault(err)
	}
	do(&r)
	changed, err := r.Apply(env)
	if err != nil {
		return recordFault(err)
	}
	if err := e.o.Env.Set(changed); err != nil {
		return recordFault(err)
	}
	return nil
}

// mend returns the boot record, and makes it whole and its floor the highest that is known. A record of which no copy
// is whole, or which has no floor, is made anew.
func (e *Engine) mend() (bootstate.Record, error) {
	kept := e.keptFloor()
	r, err := e.record()
	damaged := errors.Is(err, hal.ErrDamaged)
	switch {
	case damaged:
		e.o.Log.Error("boot record damaged, made anew", "error", err)
		r = e.anew()
	case err != nil && !errors.Is(err, bootstate.ErrDamaged):
		return r, recordFault(err)
	case err != nil:
		e.o.Log.Error("boot record without a floor", "error", err)
	}
	if err == nil && r.Floor >= kept {
		return r, e.keepFloor(r.Floor)
	}
	r.Floor = max(r.Floor, kept)
	env, err := r.Apply(nil)
	if err != nil {
		return r, recordFault(err)
	}
	if err := e.o.Env.Set(env); err != nil {
		return r, recordFault(err)
	}
	return r, nil
}

// anew is the record of a board that lost its own: what runs is confirmed, unless it was about to prove itself.
func (e *Engine) anew() bootstate.Record {
	mine := bootstate.Slot(e.o.Slots.Booted())
	m := e.remembered()
	if unproven := m.State == Armed || m.State == Trial || m.State == Leaving; unproven && m.slot() == hal.Slot(mine) {
		return bootstate.Record{Confirmed: mine.Other(), Trial: mine, Tries: e.o.Tries}
	}
	return bootstate.Record{Confirmed: mine}
}

// keptFloor is the version floor of the persist area, 0 where it can't be read: the boot record has it, too.
func (e *Engine) keptFloor() uint32 {
	f, _, err := e.floor.Load()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.o.Log.Error("version floor in persist unreadable", "error", err)
	}
	return f.Version
}

// keepFloor raises the version floor of the persist area.
func (e *Engine) keepFloor(to uint32) error {
	if to <= e.keptFloor() {
		return nil
	}
	err := e.floor.Update(func(f *floors) error { f.Version = max(f.Version, to); return nil })
	if err != nil {
		// The boot record has it. A persist area that can't be written is not worth a camera.
		e.o.Log.Error("version floor not kept in persist", "floor", to, "error", err)
	}
	return nil
}

// versionFloor is the lowest version that is installed here.
func (e *Engine) versionFloor() uint32 {
	r, err := e.record()
	if err != nil {
		return e.keptFloor()
	}
	return max(r.Floor, e.keptFloor())
}

// claim makes the booted slot the confirmed one and tries nothing, before the other slot is touched. They differ only
// where the boot loader found the confirmed slot broken and booted the other.
func (e *Engine) claim() error {
	return e.change(func(r *bootstate.Record) {
		r.Confirmed, r.Trial, r.Tries = bootstate.Slot(e.o.Slots.Booted()), "", 0
	})
}

// tryNext makes the next boot a trial of a slot.
func (e *Engine) tryNext(s hal.Slot) error {
	return e.change(func(r *bootstate.Record) {
		r.Confirmed = bootstate.Slot(s).Other()
		r.Trial, r.Tries, r.Failed, r.Why = bootstate.Slot(s), e.o.Tries, "", ""
	})
}

// leaveSlot takes a slot off its trial.
func (e *Engine) leaveSlot(s hal.Slot, why Reason) error {
	return e.change(func(r *bootstate.Record) {
		r.Confirmed = bootstate.Slot(s).Other()
		r.Trial, r.Tries, r.Failed, r.Why = "", 0, bootstate.Slot(s), wordOf(why)
	})
}

// confirm makes the booted slot the confirmed one, and raises the floor with it.
func (e *Engine) confirm() error {
	u := e.remembered().Update
	floor := uint32(0)
	err := e.change(func(r *bootstate.Record) {
		r.Floor = max(r.Floor, u.MinFloor, e.keptFloor())
		r.Confirmed, r.Trial, r.Tries, r.Failed, r.Why = bootstate.Slot(u.Slot), "", 0, "", ""
		floor = r.Floor
	})
	if err != nil {
		return err
	}
	return e.confirmed(floor)
}

// confirmed brings floors and memory after a record that confirms the update.
func (e *Engine) confirmed(floor uint32) error {
	if err := e.keepFloor(floor); err != nil {
		return err
	}
	err := e.step(good, func(m *memory) {
		m.Reason, m.Detail, m.Failed, m.Previous = "", "", "", nil
		if m.Update.From != "" {
			m.Previous = &previous{e.o.Slots.Other(), m.Update.From}
		}
		m.Trusted.RaiseFloor(m.Update.Issued)
	})
	if err != nil {
		return err
	}
	return e.trustOwn()
}

// belowFloor reports whether a version may no longer be booted.
func (e *Engine) belowFloor(version string) bool {
	v, err := manifest.ParseVersion(version)
	return err != nil || v.Compare(manifest.FloorVersion(e.versionFloor())) < 0
}
