package ota

import (
	"fmt"
	"slices"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
)

// State is how far an update is.
//
//	               nothing for this camera
//	             +-------------------------+
//	             v                         |
//	idle, confirmed, failed --look--> checking --chosen--> writing --verified--> written --armed--> armed
//	 ^     ^         ^                                        |                     | ^               |
//	 |     |         +--------------- fault ------------------+-------<-fault-------+ +---unarmed-----+
//	 |     |         |                                        |                     |                 |
//	 |     |         +--------------- fell back -------------------------<----------------------------+
//	 +-----)--------------------------- dropped --------------+-------<-------------+-------<---------+
//	       |         |                                                                                |
//	       |         +---fell back--- leaving <---bad--- trial <-------------booted-------------------+
//	       |                                               |
//	       +-----------------------good--------------------+
//
// A state is stored before the engine acts by it, checking apart, which changes nothing. What the boot record says
// counts more: it is written once for armed, once for the way back, and once for confirmed, where the state follows.
type State string

// The states. They are stored: none is ever renamed.
const (
	Idle      State = "idle"      // nothing is under way
	Checking  State = "checking"  // metadata is being verified
	Writing   State = "writing"   // the other slot is being filled
	Written   State = "written"   // it is whole, read back, and its hash is right
	Armed     State = "armed"     // the boot record says that the next boot tries it
	Trial     State = "trial"     // it is booted, and has to prove itself
	Leaving   State = "leaving"   // it did not: the way back
	Confirmed State = "confirmed" // it did: success, and only here
	Failed    State = "failed"    // the update is over, the system of before runs, and the reason is told
)

// atRest reports whether nothing is under way.
func (s State) atRest() bool { return s == Idle || s == Confirmed || s == Failed }

// event is what moves an update.
type event string

const (
	look     event = "look"
	nothing  event = "nothing"
	chosen   event = "chosen"
	fault    event = "fault"
	verified event = "verified"
	armed    event = "armed"
	back     event = "back" // the owner wants the system of before, which is in the other slot
	unarmed  event = "unarmed"
	dropped  event = "dropped"
	booted   event = "booted"
	good     event = "good"
	bad      event = "bad"
	fellBack event = "fell back"
)

// row is one arrow of the diagram.
type row struct {
	from []State
	on   event
	to   State // empty: where checking came from, since nothing was stored
}

func rows() []row {
	rest := []State{Idle, Confirmed, Failed}
	return []row{
		{rest, look, Checking},
		{[]State{Checking}, nothing, ""},
		{[]State{Checking}, chosen, Writing},
		{[]State{Writing, Written}, fault, Failed},
		{[]State{Writing}, verified, Written},
		{[]State{Written}, armed, Armed},
		{rest, back, Armed},
		{[]State{Armed}, unarmed, Written},
		{[]State{Writing, Written, Armed}, dropped, Idle},
		{append([]State{Armed}, rest...), booted, Trial}, // at rest: the memory of the update is lost
		{[]State{Trial}, good, Confirmed},
		{[]State{Trial}, bad, Leaving},
		{[]State{Armed, Trial, Leaving}, fellBack, Failed},
	}
}

// next returns where an event leads.
func next(s State, on event) (State, error) {
	for _, r := range rows() {
		if r.on == on && slices.Contains(r.from, s) {
			return r.to, nil
		}
	}
	return "", fmt.Errorf("update: %s while %s", on, s)
}

// found is what an engine finds when it starts.
type found struct {
	booted hal.Slot
	how    bootstate.How // empty: not told
	record bootstate.Record
}

// maxReboots is how often the engine reboots for one armed slot. A boot loader that can't write its countdown never
// tries the slot.
const maxReboots = 3

// recovered says what a stored state means after a start, "" for: go on by it. Whatever the power cut left, one call
// after another ends in a state to go on by.
func recovered(m memory, f found) (event, Reason) {
	slot := m.slot()
	mine := bootstate.Slot(slot)
	here := f.booted == slot && slot != ""
	switch m.State {
	case Writing:
		return dropped, Interrupted
	case Armed:
		switch {
		case here:
			return booted, ""
		case f.record.Trial == mine && m.Reboots >= maxReboots:
			return fellBack, NoCountdown
		case f.record.Trial == mine:
			return "", ""
		case f.record.Failed == mine:
			return fellBack, reasonOf(f.record.Why)
		case m.Update.Back:
			return dropped, Interrupted
		}
		return unarmed, ""
	case Trial, Leaving:
		only := f.how == bootstate.Rescue || f.how == bootstate.Unrecorded
		switch {
		case here && f.record.Confirmed == mine && m.State == Trial:
			return good, ""
		case here && f.record.Trial == mine:
			return "", ""
		case here && only:
			return fellBack, OnlyOne
		case here && m.State == Trial:
			return bad, reasonOf(f.record.Why) // the record has left it, the reboot is to come
		case here:
			return "", ""
		}
		return fellBack, reasonOf(f.record.Why)
	case Written:
		return "", ""
	}
	if f.record.Trial == bootstate.Slot(f.booted) && f.booted != "" {
		return booted, ""
	}
	return "", ""
}
