package v4l2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
	"golang.org/x/sys/unix"
)

// captureBuffers: one is lent to the caller, one is being filled, two wait.
const captureBuffers = 4

// OpenCamera returns the camera behind a capture node. The node is only open while Modes or a Capture uses it.
func OpenCamera(path string, log *slog.Logger) (hal.Camera, error) {
	return openCamera(openNode, path, log)
}

type camera struct {
	open opener
	path string
	info hal.DeviceInfo
	log  *slog.Logger
	now  func() time.Duration
	busy atomic.Bool
}

func openCamera(open opener, path string, log *slog.Logger) (*camera, error) {
	c := &camera{open: open, path: path, log: log.With("part", "v4l2", "device", path), now: monotime.Now}
	d, err := c.openNode()
	if err != nil {
		return nil, err
	}
	c.info = d.info
	return c, d.close()
}

func (c *camera) openNode() (*device, error) {
	d, err := openDevice(c.open, c.path)
	if err != nil {
		return nil, err
	}
	if why := d.notCamera(); why != "" {
		return nil, errors.Join(fmt.Errorf("open camera %s: %s: %w", c.path, why, hal.ErrUnsupported), d.close())
	}
	return d, nil
}

// notCamera says why the node is no camera, or nothing.
func (d *device) notCamera() string {
	switch {
	case d.memoryToMemory():
		return "a memory-to-memory device"
	case d.captureType() == 0 && d.caps&capMetaCapture != 0:
		return "a metadata node"
	case d.captureType() == 0 && d.caps&(capOutput|capOutputMP) != 0:
		return "an output"
	case d.captureType() == 0:
		return "no video capture"
	case d.caps&capStreaming == 0:
		return "no streaming I/O"
	}
	return ""
}

func (c *camera) Info() hal.DeviceInfo { return c.info }

func (c *camera) Modes(ctx context.Context) ([]hal.Mode, error) {
	d, err := c.openNode()
	if err != nil {
		return nil, err
	}
	modes, err := d.modes(ctx)
	return modes, errors.Join(err, d.close())
}

func (c *camera) Start(ctx context.Context, want hal.Mode) (hal.Capture, error) {
	if c.busy.Swap(true) {
		return nil, fmt.Errorf("start %s: %w", c.path, hal.ErrBusy)
	}
	s, err := c.start(ctx, want)
	if err != nil {
		c.busy.Store(false)
		return nil, err
	}
	return s, nil
}

func (c *camera) start(ctx context.Context, want hal.Mode) (*capture, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := c.openNode()
	if err != nil {
		return nil, err
	}
	s := &capture{session: session{d: d}, cam: c}
	if err := s.negotiate(want); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if err := s.begin(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	c.log.Info("capture started", "asked", want.String(), "mode", s.mode.String(), "buffers", s.q.count,
		"stride_bytes", s.stride, "buffer_bytes", len(s.q.memory(0, 0)))
	return s, nil
}

// capture is a started camera.
type capture struct {
	session
	cam    *camera
	mode   hal.Mode
	pic    picture
	stride int // of a raw format, else 0
	size   int // of a whole raw picture, else 0
	q      *queue

	exposure exposure

	// Of the goroutine that calls Next:
	lent    int // index of the buffer that the caller has, -1 if none
	scratch []byte
	started bool          // a frame was handed out
	number  uint32        // of that frame
	seq     uint32        // the driver's, of the last buffer
	begun   time.Duration // when it was started, on CLOCK_MONOTONIC
	stale   int           // buffers of before that, which were skipped
	counted bool          // a buffer was dequeued
	lost    uint32        // frames that are missing before the next one
	last    time.Duration
	warned  bool
}

// negotiate sets format and rate, and keeps what the driver made of them.
func (c *capture) negotiate(want hal.Mode) error {
	typ := c.d.captureType()
	list, err := c.d.formats(typ)
	if err != nil {
		return err
	}
	code, ok := offered(list, want.Format)
	if !ok {
		return fmt.Errorf("start %s: no %v: %w", c.d.path, want.Format, hal.ErrUnsupported)
	}
	c.pic, err = c.d.setFormat(newFormat(typ, code, want.Width, want.Height, 0))
	if err != nil {
		return err
	}
	c.mode = hal.Mode{Width: c.pic.width, Height: c.pic.height}
	if c.mode.Format, ok = halFormat(uint32(c.pic.fourCC)); !ok {
		return fmt.Errorf("start %s: asked for %v, the driver chose %v: %w", c.d.path, want.Format,
			c.pic.fourCC, hal.ErrUnsupported)
	}
	if err := c.layout(); err != nil {
		return err
	}
	c.mode.Rate, err = c.d.setRate(typ, want.Rate)
	return err
}

// layout checks that the planes lie as hal.Frame describes them.
func (c *capture) layout() error {
	if len(c.pic.planes) != memoryPlanes(uint32(c.pic.fourCC)) {
		return fmt.Errorf("start %s: %d memory planes of %v: %w", c.d.path, len(c.pic.planes),
			c.pic.fourCC, hal.ErrUnsupported)
	}
	if !c.mode.Format.Raw() {
		return nil
	}
	c.stride = c.pic.planes[0].stride
	planes := colourPlanes(c.mode.Format, c.mode.Width, c.mode.Height, c.stride)
	if c.stride != 0 && c.stride < planes[0].width {
		return fmt.Errorf("start %s: rows of %d bytes, %d are needed: %w", c.d.path, c.stride, planes[0].width,
			hal.ErrUnsupported)
	}
	for p := 1; p < len(c.pic.planes); p++ {
		if s := c.pic.planes[p].stride; s != planes[p].stride {
			return fmt.Errorf("start %s: chroma rows of %d bytes beside luma rows of %d: %w", c.d.path, s, c.stride,
				hal.ErrUnsupported)
		}
	}
	c.size = totalSize(planes)
	return nil
}

// begin gives all buffers to the driver and starts it.
func (c *capture) begin() (err error) {
	c.lent = -1
	if c.q, err = c.d.newQueue(c.d.captureType(), captureBuffers, len(c.pic.planes)); err != nil {
		return err
	}
	for i := range c.q.count {
		if err := c.q.put(i, nil, 0); err != nil {
			return err
		}
	}
	c.begun = c.cam.now()
	return c.q.start()
}

func (c *capture) Mode() hal.Mode { return c.mode }

func (c *capture) Next(ctx context.Context) (hal.Frame, error) {
	if err := c.enter("next frame of"); err != nil {
		return hal.Frame{}, err
	}
	defer c.leave()
	if err := c.giveBack(); err != nil {
		return hal.Frame{}, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return hal.Frame{}, err
		}
		f, err := c.dequeue(ctx)
		if err != nil {
			return hal.Frame{}, err
		}
		c.lent = int(f.index)
		if frame, ok := c.frame(&f); ok {
			return frame, nil
		}
		if err := c.giveBack(); err != nil {
			return hal.Frame{}, err
		}
	}
}

func (c *capture) giveBack() error {
	if c.lent < 0 {
		return nil
	}
	i := c.lent
	c.lent = -1
	return c.q.put(i, nil, 0)
}

// dequeue waits for the next buffer.
func (c *capture) dequeue(ctx context.Context) (filled, error) {
	for {
		f, err := c.q.take()
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EAGAIN) {
			return f, c.dequeueFault(err)
		}
		got, err := c.wait(ctx, unix.POLLIN, -1)
		if err != nil {
			return f, err
		}
		if got&unix.POLLIN != 0 {
			continue
		}
		// POLLERR, POLLHUP: the driver gave up or is gone. DQBUF knows more, unless it has nothing to say.
		if f, err = c.q.take(); err == nil {
			return f, nil
		}
		if errors.Is(err, unix.EAGAIN) {
			return f, fmt.Errorf("next frame of %s: poll says %#x: %w", c.d.path, got, hal.ErrClosed)
		}
		return f, c.dequeueFault(err)
	}
}

func (c *capture) dequeueFault(err error) error {
	if errors.Is(err, unix.EPIPE) { // after V4L2_BUF_FLAG_LAST: the source changed (VIDIOC_DQBUF)
		return fmt.Errorf("next frame of %s: the source changed its format: %w", c.d.path, hal.ErrClosed)
	}
	return fault("next frame of", c.d.path, err)
}

// frame turns a buffer into a frame; not ok if there is nothing in it that anybody could use.
func (c *capture) frame(f *filled) (hal.Frame, bool) {
	if gap := f.sequence - c.seq - 1; c.counted && gap < 1<<31 { // else the driver counts two alike, anew, or not at all
		c.lost += gap
	}
	c.seq, c.counted = f.sequence, true
	data := c.data(f)
	if len(data) == 0 {
		c.lost++
		return hal.Frame{}, false
	}
	if c.isStale(f) {
		c.stale++
		c.cam.log.Warn("buffer of before the start skipped", "age", c.cam.now()-f.at, "sequence", f.sequence)
		return hal.Frame{}, false
	}
	if !c.started && c.mode.Format == hal.H264 && !startsAnnexB(data) {
		c.cam.log.Warn("buffer without a start code skipped", "bytes", len(data), "sequence", f.sequence)
		return hal.Frame{}, false
	}
	out := hal.Frame{
		Format: c.mode.Format, Width: c.mode.Width, Height: c.mode.Height, Data: data, Stride: c.stride,
		PTS: c.stamp(f), Seq: f.sequence, Corrupt: f.flags&bufError != 0,
	}
	if c.started {
		out.Seq, out.Lost = c.number+c.lost+1, c.lost
	}
	c.number, c.lost, c.started = out.Seq, 0, true
	return out, true
}

// loopbackDriver is v4l2loopback, as VIDIOC_QUERYCAP tells it. Its writer fills the buffers in their order whether the
// reader has given them back or not, so a frame that is to stay as it is has to be a copy.
const loopbackDriver = "v4l2 loopback"

// data returns the picture's bytes: the driver's own memory, or for planes in separate memory a copy side by side.
func (c *capture) data(f *filled) []byte {
	data := c.q.data(f, 0)
	if c.q.width > 1 {
		c.scratch = c.scratch[:0]
		for p, r := range colourPlanes(c.mode.Format, c.mode.Width, c.mode.Height, c.stride) {
			d := c.q.data(f, p)
			c.scratch = append(c.scratch, d[:min(len(d), r.size())]...)
		}
		data = c.scratch
	} else if c.d.info.Driver == loopbackDriver {
		c.scratch = append(c.scratch[:0], data...)
		data = c.scratch
	}
	if c.size > 0 && len(data) > c.size {
		data = data[:c.size]
	}
	return data
}

// staleSlack is how long before the start a frame may have been captured and still count as one of this capture.
const staleSlack = time.Second

// isStale reports whether a buffer was captured before the start. v4l2loopback begins with the last one that it was
// given, however long ago that was: a writer that hangs would show its last picture at each try to start anew. There is
// no slack for it, because VIDIOC_REQBUFS makes it give all its buffers the time of that call (0.12.7, init_buffers), and
// what is written later has a later time than the start. A driver whose clock is another one is believed in the end.
func (c *capture) isStale(f *filled) bool {
	slack := staleSlack
	if c.d.info.Driver == loopbackDriver {
		slack = 0
	}
	return !c.started && c.monotonic(f) && f.at > 0 && f.at+slack < c.begun && c.stale < c.q.count
}

// monotonic reports whether a buffer's time is said to be CLOCK_MONOTONIC. v4l2loopback uses it and does not say so.
func (c *capture) monotonic(f *filled) bool {
	return f.flags&bufTimeMask == bufTimeMono || c.d.info.Driver == loopbackDriver
}

// clockSlack is how far a driver's time may be from ours before we don't believe that it is CLOCK_MONOTONIC.
const clockSlack = 10 * time.Second

// stamp returns the time of capture on CLOCK_MONOTONIC: the driver's, but never before the frame before nor after now (a
// driver that tells when a picture will be complete, as vivid does, tells the future).
func (c *capture) stamp(f *filled) time.Duration {
	now := c.cam.now()
	at := f.at
	if !c.monotonic(f) || (now-at).Abs() > clockSlack {
		if !c.warned {
			c.warned = true
			c.cam.log.Warn("the driver's clock is unknown, frames are stamped when they arrive",
				"timestamp_flags", f.flags&bufTimeMask, "driver_time", f.at)
		}
		at = now
	}
	c.last = max(c.last, min(at, now))
	return c.last
}

func (c *capture) Control(k hal.Control, value int) error {
	if err := c.enter("control"); err != nil {
		return err
	}
	defer c.leave()
	if k != hal.Exposure {
		return c.d.control(k, value)
	}
	if err := c.exposure.set(c.d, value); err != nil {
		return fmt.Errorf("%v: %w", k, err)
	}
	return nil
}

func (c *capture) Close() error {
	return c.shut(func() error {
		defer c.cam.busy.Store(false)
		c.exposure.restore(c.d)
		return c.q.stop()
	})
}
