package haltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/ocellus/ocellus/hal"
)

// SlotsOptions say what the suite may do with slots. Damage is not asked for.
type SlotsOptions = StorageOptions[hal.Slots]

// Slots checks the law of hal.Slots. It overwrites the other slot, again and again.
func Slots(t *testing.T, open func(t *testing.T) hal.Slots, o SlotsOptions) {
	t.Helper()
	run(t, slotsLaws(o), open, o.Skips)
}

// SlotsFindings checks what Slots checks.
func SlotsFindings(ctx context.Context, open func() hal.Slots, o SlotsOptions) []Finding {
	return findings(ctx, slotsLaws(o), open, o.Skips)
}

func slotsLaws(o SlotsOptions) []law[hal.Slots] {
	l := slotLaws{o}
	return []law[hal.Slots]{
		{"other is the one that was not booted", l.other},
		{"a committed slot is whole after a reboot", l.commits},
		{"without commit a slot is invalid", l.invalid},
		{"a write that was cut short goes on", l.goesOn},
		{"the booted slot is busy", l.bootedBusy},
		{"an open slot is busy", l.openBusy},
		{"a slot is read while it is not written", l.reads},
		{"what leaves the slot is refused", l.bounds},
		{"commit wants a head", l.wantsHead},
		{"a closed writer is closed", l.closed},
		{"a power cut leaves an invalid slot or a whole one", l.powerCut},
	}
}

type slotLaws struct{ StorageOptions[hal.Slots] }

func (l slotLaws) other(_ context.Context, s hal.Slots) error {
	if b, o := s.Booted(), s.Other(); b != hal.SlotA && b != hal.SlotB || o != hal.SlotA && o != hal.SlotB || b == o {
		return fmt.Errorf("Booted %q, Other %q", b, o)
	}
	return nil
}

// imageSize is how much the laws write: more than the head, and no multiple of anything.
const imageSize = hal.SlotHead + 70_001

// fill writes an image in pieces, the head in the middle.
func fill(w hal.SlotWriter, image []byte) error {
	const piece = 20_000
	for _, back := range []bool{false, true} {
		for at := 0; at < len(image); at += piece {
			if (at < len(image)/3) != back {
				continue
			}
			if n, err := w.WriteAt(image[at:min(at+piece, len(image))], int64(at)); err != nil {
				return fmt.Errorf("WriteAt %d: %d, %w", at, n, err)
			}
		}
	}
	return nil
}

// install writes an image to the other slot and commits it.
func install(s hal.Slots, image []byte) error {
	w, err := s.Open(s.Other())
	if err != nil {
		return fmt.Errorf("Open: %w", err)
	}
	err = fill(w, image)
	if err == nil {
		err = wantBytes(w, image)
	}
	if err == nil {
		err = w.Commit()
	}
	return errors.Join(err, w.Close())
}

// wantBytes says whether a slot begins with an image.
func wantBytes(r hal.SlotReader, image []byte) error {
	got := make([]byte, len(image))
	if n, err := r.ReadAt(got, 0); err != nil || n != len(got) {
		return fmt.Errorf("ReadAt: %d, %w", n, err)
	}
	if !bytes.Equal(got, image) {
		return errors.New("ReadAt: other bytes than those that were written")
	}
	return nil
}

// withOther reads the other slot.
func withOther(s hal.Slots, use func(hal.SlotReader) error) error {
	r, err := s.Read(s.Other())
	if err != nil {
		return fmt.Errorf("Read: %w", err)
	}
	return errors.Join(use(r), r.Close())
}

// wantInvalid says whether the head of the other slot is zeros.
func wantInvalid(s hal.Slots) error {
	return withOther(s, func(r hal.SlotReader) error { return wantBytes(r, make([]byte, hal.SlotHead)) })
}

func (l slotLaws) commits(_ context.Context, s hal.Slots) error {
	for seed := range byte(2) {
		image := pattern(seed, imageSize)
		if err := install(s, image); err != nil {
			return err
		}
		again, err := l.Again()
		if err != nil {
			return err
		}
		if err := withOther(again, func(r hal.SlotReader) error { return wantBytes(r, image) }); err != nil {
			return fmt.Errorf("after a reboot: %w", err)
		}
	}
	return nil
}

func (l slotLaws) invalid(_ context.Context, s hal.Slots) error {
	if err := install(s, pattern(1, imageSize)); err != nil {
		return err
	}
	w, err := s.Open(s.Other())
	if err != nil {
		return err
	}
	again, err := l.Again()
	if err == nil {
		err = wantInvalid(again)
	}
	if err == nil {
		err = fill(w, pattern(2, imageSize))
	}
	if err == nil {
		err = wantInvalid(again)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	return wantInvalid(s)
}

func (l slotLaws) goesOn(_ context.Context, s hal.Slots) error {
	image := pattern(3, imageSize)
	w, err := s.Open(s.Other())
	if err != nil {
		return err
	}
	if err := errors.Join(fill(w, image), w.Close()); err != nil {
		return err
	}
	if w, err = s.Open(s.Other()); err != nil {
		return err
	}
	rest := make([]byte, imageSize-hal.SlotHead)
	_, err = w.ReadAt(rest, hal.SlotHead)
	if err == nil && !bytes.Equal(rest, image[hal.SlotHead:]) {
		err = errors.New("what was written before is gone")
	}
	if err == nil {
		_, err = w.WriteAt(image[:hal.SlotHead], 0)
	}
	if err == nil {
		err = w.Commit()
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	return withOther(s, func(r hal.SlotReader) error { return wantBytes(r, image) })
}

func (l slotLaws) bootedBusy(_ context.Context, s hal.Slots) error {
	for _, slot := range []hal.Slot{s.Booted(), "", "c"} {
		w, err := s.Open(slot)
		if err == nil {
			_ = w.Close()
		}
		if err := wantError(fmt.Sprintf("Open %q", slot), err, hal.ErrBusy); err != nil {
			return err
		}
	}
	return nil
}

func (l slotLaws) openBusy(_ context.Context, s hal.Slots) error {
	w, err := s.Open(s.Other())
	if err != nil {
		return err
	}
	second, err := s.Open(s.Other())
	if err == nil {
		_ = second.Close()
	}
	_, readErr := s.Read(s.Other())
	err = errors.Join(wantError("second Open", err, hal.ErrBusy), wantError("Read of an open slot", readErr, hal.ErrBusy))
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	if w, err = s.Open(s.Other()); err != nil {
		return fmt.Errorf("Open after Close: %w", err)
	}
	return w.Close()
}

func (l slotLaws) reads(_ context.Context, s hal.Slots) error {
	for _, slot := range []hal.Slot{s.Booted(), s.Other()} {
		r, err := s.Read(slot)
		if err != nil {
			return fmt.Errorf("Read %s: %w", slot, err)
		}
		if r.Size() < 2*hal.SlotHead {
			err = fmt.Errorf("slot %s has %d bytes", slot, r.Size())
		}
		var b [512]byte
		_, readErr := r.ReadAt(b[:], r.Size()-int64(len(b)))
		if err := errors.Join(err, readErr, r.Close(), r.Close()); err != nil {
			return err
		}
	}
	_, err := s.Read("c")
	return wantError("Read c", err, hal.ErrUnsupported)
}

func (l slotLaws) bounds(_ context.Context, s hal.Slots) error {
	w, err := s.Open(s.Other())
	if err != nil {
		return err
	}
	for _, at := range []int64{-1, w.Size() - 1, w.Size(), 1 << 62} {
		if n, err := w.WriteAt([]byte{1, 2}, at); err == nil || n != 0 {
			return errors.Join(fmt.Errorf("WriteAt %d of %d: %d, %v", at, w.Size(), n, err), w.Close())
		}
	}
	return w.Close()
}

func (l slotLaws) wantsHead(_ context.Context, s hal.Slots) error {
	w, err := s.Open(s.Other())
	if err != nil {
		return err
	}
	if _, err = w.WriteAt([]byte("body"), hal.SlotHead); err == nil && w.Commit() == nil {
		err = errors.New("Commit without a head")
	}
	return errors.Join(err, w.Close())
}

func (l slotLaws) closed(_ context.Context, s hal.Slots) error {
	w, err := s.Open(s.Other())
	if err != nil {
		return err
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	_, writeErr := w.WriteAt([]byte("x"), 0)
	_, readErr := w.ReadAt(make([]byte, 1), 0)
	return errors.Join(wantError("WriteAt after Close", writeErr, hal.ErrClosed),
		wantError("ReadAt after Close", readErr, hal.ErrClosed), wantError("Commit after Close", w.Commit(), hal.ErrClosed))
}

func (l slotLaws) powerCut(_ context.Context, _ hal.Slots) error {
	if l.Cuts == nil {
		return skipf("the power can't be cut here")
	}
	was, becomes := pattern(4, imageSize), pattern(5, imageSize)
	points, err := l.Cuts(
		func(s hal.Slots) error { return install(s, was) },
		func(s hal.Slots) error { return install(s, becomes) },
		func(s hal.Slots, done bool) error {
			return withOther(s, func(r hal.SlotReader) error {
				if done {
					return wantBytes(r, becomes)
				}
				return whole(r, was, becomes, l.Flash)
			})
		})
	return errors.Join(err, enough(points))
}

// whole says whether a slot has a head, one sector of which is enough, without all of what belongs to it.
func whole(r hal.SlotReader, was, becomes []byte, flash bool) error {
	head := make([]byte, hal.SlotHead)
	if _, err := r.ReadAt(head, 0); err != nil {
		return err
	}
	const sector = 512
	for at := 0; at < len(head); at += sector {
		got := head[at:][:sector]
		switch {
		case bytes.Equal(got, becomes[at:][:sector]): // the head came last, so the rest is there
			return wantTail(r, becomes)
		case bytes.Equal(got, was[at:][:sector]): // not invalid yet
			return wantTail(r, was)
		case flash && erased(got): // invalid too, wholly or in part
		case flash && bitsOf(becomes[at:][:sector], got): // it is being programmed
			return wantTail(r, becomes)
		case flash && bitsOf(got, was[at:][:sector]): // it is being made zeros
			return wantTail(r, was)
		case !bytes.Equal(got, make([]byte, sector)):
			return fmt.Errorf("the head is neither of the images at %d", at)
		}
	}
	return nil
}

// erased reports whether flash holds nothing: zeros that made something invalid, ones that an erase left, and the one
// byte on its way from ones to zeros that a cut has met.
func erased(b []byte) bool {
	others := 0
	for _, c := range b {
		if c != 0 && c != 0xff {
			others++
		}
	}
	return others <= 1
}

// bitsOf reports whether every bit of a is in b: programming takes bits away, one by one.
func bitsOf(a, b []byte) bool {
	for i := range a {
		if a[i]&^b[i] != 0 {
			return false
		}
	}
	return true
}

// wantTail says whether a slot has the rest of an image.
func wantTail(r hal.SlotReader, image []byte) error {
	tail := make([]byte, len(image)-hal.SlotHead)
	if _, err := r.ReadAt(tail, hal.SlotHead); err != nil {
		return err
	}
	if !bytes.Equal(tail, image[hal.SlotHead:]) {
		return errors.New("a slot has a part of a head, and not the rest of that image")
	}
	return nil
}
