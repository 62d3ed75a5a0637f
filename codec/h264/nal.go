package h264

import "fmt"

// NALType is nal_unit_type (H.264 table 7-1).
type NALType uint8

// The NAL unit types that this program meets.
const (
	NALSlice         NALType = 1 // coded slice of a non-IDR picture
	NALPartitionA    NALType = 2
	NALPartitionB    NALType = 3
	NALPartitionC    NALType = 4
	NALIDR           NALType = 5 // coded slice of an IDR picture
	NALSEI           NALType = 6
	NALSPS           NALType = 7
	NALPPS           NALType = 8
	NALAUD           NALType = 9 // access unit delimiter
	NALEndOfSequence NALType = 10
	NALEndOfStream   NALType = 11
	NALFiller        NALType = 12
	NALSPSExtension  NALType = 13
	NALPrefix        NALType = 14
	NALSubsetSPS     NALType = 15
	NALAuxSlice      NALType = 19
	NALExtension     NALType = 20
)

// TypeOf returns the type of a NAL unit, 0 (unspecified) for an empty one.
func TypeOf(nalu []byte) NALType {
	if len(nalu) == 0 {
		return 0
	}
	return NALType(nalu[0] & 0x1f)
}

// RefIDC returns nal_ref_idc of a NAL unit: 0 means that nothing refers to it.
func RefIDC(nalu []byte) uint8 {
	if len(nalu) == 0 {
		return 0
	}
	return nalu[0] >> 5 & 3
}

// VCL reports whether the NAL unit carries coded picture data of the primary or a redundant picture (table 7-1).
func (t NALType) VCL() bool { return t >= NALSlice && t <= NALIDR }

func (t NALType) String() string {
	switch t {
	case NALSlice:
		return "slice"
	case NALIDR:
		return "IDR slice"
	case NALSEI:
		return "SEI"
	case NALSPS:
		return "SPS"
	case NALPPS:
		return "PPS"
	case NALAUD:
		return "access unit delimiter"
	}
	return fmt.Sprintf("NAL unit type %d", uint8(t))
}

// HasIDR reports whether one of the NAL units is a slice of an IDR picture: decoding can start at this access unit.
func HasIDR(nalus [][]byte) bool {
	for _, u := range nalus {
		if TypeOf(u) == NALIDR {
			return true
		}
	}
	return false
}
