package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Reason says why a release is not for this camera, or not now. It is an error itself, so that errors.Is(err, Halted)
// asks for it.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	Malformed         Reason = "malformed"           // the release says something impossible
	Unknown           Reason = "unknown format"      // a later publisher's: this camera can't read it
	EmptyCompatible   Reason = "empty compatible"    // it names no board, so it is for none
	OtherBoard        Reason = "other board"         // it is for other boards
	OtherSlot         Reason = "other slot kind"     // this board's slots are laid out differently
	Needs             Reason = "needs more"          // a camera must know something that this one does not
	BelowFloor        Reason = "below the floor"     // older than what may be installed
	NotNewer          Reason = "not newer"           // what runs is this release or a later one
	UnknownBootloader Reason = "unknown boot loader" // it asks for one, and this camera can't tell which it has
	OldBootloader     Reason = "old boot loader"     // it asks for a newer one
	OtherStorage      Reason = "other storage"       // its slot can't lie on this kind of storage
	SmallSlot         Reason = "small slot"          // its image, or what it asks for, does not fit
	Halted            Reason = "halted"              // the publisher took it back
	NotStarted        Reason = "not started"         // its rollout begins later
	NotInCohort       Reason = "not in cohort yet"   // the share of cameras that may have it does not reach this one
	NoRelease         Reason = "no release"          // the publisher has none at all
)

// Error implements error.
func (r Reason) Error() string { return string(r) }

// ReasonOf returns the reason in an error, "" where there is none.
func ReasonOf(err error) Reason {
	var r Reason
	errors.As(err, &r)
	return r
}

// Device is what a camera knows of itself. What it does not know stays zero, and every release that asks for it is
// refused.
type Device struct {
	// Compatible is what its own verified system says that it is made for: VARIANT_ID of its os-release. The names in a
	// device tree would not do: QEMU's boards have the same one for arm64 and armv7.
	Compatible []string
	Slot       string    // how its slots are laid out
	Knows      []string  // the words of Release.Needs that it understands
	Running    Version   // what is booted; zero: not known, everything is newer
	Floor      uint32    // of the boot record
	Bootloader Version   // U-Boot 2023.01 is 2023.1.0
	Storage    string    // block, nor, nand
	SlotBytes  int64     // of the other slot
	ID         []byte    // random, its own, for rollouts alone
	Reached    time.Time // it is at least this late: trust.Update.Reached
	Asked      bool      // the owner asked for this very release: its start and its cohort are waived, halt is not
}

// Judge says whether a release is for this camera, and now: nil, or an error that wraps a Reason.
func Judge(r Release, d Device) error {
	for _, look := range []func(Release, Device) error{board, age, predicates, rollout} {
		if err := look(r, d); err != nil {
			return err
		}
	}
	return nil
}

// Choose returns the newest release that is for this camera, and now. Where there is none, its error is why the newest
// of those for this board is not, or else the newest of all.
func Choose(all []Release, d Device) (Release, error) {
	err := fmt.Errorf("choose a release: %w", NoRelease)
	foreign := true
	for _, r := range slices.SortedStableFunc(slices.Values(all), func(a,
		b Release) int {
		return b.Version.Compare(a.Version)
	}) {
		bad := Judge(r, d)
		if bad == nil {
			return r, nil
		}
		elsewhere := board(r, d) != nil
		if ReasonOf(err) == NoRelease || foreign && !elsewhere {
			err, foreign = bad, elsewhere
		}
	}
	return Release{}, err
}

func (r Release) no(why Reason, format string, args ...any) error {
	return fmt.Errorf("release %s: %w: %s", r.Version, why, fmt.Sprintf(format, args...))
}

func board(r Release, d Device) error {
	switch {
	case len(r.Compatible) == 0:
		return r.no(EmptyCompatible, "it names no board")
	case !slices.ContainsFunc(r.Compatible, func(c string) bool { return slices.Contains(d.Compatible, c) }):
		return r.no(OtherBoard, "it is for %q, this is %q", r.Compatible, d.Compatible)
	case r.Slot != d.Slot:
		return r.no(OtherSlot, "it is %s, this board takes %s", r.Slot, d.Slot)
	}
	for _, word := range r.Needs {
		if !slices.Contains(d.Knows, word) {
			return r.no(Needs, "%s", word)
		}
	}
	return nil
}

func age(r Release, d Device) error {
	if floor := FloorVersion(d.Floor); r.Version.Compare(floor) < 0 {
		return r.no(BelowFloor, "nothing older than %s is installed", floor)
	}
	if !d.Running.IsZero() && r.Version.Compare(d.Running) <= 0 {
		return r.no(NotNewer, "%s runs", d.Running)
	}
	return nil
}

func predicates(r Release, d Device) error {
	switch want := max(r.Size, r.Storage.SlotBytes); {
	case !r.Bootloader.IsZero() && d.Bootloader.IsZero():
		return r.no(UnknownBootloader, "it asks for %s", r.Bootloader)
	case d.Bootloader.Compare(r.Bootloader) < 0:
		return r.no(OldBootloader, "it asks for %s, this is %s", r.Bootloader, d.Bootloader)
	case len(r.Storage.Kinds) > 0 && !slices.Contains(r.Storage.Kinds, d.Storage):
		return r.no(OtherStorage, "it asks for %q, this is %q", r.Storage.Kinds, d.Storage)
	case d.SlotBytes < want:
		return r.no(SmallSlot, "it needs %d bytes, the slot has %d", want, d.SlotBytes)
	}
	return nil
}

func rollout(r Release, d Device) error {
	switch p := r.Rollout; {
	case p.Halt:
		return r.no(Halted, "the publisher took it back")
	case d.Asked:
		return nil
	case d.Reached.Before(p.Start):
		return r.no(NotStarted, "from %s on", p.Start.Format(time.DateTime))
	case p.Share < AllShare && (len(d.ID) == 0 || Cohort(d.ID, r.Version) >= p.Share):
		return r.no(NotInCohort, "it goes to %d of %d first", p.Share, AllShare)
	}
	return nil
}

// Cohort is the place of a camera in a release's rollout, 0 to AllShare-1: by the hash of its random id, so that nobody
// keeps a list, and of the version, so that the same cameras are not the first ones each time. A share that grows keeps
// whom it had.
func Cohort(id []byte, v Version) int {
	sum := sha256.Sum256(append([]byte("ocellus rollout "+v.String()+"\x00"), id...))
	return int(binary.BigEndian.Uint64(sum[:]) % AllShare)
}
