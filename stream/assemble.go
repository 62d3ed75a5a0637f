package stream

import (
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
)

// assembler turns the H.264 buffers of a camera or an encoder into access units. It copies the payload once, into the
// pool, and allocates nothing in steady state. One goroutine uses it.
//
// What it gives out begins with an IDR; each IDR has its parameter sets in front. What it can't use it counts.
type assembler struct {
	pool   *h264.Pool
	faults *faults
	mark   stamper // nil: no stamp

	sets    paramSets
	changed bool // a parameter set changed: the caller looks and clears it
	begun   bool
	lost    uint32   // pictures missing in front of the next access unit
	nalus   [][]byte // scratch: what the buffer holds
	out     [][]byte // scratch: what the access unit shall hold
	seen    contents // of the buffer at hand
	stamp   []byte   // scratch: the SEI NAL unit
}

// stamper appends an SEI NAL unit that tells frame number and capture time of a picture.
type stamper func(dst []byte, frame uint64, pts time.Duration) []byte

// contents says what kinds of NAL units a buffer holds.
type contents struct{ slice, idr, sps, pps bool }

// unit returns the access unit that the frame holds, nil if there is none to give out.
func (a *assembler) unit(f hal.Frame) *h264.AccessUnit {
	a.lost += f.Lost
	a.faults.add(faultLost, uint64(f.Lost))
	if !a.split(f) {
		a.lost++
		return nil
	}
	if !a.seen.slice {
		return nil
	}
	if !a.begun && !(a.seen.idr && a.sets.complete()) {
		a.faults.add(faultNotDecodable, 1)
		return nil
	}
	a.compose(f)
	au := a.pool.Copy(a.out...)
	au.PTS, au.Frame, au.Lost, au.IDR = f.PTS, f.Seq, a.lost, a.seen.idr
	if !a.begun {
		au.Lost = 0 // nothing is missing before the first one
	}
	a.begun, a.lost = true, 0
	return au
}

// split finds the NAL units and learns the parameter sets; false: the buffer holds nothing of use.
func (a *assembler) split(f hal.Frame) bool {
	switch {
	case len(f.Data) == 0:
		a.faults.add(faultEmpty, 1)
		return false
	case f.Corrupt:
		a.faults.add(faultCorrupt, 1)
		return false
	}
	a.nalus = h264.SplitAnnexB(a.nalus[:0], f.Data)
	if len(a.nalus) == 0 {
		a.faults.add(faultNoStartCode, 1)
		return false
	}
	a.seen = contents{}
	kept := a.nalus[:0]
	for _, u := range a.nalus {
		if a.keep(u) {
			kept = append(kept, u)
		}
	}
	a.nalus = kept
	if a.seen == (contents{}) {
		a.faults.add(faultNoPicture, 1)
		return false
	}
	return true
}

// keep notes what a NAL unit is and says whether it goes on.
func (a *assembler) keep(u []byte) bool {
	switch t := h264.TypeOf(u); {
	case u[0]&0x80 != 0: // forbidden_zero_bit
		return false
	case t.VCL():
		a.seen.slice = true
		a.seen.idr = a.seen.idr || t == h264.NALIDR
	case t == h264.NALSPS, t == h264.NALPPS:
		changed, err := a.sets.learn(u)
		if err != nil {
			a.faults.add(faultBadParams, 1)
			return false
		}
		a.changed = a.changed || changed
		a.seen.sps = a.seen.sps || t == h264.NALSPS
		a.seen.pps = a.seen.pps || t == h264.NALPPS
	case t == h264.NALAUD, t == h264.NALFiller, t == h264.NALEndOfSequence, t == h264.NALEndOfStream, t == 0:
		return false
	}
	return true
}

// compose lays out the access unit: parameter sets in front of an IDR that lacks one, the stamp before the first slice.
func (a *assembler) compose(f hal.Frame) {
	a.out = a.out[:0]
	fill := a.seen.idr && !(a.seen.sps && a.seen.pps)
	if fill {
		a.out = a.sets.appendTo(a.out)
	}
	stamped := a.mark == nil
	for _, u := range a.nalus {
		t := h264.TypeOf(u)
		if fill && (t == h264.NALSPS || t == h264.NALPPS) {
			continue
		}
		if !stamped && t.VCL() {
			stamped = true
			a.stamp = a.mark(a.stamp[:0], uint64(f.Seq), f.PTS)
			a.out = append(a.out, a.stamp)
		}
		a.out = append(a.out, u)
	}
}
