package h264

import "fmt"

// PPS is the part of a picture parameter set (H.264 7.3.2.2) that reading slice headers needs.
type PPS struct {
	ID    uint8 // pic_parameter_set_id
	SPSID uint8 // seq_parameter_set_id
	CABAC bool  // entropy_coding_mode_flag
	// BottomFieldPOC is bottom_field_pic_order_in_frame_present_flag: slices of frames carry
	// delta_pic_order_cnt_bottom.
	BottomFieldPOC bool
	// RedundantPicCnt is redundant_pic_cnt_present_flag. It stands behind fields that only small profiles use; where
	// those cannot be passed it is false.
	RedundantPicCnt bool
}

// ParsePPS parses a picture parameter set NAL unit.
func ParsePPS(nalu []byte) (PPS, error) {
	var p PPS
	if t := TypeOf(nalu); t != NALPPS {
		return p, fmt.Errorf("parse PPS: %w: is a %v", ErrInvalid, t)
	}
	r := newBitReader(nalu)
	id, sps := r.ue(), r.ue()
	p.CABAC = r.flag()
	p.BottomFieldPOC = r.flag()
	if r.bad {
		return p, fmt.Errorf("parse PPS: %w", ErrTruncated)
	}
	if id > 255 || sps > 31 {
		return p, fmt.Errorf("parse PPS: %w: ids %d and %d", ErrInvalid, id, sps)
	}
	p.ID, p.SPSID = uint8(id), uint8(sps)
	if err := skipSliceGroups(&r); err != nil {
		return p, fmt.Errorf("parse PPS: %w", err)
	}
	r.ue() // num_ref_idx_l0_default_active_minus1
	r.ue()
	r.u(3) // weighted_pred_flag, weighted_bipred_idc
	r.se() // pic_init_qp_minus26
	r.se()
	r.se()
	r.u(2) // deblocking_filter_control_present_flag, constrained_intra_pred_flag
	p.RedundantPicCnt = r.flag()
	if r.bad {
		return p, fmt.Errorf("parse PPS: %w", ErrTruncated)
	}
	return p, nil
}

// skipSliceGroups passes num_slice_groups_minus1 and what follows it.
func skipSliceGroups(r *bitReader) error {
	groups := r.ue()
	if groups == 0 {
		return nil
	}
	if groups > 7 {
		return fmt.Errorf("%w: %d slice groups", ErrInvalid, uint64(groups)+1)
	}
	switch kind := r.ue(); kind {
	case 0:
		for range groups + 1 {
			r.ue()
		}
	case 1:
	case 2:
		for range 2 * groups {
			r.ue()
		}
	case 3, 4, 5:
		r.flag()
		r.ue()
	case 6:
		return skipSliceGroupIDs(r, groups)
	default:
		return fmt.Errorf("%w: slice_group_map_type %d", ErrInvalid, kind)
	}
	return nil
}

func skipSliceGroupIDs(r *bitReader, groups uint32) error {
	width := 1
	for 1<<width < groups+1 {
		width++
	}
	units := r.ue()
	if units >= maxSide/16*maxSide/16 {
		return fmt.Errorf("%w: %d map units", ErrInvalid, uint64(units)+1)
	}
	for range units + 1 {
		if r.u(width); r.bad {
			return nil
		}
	}
	return nil
}
