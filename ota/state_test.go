package ota

import (
	"testing"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
)

// TestRecovered: what each stored state means at a start.
func TestRecovered(t *testing.T) {
	t.Parallel()
	none := bootstate.Record{Confirmed: bootstate.A}
	trial := bootstate.Record{Confirmed: bootstate.A, Trial: bootstate.B, Tries: 2}
	tries := bootstate.Record{Confirmed: bootstate.A, Failed: bootstate.B, Why: bootstate.Tries}
	health := bootstate.Record{Confirmed: bootstate.A, Failed: bootstate.B, Why: "health"}
	good2 := bootstate.Record{Confirmed: bootstate.B}
	for _, c := range []struct {
		name    string
		state   State
		reboots int
		back    bool
		booted  hal.Slot
		how     bootstate.How
		record  bootstate.Record
		want    event
		why     Reason
	}{
		{"at rest", Idle, 0, false, "a", bootstate.Confirmed, none, "", ""},
		{"at rest, on trial, memory lost", Idle, 0, false, "b", bootstate.OnTrial, trial, booted, ""},
		{"failed already, and tried once more", Failed, 0, false, "b", bootstate.OnTrial, trial, booted, ""},
		{"cut while writing", Writing, 0, false, "a", bootstate.Confirmed, none, dropped, Interrupted},
		{"written", Written, 0, false, "a", bootstate.Confirmed, none, "", ""},
		{"armed, to be rebooted", Armed, 0, false, "a", bootstate.Confirmed, trial, "", ""},
		{"armed, the record was not written", Armed, 0, false, "a", bootstate.Confirmed, none, unarmed, ""},
		{"the way back, the record was not written", Armed, 0, true, "a", bootstate.Confirmed, none, dropped, Interrupted},
		{"armed, and booted", Armed, 1, false, "b", bootstate.OnTrial, trial, booted, ""},
		{"armed, tries used up before the agent ran", Armed, 1, false, "a", bootstate.Confirmed, tries, fellBack, Tries},
		{"armed, and the boot loader can't write", Armed, maxReboots, false, "a", bootstate.Confirmed, trial, fellBack,
			NoCountdown},
		{"on trial", Trial, 1, false, "b", bootstate.OnTrial, trial, "", ""},
		{"confirmed, the memory not yet", Trial, 1, false, "b", bootstate.OnTrial, good2, good, ""},
		{"on trial, tries used up", Trial, 1, false, "a", bootstate.Confirmed, tries, fellBack, Tries},
		{"on trial, the only one that boots", Trial, 1, false, "b", bootstate.Rescue, tries, fellBack, OnlyOne},
		{"the record left it, the agent started again", Trial, 1, false, "b", bootstate.OnTrial, health, bad, Unhealthy},
		{"leaving, the record not yet", Leaving, 1, false, "b", bootstate.OnTrial, trial, "", ""},
		{"left", Leaving, 1, false, "a", bootstate.Confirmed, health, fellBack, Unhealthy},
		{"left, by a record of a later release", Leaving, 1, false, "a", bootstate.Confirmed,
			bootstate.Record{Confirmed: bootstate.A, Failed: bootstate.B, Why: "moon"}, fellBack, FellBack},
	} {
		m := memory{State: c.state, Reboots: c.reboots, Update: &update{Slot: hal.SlotB, Back: c.back}}
		on, why := recovered(m, found{c.booted, c.how, c.record})
		if on != c.want || why != c.why {
			t.Errorf("%s: got %q, %q, want %q, %q", c.name, on, why, c.want, c.why)
		}
		if on == "" {
			continue
		}
		if _, err := next(c.state, on); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from State
		on   event
		want State
		ok   bool
	}{
		{Idle, look, Checking, true},
		{Confirmed, look, Checking, true},
		{Checking, chosen, Writing, true},
		{Writing, armed, "", false}, // nothing is armed that was not read back
		{Checking, armed, "", false},
		{Idle, armed, "", false},
		{Writing, verified, Written, true},
		{Written, armed, Armed, true},
		{Armed, good, "", false}, // nothing is confirmed that was not on trial
		{Trial, good, Confirmed, true},
		{Leaving, good, "", false},
		{Trial, look, "", false},
	} {
		got, err := next(c.from, c.on)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%s while %s: got %q, %v", c.on, c.from, got, err)
		}
	}
}
