package bootstate

import (
	"fmt"
	"slices"
	"testing"
)

// all lists every record that the boot script can tell apart, some of them odd.
func all() []Env {
	var envs []Env
	for _, slot := range []string{"a", "b", "c"} {
		for _, try := range []string{"a", "b", "none"} {
			for _, left := range []string{"0", "1", "2", "7", "8", "x"} {
				envs = append(envs, Env{"st_slot": slot, "st_try": try, "st_left": left, "st_fail": none, "st_why": none,
					"st_floor": "2a", "st_later": "kept"})
			}
		}
	}
	return envs
}

func verifies(good ...Slot) func(Slot) bool {
	return func(s Slot) bool { return slices.Contains(good, s) }
}

// TestNextLaws looks at every record with every pair of slots.
func TestNextLaws(t *testing.T) {
	t.Parallel()
	for i, env := range all() {
		copies := [2][]byte{nil, nil}
		data, err := Format(Copy{9, env})
		if err != nil {
			t.Fatal(err)
		}
		copies[i%2] = data
		before, _ := Read(env)
		for _, good := range [][]Slot{nil, {A}, {B}, {A, B}} {
			for _, writeFails := range []bool{false, true} {
				got := Next(Board{copies, verifies(good...), writeFails})
				if fault := lawOfNext(before, got, good, i%2); fault != "" {
					t.Errorf("%v with good slots %v, write fails %v: %s", env, good, writeFails, fault)
				}
			}
		}
	}
}

// lawOfNext says which law a boot breaks.
func lawOfNext(before Record, got Boot, good []Slot, at int) string {
	if (got.Slot == "") != (len(good) == 0) {
		return fmt.Sprintf("boots %q", got.Slot)
	}
	if got.Slot != "" && !slices.Contains(good, got.Slot) {
		return fmt.Sprintf("boots %q, which does not verify", got.Slot)
	}
	if before.Trial == "" && got.Write >= 0 {
		return "writes though nothing is on trial"
	}
	if got.How == OnTrial && got.Write < 0 {
		return "tries without counting down"
	}
	if got.Write < 0 {
		return ""
	}
	c, err := Parse(got.Data)
	if err != nil {
		return err.Error()
	}
	after, _ := Read(c.Env)
	switch {
	case got.Write == at:
		return "writes over the copy that counts"
	case c.Seq != 10:
		return fmt.Sprintf("writes sequence %d", c.Seq)
	case after.Confirmed != before.Confirmed:
		return "changes the confirmed slot"
	case after.Floor != before.Floor || c.Env["st_later"] != "kept":
		return "loses a variable"
	case got.How == OnTrial && after.Tries != before.Tries-1:
		return fmt.Sprintf("counts from %d to %d", before.Tries, after.Tries)
	case got.How != OnTrial && (after.Trial != "" || after.Failed != before.Trial || after.Why == ""):
		return fmt.Sprintf("leaves %+v after a failed trial", after)
	}
	return ""
}

// TestTrialEnds boots a slot that never comes up until the confirmed one is back, and then for ever without a write.
func TestTrialEnds(t *testing.T) {
	t.Parallel()
	copies := [2][]byte{copyOf(t, 1, Record{Confirmed: A}, nil), copyOf(t, 2, Record{Confirmed: A, Trial: B, Tries: 3}, nil)}
	var booted []string
	for range 6 {
		b := Next(Board{Copies: copies, Verifies: verifies(A, B)})
		booted = append(booted, fmt.Sprint(b.Slot, " ", b.How, " ", b.Write))
		if b.Write >= 0 {
			copies[b.Write] = b.Data
		}
	}
	want := []string{"b trial 0", "b trial 1", "b trial 0", "a confirmed 1", "a confirmed -1", "a confirmed -1"}
	if !slices.Equal(booted, want) {
		t.Errorf("got %q, want %q", booted, want)
	}
}

func TestNextWithoutRecord(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		good []Slot
		want Slot
	}{{[]Slot{A, B}, A}, {[]Slot{B}, B}, {nil, ""}} {
		got := Next(Board{Verifies: verifies(c.good...)})
		if got.Slot != c.want || got.Write != -1 || got.Slot != "" && got.How != Unrecorded {
			t.Errorf("good slots %v: got %+v", c.good, got)
		}
	}
}
