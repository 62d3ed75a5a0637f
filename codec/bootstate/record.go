package bootstate

import (
	"fmt"
	"maps"
)

// Slot is one of the two slots; empty means none.
type Slot string

// The slots. Their partitions are called slot-a and slot-b.
const (
	A Slot = "a"
	B Slot = "b"
)

// Other returns the other slot, none for none.
func (s Slot) Other() Slot {
	switch s {
	case A:
		return B
	case B:
		return A
	}
	return ""
}

// Reason says why a trial failed.
type Reason string

// The reasons that the boot script writes. The agent writes its own.
const (
	Tries Reason = "tries" // the slot used up its tries
	Image Reason = "image" // the FIT of the slot does not verify
)

// MaxTries is how many tries a trial may have.
const MaxTries = 7

// none stands for an empty value: U-Boot has no empty variables.
const none = "none"

// Record is what the variables of the record mean.
type Record struct {
	Confirmed Slot // what boots when nothing is on trial
	Trial     Slot // on trial; none mostly
	Tries     int  // how many more boots of the slot on trial there may be
	Failed    Slot // the slot whose trial failed last
	Why       Reason
	Floor     uint32 // no release below this one is installed
}

// Read reads the variables exactly as the boot script does: an unknown slot is the first one or none, an unknown number
// of tries none. It fails on a floor that is no number, since trust hangs on it; the other values are good even then.
func Read(e Env) (Record, error) {
	r := Record{Confirmed: A, Why: Reason(unless(e["st_why"], none))}
	if e["st_slot"] == string(B) {
		r.Confirmed = B
	}
	if e["st_try"] == string(r.Confirmed.Other()) {
		r.Trial = r.Confirmed.Other()
		if left := e["st_left"]; len(left) == 1 && left[0] >= '0' && left[0] <= '0'+MaxTries {
			r.Tries = int(left[0] - '0')
		}
	}
	if s := Slot(e["st_fail"]); s == A || s == B {
		r.Failed = s
	}
	var err error
	if r.Floor, err = parseHex(e["st_floor"]); err != nil {
		return r, fmt.Errorf("%w: st_floor is %q", ErrDamaged, e["st_floor"])
	}
	return r, nil
}

func unless(s, not string) string {
	if s == not {
		return ""
	}
	return s
}

// Apply returns e with the variables of the record changed; those that it does not know stay.
func (r Record) Apply(e Env) (Env, error) {
	switch {
	case r.Confirmed != A && r.Confirmed != B:
		return nil, fmt.Errorf("boot record: confirmed slot %q", r.Confirmed)
	case r.Trial != "" && r.Trial != r.Confirmed.Other():
		return nil, fmt.Errorf("boot record: slot %q on trial while %s is confirmed", r.Trial, r.Confirmed)
	case r.Failed != "" && r.Failed != A && r.Failed != B:
		return nil, fmt.Errorf("boot record: failed slot %q", r.Failed)
	case r.Tries < 0 || r.Tries > MaxTries || r.Trial == "" && r.Tries > 0:
		return nil, fmt.Errorf("boot record: %d tries with slot %q on trial, at most %d", r.Tries, r.Trial, MaxTries)
	}
	out := maps.Clone(e)
	if out == nil {
		out = Env{}
	}
	maps.Copy(out, Env{
		"st_slot":  string(r.Confirmed),
		"st_try":   orNone(string(r.Trial)),
		"st_left":  formatHex(uint32(r.Tries)),
		"st_fail":  orNone(string(r.Failed)),
		"st_why":   orNone(string(r.Why)),
		"st_floor": formatHex(r.Floor),
	})
	return out, nil
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}
