package v4l2

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
	"github.com/ocellus/ocellus/internal/monotime"
)

// The tests in this file need real nodes, or the kernel's simulators. They take the nodes that they are told; where
// OCELLUS_BOARD is set they find them.
//
//	OCELLUS_V4L2_CAMERA=/dev/video0,/dev/video1   capture nodes
//	OCELLUS_V4L2_ENCODER=/dev/video2              memory-to-memory encoders
const (
	envBoard   = "OCELLUS_BOARD"
	envCamera  = "OCELLUS_V4L2_CAMERA"
	envEncoder = "OCELLUS_V4L2_ENCODER"
)

// hardware lists the nodes that env names, or on the virtual board those that are fit.
func hardware(t *testing.T, env string, fit func(Node) bool) []Node {
	t.Helper()
	list := os.Getenv(env)
	if list == "" && os.Getenv(envBoard) == "" {
		t.Skipf("no device: neither %s nor %s is set", env, envBoard)
	}
	nodes, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	nodes = slices.DeleteFunc(nodes, func(n Node) bool {
		if list != "" {
			return !slices.Contains(strings.Split(list, ","), n.Path)
		}
		return !fit(n)
	})
	if len(nodes) == 0 {
		t.Fatalf("%s=%q, %s=%q: no such device here", env, list, envBoard, os.Getenv(envBoard))
	}
	return nodes
}

func cameras(t *testing.T) []Node {
	t.Helper()
	return hardware(t, envCamera, func(n Node) bool { return n.Kind == Capture })
}

// encoders lists encoders of H.264, and the kernel's simulated one, which makes FWHT.
func encoders(t *testing.T) []Node {
	t.Helper()
	return hardware(t, envEncoder, func(n Node) bool {
		return n.Kind == M2MEncoder || n.Info.Driver == "vicodec" && notEncoder(n.Inputs, n.Formats, fourCCFWHT) == ""
	})
}

func codedBy(n Node) hal.PixelFormat {
	if n.Kind == M2MEncoder {
		return hal.H264
	}
	return fourCCFWHT
}

func testLog(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// TestHardwareFormats takes pictures in every format of a camera, each at its first size.
func TestHardwareFormats(t *testing.T) {
	for _, n := range cameras(t) {
		t.Run(n.Path, func(t *testing.T) { everyFormat(t, n.Path) })
	}
}

func everyFormat(t *testing.T, path string) {
	t.Helper()
	cam, err := OpenCamera(path, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	modes, err := cam.Modes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d modes", path, len(modes))
	done := make(map[hal.PixelFormat]bool)
	for _, m := range modes {
		if m.Width > 1280 || done[m.Format] {
			continue
		}
		done[m.Format] = true
		takePictures(t, cam, m, 10)
	}
}

func takePictures(t *testing.T, cam hal.Camera, want hal.Mode, n int) {
	t.Helper()
	c, err := cam.Start(t.Context(), want)
	if err != nil {
		t.Errorf("start %v: %v", want, err)
		return
	}
	defer c.Close()
	if got := c.Mode(); got.Format != want.Format || got.Width != want.Width || got.Height != want.Height {
		t.Errorf("asked for %v, got %v", want, got)
	}
	var first, last hal.Frame
	var lost uint32
	for i := range n {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		f, err := c.Next(ctx)
		cancel()
		if err != nil {
			t.Errorf("%v, frame %d: %v", want, i, err)
			return
		}
		if size := totalSize(colourPlanes(f.Format, f.Width, f.Height, f.Stride)); size > 0 && len(f.Data) != size {
			t.Errorf("%v: a picture of %d bytes, want %d", want, len(f.Data), size)
		}
		if i == 0 {
			first = f
		}
		lost += f.Lost
		last = f
	}
	rate := float64(n-1) / (last.PTS - first.PTS).Seconds()
	age := monotime.Now() - last.PTS
	t.Logf("%v: got %v stride %d, %d pictures, %d lost, %.1f a second, the last is %v old", want, c.Mode(), last.Stride, n,
		lost, rate, age.Round(time.Microsecond))
}

// TestHardwareTime64 takes pictures with the other layout of v4l2_buffer that a 32-bit kernel knows.
func TestHardwareTime64(t *testing.T) {
	if wide == 1 {
		t.Skip("64 bit has one layout")
	}
	for _, n := range cameras(t) {
		cam, err := openCamera(func(path string) (kernel, error) {
			k, err := openNode(path)
			if err == nil {
				k.(*node).time64 = true
			}
			return k, err
		}, n.Path, testLog(t))
		if err != nil {
			t.Fatal(err)
		}
		modes, err := cam.Modes(t.Context())
		if err != nil || len(modes) == 0 {
			t.Fatal(modes, err)
		}
		takePictures(t, cam, modes[len(modes)-1], 10)
	}
}

func TestHardwareEncoder(t *testing.T) {
	for _, n := range encoders(t) {
		t.Run(n.Path, func(t *testing.T) { everyInput(t, n) })
	}
}

func everyInput(t *testing.T, n Node) {
	t.Helper()
	enc, err := OpenEncoderFor(n.Path, codedBy(n), testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range enc.Inputs() {
		for _, s := range []size{{640, 480}, {642, 362}} { // the second one is no multiple of any block
			encodePictures(t, enc, hal.EncoderConfig{Input: in, Width: s.width, Height: s.height,
				Rate: hal.FPS(25), BitrateBPS: 1_000_000, GOP: 25}, 6)
		}
	}
}

// TestHardwareRecord leaves pictures for a decoder outside of the board that this runs on. The size is no multiple of a
// macroblock, so the driver has to crop.
func TestHardwareRecord(t *testing.T) {
	dir := os.Getenv("OCELLUS_OUT")
	if dir == "" {
		t.Skip("OCELLUS_OUT names no folder")
	}
	for _, n := range encoders(t) {
		t.Run(n.Path, func(t *testing.T) { record(t, n, dir) })
	}
}

func record(t *testing.T, n Node, dir string) {
	t.Helper()
	if codedBy(n) != hal.H264 {
		t.Skipf("%v is decoded by the driver itself: TestBoardFWHT", codedBy(n))
	}
	o := haltest.RecordOptions{Width: 322, Height: 182, Pictures: 12, GOP: 5, BitrateBPS: 50_000_000, Want: "30"}
	if n.Info.Driver == "ocellus-h264" { // samples, if it is given the bits for them
		o.BitrateBPS, o.Noisy, o.Want = 1_000_000_000, true, "inf"
	}
	opened := map[string]opener{"": openNode}
	for _, fourCC := range []uint32{fourCCNM12, fourCCYM12} { // asked for by name: contiguous ones are preferred
		if slices.Contains(n.Inputs, hal.PixelFormat(fourCC)) {
			opened["-"+hal.PixelFormat(fourCC).String()] = onlyFormat(fourCC, outputType(typeCaptureMP))
		}
	}
	for suffix, open := range opened {
		e, err := openEncoder(open, n.Path, hal.H264, testLog(t))
		if err != nil {
			t.Fatal(err)
		}
		haltest.Record(t, e, dir, filepath.Base(n.Path)+suffix, o)
	}
}

func encodePictures(t *testing.T, enc hal.Encoder, c hal.EncoderConfig, n int) {
	t.Helper()
	e, err := enc.Open(t.Context(), c)
	if err != nil {
		t.Errorf("open %+v: %v", c, err)
		return
	}
	defer e.Close()
	raw := hal.Frame{Format: c.Input, Width: c.Width, Height: c.Height}
	raw.Data = make([]byte, totalSize(colourPlanes(c.Input, c.Width, c.Height, 0)))
	var out, bytes int
	for round := range 2 { // the second one after a drain
		begin := time.Now()
		var late int
		take := func(f hal.Frame) {
			if f.Seq != uint32(round*n+out) || f.PTS != time.Duration(f.Seq)*40*time.Millisecond {
				t.Errorf("%+v: access unit %d is picture %d at %v", c, out, f.Seq, f.PTS)
			}
			out, bytes = out+1, bytes+len(f.Data)
		}
		for i := range n {
			for j := range raw.Data {
				raw.Data[j] = byte(j/7 + i*3)
			}
			raw.Seq = uint32(round*n + i)
			raw.PTS = time.Duration(raw.Seq) * 40 * time.Millisecond
			f, err := e.Encode(t.Context(), raw)
			if err != nil {
				t.Fatalf("%+v, picture %d: %v", c, i, err)
			}
			if f.Data == nil {
				late++
				continue
			}
			take(f)
		}
		for {
			f, err := e.Drain(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("drain: %v", err)
			}
			take(f)
		}
		if out != n {
			t.Errorf("%+v: %d pictures in, %d out", c, n, out)
		}
		t.Logf("%v %dx%d: %d in, %d out, %d bytes, %d calls without one, %.1f a second", c.Input, c.Width, c.Height, n, out,
			bytes, late, float64(n)/time.Since(begin).Seconds())
		out, bytes = 0, 0
	}
	t.Logf("force idr: %v; bitrate: %v", e.Control(hal.ForceIDR, 0), e.Control(hal.Bitrate, 500_000))
}
