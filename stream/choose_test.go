package stream

import (
	"errors"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/hal"
)

func mode(f hal.PixelFormat, w, h int, fps uint32) hal.Mode {
	return hal.Mode{Format: f, Width: w, Height: h, Rate: hal.FPS(fps)}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	var (
		openH264 = EncoderFacts{"OpenH264", []hal.PixelFormat{hal.YU12}}
		m2m      = EncoderFacts{"bcm2835-codec", []hal.PixelFormat{hal.NV12, hal.YU12}}
		useless  = EncoderFacts{"odd", []hal.PixelFormat{hal.FourCC("RGB3")}}
		uvc      = []hal.Mode{
			mode(hal.YUYV, 640, 480, 30), mode(hal.YUYV, 1280, 720, 10), mode(hal.YUYV, 640, 360, 30),
			mode(hal.MJPEG, 1280, 720, 30), mode(hal.MJPEG, 1920, 1080, 30), mode(hal.MJPEG, 640, 480, 30),
		}
		h264   = []hal.Mode{mode(hal.H264, 1920, 1080, 30), mode(hal.H264, 1280, 720, 30), mode(hal.H264, 640, 360, 15)}
		csi    = []hal.Mode{mode(hal.YU12, 1280, 720, 30), mode(hal.NV12, 1280, 720, 30), mode(hal.YUYV, 1280, 720, 30)}
		main   = []Wish{{"main", c.Main, true}, {"sub", c.Sub, false}}
		sub    = []Wish{{"main", c.Main, false}, {"sub", c.Sub, true}}
		both   = []Wish{{"main", c.Main, true}, {"sub", c.Sub, true}}
		nobody = []Wish{{"main", c.Main, false}, {"sub", c.Sub, false}}
		join   = func(m ...[]hal.Mode) (all []hal.Mode) {
			for _, more := range m {
				all = append(all, more...)
			}
			return all
		}
	)
	tests := []struct {
		name     string
		q        Question
		want     hal.Mode
		straight bool
		luma     bool
		why      string
	}{
		{"H.264 straight", Question{join(uvc, h264), []EncoderFacts{m2m}, main, false}, h264[1], true, false, "straight"},
		{"H.264 straight for sub", Question{h264, nil, sub, false}, h264[2], true, false, "straight"},
		{"H.264 only, both", Question{h264, nil, both, false}, h264[1], true, false, "same pictures"},
		{"H.264 only, luma", Question{h264, []EncoderFacts{m2m}, main, true}, h264[1], true, false, "unsupported"},
		{"both sizes need an encoder", Question{join(h264, csi), []EncoderFacts{m2m}, both, false}, csi[1], false, true,
			"two sizes"},
		{"luma prefers raw", Question{join(h264, csi), []EncoderFacts{m2m}, main, true}, csi[1], false, true, "left aside"},
		{"luma without an encoder while streaming", Question{join(h264, csi), nil, main, true}, h264[1], true, false,
			"unsupported while it streams"},
		{"luma alone without an encoder", Question{join(h264, csi), nil, nobody, true}, csi[0], false, true, "nobody H.264"},
		{"probe: nobody wants anything", Question{uvc, []EncoderFacts{openH264}, nobody, false}, uvc[3], false, true,
			"no H.264"},
		{"raw too slow, MJPEG instead", Question{uvc, []EncoderFacts{openH264}, main, false}, uvc[3], false, true, "MJPG"},
		{"format that the encoder likes best", Question{csi, []EncoderFacts{m2m, openH264}, main, false}, csi[1], false, true,
			"bcm2835-codec or OpenH264"},
		{"software takes planar", Question{csi, []EncoderFacts{openH264}, main, false}, csi[0], false, true, "OpenH264"},
		{"useless encoder is passed over", Question{csi, []EncoderFacts{useless, openH264}, main, false}, csi[0], false, true,
			""},
		{"too small is better than a crawl", Question{[]hal.Mode{mode(hal.YUYV, 640, 480, 30), mode(hal.YUYV, 1920, 1080, 5)},
			[]EncoderFacts{openH264}, main, false}, mode(hal.YUYV, 640, 480, 30), false, true, ""},
		{"a little slower is better than too small", Question{[]hal.Mode{mode(hal.YUYV, 640, 480, 30),
			mode(hal.YUYV, 1280, 720, 20)}, []EncoderFacts{openH264}, main, false}, mode(hal.YUYV, 1280, 720, 20), false, true,
			""},
		{"unknown rate: as wanted", Question{[]hal.Mode{{Format: hal.YU12, Width: 1280, Height: 720}},
			[]EncoderFacts{openH264}, main, false}, mode(hal.YU12, 1280, 720, 25), false, true, ""},
		{"nearest rate", Question{[]hal.Mode{mode(hal.H264, 1280, 720, 60), mode(hal.H264, 1280, 720, 30),
			mode(hal.H264, 1280, 720, 15)}, nil, main, false}, mode(hal.H264, 1280, 720, 30), true, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Choose(tt.q)
			if err != nil {
				t.Fatal(err)
			}
			if got.Mode != tt.want || got.Straight != tt.straight || got.Luma != tt.luma {
				t.Errorf("got %+v, want %v straight=%v luma=%v", got, tt.want, tt.straight, tt.luma)
			}
			if !strings.Contains(got.Why, tt.why) {
				t.Errorf("why %q lacks %q", got.Why, tt.why)
			}
		})
	}
}

func TestChooseNoWay(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]Question{
		"raw, no encoder": {Modes: []hal.Mode{mode(hal.YUYV, 1280, 720, 25)}},
		"no modes":        {Encoders: []EncoderFacts{{"OpenH264", []hal.PixelFormat{hal.YU12}}}},
		"unknown format":  {Modes: []hal.Mode{mode(hal.FourCC("BA81"), 640, 480, 25)}},
	} {
		if got, err := Choose(q); !errors.Is(err, ErrNoWay) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}
