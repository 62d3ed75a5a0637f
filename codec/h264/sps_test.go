package h264

import (
	"encoding/hex"
	"errors"
	"testing"

	mc "github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// goldenSPS are parameter sets as encoders and cameras in the field send them.
var goldenSPS = []struct {
	name, hex     string
	profile       string
	levelID       string
	width, height int
	num, den      uint32
	reorder       int
}{
	{"x264 high, B-frames, cropped", "6764000dacd941519e226c04400000fa40003a9823c50a6580", "High", "64000d", 322, 182, 30000, 1001, 2},
	{"x264 baseline, cropped", "6742c00dd901519e226c04400000fa40003a9803c50a92", "Constrained Baseline", "42c00d", 322, 182, 30000, 1001, 0},
	{"x264 4:2:2", "677a0028bcb403c0113f138088000003000800000301e078c195", "High 4:2:2", "7a0028", 1920, 1080, 30, 1, 0},
	{"x264 with scaling matrix and HRD", "6764001facd9405005bb01100000030010000003032626000f424001e84e4c30078c18cb", "High", "64001f", 1280, 720, 25, 1, 2},
	{"x264 interlaced", "67640015acd94143360220000003002000000643e28532c0", "High", "640015", 320, 192, 25, 1, 2},
	{"OpenH264, 720p", "6742c01f8c8d402802d93501010607844235", "Constrained Baseline", "42c01f", 1280, 720, 0, 0, 0},
	{"OpenH264, 360p, cropped", "6742c01e8c8d405017bcb35010106078442350", "Constrained Baseline", "42c01e", 640, 360, 0, 0, 0},
	{"Raspberry Pi camera", "27640028ac2b402802dd00f1226a", "High", "640028", 1280, 720, 0, 0, 0},
	{"network camera, 1080p25", "67640029ac1b1aa0780227e59a808080f80000030008000003019070e000c3500030d43def06", "High", "640029", 1920, 1080, 25, 1, 0},
	{"baseline camera, 1080p25", "2742002a963540f0044fcb37010101400001c2000057e421", "Baseline", "42002a", 1920, 1080, 25, 1, 0},
	{"main profile camera without VUI", "674d001f95a814016e40", "Main", "4d001f", 1280, 720, 0, 0, 0},
	{"streaming server, VGA", "67420029e3501407b602dc04040690789115", "Baseline", "420029", 640, 480, 0, 0, 0},
	{"24 pictures a second", "6742c01ed903c56840000003004000000c03c58b92", "Constrained Baseline", "42c01e", 240, 160, 24, 1, 0},
}

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseSPS(t *testing.T) {
	t.Parallel()
	for _, g := range goldenSPS {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			b := fromHex(t, g.hex)
			s, err := ParseSPS(b)
			if err != nil {
				t.Fatal(err)
			}
			num, den := s.FrameRate()
			if s.ProfileName() != g.profile || s.Width != g.width || s.Height != g.height || num != g.num ||
				den != g.den {
				t.Errorf("%s %dx%d@%d/%d", s.ProfileName(), s.Width, s.Height, num, den)
			}
			if got := ProfileLevelID(b); got != g.levelID {
				t.Errorf("profile-level-id %s, want %s", got, g.levelID)
			}
			if s.VUI.MaxReorderFrames != g.reorder {
				t.Errorf("reorder %d, want %d", s.VUI.MaxReorderFrames, g.reorder)
			}
		})
	}
}

func TestParseSPSRefuses(t *testing.T) {
	t.Parallel()
	good := fromHex(t, goldenSPS[0].hex)
	if s, err := ParseSPS(good[:9]); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut before the size: %v, %v", s, err)
	}
	if _, err := ParseSPS(good[:16]); err != nil {
		t.Errorf("cut within the VUI: %v", err)
	}
	for name, b := range map[string][]byte{
		"empty":           nil,
		"another type":    {0x68, 0xce},
		"huge":            new(bitWriter).u(24, 77<<16).ue(0, 0, 2, 1).u(1, 0).ue(100000, 100000).u(3, 0).nalu(0x67),
		"cropped away":    new(bitWriter).u(24, 77<<16).ue(0, 0, 2, 1).u(1, 0).ue(1, 1).u(3, 7).ue(8, 8, 0, 0).nalu(0x67),
		"order count 3":   new(bitWriter).u(24, 77<<16).ue(0, 0, 3).nalu(0x67),
		"frame_num":       new(bitWriter).u(24, 77<<16).ue(0, 13).nalu(0x67),
		"chroma format 4": new(bitWriter).u(24, 100<<16).ue(0, 4).nalu(0x67),
		"33rd id":         new(bitWriter).u(24, 77<<16).ue(32, 0, 2, 1).u(1, 0).ue(19, 14).u(4, 0xc).u(32, 0).nalu(0x67),
	} {
		if s, err := ParseSPS(b); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func FuzzParseSPS(f *testing.F) {
	for _, g := range goldenSPS {
		f.Add(fromHex(f, g.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSPS(b)
		if err != nil {
			return
		}
		if s.Width < 1 || s.Height < 1 || s.Width > maxSide || s.Height > maxSide {
			t.Fatalf("%dx%d", s.Width, s.Height)
		}
		s.FrameRate()
		var peer mc.SPS
		if peer.Unmarshal(b) == nil && (peer.Width() != s.Width || peer.Height() != s.Height) {
			t.Logf("peer reads %dx%d, we %dx%d", peer.Width(), peer.Height(), s.Width, s.Height)
		}
	})
}

// TestSPSAgainstPeer: mediacommon reads the goldens alike.
func TestSPSAgainstPeer(t *testing.T) {
	t.Parallel()
	for _, g := range goldenSPS {
		var peer mc.SPS
		if err := peer.Unmarshal(fromHex(t, g.hex)); err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		if peer.Width() != g.width || peer.Height() != g.height {
			t.Errorf("%s: peer reads %dx%d, we %dx%d", g.name, peer.Width(), peer.Height(), g.width, g.height)
		}
	}
}

func TestParsePPS(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		nalu []byte
		want PPS
	}{
		{"x264 high", fromHex(t, "68ebe3cb22c0"), PPS{CABAC: true}},
		{"x264 baseline", fromHex(t, "68cb83cb20"), PPS{}},
		{"x264 interlaced", fromHex(t, "68fba3cb22c0"), PPS{CABAC: true, BottomFieldPOC: true}},
		{"redundant pictures", testPPS(3, false, true), PPS{ID: 3, RedundantPicCnt: true}},
		{"last id", testPPS(255, true, false), PPS{ID: 255, BottomFieldPOC: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, err := ParsePPS(tt.nalu); err != nil || got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
	for _, bad := range [][]byte{nil, {0x67, 1}, {0x68}, {0x68, 0x80}, testPPS(256, false, false)} {
		if got, err := ParsePPS(bad); err == nil {
			t.Errorf("%x: %+v", bad, got)
		}
	}
}

func FuzzParsePPS(f *testing.F) {
	f.Add(fromHex(f, "68ebe3cb22c0"))
	f.Add(testPPS(3, true, true))
	f.Add(new(bitWriter).ue(0, 0).u(2, 0).ue(7, 6, 40).u(32, 0).nalu(0x68))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = ParsePPS(b) })
}
