// Package manifest is what a publisher says of a release, in the custom part of its target (TUF 1.0, 4.5), and what a
// camera makes of it: whether the release is for this camera, and whether now.
//
//	"custom": {"ocellus": {
//	  "format": 1,                        another one is refused
//	  "kind": "slot",                     an image of a whole slot
//	  "compatible": ["rpi4"],             for these boards and no other, as their systems name themselves
//	  "slot": "fit-squashfs",             how the slot is laid out
//	  "version": "1.4.0",
//	  "min_floor": "1.3.0",               optional: once this release is confirmed no older one is installed
//	  "bootloader": "2023.1.0",           optional: the oldest boot loader that can boot it
//	  "storage": {"kinds": ["block"], "slot_bytes": 25165824},     optional: what the slot must lie on, and hold
//	  "needs": ["word"],                  optional: what a camera must know to install it
//	  "size": 20861952, "sha256": "...",  of the slot's image, which is the target itself
//	  "segments": ["...", ...],           SHA-256 of every MiB of it, the last one shorter
//	  "notes": "text", "severity": "routine", "downtime_s": 40,
//	  "deltas": [{"source": "sha256 of the slot's image", "source_size": 20824064, "target": "name", "segments": [...]}],
//	  "rollout": {"share": 100, "start": "2026-12-01T08:00:00Z", "halt": false}}}
//
// Unknown members are let be, so that a later publisher can say more; what an older camera must not overlook stands in
// "needs". Everything known is typed and bounded.
package manifest

import (
	"crypto/sha256"
	"time"
)

// Segment is how many bytes one segment hash covers.
const Segment = 1 << 20

// Bounds of a release.
const (
	MaxSegments = 1024 // 1 GiB
	maxNotes    = 4096 // bytes
	maxWord     = 64   // bytes of a word
	maxName     = 200  // bytes of a target's name
	maxWords    = 16   // in a list
	maxDeltas   = 16
	maxDowntime = time.Hour
)

// AllShare is the share of a rollout that is everybody: it is counted in ten thousandths.
const AllShare = 10000

// Sum is a SHA-256.
type Sum [sha256.Size]byte

// Severity says how much a release matters to the owner.
type Severity string

// The severities.
const (
	Routine   Severity = "routine"
	Important Severity = "important"
	Security  Severity = "security"
)

// Release is what is said of a release, read.
type Release struct {
	Target     string // the name of its target
	Compatible []string
	Slot       string
	Version    Version
	MinFloor   Version // zero: the floor stays
	Bootloader Version // zero: any
	Storage    Storage
	Needs      []string
	Size       int64 // bytes
	Sum        Sum
	Segments   []Sum
	Notes      string
	Severity   Severity
	Downtime   time.Duration // expected, whole seconds
	Deltas     []Delta
	Rollout    Rollout
}

// Storage is what a slot must be. The zero value asks for nothing beyond the size of the image.
type Storage struct {
	Kinds     []string // block, nor, nand; empty: any
	SlotBytes int64    // at least
}

// Delta is another target, which makes the image of the release out of a slot that has a certain content.
type Delta struct {
	Source     Sum    // of the slot's image that it starts from
	SourceSize int64  // bytes of that image; 0: not told, so nobody can look whether a slot holds it
	Target     string // its name
	Segments   []Sum  // of the delta, as those of the image
}

// Rollout says who may install a release, and from when on.
type Rollout struct {
	Share int       // of the cameras, in ten thousandths
	Start time.Time // zero: at once
	Halt  bool      // nobody any more
}

// DeltaFrom returns the delta that starts from a slot's content.
func (r Release) DeltaFrom(source Sum) (d Delta, ok bool) {
	for _, d := range r.Deltas {
		if d.Source == source {
			return d, true
		}
	}
	return Delta{}, false
}

// segments is how many segments so many bytes have.
func segments(size int64) int64 { return (size + Segment - 1) / Segment }
