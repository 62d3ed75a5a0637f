package disklog

import (
	"errors"
	"fmt"
	"slices"
)

// Errors of History.Judge, for whoever counts them apart.
var (
	// ErrLost: what was found had been replaced, and the replacement had been answered.
	ErrLost = errors.New("an answered change is lost")
	// ErrNeverStored: what was found is none of the values that had been stored, or a part of one.
	ErrNeverStored = errors.New("never stored")
)

// History is what one thing (a record, a file) was told to be in the course of a run, one value after the other. With
// it a disk is judged: at each cut the thing is the last value whose change had been answered, or a later one that had
// been begun.
type History struct{ versions []Version }

// Version is a value and when it was stored.
type Version struct {
	Value string
	Begun Instant // taken before whoever stores it was told to
	Done  Instant // taken when he had answered; 0 where he never did
}

// NewHistory begins with what is there before the run.
func NewHistory(value string) *History { return &History{[]Version{{Value: value}}} }

// Add tells of the next value.
func (h *History) Add(v Version) { h.versions = append(h.versions, v) }

// Versions lists all values, the first one among them.
func (h *History) Versions() []Version { return slices.Clone(h.versions) }

// last is the index of the last version whose change had been answered.
func (h *History) last(at Instant) int {
	last := 0
	for i, v := range h.versions {
		if v.Done > 0 && v.Done <= at {
			last = i
		}
	}
	return last
}

// Allowed lists what may be found after a cut.
func (h *History) Allowed(at Instant) []string {
	var values []string
	for i, v := range h.versions[h.last(at):] {
		if i == 0 || v.Begun <= at {
			values = append(values, v.Value)
		}
	}
	return values
}

// Gone lists the values that had been replaced for good, for what may not be found anywhere any more.
func (h *History) Gone(at Instant) []string {
	allowed := h.Allowed(at)
	var values []string
	for _, v := range h.versions[:h.last(at)] {
		if !slices.Contains(allowed, v.Value) {
			values = append(values, v.Value)
		}
	}
	return values
}

// Judge says what is wrong with a value that was found after a cut: ErrLost or ErrNeverStored.
func (h *History) Judge(at Instant, found string) error {
	if slices.Contains(h.Allowed(at), found) {
		return nil
	}
	is := func(v Version) bool { return v.Value == found }
	if i := slices.IndexFunc(h.versions, is); i >= 0 && i < h.last(at) {
		return fmt.Errorf("%w: found version %d, version %d had been answered", ErrLost, i, h.last(at))
	}
	return fmt.Errorf("%w: found %.80q", ErrNeverStored, found)
}
