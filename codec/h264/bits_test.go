package h264

// bitWriter writes what bitReader reads: the tests make parameter sets and slices with it.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) u(n int, v uint32) *bitWriter {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[len(w.b)-1] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
	return w
}

func (w *bitWriter) ue(values ...uint32) *bitWriter {
	for _, v := range values {
		n := 0
		for (v+1)>>n > 1 {
			n++
		}
		w.u(n, 0).u(n+1, v+1)
	}
	return w
}

func (w *bitWriter) se(v int32) *bitWriter {
	if v > 0 {
		return w.ue(uint32(2*v - 1))
	}
	return w.ue(uint32(-2 * v))
}

// nalu ends the payload and returns the NAL unit.
func (w *bitWriter) nalu(header byte) []byte {
	w.u(1, 1)
	return Escape([]byte{header}, w.b)
}

// testSPS is a Main profile SPS of 320x240 with 4-bit frame_num and pic_order_cnt_lsb; interlaced allows fields.
func testSPS(pocType uint32, interlaced bool) []byte {
	w := new(bitWriter).u(8, 77).u(8, 0).u(8, 30).ue(0, 0, pocType)
	if pocType == 0 {
		w.ue(0)
	}
	if pocType == 1 {
		w.u(1, 0).se(0).se(0).ue(0)
	}
	w.ue(1).u(1, 0).ue(19)
	if interlaced {
		w.ue(7).u(2, 0)
	} else {
		w.ue(14).u(1, 1)
	}
	return w.u(1, 1).u(2, 0).nalu(0x67)
}

func testPPS(id uint32, bottomPOC, redundant bool) []byte {
	w := new(bitWriter).ue(id, 0).u(1, 0).u(1, bit(bottomPOC)).ue(0, 0, 0).u(3, 0).se(0).se(0).se(0)
	return w.u(2, 0).u(1, bit(redundant)).nalu(0x68)
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// testSlice writes the fields that a slice header of testSPS(0, false) with testPPS(pps, false, false) has.
func testSlice(h SliceHeader) []byte {
	header := byte(NALSlice)
	if h.IDR {
		header = byte(NALIDR)
	}
	w := new(bitWriter).ue(h.FirstMB, uint32(h.Type), uint32(h.PPSID)).u(4, h.FrameNum)
	if h.IDR {
		w.ue(h.IDRPicID)
	}
	return w.u(4, h.POCLSB).u(16, 0xabcd).nalu(header | h.RefIDC<<5)
}
