package stream

import (
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/h264"
)

func TestParamSets(t *testing.T) {
	t.Parallel()
	var p paramSets
	step := func(nalu string, changed, good, complete bool) {
		t.Helper()
		got, err := p.learn([]byte(nalu))
		if got != changed || (err == nil) != good || p.complete() != complete {
			t.Errorf("%x: changed %v, %v, complete %v", nalu[:2], got, err, p.complete())
		}
	}
	step(pps, true, true, false)
	step(sps720, true, true, true)
	step(sps720, false, true, true)
	step("\x67\x42", false, false, true)
	step(sps360, true, true, true)
	if all := p.appendTo(nil); len(all) != 2 || string(all[0]) != sps360 || string(all[1]) != pps {
		t.Errorf("kept %q: want the newest of each id", all)
	}
	for id := range 3 * maxParamSets { // pic_parameter_set_id counted up, as ue(v)
		p.learn(ppsWithID(id))
	}
	if all := p.appendTo(nil); len(all) != 1+maxParamSets {
		t.Errorf("kept %d", len(all))
	}
}

// ppsWithID writes a PPS: id, SPS 0, CAVLC, one slice group and no more than the defaults.
func ppsWithID(id int) []byte {
	bits := ue(id) + ue(0) + "0" + "0" + ue(0) + ue(0) + ue(0) + "0" + "00" + ue(0) + ue(0) + ue(0) + "0" + "0" + "0" + "1"
	bits += strings.Repeat("0", (8-len(bits)%8)%8)
	b := []byte{0x68}
	for i := 0; i < len(bits); i += 8 {
		var v byte
		for _, c := range bits[i : i+8] {
			v = v<<1 | byte(c-'0')
		}
		b = append(b, v)
	}
	return b
}

// ue codes v as Exp-Golomb (H.264 9.1), in letters 0 and 1.
func ue(v int) string {
	s := ""
	for n := v + 1; n > 0; n /= 2 {
		s = string(rune('0'+n%2)) + s
	}
	return strings.Repeat("0", len(s)-1) + s
}

func TestGenerationIgnoresIDs(t *testing.T) {
	t.Parallel()
	h := NewHub("main", HubOptions{})
	var pool h264.Pool
	publish := func(sps string, pps []byte, want uint64) {
		t.Helper()
		au := pool.Copy([]byte(sps), pps, []byte(idr))
		au.IDR = true
		h.Publish(au)
		got, err := h.Params(t.Context())
		if err != nil || got.Generation != want || string(got.SPS) != sps || string(got.PPS) != string(pps) {
			t.Errorf("got generation %d, %v, want %d", got.Generation, err, want)
		}
	}
	publish(sps720, ppsWithID(0), 1)
	publish(sps720, ppsWithID(1), 1)
	publish(sps360, ppsWithID(2), 2)
	publish(sps720, ppsWithID(2), 3)
}
