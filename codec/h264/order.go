package h264

// order follows the decoding order of a stream and finds each picture's place in it and in the order of display.
type order struct {
	boundary Boundary
	turn     int64 // halves of a frame up to here
	base     int64 // turn of the last IDR picture
	prevMSB  int64 // PicOrderCntMsb and pic_order_cnt_lsb of the last reference picture (8.2.1.1)
	prevLSB  int64
}

// place is where a picture stands, in halves of a frame: turn in decoding order, base+poc (scaled) in display order.
type place struct {
	turn, base int64
	poc        int32
	field      bool
}

func (o *order) place(nalus [][]byte) place {
	for _, u := range nalus {
		o.boundary.Starts(u)
	}
	h := o.boundary.first
	sps := &o.boundary.sps[o.boundary.pps[h.PPSID].SPSID]
	if h.IDR {
		o.base, o.prevMSB, o.prevLSB = o.turn, 0, 0
	}
	p := place{turn: o.turn, base: o.base, field: h.Field}
	switch {
	case !sps.known || sps.POCType != 0: // type 2 shows in decoding order; type 1 is not met in practice
		p.poc = int32(min(o.turn-o.base, 1<<30))
	default:
		p.poc = o.count(&h, int64(1)<<sps.POCLSBBits)
		if !h.Field { // a frame stands where the earlier of its fields does (8-1)
			p.poc += min(h.DeltaPOC[0], 0)
		}
	}
	o.turn++
	if !h.Field {
		o.turn++
	}
	return p
}

// count returns the picture order count of a picture of pic_order_cnt_type 0 (8.2.1.1).
func (o *order) count(h *SliceHeader, limit int64) int32 {
	lsb, msb := int64(h.POCLSB), o.prevMSB
	switch {
	case lsb < o.prevLSB && o.prevLSB-lsb >= limit/2:
		msb += limit
	case lsb > o.prevLSB && lsb-o.prevLSB > limit/2:
		msb -= limit
	}
	if h.RefIDC != 0 {
		o.prevMSB, o.prevLSB = msb, lsb
	}
	return int32(msb + lsb)
}
