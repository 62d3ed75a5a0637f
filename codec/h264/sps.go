package h264

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
)

// maxSide bounds width and height in pixels: twice what level 6.2 allows, so that no size overflows.
const maxSide = 16384 * 2

// ErrInvalid: a parameter set says what the standard forbids.
var ErrInvalid = errors.New("invalid")

// SPS is what a sequence parameter set (H.264 7.3.2.1.1) says and this program needs.
type SPS struct {
	Profile     uint8 // profile_idc: 66 Baseline, 77 Main, 100 High
	Constraints uint8 // constraint_set0..5_flag in the upper bits, as the byte in the stream
	Level       uint8 // level_idc: 31 is level 3.1
	ID          uint8

	ChromaFormat   uint8 // chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4
	SeparatePlanes bool  // separate_colour_plane_flag
	BitDepthLuma   uint8
	BitDepthChroma uint8

	Width, Height int  // in pixels, cropping applied
	FrameMBSOnly  bool // frames only: no field coding
	MaxRefFrames  int
	FrameNumBits  int // log2_max_frame_num
	POCType       uint8
	POCLSBBits    int // log2_max_pic_order_cnt_lsb, POCType 0
	DeltaPOCZero  bool
	VUI           VUI
}

// VUI is the part of the video usability information (H.264 annex E) that this program needs. A zero field means that
// the stream does not say.
type VUI struct {
	SARWidth, SARHeight  uint16 // sample aspect ratio
	FullRange            bool
	NumUnitsInTick       uint32
	TimeScale            uint32
	FixedFrameRate       bool
	PicStruct            bool // pic_struct_present_flag: SEI picture timing carries pic_struct
	BitstreamRestriction bool
	MaxReorderFrames     int // max_num_reorder_frames, if BitstreamRestriction
	MaxDecFrameBuffering int
}

// ParseSPS parses a sequence parameter set NAL unit.
func ParseSPS(nalu []byte) (SPS, error) {
	var s SPS
	if t := TypeOf(nalu); t != NALSPS {
		return s, fmt.Errorf("parse SPS: %w: is a %v", ErrInvalid, t)
	}
	r := newBitReader(nalu)
	s.Profile, s.Constraints, s.Level = uint8(r.u(8)), uint8(r.u(8)), uint8(r.u(8))
	id := r.ue()
	s.ID = uint8(id & 31)
	if err := s.readChroma(&r); err != nil {
		return s, fmt.Errorf("parse SPS: %w", err)
	}
	if err := s.readOrder(&r); err != nil {
		return s, fmt.Errorf("parse SPS: %w", err)
	}
	if err := s.readSize(&r); err != nil {
		return s, fmt.Errorf("parse SPS: %w", err)
	}
	if r.bad {
		return s, fmt.Errorf("parse SPS: %w", ErrTruncated)
	}
	if id > 31 {
		return s, fmt.Errorf("parse SPS: %w: seq_parameter_set_id %d", ErrInvalid, id)
	}
	// Cameras are known whose SPS ends in the middle of the VUI: what comes before is still good.
	if r.flag() {
		s.VUI = readVUI(&r)
	}
	return s, nil
}

// hasChroma reports whether the profile's SPS carries chroma_format_idc (7.3.2.1.1).
func hasChroma(profile uint8) bool {
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		return true
	}
	return false
}

func (s *SPS) readChroma(r *bitReader) error {
	s.ChromaFormat, s.BitDepthLuma, s.BitDepthChroma = 1, 8, 8
	if !hasChroma(s.Profile) {
		return nil
	}
	chroma := r.ue()
	if chroma > 3 {
		return fmt.Errorf("%w: chroma_format_idc %d", ErrInvalid, chroma)
	}
	s.ChromaFormat = uint8(chroma)
	if chroma == 3 {
		s.SeparatePlanes = r.flag()
	}
	luma, chr := r.ue(), r.ue()
	if luma > 6 || chr > 6 {
		return fmt.Errorf("%w: bit depths %d and %d", ErrInvalid, uint64(luma)+8, uint64(chr)+8)
	}
	s.BitDepthLuma, s.BitDepthChroma = uint8(luma)+8, uint8(chr)+8
	r.flag() // qpprime_y_zero_transform_bypass_flag
	if r.flag() {
		skipScalingMatrix(r, s.ChromaFormat)
	}
	return nil
}

// skipScalingMatrix passes the scaling lists (7.3.2.1.1.1).
func skipScalingMatrix(r *bitReader, chroma uint8) {
	lists := 8
	if chroma == 3 {
		lists = 12
	}
	for i := range lists {
		if !r.flag() {
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		last, next := int32(8), int32(8)
		for range size {
			if next != 0 {
				next = (last + r.se() + 256) & 255
			}
			if next != 0 {
				last = next
			}
		}
	}
}

func (s *SPS) readOrder(r *bitReader) error {
	frameNum := r.ue()
	if frameNum > 12 {
		return fmt.Errorf("%w: log2_max_frame_num_minus4 %d", ErrInvalid, frameNum)
	}
	s.FrameNumBits = int(frameNum) + 4
	poc := r.ue()
	switch poc {
	case 0:
		lsb := r.ue()
		if lsb > 12 {
			return fmt.Errorf("%w: log2_max_pic_order_cnt_lsb_minus4 %d", ErrInvalid, lsb)
		}
		s.POCLSBBits = int(lsb) + 4
	case 1:
		s.DeltaPOCZero = r.flag()
		r.se()
		r.se()
		n := r.ue()
		if n > 255 {
			return fmt.Errorf("%w: %d reference frames in the order count cycle", ErrInvalid, n)
		}
		for range n {
			r.se()
		}
	case 2:
	default:
		return fmt.Errorf("%w: pic_order_cnt_type %d", ErrInvalid, poc)
	}
	s.POCType = uint8(poc)
	refs := r.ue()
	if refs > 16 {
		return fmt.Errorf("%w: max_num_ref_frames %d", ErrInvalid, refs)
	}
	s.MaxRefFrames = int(refs)
	r.flag() // gaps_in_frame_num_value_allowed_flag
	return nil
}

func (s *SPS) readSize(r *bitReader) error {
	w, h := uint64(r.ue())+1, uint64(r.ue())+1
	s.FrameMBSOnly = r.flag()
	if !s.FrameMBSOnly {
		h *= 2
		r.flag() // mb_adaptive_frame_field_flag
	}
	r.flag() // direct_8x8_inference_flag
	w, h = w*16, h*16
	if w > maxSide || h > maxSide {
		return fmt.Errorf("%w: %dx%d pixels", ErrInvalid, w, h)
	}
	s.Width, s.Height = int(w), int(h)
	if !r.flag() {
		return nil
	}
	left, right, top, bottom := r.ue(), r.ue(), r.ue(), r.ue()
	unitX, unitY := s.cropUnits()
	cropW, cropH := (uint64(left)+uint64(right))*unitX, (uint64(top)+uint64(bottom))*unitY
	if cropW >= w || cropH >= h {
		return fmt.Errorf("%w: cropping %dx%d of %dx%d", ErrInvalid, cropW, cropH, w, h)
	}
	s.Width, s.Height = int(w-cropW), int(h-cropH)
	return nil
}

// cropUnits returns CropUnitX and CropUnitY (7-19 to 7-22).
func (s *SPS) cropUnits() (x, y uint64) {
	x, y = 1, 1
	if !s.SeparatePlanes {
		if s.ChromaFormat == 1 || s.ChromaFormat == 2 {
			x = 2
		}
		if s.ChromaFormat == 1 {
			y = 2
		}
	}
	if !s.FrameMBSOnly {
		y *= 2
	}
	return x, y
}

// FrameRate returns the nominal picture rate num/den in frames per second, reduced; 0, 0 if the stream does not say.
func (s *SPS) FrameRate() (num, den uint32) {
	n, d := uint64(s.VUI.TimeScale), 2*uint64(s.VUI.NumUnitsInTick)
	if n == 0 || d == 0 {
		return 0, 0
	}
	a, b := n, d
	for b != 0 {
		a, b = b, a%b
	}
	if n/a > math.MaxUint32 || d/a > math.MaxUint32 {
		return 0, 0
	}
	return uint32(n / a), uint32(d / a)
}

// ProfileLevelID returns the six hexadecimal digits that SDP calls profile-level-id (RFC 6184 8.1), "" if the NAL unit
// is too short to be an SPS.
func ProfileLevelID(sps []byte) string {
	if len(sps) < 4 {
		return ""
	}
	return hex.EncodeToString(sps[1:4])
}

// ProfileName returns the name of the profile in words, for people.
func (s *SPS) ProfileName() string {
	switch s.Profile {
	case 66:
		if s.Constraints&0x40 != 0 {
			return "Constrained Baseline"
		}
		return "Baseline"
	case 77:
		return "Main"
	case 88:
		return "Extended"
	case 100:
		return "High"
	case 110:
		return "High 10"
	case 122:
		return "High 4:2:2"
	case 244:
		return "High 4:4:4 Predictive"
	}
	return fmt.Sprintf("profile %d", s.Profile)
}
