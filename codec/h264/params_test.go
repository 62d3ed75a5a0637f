package h264

import (
	"bytes"
	"testing"
)

func TestParams(t *testing.T) {
	t.Parallel()
	p := Params{SPS: fromHex(t, "6742c01ed903c56840000003004000000c03c58b92"), PPS: fromHex(t, "68cb83cb20")}
	const sprop = "Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuDyyA="
	if got := p.SpropParameterSets(); got != sprop {
		t.Errorf("got %s", got)
	}
	if got := p.ProfileLevelID(); got != "42c01e" {
		t.Errorf("got %s", got)
	}
	back, err := ParseSpropParameterSets(sprop + ", aMuD")
	if err != nil || !back.Equal(p) {
		t.Errorf("got %x, %v", back, err)
	}
	if _, err := ParseSpropParameterSets("Z0LAH,"); err == nil {
		t.Error("bad base64 passes")
	}
	if got := ProfileLevelID([]byte{0x67, 1}); got != "" {
		t.Errorf("short SPS: %q", got)
	}
}

func TestFindParams(t *testing.T) {
	t.Parallel()
	au := units("\x09\xf0", "\x67\x42", "\x68\xce", "\x65\x88")
	p := FindParams(au)
	c := p.Clone()
	if !p.Complete() || !bytes.Equal(p.SPS, au[1]) || !bytes.Equal(p.PPS, au[2]) || !c.Equal(p) || !HasIDR(au) {
		t.Errorf("got %x", p)
	}
	if c.SPS[0] = 0; p.SPS[0] == 0 {
		t.Error("the clone shares memory")
	}
	if p := FindParams(au[3:]); p.Complete() || HasIDR(au[:3]) {
		t.Errorf("got %x", p)
	}
}
