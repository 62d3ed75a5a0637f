package stream

import (
	"bytes"
	"slices"

	"github.com/ocellus/ocellus/codec/h264"
)

// maxParamSets bounds how many parameter sets of a kind are kept: cameras have one.
const maxParamSets = 8

// paramSets holds copies of the parameter sets that a stream has shown, so that they can be put in front of an IDR
// that comes without. The zero value is ready.
type paramSets struct{ sps, pps []paramSet }

type paramSet struct {
	id   uint8
	nalu []byte
}

// learn takes over a parameter set. It allocates nothing where it is known already.
func (p *paramSets) learn(nalu []byte) (changed bool, err error) {
	list, id := &p.sps, func() (uint8, error) { s, err := h264.ParseSPS(nalu); return s.ID, err }
	if h264.TypeOf(nalu) == h264.NALPPS {
		list, id = &p.pps, func() (uint8, error) { s, err := h264.ParsePPS(nalu); return s.ID, err }
	}
	for _, known := range *list {
		if bytes.Equal(known.nalu, nalu) {
			return false, nil
		}
	}
	n, err := id()
	if err != nil {
		return false, err
	}
	for i := range *list {
		if (*list)[i].id == n {
			(*list)[i].nalu = bytes.Clone(nalu)
			return true, nil
		}
	}
	if len(*list) == maxParamSets { // an encoder that counts its ids up: the oldest is of no use any more
		*list = slices.Delete(*list, 0, 1)
	}
	*list = append(*list, paramSet{n, bytes.Clone(nalu)})
	return true, nil
}

// complete reports whether there is one of each kind.
func (p *paramSets) complete() bool { return len(p.sps) > 0 && len(p.pps) > 0 }

// appendTo appends all of them, SPS first.
func (p *paramSets) appendTo(dst [][]byte) [][]byte {
	for _, s := range p.sps {
		dst = append(dst, s.nalu)
	}
	for _, s := range p.pps {
		dst = append(dst, s.nalu)
	}
	return dst
}
