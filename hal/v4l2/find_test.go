package v4l2

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

func TestFind(t *testing.T) {
	t.Parallel()
	meta := newFake(capMetaCapture | capStreaming)
	loopback := newFake(capCapture | capOutput | capStreaming)
	loopback.formats[typeCapture] = []fmtDesc{{pixelFormat: uint32(hal.H264)}}
	sink := newFake(capOutput | capStreaming)
	reading := newFake(capCapture)
	reading.formats[typeCapture] = []fmtDesc{{pixelFormat: uint32(hal.YUYV)}}
	oldCodec := fakeM2M(typeCaptureMP, &fakeEncoder{}, fourCCNM12)
	oldCodec.caps.deviceCaps = capCaptureMP | capOutputMP | capStreaming
	busy := newFake(0)
	busy.fail[0] = []error{unix.EACCES}
	tests := []struct {
		name string
		k    *fakeKernel
		want Kind
		mp   bool
	}{
		{"video0", fakeCamera(typeCapture, uint32(hal.YUYV)), Capture, false},
		{"video1", meta, Other, false},
		{"video2", fakeCamera(typeCaptureMP, fourCCNM12), Capture, true},
		{"video3", fakeM2M(typeCaptureMP, &fakeEncoder{}, uint32(hal.NV12)), M2MEncoder, true},
		{"video4", fakeM2M(typeCapture, &fakeEncoder{}, uint32(hal.YU12)), M2MEncoder, false},
		{"video5", decoder(), Other, true},
		{"video6", loopback, Capture, false},
		{"video7", sink, Other, false},
		{"video8", reading, Other, false},
		{"video9", fakeCamera(typeCapture), Other, false},
		{"video10", oldCodec, M2MEncoder, true},
		{"video11", busy, Other, false},
	}
	dir := t.TempDir()
	nodes := map[string]*fakeKernel{}
	for _, tt := range tests {
		nodes[filepath.Join(dir, tt.name)] = tt.k
	}
	for _, name := range []string{"videodev", "radio0"} { // not video nodes
		nodes[filepath.Join(dir, name)] = nil
	}
	for path := range nodes {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := find(func(path string) (kernel, error) { return nodes[path].opener(path) }, dir)
	if err != nil || len(got) != len(tests) {
		t.Fatalf("%d nodes, %v; want %d", len(got), err, len(tests))
	}
	for i, tt := range tests {
		n := got[i]
		if filepath.Base(n.Path) != tt.name || n.Kind != tt.want || n.MultiPlanar != tt.mp || (n.Why == "") != (n.Kind != Other) {
			t.Errorf("%s: %+v, want %s, multi-planar %v", tt.name, n, tt.want, tt.mp)
		}
		if tt.k.open != 0 {
			t.Errorf("%s is still open", tt.name)
		}
	}
}

func TestFindNothing(t *testing.T) {
	t.Parallel()
	if nodes, err := find(openNode, t.TempDir()); err != nil || len(nodes) != 0 {
		t.Errorf("%v, %v", nodes, err)
	}
}

// TestNodeIsNoDevice: the real kernel's answers to a file that is no video node.
func TestNodeIsNoDevice(t *testing.T) {
	t.Parallel()
	_, err := OpenCamera("/dev/null", testLog(t))
	if !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("/dev/null: %v", err)
	}
	if _, err = OpenCamera(filepath.Join(t.TempDir(), "video0"), testLog(t)); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("no node: %v", err)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	mjpeg, yuyv, nv12 := uint32(hal.MJPEG), uint32(hal.YUYV), uint32(hal.NV12)
	k := fakeCamera(typeCapture, uint32(hal.FourCC("RGB3")), mjpeg, yuyv, nv12, fourCCNM12, uint32(hal.YU12))
	k.sizes[mjpeg] = discrete(mjpeg, size{640, 480}, size{1280, 720}, size{640, 480})
	k.ivals[mjpeg] = []frmIvalEnum{{typ: ivalDiscrete, interval: [3]fract{{1, 15}}},
		{typ: ivalDiscrete, interval: [3]fract{{1001, 30000}}}, {typ: ivalDiscrete, interval: [3]fract{{2, 10}}}}
	k.sizes[yuyv] = []frmSizeEnum{{typ: sizeStepwise, size: [6]uint32{32, 1296, 16, 32, 976, 8}}}
	k.ivals[yuyv] = []frmIvalEnum{{typ: 3, interval: [3]fract{{1, 40}, {1, 20}, {1, 1000}}}}
	k.sizes[nv12] = []frmSizeEnum{{typ: sizeContinuous, size: [6]uint32{1, 640, 1, 1, 480, 1}}}
	k.ivals[nv12] = []frmIvalEnum{{typ: 2, interval: [3]fract{{0, 1}, {1, 50}, {1, 1}}}}
	delete(k.sizes, uint32(hal.YU12)) // a driver without ENUM_FRAMESIZES
	k.negotiate = func(f *format) { f.pix().width, f.pix().height = 1280, 720 }
	got, err := k.camera(t).Modes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, m := range got {
		text = append(text, m.String())
	}
	want := []string{
		"MJPG 1280x720@29.97", "MJPG 1280x720@15", "MJPG 1280x720@5",
		"MJPG 640x480@29.97", "MJPG 640x480@15", "MJPG 640x480@5",
		"YUYV 1296x976@40", "YUYV 1296x976@20", "YUYV 1296x976@24", "YUYV 1296x976@25", "YUYV 1296x976@30",
		"NV12 640x480@60", "NV12 640x480@50", "NV12 640x360@60", "NV12 640x360@50",
		"NV12 320x240@60", "NV12 320x240@50", "NV12 320x180@60", "NV12 320x180@50",
		"NV12 160x120@60", "NV12 160x120@50",
		"YU12 1280x720@?",
	}
	slices.Sort(text)
	slices.Sort(want)
	for _, m := range want {
		if !slices.Contains(text, m) {
			t.Errorf("%s is missing", m)
		}
	}
	for _, m := range text {
		if _, found := slices.BinarySearch(want, m); !found && m[:4] != "YUYV" {
			t.Errorf("%s is not expected", m)
		}
	}
}

func TestSizesWithin(t *testing.T) {
	t.Parallel()
	got := sizesWithin([6]uint32{32, 1296, 16, 24, 976, 8})
	want := []size{{1296, 976}, {160, 120}, {320, 240}, {640, 360}, {640, 480}, {800, 600}, {1024, 768}, {1280, 720},
		{1280, 960}}
	if !slices.Equal(got, want) {
		t.Errorf("sizes = %v, want %v", got, want)
	}
}

func TestWidenNarrow(t *testing.T) {
	t.Parallel()
	b := buffer{index: 1, typ: 2, bytesUsed: 3, flags: 4, field: 5, sec: 6, usec: 7, sequence: 8, memory: 9, m: 10, length: 11}
	w := b.widen()
	var got buffer
	got.narrow(&w)
	if got != b {
		t.Errorf("got %+v, want %+v", got, b)
	}
}
