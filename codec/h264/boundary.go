package h264

// Boundary finds where access units begin in a sequence of NAL units (H.264 7.4.1.2.3 and 7.4.1.2.4). It learns the
// parameter sets as they pass by. The zero Boundary is ready; it allocates nothing.
type Boundary struct {
	sps [32]struct {
		SPS
		known bool
	}
	pps [256]struct {
		PPS
		known bool
	}
	open  bool // an access unit has begun
	vcl   bool // it has a slice of its primary picture already
	ended bool // an end of sequence or of stream closed it
	first SliceHeader
	// origin: a slice with first_mb_in_slice 0 was seen in this picture. No second one can belong to it.
	origin bool
}

// Starts reports whether nalu, the next one in decoding order, is the first of an access unit.
func (b *Boundary) Starts(nalu []byte) bool {
	switch t := TypeOf(nalu); {
	case t == NALSPS:
		b.learnSPS(nalu)
		return b.starts(b.vcl)
	case t == NALPPS:
		b.learnPPS(nalu)
		return b.starts(b.vcl)
	case t == NALAUD, t == NALSEI, t >= NALPrefix && t <= 18:
		return b.starts(b.vcl)
	case t == NALEndOfSequence, t == NALEndOfStream:
		first := b.starts(false)
		b.ended = true
		return first
	case t == NALSlice, t == NALIDR, t == NALPartitionA:
		return b.slice(nalu)
	}
	return b.starts(false)
}

// starts closes the access unit before if fresh says so, or if there is none or it has ended.
func (b *Boundary) starts(fresh bool) bool {
	if b.open && !b.ended && !fresh {
		return false
	}
	b.open, b.ended, b.vcl, b.origin = true, false, false, false
	return true
}

func (b *Boundary) slice(nalu []byte) bool {
	h, planes, ok := b.header(nalu)
	fresh := false
	if b.vcl && ok && h.Redundant == 0 {
		again := h.FirstMB == 0 && b.origin && !planes
		fresh = again || newPicture(&b.first, &h)
	}
	first := b.starts(fresh)
	if ok && h.Redundant == 0 {
		if !b.vcl {
			b.first = h
		}
		b.origin = b.origin || h.FirstMB == 0
	}
	b.vcl = true
	return first
}

// header reads the slice header as far as the known parameter sets allow; planes: three slices may begin at 0.
func (b *Boundary) header(nalu []byte) (h SliceHeader, planes, ok bool) {
	h, err := ParseSliceStart(nalu)
	if err != nil {
		return h, false, false
	}
	pps := &b.pps[h.PPSID]
	sps := &b.sps[pps.SPSID]
	if !pps.known || !sps.known {
		return h, false, true
	}
	full, err := ParseSlice(nalu, &sps.SPS, &pps.PPS)
	if err != nil {
		return h, sps.SeparatePlanes, true
	}
	return full, sps.SeparatePlanes, true
}

func (b *Boundary) learnSPS(nalu []byte) {
	if s, err := ParseSPS(nalu); err == nil {
		b.sps[s.ID].SPS, b.sps[s.ID].known = s, true
	}
}

func (b *Boundary) learnPPS(nalu []byte) {
	if p, err := ParsePPS(nalu); err == nil {
		b.pps[p.ID].PPS, b.pps[p.ID].known = p, true
	}
}
