package bootstate

import (
	"maps"
	"slices"
	"strconv"
)

// How says how a slot came to be booted. The kernel's command line has it as ocellus.boot=HOW, the slot as
// ocellus.slot=SLOT.
type How string

// The ways in which the boot script boots a slot.
const (
	Confirmed  How = "confirmed"
	OnTrial    How = "trial"
	Rescue     How = "rescue"     // the FIT of the confirmed slot does not verify: the other one, whatever it is
	Unrecorded How = "unrecorded" // both copies of the record are damaged: the first slot whose FIT verifies
)

// Board is what the boot script finds.
type Board struct {
	Copies     [2][]byte       // of the record; nil where the disk did not answer
	Verifies   func(Slot) bool // whether the FIT of the slot is whole
	WriteFails bool            // the disk takes no writes
}

// Boot is what the boot script does: it writes the record, if it does, then it boots the slot, if there is one.
type Boot struct {
	Slot Slot // none: no slot has a FIT that verifies, and the board resets
	How  How
	// Write is the copy that is written before the slot boots, -1 for none; Data is what is written there.
	Write int
	Data  []byte
}

// Next is the boot script board/boot/boot.cmd in Go.
//
//	          st_try = the other slot?
//	           | yes                          | no
//	   st_left 1 to 7?                        |
//	    | yes          | no: tries            |
//	FIT verifies?      |                      |
//	 | yes     | no: image                    |
//	 |         +-> st_fail, st_try=none, write +--> confirmed: FIT verifies? -yes-> boot
//	 +-> st_left - 1, write, boot                    | no
//	                                                 +--> rescue: FIT of the other verifies? -yes-> boot, -no-> reset
//
// A trial whose countdown can't be written is not booted: it could go on for ever.
func Next(b Board) Boot {
	current, at, err := Current(b.Copies)
	if err != nil {
		return b.first(Unrecorded, A, B)
	}
	r, _ := Read(current.Env) // the floor is not the boot script's business
	done := Boot{Write: -1}
	if r.Trial != "" {
		boots := r.Tries > 0 && b.Verifies(r.Trial)
		done = b.write(current, at, r.after(boots))
		if boots && done.Write >= 0 {
			done.Slot, done.How = r.Trial, OnTrial
			return done
		}
	}
	boot := b.first(Confirmed, r.Confirmed)
	if boot.Slot == "" {
		boot = b.first(Rescue, r.Confirmed.Other())
	}
	boot.Write, boot.Data = done.Write, done.Data
	return boot
}

// after returns the variables that a trial changes when it is booted, or when it is over.
func (r Record) after(boots bool) Env {
	e := Env{"st_slot": string(r.Confirmed)}
	switch {
	case boots:
		e["st_left"] = strconv.Itoa(r.Tries - 1)
		return e
	case r.Tries == 0:
		e["st_why"] = string(Tries)
	default:
		e["st_why"] = string(Image)
	}
	e["st_fail"], e["st_try"], e["st_left"] = string(r.Trial), none, "0"
	return e
}

// write changes variables of a record, but adds none, and puts it into the copy that does not count.
func (b Board) write(current Copy, at int, change Env) Boot {
	if b.WriteFails {
		return Boot{Write: -1}
	}
	env := maps.Clone(current.Env)
	for name, value := range change {
		if _, ok := env[name]; ok {
			env[name] = value
		}
	}
	data, err := Format(Copy{current.Seq + 1, env})
	if err != nil {
		return Boot{Write: -1}
	}
	return Boot{Write: 1 - at, Data: data}
}

// first boots the first of some slots whose FIT verifies.
func (b Board) first(how How, slots ...Slot) Boot {
	if i := slices.IndexFunc(slots, b.Verifies); i >= 0 {
		return Boot{Slot: slots[i], How: how, Write: -1}
	}
	return Boot{Write: -1}
}
