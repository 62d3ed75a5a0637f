package h264

// sarTable holds the sample aspect ratios of aspect_ratio_idc 1 to 16 (table E-1).
var sarTable = [...][2]uint16{
	{1, 1}, {12, 11}, {10, 11}, {16, 11}, {40, 33}, {24, 11}, {20, 11}, {32, 11}, {80, 33}, {18, 11}, {15, 11},
	{64, 33}, {160, 99}, {4, 3}, {3, 2}, {2, 1},
}

// readVUI reads the VUI parameters (E.1.1). Where the bits end too early, what was read before counts.
func readVUI(r *bitReader) VUI {
	var v VUI
	v.readPicture(r)
	if timing := r.flag(); timing {
		units, scale := r.u(32), r.u(32)
		fixed := r.flag()
		if r.bad {
			return v
		}
		v.NumUnitsInTick, v.TimeScale, v.FixedFrameRate = units, scale, fixed
	}
	nal := r.flag()
	if nal {
		skipHRD(r)
	}
	vcl := r.flag()
	if vcl {
		skipHRD(r)
	}
	if nal || vcl {
		r.flag() // low_delay_hrd_flag
	}
	v.PicStruct = r.flag()
	if r.flag() {
		v.readRestriction(r)
	}
	return v
}

func (v *VUI) readPicture(r *bitReader) {
	if r.flag() { // aspect_ratio_info_present_flag
		switch idc := r.u(8); {
		case idc == 255:
			v.SARWidth, v.SARHeight = uint16(r.u(16)), uint16(r.u(16))
		case idc >= 1 && int(idc) <= len(sarTable):
			v.SARWidth, v.SARHeight = sarTable[idc-1][0], sarTable[idc-1][1]
		}
	}
	if r.flag() { // overscan_info_present_flag
		r.flag()
	}
	if r.flag() { // video_signal_type_present_flag
		r.u(3)
		v.FullRange = r.flag()
		if r.flag() {
			r.u(24)
		}
	}
	if r.flag() { // chroma_loc_info_present_flag
		r.ue()
		r.ue()
	}
}

// skipHRD passes the hypothetical reference decoder's parameters (E.1.2).
func skipHRD(r *bitReader) {
	n := r.ue()
	if n > 31 {
		r.bad = true
		return
	}
	r.u(8)
	for range n + 1 {
		r.ue()
		r.ue()
		r.flag()
	}
	r.u(20)
}

func (v *VUI) readRestriction(r *bitReader) {
	r.flag() // motion_vectors_over_pic_boundaries_flag
	for range 4 {
		r.ue()
	}
	reorder, buffering := r.ue(), r.ue()
	if r.bad || reorder > 16 || buffering > 16 || reorder > buffering {
		return
	}
	v.BitstreamRestriction = true
	v.MaxReorderFrames, v.MaxDecFrameBuffering = int(reorder), int(buffering)
}
