package v4l2

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

func vga(f hal.PixelFormat) hal.Mode {
	return hal.Mode{Format: f, Width: 640, Height: 480, Rate: hal.FPS(25)}
}

func TestStartReadsBack(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		negotiate func(*format)
		parm      *fract
		want      hal.Mode
		stride    int
		err       error
	}{
		{name: "as asked", want: vga(hal.YUYV), stride: 1280},
		{name: "other size", negotiate: func(f *format) { f.pix().width, f.pix().height = 320, 240 },
			want: hal.Mode{Format: hal.YUYV, Width: 320, Height: 240, Rate: hal.FPS(25)}, stride: 640},
		{name: "other format", negotiate: func(f *format) { f.pix().pixelFormat = uint32(hal.NV12) },
			want: vga(hal.NV12), stride: 640},
		{name: "a format that nobody takes", negotiate: func(f *format) { f.pix().pixelFormat = uint32(hal.FourCC("RGB3")) },
			err: hal.ErrUnsupported},
		{name: "padded rows", negotiate: func(f *format) { f.pix().bytesPerLine = 1408 }, want: vga(hal.YUYV), stride: 1408},
		{name: "rows too short", negotiate: func(f *format) { f.pix().bytesPerLine = 640 }, err: hal.ErrUnsupported},
		{name: "other rate", parm: &fract{1001, 30000}, stride: 1280,
			want: hal.Mode{Format: hal.YUYV, Width: 640, Height: 480, Rate: hal.Rate{Num: 30000, Den: 1001}}},
		{name: "no rate", parm: &fract{0, 0}, stride: 1280, want: hal.Mode{Format: hal.YUYV, Width: 640, Height: 480}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := fakeCamera(typeCapture, uint32(hal.YUYV))
			k.negotiate = tt.negotiate
			if tt.parm != nil {
				k.parm[typeCapture] = *tt.parm
				k.fail[vidiocSParm] = []error{nil}
				if tt.parm.num == 0 {
					delete(k.parm, typeCapture)
				}
			}
			s, err := k.camera(t).Start(t.Context(), vga(hal.YUYV))
			if !errors.Is(err, tt.err) {
				t.Fatalf("err = %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			defer s.Close()
			if got := s.Mode(); got != tt.want {
				t.Errorf("mode = %v, want %v", got, tt.want)
			}
			if got := s.(*capture).stride; got != tt.stride {
				t.Errorf("stride = %d, want %d", got, tt.stride)
			}
		})
	}
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		request uintptr
		errno   error
		want    error
	}{
		{"unplugged before open", 0, unix.ENODEV, hal.ErrClosed},
		{"node vanished", 0, unix.ENOENT, hal.ErrClosed},
		{"open: busy", 0, unix.EBUSY, hal.ErrBusy},
		{"open: no permission", 0, unix.EACCES, unix.EACCES},
		{"query capabilities", vidiocQueryCap, unix.ENODEV, hal.ErrClosed},
		{"not v4l2", vidiocQueryCap, unix.ENOTTY, hal.ErrUnsupported},
		{"somebody else streams", vidiocSFmt, unix.EBUSY, hal.ErrBusy},
		{"format refused", vidiocSFmt, unix.EINVAL, hal.ErrUnsupported},
		{"buffers are another's", vidiocReqBufs, unix.EBUSY, hal.ErrBusy},
		{"no memory", vidiocReqBufs, unix.ENOMEM, unix.ENOMEM},
		{"query buffer", vidiocQueryBuf, unix.EINVAL, unix.EINVAL},
		{"queue buffer", vidiocQBuf, unix.ENODEV, hal.ErrClosed},
		{"no bandwidth", vidiocStreamOn, unix.ENOSPC, unix.ENOSPC},
		{"sensor not linked", vidiocStreamOn, unix.EPIPE, unix.EPIPE},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := fakeCamera(typeCapture, uint32(hal.YUYV))
			c := k.camera(t)
			k.fail[tt.request] = []error{tt.errno}
			if _, err := c.Start(t.Context(), vga(hal.YUYV)); !errors.Is(err, tt.want) {
				t.Fatalf("err = %v, want %v", err, tt.want)
			}
			start(t, c, vga(hal.YUYV)) // and the next time it works
		})
	}
}

func TestStartTwice(t *testing.T) {
	t.Parallel()
	c := fakeCamera(typeCapture, uint32(hal.YUYV)).camera(t)
	s := start(t, c, vga(hal.YUYV))
	if _, err := c.Start(t.Context(), vga(hal.YUYV)); !errors.Is(err, hal.ErrBusy) {
		t.Errorf("second start: %v, want %v", err, hal.ErrBusy)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	start(t, c, vga(hal.YUYV))
}

func TestTooFewBuffers(t *testing.T) {
	t.Parallel()
	k := fakeCamera(typeCapture, uint32(hal.YUYV))
	k.give[typeCapture] = 1
	if _, err := k.camera(t).Start(t.Context(), vga(hal.YUYV)); err == nil {
		t.Error("started with one buffer")
	}
}

// TestNextFacts: what the driver tells of its buffers arrives in the frames.
func TestNextFacts(t *testing.T) {
	t.Parallel()
	const mono = bufTimeMono
	at := func(ms int) time.Duration { return 99*time.Second + time.Duration(ms)*time.Millisecond }
	picture := bytes.Repeat([]byte{7}, 640*480*3/2)
	tests := []struct {
		name    string
		buffers []filledBuffer
		size    []int // of each; 0 is a whole picture, -1 an empty buffer
		want    []hal.Frame
	}{
		{"steady", []filledBuffer{{sequence: 3, at: at(0), flags: mono}, {sequence: 4, at: at(40), flags: mono}}, nil,
			[]hal.Frame{{Seq: 3, PTS: at(0)}, {Seq: 4, PTS: at(40)}}},
		{"gap", []filledBuffer{{sequence: 0, at: at(0), flags: mono}, {sequence: 3, at: at(40), flags: mono}}, nil,
			[]hal.Frame{{Seq: 0, PTS: at(0)}, {Seq: 3, Lost: 2, PTS: at(40)}}},
		{"counter starts anew", []filledBuffer{{sequence: 9, at: at(0), flags: mono}, {at: at(40), flags: mono}}, nil,
			[]hal.Frame{{Seq: 9, PTS: at(0)}, {Seq: 10, PTS: at(40)}}},
		{"two counted alike", []filledBuffer{{sequence: 5, at: at(0), flags: mono}, {sequence: 5, at: at(40), flags: mono},
			{sequence: 7, at: at(80), flags: mono}}, nil,
			[]hal.Frame{{Seq: 5, PTS: at(0)}, {Seq: 6, PTS: at(40)}, {Seq: 8, Lost: 1, PTS: at(80)}}},
		{"counter wraps", []filledBuffer{{sequence: 1<<32 - 2, at: at(0), flags: mono}, {sequence: 1, at: at(40), flags: mono}},
			nil, []hal.Frame{{Seq: 1<<32 - 2, PTS: at(0)}, {Seq: 1, Lost: 2, PTS: at(40)}}},
		{"driver does not count", []filledBuffer{{at: at(0), flags: mono}, {at: at(40), flags: mono}}, nil,
			[]hal.Frame{{PTS: at(0)}, {Seq: 1, PTS: at(40)}}},
		{"time of the future", []filledBuffer{{at: at(1070), flags: mono}}, nil, []hal.Frame{{PTS: at(1000)}}},
		{"damaged", []filledBuffer{{at: at(0), flags: mono | bufError}}, []int{1000},
			[]hal.Frame{{PTS: at(0), Corrupt: true}}},
		{"empty between", []filledBuffer{{at: at(0), flags: mono}, {sequence: 1, at: at(40), flags: mono | bufError},
			{sequence: 2, at: at(80), flags: mono}}, []int{0, -1, 0},
			[]hal.Frame{{PTS: at(0)}, {Seq: 2, Lost: 1, PTS: at(80)}}},
		{"time goes back", []filledBuffer{{at: at(40), flags: mono}, {sequence: 1, at: at(0), flags: mono}}, nil,
			[]hal.Frame{{PTS: at(40)}, {Seq: 1, PTS: at(40)}}},
		{"clock unknown", []filledBuffer{{at: at(0)}}, nil, []hal.Frame{{PTS: 100 * time.Second}}},
		{"clock copied", []filledBuffer{{at: at(0), flags: 0x4000}}, nil, []hal.Frame{{PTS: 100 * time.Second}}},
		{"wall clock that says monotonic", []filledBuffer{{at: 400000 * time.Hour, flags: mono}}, nil,
			[]hal.Frame{{PTS: 100 * time.Second}}},
		{"trailing padding", []filledBuffer{{at: at(0), flags: mono}}, []int{640*480*3/2 + 512}, []hal.Frame{{PTS: at(0)}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := fakeCamera(typeCapture, uint32(hal.NV12))
			k.negotiate = func(f *format) { f.pix().sizeImage = 640*480*3/2 + 4096 }
			s := start(t, k.camera(t), vga(hal.NV12))
			for i, b := range tt.buffers {
				size := len(picture)
				if len(tt.size) > i && tt.size[i] != 0 {
					size = tt.size[i]
				}
				k.deliver(b, bytes.Repeat(picture[:1], max(0, size)))
			}
			for i, want := range tt.want {
				got, err := s.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				size := len(picture)
				if len(tt.size) == 1 {
					size = min(size, tt.size[0])
				}
				if len(got.Data) != size {
					t.Errorf("frame %d: %d bytes, want %d", i, len(got.Data), size)
				}
				got.Data = nil
				want.Format, want.Width, want.Height, want.Stride = hal.NV12, 640, 480, 640
				if !equalFrames(got, want) {
					t.Errorf("frame %d = %+v, want %+v", i, got, want)
				}
			}
		})
	}
}

func equalFrames(a, b hal.Frame) bool {
	return a.Format == b.Format && a.Width == b.Width && a.Height == b.Height && a.Stride == b.Stride &&
		a.PTS == b.PTS && a.Seq == b.Seq && a.Lost == b.Lost && a.Corrupt == b.Corrupt && bytes.Equal(a.Data, b.Data)
}

// TestNextLends: the buffer of a frame is not given back before the next call, then it is.
func TestNextLends(t *testing.T) {
	t.Parallel()
	k := fakeCamera(typeCapture, uint32(hal.MJPEG))
	s := start(t, k.camera(t), vga(hal.MJPEG))
	for i := range 20 {
		if !k.deliver(filledBuffer{sequence: uint32(i)}, []byte{0xff, 0xd8, byte(i)}) {
			t.Fatalf("frame %d: the driver has no buffer", i)
		}
		f, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Data[2] != byte(i) || f.Stride != 0 {
			t.Fatalf("frame %d: %x, stride %d", i, f.Data, f.Stride)
		}
		k.mu.Lock()
		queued := len(k.queues[typeCapture].queued)
		k.mu.Unlock()
		if queued != captureBuffers-1 {
			t.Fatalf("frame %d: the driver has %d buffers, want %d", i, queued, captureBuffers-1)
		}
	}
}

func TestH264BeginsWithStartCode(t *testing.T) {
	t.Parallel()
	k := fakeCamera(typeCapture, uint32(hal.H264))
	s := start(t, k.camera(t), vga(hal.H264))
	k.deliver(filledBuffer{sequence: 0}, make([]byte, 5000)) // v4l2loopback: a stale buffer of zeros
	k.deliver(filledBuffer{sequence: 1}, []byte{0, 1, 2, 3})
	k.deliver(filledBuffer{sequence: 2}, []byte{0, 0, 0, 1, 0x41, 9})
	f, err := s.Next(t.Context())
	if err != nil || f.Seq != 2 || f.Lost != 0 {
		t.Fatalf("first frame %+v, %v", f, err)
	}
	k.deliver(filledBuffer{sequence: 3}, []byte{1, 2, 3}) // later garbage is the caller's to judge
	if f, err = s.Next(t.Context()); err != nil || f.Seq != 3 {
		t.Fatalf("second frame %+v, %v", f, err)
	}
}

func TestMultiPlanar(t *testing.T) {
	t.Parallel()
	const w, h = 640, 480
	y, cb, cr := bytes.Repeat([]byte{1}, w*h), bytes.Repeat([]byte{2}, w*h/4), bytes.Repeat([]byte{3}, w*h/4)
	cbcr := bytes.Repeat([]byte{4}, w*h/2)
	tests := []struct {
		name   string
		fourCC uint32
		format hal.PixelFormat
		offset int
		planes [][]byte
	}{
		{"one plane", uint32(hal.NV12), hal.NV12, 0, [][]byte{append(bytes.Clone(y), cbcr...)}},
		{"two planes", fourCCNM12, hal.NV12, 0, [][]byte{y, cbcr}},
		{"three planes", fourCCYM12, hal.YU12, 0, [][]byte{y, cb, cr}},
		{"data offset", uint32(hal.MJPEG), hal.MJPEG, 128, [][]byte{{0xff, 0xd8, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := fakeCamera(typeCaptureMP, tt.fourCC)
			s := start(t, k.camera(t), vga(tt.format))
			for i := range 6 {
				k.deliver(filledBuffer{sequence: uint32(i), offset: tt.offset}, tt.planes...)
				f, err := s.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(f.Data, bytes.Join(tt.planes, nil)) || f.Format != tt.format {
					t.Fatalf("frame %d: %v of %d bytes", i, f.Format, len(f.Data))
				}
			}
		})
	}
}

func TestMultiPlanarChromaStride(t *testing.T) {
	t.Parallel()
	k := fakeCamera(typeCaptureMP, fourCCNM12)
	k.negotiate = func(f *format) { f.mp().planes[1].bytesPerLine = 1024 }
	if _, err := k.camera(t).Start(t.Context(), vga(hal.NV12)); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("err = %v, want %v", err, hal.ErrUnsupported)
	}
}

func TestNextErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		errs   []error
		hangUp int16
		want   error
	}{
		{"unplugged", []error{unix.ENODEV}, 0, hal.ErrClosed},
		{"unplugged while it waits", []error{unix.EAGAIN, unix.ENODEV}, unix.POLLERR | unix.POLLHUP, hal.ErrClosed},
		{"hang-up without a word", []error{unix.EAGAIN, unix.EAGAIN}, unix.POLLHUP, hal.ErrClosed},
		{"driver gave up", []error{unix.EAGAIN, unix.EIO}, unix.POLLERR, unix.EIO},
		{"source changed", []error{unix.EPIPE}, 0, hal.ErrClosed},
		{"signal lost", []error{unix.EIO}, 0, unix.EIO},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := fakeCamera(typeCapture, uint32(hal.YUYV))
			s := start(t, k.camera(t), vga(hal.YUYV))
			k.set(func() { k.fail[vidiocDQBuf], k.hangUp = tt.errs, tt.hangUp })
			if _, err := s.Next(t.Context()); !errors.Is(err, tt.want) {
				t.Errorf("err = %v, want %v", err, tt.want)
			}
			k.set(func() { k.fail[vidiocStreamOff] = []error{unix.ENODEV} })
			if err := s.Close(); err != nil {
				t.Errorf("close of a device that is gone: %v", err)
			}
			if _, err := s.Next(t.Context()); !errors.Is(err, hal.ErrClosed) {
				t.Errorf("after close: %v", err)
			}
		})
	}
}

// TestNextFrameBeatsHangUp: a frame that was finished before the device went away is still handed out.
func TestNextFrameBeatsHangUp(t *testing.T) {
	t.Parallel()
	k := fakeCamera(typeCapture, uint32(hal.MJPEG))
	s := start(t, k.camera(t), vga(hal.MJPEG))
	k.deliver(filledBuffer{}, []byte{1})
	k.set(func() { k.fail[vidiocDQBuf], k.hangUp = []error{unix.EAGAIN}, unix.POLLERR })
	if f, err := s.Next(t.Context()); err != nil || len(f.Data) != 1 {
		t.Errorf("frame %v, %v", f.Data, err)
	}
}

func TestNextIsUnblocked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		by   func(hal.Capture, context.CancelFunc) error
		want error
	}{
		{"by close", func(c hal.Capture, _ context.CancelFunc) error { return c.Close() }, hal.ErrClosed},
		{"by the context", func(_ hal.Capture, cancel context.CancelFunc) error { cancel(); return nil }, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := fakeCamera(typeCapture, uint32(hal.YUYV))
				s := start(t, k.camera(t), vga(hal.YUYV))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				result := make(chan error, 1)
				go func() {
					_, err := s.Next(ctx)
					result <- err
				}()
				synctest.Wait()
				if err := tt.by(s, cancel); err != nil {
					t.Error(err)
				}
				if err := <-result; !errors.Is(err, tt.want) {
					t.Errorf("err = %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func TestNextDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := fakeCamera(typeCapture, uint32(hal.MJPEG))
		s := start(t, k.camera(t), vga(hal.MJPEG))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v", err)
		}
		k.deliver(filledBuffer{}, []byte{1})
		if _, err := s.Next(t.Context()); err != nil {
			t.Errorf("after a deadline: %v", err)
		}
	})
}

func TestControls(t *testing.T) {
	t.Parallel()
	k := fakeCamera(typeCapture, uint32(hal.H264))
	k.controls[cidBitrate] = queryCtrl{id: cidBitrate, min: 25_000, max: 25_000_000, step: 25_000}
	k.controls[cidGOPSize] = queryCtrl{id: cidGOPSize, min: 1, max: 100, step: 1, flags: ctrlDisabled}
	k.controls[cidIPeriod] = queryCtrl{id: cidIPeriod, min: 1, max: 60, step: 1}
	s := start(t, k.camera(t), vga(hal.H264))
	tests := []struct {
		control hal.Control
		value   int
		id      uint32
		want    int32
		err     error
	}{
		{hal.Bitrate, 2_000_000, cidBitrate, 2_000_000, nil},
		{hal.Bitrate, 2_010_000, cidBitrate, 2_000_000, nil},
		{hal.Bitrate, 1, cidBitrate, 25_000, nil},
		{hal.Bitrate, 1<<31 - 1, cidBitrate, 25_000_000, nil},
		{hal.GOP, 250, cidIPeriod, 60, nil},
		{hal.ForceIDR, 0, 0, 0, hal.ErrUnsupported},
		{hal.Control(99), 0, 0, 0, hal.ErrUnsupported},
	}
	for _, tt := range tests {
		err := s.Control(tt.control, tt.value)
		if !errors.Is(err, tt.err) {
			t.Errorf("%v %d: %v, want %v", tt.control, tt.value, err, tt.err)
		}
		if err != nil {
			continue
		}
		if v := k.values[tt.id]; len(v) == 0 || v[len(v)-1] != tt.want {
			t.Errorf("%v %d: set to %v, want %d", tt.control, tt.value, v, tt.want)
		}
	}
	k.controls[cidForceKey] = queryCtrl{id: cidForceKey} // a button
	if err := s.Control(hal.ForceIDR, 1); err != nil || len(k.values[cidForceKey]) != 1 {
		t.Errorf("force idr: %v, %v", err, k.values[cidForceKey])
	}
	k.fail[vidiocSCtrl] = []error{unix.EBUSY}
	if err := s.Control(hal.Bitrate, 1); !errors.Is(err, hal.ErrBusy) {
		t.Errorf("err = %v", err)
	}
	if err := errors.Join(s.Close(), s.Control(hal.Bitrate, 1)); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

// TestLoopbackFrameStays: v4l2loopback's writer fills a buffer that the reader still has.
func TestLoopbackFrameStays(t *testing.T) {
	t.Parallel()
	k := fakeCamera(typeCapture, uint32(hal.H264))
	copy(k.caps.driver[:], "v4l2 loopback\x00")
	s := start(t, k.camera(t), vga(hal.H264))
	coded := []byte{0, 0, 0, 1, 0x65, 1, 2, 3}
	k.deliver(filledBuffer{flags: bufTimeMono}, coded)
	f, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k.set(func() {
		for _, planes := range k.queues[typeCapture].mem {
			clear(planes[0])
		}
	})
	if !bytes.Equal(f.Data, coded) {
		t.Errorf("the frame became % x", f.Data)
	}
}

// TestStaleBuffers: what was captured before the start is no picture of this capture.
func TestStaleBuffers(t *testing.T) {
	t.Parallel()
	const started = 100 * time.Second // the fake camera's clock stands still
	for _, tt := range []struct {
		name   string
		driver string
		flags  uint32
		at     []time.Duration
		want   uint32 // sequence of the first frame
	}{
		{"a loopback's last picture", loopbackDriver, 0, []time.Duration{started - 12*time.Second, started}, 1},
		{"a loopback's last picture, at the time of REQBUFS", loopbackDriver, 0, []time.Duration{started - time.Microsecond, started}, 1},
		{"said to be monotonic", "fake", bufTimeMono, []time.Duration{started - 4*time.Second, started}, 1},
		{"captured while it starts", "fake", bufTimeMono, []time.Duration{started - 900*time.Millisecond}, 0},
		{"no time", "fake", bufTimeMono, []time.Duration{0}, 0},
		{"a clock that is not told", "fake", 0, []time.Duration{started - 4*time.Second}, 0},
		{"another clock after all", "fake", bufTimeMono, slices.Repeat([]time.Duration{time.Second}, captureBuffers+1), captureBuffers},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := fakeCamera(typeCapture, uint32(hal.H264))
			clear(k.caps.driver[:])
			copy(k.caps.driver[:], tt.driver)
			s := start(t, k.camera(t), vga(hal.H264))
			var fed sync.WaitGroup
			fed.Go(func() { // the buffers come back one by one, and not at all after the first frame
				for i, at := range tt.at {
					one := filledBuffer{flags: tt.flags, at: at, sequence: uint32(i)}
					for t.Context().Err() == nil && !k.deliver(one, []byte{0, 0, 0, 1, 0x65}) {
						runtime.Gosched()
					}
				}
			})
			t.Cleanup(fed.Wait)
			f, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if f.Seq != tt.want || f.Lost != 0 {
				t.Errorf("the first frame is %d, %d lost, want %d", f.Seq, f.Lost, tt.want)
			}
		})
	}
}
