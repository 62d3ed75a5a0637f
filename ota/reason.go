package ota

import (
	"context"
	"errors"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/ota/trust"
)

// Reason says why there is no update, or why one failed. It is an error itself, so that errors.Is(err, ota.Segment)
// asks for it. Metadata and releases that are refused have reasons of their own (trust.Reason, manifest.Reason): Why
// knows all.
type Reason string

// The reasons. They are stored and told: none is ever renamed.
const (
	Busy         Reason = "busy"                // another update is under way
	Carrier      Reason = "carrier"             // server, phone or card stopped, or has no such file
	Segment      Reason = "bad segment"         // a MiB is not what was signed, however often it was asked for
	ReadBack     Reason = "read back differs"   // the slot does not give back what was written
	SlotFault    Reason = "slot"                // the slot can't be opened, written or read
	RecordFault  Reason = "boot record"         // it can't be read or written
	StateFault   Reason = "state"               // what must be remembered can't be written
	Cancelled    Reason = "cancelled"           // somebody wanted it so
	Interrupted  Reason = "interrupted"         // power or agent ended in its middle: the next look goes on with it
	FailedBefore Reason = "failed before"       // this very release failed its trial here; the owner may ask for it again
	NoPrevious   Reason = "nothing to go back"  // the other slot holds no system that was confirmed before
	Tries        Reason = "tries used up"       // the slot on trial was booted so often without proving itself
	Image        Reason = "image does not boot" // the boot loader found its FIT damaged
	Unhealthy    Reason = "not healthy"         // a fact that was good before the update was not good again in time
	ByOwner      Reason = "owner"               // the owner went back
	NoCountdown  Reason = "no countdown"        // the boot loader can't write, so it never tries a slot
	OnlyOne      Reason = "only system left"    // on trial or not, it is the only one that boots
	FellBack     Reason = "fell back"           // the boot loader went back, and does not say why
)

// Error implements error.
func (r Reason) Error() string { return string(r) }

// Why returns the reason in an error: the engine's, the verifier's or the manifest's, "" where there is none.
func Why(err error) Reason {
	var own Reason
	if errors.As(err, &own) {
		return own
	}
	if r := trust.ReasonOf(err); r != "" {
		return Reason(r)
	}
	if r := manifest.ReasonOf(err); r != "" {
		return Reason(r)
	}
	if errors.Is(err, context.Canceled) {
		return Cancelled
	}
	return ""
}

// words are the reasons as the boot record has them, which carries no spaces.
func words() map[bootstate.Reason]Reason {
	return map[bootstate.Reason]Reason{bootstate.Tries: Tries, bootstate.Image: Image, "health": Unhealthy,
		"owner": ByOwner}
}

// reasonOf reads the boot record's word.
func reasonOf(word bootstate.Reason) Reason {
	if r, ok := words()[word]; ok {
		return r
	}
	return FellBack
}

// wordOf is the boot record's word for a reason.
func wordOf(r Reason) bootstate.Reason {
	for word, known := range words() {
		if known == r {
			return word
		}
	}
	return "agent"
}
