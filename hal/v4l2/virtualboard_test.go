package v4l2

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// The tests in this file run as root on the virtual board only: they load the kernel's simulators in the shapes that
// they need and make them fail.

// Controls by which vivid fails on demand (drivers/media/test-drivers/vivid/vivid-ctrls.c).
const (
	vividSeqWrap     = 0x00f0f000 + 38 // the counter wraps soon after the start
	vividPercDropped = 0x00f0f000 + 64
	vividDisconnect  = 0x00f0f000 + 65 // unplugs the device
	vividDQBufError  = 0x00f0f000 + 66 // the next buffer is damaged
	vividReqBufError = 0x00f0f000 + 67
	vividStartError  = 0x00f0f000 + 69
	vividQueueError  = 0x00f0f000 + 70
)

// virtualBoard reports whether modules may be loaded and taken away here: a throw-away machine whose only program is this
// test, started by its init with the nodes to test.
func virtualBoard() bool {
	if os.Getenv(envBoard) != "" {
		return true
	}
	compatible, _ := os.ReadFile("/proc/device-tree/compatible") // not there: not the board
	return os.Getenv(envCamera) != "" && os.Getppid() == 1 && bytes.Contains(compatible, []byte("linux,dummy-virt"))
}

// load loads a module with parameters, and takes it away at the end of the test.
func load(t *testing.T, module string, parameters ...string) {
	t.Helper()
	if !virtualBoard() {
		t.Skipf("not on the virtual board (%s is not set)", envBoard)
	}
	_ = exec.Command("rmmod", module).Run() // it need not be there
	out, err := exec.Command("modprobe", append([]string{module}, parameters...)...).CombinedOutput()
	if err != nil {
		t.Skipf("the board has no module %s: %v: %s", module, err, bytes.TrimSpace(out))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("rmmod", module).CombinedOutput(); err != nil {
			t.Errorf("rmmod %s: %v: %s", module, err, bytes.TrimSpace(out))
		}
	})
}

// found returns the nodes of a driver.
func found(t *testing.T, driver string, fit func(Node) bool) Node {
	t.Helper()
	nodes, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		t.Logf("%s %s %q driver=%s bus=%s caps=%#08x multi-planar=%v in=%v out=%v %s", n.Path, n.Kind, n.Info.Name,
			n.Info.Driver, n.Info.Bus, n.Caps, n.MultiPlanar, n.Inputs, n.Formats, n.Why)
		if n.Info.Driver == driver && fit(n) {
			return n
		}
	}
	t.Fatalf("no node of %s", driver)
	return Node{}
}

func capturing(n Node) bool { return n.Kind == Capture }

// knob sets one of a driver's own controls, on another descriptor than the camera's.
func knob(t *testing.T, path string, id uint32, value int) {
	t.Helper()
	d, err := openDevice(openNode, path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if err := d.setControl(value, id); err != nil && id != vividDisconnect {
		t.Fatal(err)
	}
}

func TestBoardMultiPlanarCapture(t *testing.T) {
	load(t, "vivid", "n_devs=1", "node_types=0x1", "multiplanar=2")
	n := found(t, "vivid", capturing)
	if !n.MultiPlanar {
		t.Fatal("vivid is not multi-planar")
	}
	everyFormat(t, n.Path)
	// The formats with memory planes of their own are asked for by name: Modes prefers the contiguous ones.
	for _, fourCC := range []uint32{fourCCNM12, fourCCYM12} {
		t.Run(hal.PixelFormat(fourCC).String(), func(t *testing.T) {
			f, _ := halFormat(fourCC)
			cam, err := openCamera(onlyFormat(fourCC, typeCaptureMP), n.Path, testLog(t))
			if err != nil {
				t.Fatal(err)
			}
			takePictures(t, cam, hal.Mode{Format: f, Width: 640, Height: 360, Rate: hal.FPS(30)}, 10)
		})
	}
}

// onlyFormat opens a node whose driver seems to know one format only on one of its queues.
func onlyFormat(fourCC, typ uint32) opener {
	return func(path string) (kernel, error) {
		k, err := openNode(path)
		return &narrow{k, fourCC, typ}, err
	}
}

type narrow struct {
	kernel
	fourCC, typ uint32
}

func (n *narrow) ioctl(request uintptr, arg unsafe.Pointer) error {
	err := n.kernel.ioctl(request, arg)
	if f := (*fmtDesc)(arg); err == nil && request == vidiocEnumFmt && f.typ == n.typ && f.pixelFormat != n.fourCC {
		f.pixelFormat = 0
	}
	return err
}

func TestBoardEncoder(t *testing.T) {
	for _, shape := range []string{"multiplanar=0", "multiplanar=1"} {
		t.Run(shape, func(t *testing.T) {
			load(t, "vicodec", shape)
			n := found(t, "vicodec", func(n Node) bool { return notEncoder(n.Inputs, n.Formats, fourCCFWHT) == "" })
			if n.MultiPlanar != (shape == "multiplanar=1") {
				t.Fatalf("multi-planar is %v", n.MultiPlanar)
			}
			everyInput(t, n)
		})
	}
}

// TestBoardFaults: what vivid does to its buffers arrives in the frames, and what it does to itself in the errors.
func TestBoardFaults(t *testing.T) {
	load(t, "vivid", "n_devs=1", "node_types=0x1")
	n := found(t, "vivid", capturing)
	mode := hal.Mode{Format: hal.YUYV, Width: 640, Height: 360, Rate: hal.FPS(30)}
	cam, err := OpenCamera(n.Path, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("dropped", func(t *testing.T) {
		knob(t, n.Path, vividPercDropped, 50)
		defer knob(t, n.Path, vividPercDropped, 0)
		frames := pictures(t, cam, mode, 30)
		lost := uint32(0)
		for i, f := range frames {
			lost += f.Lost
			if i > 0 && f.Seq != frames[i-1].Seq+f.Lost+1 {
				t.Errorf("frame %d after %d, %d lost", f.Seq, frames[i-1].Seq, f.Lost)
			}
		}
		if lost == 0 {
			t.Error("no lost frame was told")
		}
		t.Logf("%d lost of %d", lost, int(lost)+len(frames))
	})
	t.Run("counter wraps", func(t *testing.T) {
		knob(t, n.Path, vividSeqWrap, 1)
		defer knob(t, n.Path, vividSeqWrap, 0)
		frames := pictures(t, cam, mode, 140) // it starts 128 before the end
		if last := frames[len(frames)-1]; last.Seq > 1000 {
			t.Errorf("the counter did not wrap: %d", last.Seq)
		}
		for _, f := range frames {
			if f.Lost > 30 {
				t.Errorf("frame %d: %d lost", f.Seq, f.Lost)
			}
		}
	})
	t.Run("damaged", func(t *testing.T) { damaged(t, cam, n.Path, mode) })
	t.Run("start fails", func(t *testing.T) {
		for _, id := range []uint32{vividReqBufError, vividStartError} {
			knob(t, n.Path, id, 0)
			if c, err := cam.Start(t.Context(), mode); err == nil {
				_ = c.Close()
				t.Errorf("control %#x: started", id)
			} else {
				t.Log(err)
			}
			pictures(t, cam, mode, 2)
		}
	})
	t.Run("queue fails", func(t *testing.T) {
		err := failing(t, cam, mode, func() { knob(t, n.Path, vividQueueError, 0) })
		t.Log(err)
		pictures(t, cam, mode, 2)
	})
	t.Run("unplugged", func(t *testing.T) {
		err := failing(t, cam, mode, func() { knob(t, n.Path, vividDisconnect, 0) })
		t.Log(err)
		if !errors.Is(err, hal.ErrClosed) {
			t.Errorf("err = %v, want %v", err, hal.ErrClosed)
		}
		pictures(t, cam, mode, 2) // vivid comes back when its last user has closed it
	})
}

func pictures(t *testing.T, cam hal.Camera, m hal.Mode, n int) (out []hal.Frame) {
	t.Helper()
	c, err := cam.Start(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range n {
		f, err := c.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

func damaged(t *testing.T, cam hal.Camera, path string, m hal.Mode) {
	t.Helper()
	c, err := cam.Start(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	knob(t, path, vividDQBufError, 0)
	corrupt := 0
	for range 8 {
		f, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Corrupt {
			corrupt++
		}
	}
	if corrupt != 1 {
		t.Errorf("%d frames are marked as damaged, want 1", corrupt)
	}
}

// failing returns the error of a Next that waits while the device fails.
func failing(t *testing.T, cam hal.Camera, m hal.Mode, fail func()) error {
	t.Helper()
	c, err := cam.Start(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		for {
			if _, err := c.Next(t.Context()); err != nil {
				got <- err
				return
			}
		}
	}()
	fail()
	select {
	case err := <-got:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("Next did not return")
		return nil
	}
}

// TestBoardH264Camera: v4l2loopback plays a camera with an encoder inside. Its reader gets a stale buffer first, and the
// loopback's poll is one that Go's own poller could not wait on. scripts/board-init leaves a loopback that nobody feeds.
func TestBoardH264Camera(t *testing.T) {
	const idle = "/dev/video41"
	if !virtualBoard() {
		t.Skipf("not on the virtual board (%s is not set)", envBoard)
	}
	fd, err := unix.Open(idle, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	f := newFormat(typeOutput, uint32(hal.H264), 640, 480, 640*480*2)
	if err := ioctl(fd, vidiocSFmt, unsafe.Pointer(f)); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, fakeSlice(1, false)); err != nil { // the loopback becomes a camera by it
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	fed := make(chan struct{})
	defer func() { cancel(); <-fed }()
	go func() {
		defer close(fed)
		feed(ctx, fd)
	}()
	cam, err := OpenCamera(idle, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	mode := hal.Mode{Format: hal.H264, Width: 640, Height: 480, Rate: hal.FPS(25)}
	c, err := cam.Start(t.Context(), mode)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Log(c.Mode())
	limit, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	for i := range 25 {
		f, err := c.Next(limit)
		if err != nil {
			t.Fatal(err)
		}
		if !startsAnnexB(f.Data) {
			t.Errorf("frame %d: %d bytes without a start code", i, len(f.Data))
		}
	}
	for _, k := range []hal.Control{hal.Bitrate, hal.GOP, hal.ForceIDR} {
		if err := c.Control(k, 1); !errors.Is(err, hal.ErrUnsupported) {
			t.Errorf("%v: %v", k, err)
		}
	}
}

// feed writes an access unit every 40 ms.
func feed(ctx context.Context, fd int) {
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := unix.Write(fd, append(fakeSlice(n, n%25 == 0), make([]byte, 100)...)); err != nil {
				return
			}
		}
	}
}
