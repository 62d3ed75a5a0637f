package h264

import "testing"

// slice is testSlice by a short name.
func slice(h SliceHeader) []byte { return testSlice(h) }

func TestBoundary(t *testing.T) {
	t.Parallel()
	sps, pps, pps1 := testSPS(0, false), testPPS(0, false, false), testPPS(1, false, false)
	sei, aud := []byte{6, 1, 1, 0, 0x80}, []byte{9, 0xf0}
	idr := SliceHeader{IDR: true, Type: SliceI, RefIDC: 3}
	p1 := SliceHeader{Type: SliceP, RefIDC: 2, FrameNum: 1, POCLSB: 4}
	with := func(h SliceHeader, change func(*SliceHeader)) []byte { change(&h); return slice(h) }
	type step struct {
		nalu  []byte
		first bool
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"one slice a picture", []step{{sps, true}, {pps, false}, {slice(idr), false}, {slice(p1), true}}},
		{"several slices", []step{{sps, true}, {pps, false}, {slice(idr), false},
			{with(idr, func(h *SliceHeader) { h.FirstMB = 40 }), false},
			{with(idr, func(h *SliceHeader) { h.FirstMB = 80 }), false},
			{slice(p1), true}, {with(p1, func(h *SliceHeader) { h.FirstMB = 7 }), false}}},
		{"slices of both kinds", []step{{sps, true}, {pps, false}, {slice(p1), false},
			{with(p1, func(h *SliceHeader) { h.FirstMB, h.Type = 40, SliceB }), false}}},
		{"B-frames by order count", []step{{sps, true}, {pps, false}, {slice(idr), false}, {slice(p1), true},
			{with(p1, func(h *SliceHeader) { h.Type, h.RefIDC, h.FrameNum, h.POCLSB = SliceB, 0, 2, 2 }), true},
			{with(p1, func(h *SliceHeader) { h.Type, h.RefIDC, h.FrameNum, h.POCLSB, h.FirstMB = SliceB, 0, 2, 3, 5 }), true}}},
		{"delimiters", []step{{aud, true}, {sps, false}, {pps, false}, {sei, false}, {slice(idr), false},
			{aud, true}, {slice(p1), false}, {aud, true}}},
		{"SEI begins", []step{{sps, true}, {pps, false}, {sei, false}, {slice(idr), false}, {sei, true}, {sei, false}, {slice(p1), false}}},
		{"two IDR pictures", []step{{sps, true}, {pps, false}, {slice(idr), false},
			{with(idr, func(h *SliceHeader) { h.IDRPicID, h.FirstMB = 1, 1 }), true}}},
		{"two IDR pictures with one id", []step{{sps, true}, {pps, false}, {slice(idr), false}, {slice(idr), true}}},
		{"another PPS", []step{{sps, true}, {pps, false}, {pps1, false}, {slice(p1), false},
			{with(p1, func(h *SliceHeader) { h.PPSID, h.FirstMB = 1, 9 }), true}}},
		{"reference or not", []step{{sps, true}, {pps, false}, {slice(p1), false},
			{with(p1, func(h *SliceHeader) { h.RefIDC, h.FirstMB = 1, 9 }), false},
			{with(p1, func(h *SliceHeader) { h.RefIDC, h.FirstMB = 0, 9 }), true}}},
		{"no parameter sets", []step{{slice(idr), true}, {slice(p1), true},
			{with(p1, func(h *SliceHeader) { h.FirstMB = 9 }), false}, {slice(p1), true}}},
		{"end of sequence", []step{{sps, true}, {pps, false}, {slice(idr), false}, {[]byte{10}, false}, {[]byte{12, 0xff}, true}}},
		{"filler and auxiliary stay", []step{{sps, true}, {pps, false}, {slice(idr), false}, {[]byte{12, 0xff}, false}, {[]byte{19, 0x88}, false}}},
		{"garbage slice stays", []step{{sps, true}, {pps, false}, {slice(idr), false}, {[]byte{1}, false}, {slice(p1), true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b Boundary
			for i, s := range tt.steps {
				if got := b.Starts(s.nalu); got != s.first {
					t.Errorf("NAL unit %d (%v): starts %v", i, TypeOf(s.nalu), got)
				}
			}
		})
	}
}

func TestBoundaryFields(t *testing.T) {
	t.Parallel()
	var b Boundary
	b.Starts(testSPS(0, true))
	b.Starts(testPPS(0, true, true))
	field := func(first, bottom, lsb, redundant uint32) []byte {
		w := new(bitWriter).ue(first, 0, 0).u(4, 1).u(1, 1).u(1, bottom).u(4, lsb).ue(redundant)
		return w.u(8, 0xaa).nalu(0x41)
	}
	for i, s := range []struct {
		nalu  []byte
		first bool
	}{
		{field(0, 0, 2, 0), false}, {field(5, 0, 2, 0), false}, // after the parameter sets: the same access unit
		{field(0, 1, 3, 0), true}, {field(0, 1, 3, 1), false}, {field(7, 1, 3, 0), false}, // a redundant copy stays
		{field(0, 0, 4, 0), true},
	} {
		if got := b.Starts(s.nalu); got != s.first {
			t.Errorf("field slice %d: starts %v", i, got)
		}
	}
}

func TestBoundaryOrderCountType1(t *testing.T) {
	t.Parallel()
	var b Boundary
	b.Starts(testSPS(1, false))
	b.Starts(testPPS(0, false, false))
	with := func(first uint32, delta int32) []byte {
		return new(bitWriter).ue(first, 0, 0).u(4, 1).se(delta).u(8, 0xaa).nalu(0x41)
	}
	for i, s := range []struct {
		nalu  []byte
		first bool
	}{{with(0, 0), false}, {with(3, 0), false}, {with(4, -2), true}} {
		if got := b.Starts(s.nalu); got != s.first {
			t.Errorf("slice %d: starts %v", i, got)
		}
	}
}
