package board

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/v4l2"
)

func node(path, driver string, kind v4l2.Kind, formats ...hal.PixelFormat) v4l2.Node {
	return v4l2.Node{Path: path, Kind: kind, Info: hal.DeviceInfo{Path: path, Driver: driver}, Formats: formats,
		Why: "a test"}
}

// TestPreferred is what boards show, and which node the agent takes first.
func TestPreferred(t *testing.T) {
	t.Parallel()
	bayer := hal.FourCC("pRAA")
	for name, c := range map[string]struct {
		board Board
		kind  v4l2.Kind
		nodes []v4l2.Node
		want  string
	}{
		"Raspberry Pi with libcamera and a USB camera": {rpi4(), v4l2.Capture, []v4l2.Node{
			node("0", "unicam", v4l2.Capture, bayer), node("11", "bcm2835-codec", v4l2.M2MEncoder, hal.H264),
			node("20", "uvcvideo", v4l2.Capture, hal.MJPEG, hal.YUYV), node("21", "uvcvideo", v4l2.Other)}, "20 0"},
		"Raspberry Pi with the firmware's camera": {rpi4(), v4l2.Capture, []v4l2.Node{
			node("0", "uvcvideo", v4l2.Capture, hal.MJPEG), node("1", "bm2835 mmal", v4l2.Capture, hal.H264, hal.YU12)}, "1 0"},
		"encoders": {dragonboard410c(), v4l2.M2MEncoder, []v4l2.Node{
			node("0", "other", v4l2.M2MEncoder, hal.H264), node("1", "qcom-venus", v4l2.M2MEncoder, hal.H264), node("2",
				"qcom-venus", v4l2.Other)}, "1 0"},
		"generic": {generic(), v4l2.Capture, []v4l2.Node{
			node("0", "a", v4l2.Capture, bayer), node("1", "b", v4l2.Capture, hal.FourCC("NM12")), node("2", "c",
				v4l2.Capture, hal.H264)}, "1 2 0"},
		"nothing": {generic(), v4l2.Capture, nil, ""},
	} {
		drivers := c.board.Cameras
		if c.kind == v4l2.M2MEncoder {
			drivers = c.board.Encoders
		}
		var got []string
		for _, n := range preferred(c.nodes, c.kind, drivers) {
			got = append(got, n.Path)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
}

// stub is a camera that only has a name.
type stub struct {
	hal.Camera
	path string
}

func (s stub) Info() hal.DeviceInfo { return hal.DeviceInfo{Path: s.path} }
func (s stub) Modes(context.Context) ([]hal.Mode, error) {
	return []hal.Mode{{Format: hal.H264, Width: 640, Height: 360}}, nil
}
func (s stub) Start(context.Context, hal.Mode) (hal.Capture, error) { return nil, hal.ErrBusy }

// TestCameraComesBack: the camera is unplugged, comes back under another number, and is found.
func TestCameraComesBack(t *testing.T) {
	t.Parallel()
	var nodes []v4l2.Node
	broken := map[string]bool{}
	c := &camera{
		board: generic(),
		log:   slog.New(slog.DiscardHandler),
		find:  func() ([]v4l2.Node, error) { return slices.Clone(nodes), nil },
		open: func(path string, _ *slog.Logger) (hal.Camera, error) {
			if broken[path] {
				return nil, hal.ErrBusy
			}
			return stub{path: path}, nil
		},
	}
	if _, err := c.Modes(t.Context()); !errors.Is(err, hal.ErrClosed) || !strings.Contains(err.Error(),
		"connect a camera") {
		t.Errorf("no node: got %v, want %v and what to do", err, hal.ErrClosed)
	}
	nodes = []v4l2.Node{node("/dev/video9", "codec", v4l2.Other)}
	if _, err := c.Start(t.Context(), hal.Mode{}); !errors.Is(err, hal.ErrClosed) || !strings.Contains(err.Error(),
		"/dev/video9 (codec, a test)") {
		t.Errorf("other node: got %v, want it to name the node", err)
	}
	for _, path := range []string{"/dev/video0", "/dev/video2"} {
		nodes = []v4l2.Node{node(path, "uvcvideo", v4l2.Capture, hal.MJPEG)}
		if modes, err := c.Modes(t.Context()); err != nil || len(modes) != 1 || c.Info().Path != path {
			t.Errorf("%s: got %v, %v, info %+v", path, modes, err, c.Info())
		}
	}
	if _, err := c.Start(t.Context(), hal.Mode{}); !errors.Is(err, hal.ErrBusy) {
		t.Errorf("start: got %v, want the driver's answer", err)
	}
	nodes = append([]v4l2.Node{node("/dev/video1", "uvcvideo", v4l2.Capture, hal.MJPEG)}, nodes...)
	broken["/dev/video1"] = true
	if _, err := c.Modes(t.Context()); err != nil || c.Info().Path != "/dev/video2" {
		t.Errorf("first one is busy: got %+v, %v; want the second", c.Info(), err)
	}
	broken["/dev/video2"] = true
	if _, err := c.Modes(t.Context()); !errors.Is(err, hal.ErrBusy) {
		t.Errorf("all are busy: got %v, want %v", err, hal.ErrBusy)
	}
}

func TestOpenSim(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	d, err := Open(simulated(), Options{}, log)
	if err != nil || len(d.Cameras) != 1 || len(d.Encoders)+len(Lacks()) != 1 {
		t.Errorf("got %+v, %v; want one camera, and an encoder or why there is none", d, err)
	}
	if _, err := Open(simulated(), Options{File: "/nowhere.h264"}, log); err == nil || !strings.Contains(err.Error(),
		"/nowhere.h264") {
		t.Errorf("no clip: got %v, want it to name the file", err)
	}
	if _, err := Open(generic(), Options{File: "x"}, log); !errors.Is(err, errFileNeedsSim) {
		t.Errorf("clip on hardware: got %v, want %v", err, errFileNeedsSim)
	}
}

func TestSurveyLine(t *testing.T) {
	t.Parallel()
	mc := node("/dev/video0", "qcom-camss", v4l2.Capture, hal.NV12)
	mc.MediaController, mc.MultiPlanar = true, true
	codec := node("/dev/video5", "qcom-venus", v4l2.M2MEncoder, hal.H264)
	codec.Inputs = []hal.PixelFormat{hal.NV12}
	for _, c := range []struct {
		want string
		n    v4l2.Node
	}{
		{"/dev/video0: capture,  (driver qcom-camss): [NV12], multi-planar, behind a media controller", mc},
		{"(driver qcom-venus): [NV12] to [H264]", codec},
		{"gives only [pRAA], which the agent", node("/dev/video1", "unicam", v4l2.Capture, hal.FourCC("pRAA"))},
		{"/dev/video2: other,  (driver x): a test", node("/dev/video2", "x", v4l2.Other)},
	} {
		if got := surveyLine(c.n); !strings.Contains(got, c.want) {
			t.Errorf("got %q, want it to hold %q", got, c.want)
		}
	}
	if lines, err := Survey(simulated()); lines != nil || err != nil {
		t.Errorf("sim: got %v, %v; want nothing", lines, err)
	}
}
