package h264

import "fmt"

// SliceType is slice_type modulo 5 (H.264 table 7-6).
type SliceType uint8

// The slice types.
const (
	SliceP SliceType = iota
	SliceB
	SliceI
	SliceSP
	SliceSI
)

func (t SliceType) String() string {
	if int(t) < len(sliceNames) {
		return sliceNames[t]
	}
	return fmt.Sprintf("slice type %d", uint8(t))
}

var sliceNames = [...]string{"P", "B", "I", "SP", "SI"}

// SliceHeader is the beginning of a slice header (H.264 7.3.3): what tells one picture from the next.
type SliceHeader struct {
	FirstMB   uint32
	Type      SliceType
	PPSID     uint8
	FrameNum  uint32
	Field     bool // field_pic_flag
	Bottom    bool // bottom_field_flag
	IDR       bool // IdrPicFlag
	RefIDC    uint8
	IDRPicID  uint32
	POCLSB    uint32
	DeltaPOC  [2]int32 // [0] is delta_pic_order_cnt_bottom where pic_order_cnt_type is 0
	Redundant uint32   // redundant_pic_cnt; 0 is the primary picture
}

// ParseSliceStart parses the part of a slice header that needs no parameter sets: FirstMB, Type, PPSID, IDR, RefIDC.
func ParseSliceStart(nalu []byte) (SliceHeader, error) {
	h, _, err := readSliceStart(nalu)
	return h, err
}

func readSliceStart(nalu []byte) (SliceHeader, bitReader, error) {
	t := TypeOf(nalu)
	h := SliceHeader{IDR: t == NALIDR, RefIDC: RefIDC(nalu)}
	if t != NALSlice && t != NALIDR && t != NALPartitionA {
		return h, bitReader{}, fmt.Errorf("parse slice: %w: is a %v", ErrInvalid, t)
	}
	r := newBitReader(nalu)
	h.FirstMB = r.ue()
	kind, pps := r.ue(), r.ue()
	if r.bad {
		return h, r, fmt.Errorf("parse slice: %w", ErrTruncated)
	}
	if kind > 9 || pps > 255 {
		return h, r, fmt.Errorf("parse slice: %w: slice_type %d, pic_parameter_set_id %d", ErrInvalid, kind, pps)
	}
	h.Type, h.PPSID = SliceType(kind%5), uint8(pps)
	return h, r, nil
}

// ParseSlice parses a slice header as far as redundant_pic_cnt, with the parameter sets that it refers to.
func ParseSlice(nalu []byte, sps *SPS, pps *PPS) (SliceHeader, error) {
	h, r, err := readSliceStart(nalu)
	if err != nil {
		return h, err
	}
	if sps.SeparatePlanes {
		r.u(2) // colour_plane_id
	}
	h.FrameNum = r.u(sps.FrameNumBits)
	if !sps.FrameMBSOnly {
		if h.Field = r.flag(); h.Field {
			h.Bottom = r.flag()
		}
	}
	if h.IDR {
		h.IDRPicID = r.ue()
	}
	switch {
	case sps.POCType == 0:
		h.POCLSB = r.u(sps.POCLSBBits)
		if pps.BottomFieldPOC && !h.Field {
			h.DeltaPOC[0] = r.se()
		}
	case sps.POCType == 1 && !sps.DeltaPOCZero:
		h.DeltaPOC[0] = r.se()
		if pps.BottomFieldPOC && !h.Field {
			h.DeltaPOC[1] = r.se()
		}
	}
	if pps.RedundantPicCnt {
		h.Redundant = r.ue()
	}
	if r.bad {
		return h, fmt.Errorf("parse slice: %w", ErrTruncated)
	}
	return h, nil
}

// newPicture reports whether b is the first slice of another primary coded picture than a's (7.4.1.2.4).
func newPicture(a, b *SliceHeader) bool {
	return a.FrameNum != b.FrameNum || a.PPSID != b.PPSID || a.Field != b.Field || a.Bottom != b.Bottom ||
		a.RefIDC != b.RefIDC && (a.RefIDC == 0 || b.RefIDC == 0) ||
		a.POCLSB != b.POCLSB || a.DeltaPOC != b.DeltaPOC ||
		a.IDR != b.IDR || a.IDR && a.IDRPicID != b.IDRPicID
}
