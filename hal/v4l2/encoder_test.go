package v4l2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// fakeEncoder turns OUTPUT buffers into CAPTURE buffers as v4l2-mem2mem and an encoder under it do.
type fakeEncoder struct {
	keeps       int  // pictures that stay inside until another one comes
	headerApart bool // SPS and PPS come in a buffer of their own, once
	noTime      bool // timestamps are not copied
	noCommand   bool // VIDIOC_ENCODER_CMD is ENOTTY
	skips       []int
	empties     []int // pictures whose coded buffer is empty
	dead        bool  // nothing comes out

	inside   []filledBuffer
	coded    int
	sinceIDR int
	header   bool
	stopping bool
	forced   int // FORCE_KEY_FRAME was set so many times, as far as pictures that went in know
}

var (
	// 640x360, Constrained Baseline, level 3
	fakeSPS = []byte("\x00\x00\x00\x01\x67\x42\xc0\x1e\xd9\x00\xa0\x2f\xf9\x70\x11\x00\x00\x03\x00\x01\x00\x00\x03\x00\x32\x0f\x16\x2e\x48")
	fakePPS = []byte("\x00\x00\x00\x01\x68\xcb\x83\xcb\x20")
)

// fakeSlice is a coded picture that tells its number.
func fakeSlice(n int, idr bool) []byte {
	kind := byte(0x41)
	if idr {
		kind = 0x65
	}
	return []byte{0, 0, 0, 1, kind, 0x88, byte(n)}
}

func (k *fakeKernel) m2mTypes() (in, out uint32) {
	if k.queues[typeOutputMP] != nil {
		return typeOutputMP, typeCaptureMP
	}
	return typeOutput, typeCapture
}

// run does what work there is. Called with the kernel's mu held.
func (e *fakeEncoder) run(k *fakeKernel) {
	inType, outType := k.m2mTypes()
	in, out := k.queues[inType], k.queues[outType]
	if in == nil || out == nil || !in.streaming || !out.streaming || e.dead {
		return
	}
	for len(in.pending) > 0 {
		if n := len(k.values[cidForceKey]); n > e.forced { // it counts for the next buffer that is queued
			e.forced, in.pending[0].flags = n, bufKeyFrame
		}
		e.inside = append(e.inside, in.pending[0])
		in.pending, in.queued = in.pending[1:], in.queued[1:]
		in.done = append(in.done, filledBuffer{index: e.inside[len(e.inside)-1].index, used: make([]int, len(in.planes))})
	}
	for len(e.inside) > 0 && (len(e.inside) > e.keeps || e.stopping) && len(out.queued) > 0 {
		if e.headerApart && !e.header {
			e.header = true
			k.finish(outType, filledBuffer{}, append(bytes.Clone(fakeSPS), fakePPS...))
			continue
		}
		e.code(k, outType)
	}
	if e.stopping && len(e.inside) == 0 && len(out.queued) > 0 {
		e.stopping = false
		k.finish(outType, filledBuffer{flags: bufLast}, nil)
	}
}

func (e *fakeEncoder) code(k *fakeKernel, outType uint32) {
	f := filledBuffer{sequence: uint32(e.coded), at: e.inside[0].at}
	gop := k.values[cidGOPSize]
	idr := e.coded == 0 || e.inside[0].flags&bufKeyFrame != 0 || len(gop) > 0 && e.sinceIDR >= int(gop[len(gop)-1])
	if idr {
		e.sinceIDR = 0
	}
	e.sinceIDR++
	e.inside = e.inside[1:]
	n := e.coded
	e.coded++
	if e.noTime {
		f.at = 0
	}
	data := fakeSlice(n, idr)
	switch {
	case slices.Contains(e.skips, n):
		return
	case slices.Contains(e.empties, n):
		data = nil
	case n == 0 && !e.headerApart:
		data = slices.Concat(fakeSPS, fakePPS, data)
	}
	k.finish(outType, f, data)
}

func (k *fakeKernel) command(cmd uint32) error {
	e := k.encoder
	if e == nil || e.noCommand {
		return unix.ENOTTY
	}
	_, outType := k.m2mTypes()
	if cmd == encCmdStop {
		e.stopping = true
	} else {
		k.queues[outType].ended = false
	}
	e.run(k)
	k.change()
	return nil
}

// fakeM2M is an encoder of the given inputs to H.264.
func fakeM2M(captureType uint32, e *fakeEncoder, inputs ...uint32) *fakeKernel {
	caps := uint32(capM2M | capStreaming)
	if multiplanar(captureType) {
		caps = capM2MMP | capStreaming
	}
	k := newFake(caps)
	k.encoder = e
	k.formats[captureType] = []fmtDesc{{pixelFormat: uint32(hal.H264), flags: fmtCompressed}}
	for _, f := range inputs {
		k.formats[outputType(captureType)] = append(k.formats[outputType(captureType)], fmtDesc{pixelFormat: f})
	}
	k.parm[outputType(captureType)] = fract{}
	k.controls[cidBitrate] = queryCtrl{min: 1000, max: 10_000_000, step: 1}
	k.controls[cidGOPSize] = queryCtrl{min: 1, max: 300, step: 1}
	k.controls[cidBFrames] = queryCtrl{min: 0, max: 2, step: 1}
	k.controls[cidForceKey] = queryCtrl{}
	k.controls[cidPrependSPS] = queryCtrl{max: 1, step: 1}
	return k
}

func (k *fakeKernel) openEncoder(t *testing.T) *encoder {
	t.Helper()
	e, err := openEncoder(k.opener, "/dev/video0", hal.H264, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.open != 0 {
			t.Errorf("the node is still open %d times", k.open)
		}
	})
	return e
}

func config(in hal.PixelFormat) hal.EncoderConfig {
	return hal.EncoderConfig{Input: in, Width: 320, Height: 240, Rate: hal.FPS(25), BitrateBPS: 500_000, GOP: 25}
}

func openEncoding(t *testing.T, k *fakeKernel, c hal.EncoderConfig) hal.Encoding {
	t.Helper()
	s, err := k.openEncoder(t).Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// rawPicture makes picture n; its rows are padded when stride is longer than they are.
func rawPicture(c hal.EncoderConfig, n, stride int) hal.Frame {
	f := hal.Frame{Format: c.Input, Width: c.Width, Height: c.Height, Stride: stride, Seq: uint32(n)}
	f.PTS = time.Duration(n) * 40 * time.Millisecond
	f.Data = make([]byte, totalSize(colourPlanes(c.Input, c.Width, c.Height, stride)))
	for i := range f.Data {
		f.Data[i] = byte(i*7 + n)
	}
	return f
}

type result struct {
	seq, lost uint32
	slice     byte
}

// encode puts n pictures in and drains; nils counts the calls that gave nothing.
func encode(t *testing.T, s hal.Encoding, c hal.EncoderConfig, n int) (out []result, nils int) {
	t.Helper()
	take := func(f hal.Frame) {
		if f.PTS != time.Duration(f.Seq)*40*time.Millisecond {
			t.Errorf("picture %d at %v", f.Seq, f.PTS)
		}
		out = append(out, result{f.Seq, f.Lost, f.Data[len(f.Data)-1]})
		if f.Data[len(f.Data)-3] == 0x65 && !bytes.HasPrefix(f.Data, fakeSPS) {
			t.Errorf("picture %d: an IDR without parameter sets", f.Seq)
		}
	}
	for i := range n {
		f, err := s.Encode(t.Context(), rawPicture(c, i, 0))
		if err != nil {
			t.Fatalf("picture %d: %v", i, err)
		}
		if f.Data == nil {
			nils++
			continue
		}
		take(f)
	}
	for {
		f, err := s.Drain(t.Context())
		if errors.Is(err, io.EOF) {
			return out, nils
		}
		if err != nil {
			t.Fatalf("drain: %v", err)
		}
		take(f)
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		encoder fakeEncoder
		give    map[uint32]int
		nils    int
		lost    map[uint32]uint32 // seq -> lost
		missing []uint32
	}{
		{name: "one in, one out"},
		{name: "keeps one", encoder: fakeEncoder{keeps: 1}, nils: 1},
		{name: "keeps two", encoder: fakeEncoder{keeps: 2}, nils: 2},
		{name: "header apart", encoder: fakeEncoder{headerApart: true}},
		{name: "header apart, keeps one", encoder: fakeEncoder{headerApart: true, keeps: 1}, nils: 1},
		{name: "no timestamps", encoder: fakeEncoder{noTime: true}},
		{name: "no timestamps, keeps one", encoder: fakeEncoder{noTime: true, keeps: 1}, nils: 1},
		{name: "rate control skips", encoder: fakeEncoder{skips: []int{7}}, nils: 1, lost: map[uint32]uint32{8: 1},
			missing: []uint32{7}},
		{name: "rate control says so", encoder: fakeEncoder{empties: []int{7}}, nils: 1, lost: map[uint32]uint32{8: 1},
			missing: []uint32{7}},
		{name: "no encoder command", encoder: fakeEncoder{noCommand: true}},
		{name: "many buffers", give: map[uint32]int{typeOutputMP: 8, typeCaptureMP: 2}},
		{name: "many buffers, keeps one", encoder: fakeEncoder{keeps: 1}, nils: 1,
			give: map[uint32]int{typeOutputMP: 2, typeCaptureMP: 8}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := fakeM2M(typeCaptureMP, &tt.encoder, uint32(hal.NV12))
				for typ, n := range tt.give {
					k.give[typ] = n
				}
				c := config(hal.NV12)
				const n = 60
				out, nils := encode(t, openEncoding(t, k, c), c, n)
				var want []result
				for i := range uint32(n) {
					if !slices.Contains(tt.missing, i) {
						want = append(want, result{i, tt.lost[i], byte(i)})
					}
				}
				if !slices.Equal(out, want) {
					t.Errorf("out = %v, want %v", out, want)
				}
				if nils != tt.nils {
					t.Errorf("%d calls gave nothing, want %d", nils, tt.nils)
				}
			})
		})
	}
}

// TestEncodeAgain: an encoder that was drained goes on.
func TestEncodeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := fakeM2M(typeCapture, &fakeEncoder{keeps: 1}, uint32(hal.YU12))
		c := config(hal.YU12)
		s := openEncoding(t, k, c)
		for range 3 {
			if out, _ := encode(t, s, c, 5); len(out) != 5 {
				t.Errorf("%d access units, want 5", len(out))
			}
			if _, err := s.Drain(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("drained twice: %v", err)
			}
		}
	})
}

// TestEncodeCopies: whatever strides and heights camera and encoder have, every pixel arrives where the encoder wants
// it, and time and bytesused with it.
func TestEncodeCopies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		typ       uint32
		fourCC    uint32
		input     hal.PixelFormat
		srcStride int
		dstStride int
		dstHeight int
	}{
		{"nv12", typeCapture, uint32(hal.NV12), hal.NV12, 0, 0, 0},
		{"nv12, padded source", typeCapture, uint32(hal.NV12), hal.NV12, 384, 0, 0},
		{"nv12, padded buffer", typeCaptureMP, uint32(hal.NV12), hal.NV12, 0, 512, 0},
		{"nv12, more rows", typeCaptureMP, uint32(hal.NV12), hal.NV12, 0, 0, 256},
		{"yu12, padded both", typeCaptureMP, uint32(hal.YU12), hal.YU12, 384, 512, 256},
		{"nv12 in two planes", typeCaptureMP, fourCCNM12, hal.NV12, 384, 512, 256},
		{"yu12 in three planes", typeCaptureMP, fourCCYM12, hal.YU12, 0, 0, 0},
		{"yuyv", typeCapture, uint32(hal.YUYV), hal.YUYV, 704, 1024, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := fakeM2M(tt.typ, &fakeEncoder{}, tt.fourCC)
			k.negotiate = func(f *format) { padInput(f, tt.dstStride, tt.dstHeight) }
			c := config(tt.input)
			s := openEncoding(t, k, c)
			if tt.dstHeight != 0 && (k.crop.width != 320 || k.crop.height != 240) {
				t.Errorf("crop %dx%d", k.crop.width, k.crop.height)
			}
			raw := rawPicture(c, 3, tt.srcStride)
			if _, err := s.Encode(t.Context(), raw); err != nil {
				t.Fatal(err)
			}
			in := k.queues[outputType(tt.typ)]
			mem := in.mem[in.done[0].index]
			buffer := slices.Concat(mem...)
			checkPixels(t, buffer, raw, tt.dstStride, orElse(tt.dstHeight, 240))
		})
	}
}

// padInput makes the rows longer and more, as encoders do that work on blocks.
func padInput(f *format, stride, height int) {
	fourCC := uint32(f.picture().fourCC)
	h, _ := halFormat(fourCC)
	switch f.typ {
	case typeOutput:
		p := f.pix()
		p.bytesPerLine = uint32(stride)
		p.sizeImage = uint32(totalSize(colourPlanes(h, int(p.width), int(p.height), stride)))
	case typeOutputMP:
		p := f.mp()
		p.height = uint32(orElse(height, int(p.height)))
		planes := colourPlanes(h, int(p.width), int(p.height), stride)
		n := memoryPlanes(fourCC)
		for i := range n {
			p.planes[i].bytesPerLine, p.planes[i].sizeImage = uint32(planes[i].stride), uint32(planes[i].size())
		}
		if n == 1 {
			p.planes[0].sizeImage = uint32(totalSize(planes))
		}
	}
}

func checkPixels(t *testing.T, buffer []byte, raw hal.Frame, stride, height int) {
	t.Helper()
	from := colourPlanes(raw.Format, raw.Width, raw.Height, raw.Stride)
	to := colourPlanes(raw.Format, raw.Width, height, stride)
	src := raw.Data
	for p := range from {
		for y := range from[p].height {
			got := buffer[y*to[p].stride:][:from[p].width]
			want := src[y*from[p].stride:][:from[p].width]
			if !bytes.Equal(got, want) {
				t.Fatalf("plane %d, row %d differs", p, y)
			}
		}
		src, buffer = src[from[p].size():], buffer[to[p].size():]
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	small := func(f *format) {
		if f.typ == typeOutputMP {
			f.mp().width = 160
		}
	}
	other := func(f *format) {
		if f.typ == typeCaptureMP {
			f.mp().pixelFormat = fourCCFWHT
		}
	}
	more := func(f *format) { padInput(f, 0, 256) }
	tests := []struct {
		name      string
		config    hal.EncoderConfig
		negotiate func(*format)
		request   uintptr
		errs      []error
		want      error
	}{
		{"odd size", hal.EncoderConfig{Input: hal.NV12, Width: 319, Height: 240}, nil, 1, nil, hal.ErrUnsupported},
		{"no size", hal.EncoderConfig{Input: hal.NV12}, nil, 1, nil, hal.ErrUnsupported},
		{"other input", config(hal.YUYV), nil, 1, nil, hal.ErrUnsupported},
		{"too large for it", config(hal.NV12), small, 1, nil, hal.ErrUnsupported},
		{"it makes something else", config(hal.NV12), other, 1, nil, hal.ErrUnsupported},
		{"no crop", config(hal.NV12), more, vidiocSSelection, []error{unix.EINVAL, unix.EINVAL}, hal.ErrUnsupported},
		{"busy", config(hal.NV12), nil, vidiocSFmt, []error{unix.EBUSY}, hal.ErrBusy},
		{"open: busy", config(hal.NV12), nil, 0, []error{unix.EBUSY}, hal.ErrBusy},
		{"second format is refused", config(hal.NV12), nil, vidiocSFmt, []error{nil, unix.EBUSY}, hal.ErrBusy},
		{"gone at the controls", config(hal.NV12), nil, vidiocQueryCtrl, []error{unix.ENODEV}, hal.ErrClosed},
		{"no coded buffers", config(hal.NV12), nil, vidiocReqBufs, []error{nil, unix.ENOMEM}, unix.ENOMEM},
		{"firmware is missing", config(hal.NV12), nil, vidiocStreamOn, []error{unix.ENOENT}, hal.ErrClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := fakeM2M(typeCaptureMP, &fakeEncoder{}, uint32(hal.NV12))
			e := k.openEncoder(t)
			k.negotiate = tt.negotiate
			k.fail[tt.request] = tt.errs
			if s, err := e.Open(t.Context(), tt.config); !errors.Is(err, tt.want) {
				t.Errorf("%v, err = %v, want %v", s, err, tt.want)
			}
		})
	}
}

// TestOpenSettings: what is set, in which order the formats come, and that a device may lack everything.
func TestOpenSettings(t *testing.T) {
	t.Parallel()
	k := fakeM2M(typeCaptureMP, &fakeEncoder{}, uint32(hal.NV12))
	s := openEncoding(t, k, config(hal.NV12))
	for id, want := range map[uint32]int32{cidBitrate: 500_000, cidGOPSize: 25, cidBFrames: 0, cidPrependSPS: 1} {
		if got := k.values[id]; len(got) != 1 || got[0] != want {
			t.Errorf("control %#x = %v, want %d", id, got, want)
		}
	}
	if got := k.parm[typeOutputMP]; got != (fract{1, 25}) {
		t.Errorf("frame interval %v", got)
	}
	if err := errors.Join(s.Control(hal.Bitrate, 300_000), s.Control(hal.ForceIDR, 0)); err != nil {
		t.Error(err)
	}
	bare := fakeM2M(typeCaptureMP, &fakeEncoder{}, uint32(hal.NV12))
	clear(bare.controls)
	clear(bare.parm)
	s = openEncoding(t, bare, config(hal.NV12))
	for _, c := range []hal.Control{hal.Bitrate, hal.GOP, hal.ForceIDR} {
		if err := s.Control(c, 1); !errors.Is(err, hal.ErrUnsupported) {
			t.Errorf("%v: %v, want %v", c, err, hal.ErrUnsupported)
		}
	}
}

func TestEncodeWrongPicture(t *testing.T) {
	t.Parallel()
	k := fakeM2M(typeCapture, &fakeEncoder{}, uint32(hal.NV12))
	c := config(hal.NV12)
	s := openEncoding(t, k, c)
	wrong := rawPicture(c, 0, 0)
	wrong.Width = 640
	if _, err := s.Encode(t.Context(), wrong); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("other size: %v", err)
	}
	for range 10 { // a truncated picture costs no buffer
		short := rawPicture(c, 0, 0)
		short.Data = short.Data[:1000]
		if _, err := s.Encode(t.Context(), short); err == nil {
			t.Error("a truncated picture was taken")
		}
	}
	if f, err := s.Encode(t.Context(), rawPicture(c, 1, 0)); err != nil || f.Data == nil {
		t.Errorf("after that: %v", err)
	}
}

func TestEncodeIsUnblocked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		by   func(k *fakeKernel, s hal.Encoding, cancel context.CancelFunc) error
		want error
	}{
		{"by close", func(_ *fakeKernel, s hal.Encoding, _ context.CancelFunc) error { return s.Close() }, hal.ErrClosed},
		{"by the context", func(_ *fakeKernel, _ hal.Encoding, c context.CancelFunc) error { c(); return nil },
			context.Canceled},
		{"by a hang-up", func(k *fakeKernel, _ hal.Encoding, _ context.CancelFunc) error {
			k.set(func() { k.hangUp = unix.POLLHUP | unix.POLLERR })
			return nil
		}, hal.ErrClosed},
		{"by an error", func(k *fakeKernel, _ hal.Encoding, _ context.CancelFunc) error {
			k.set(func() { k.hangUp, k.fail[vidiocDQBuf] = unix.POLLERR, []error{unix.EIO} })
			return nil
		}, unix.EIO},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := fakeM2M(typeCaptureMP, &fakeEncoder{dead: true}, uint32(hal.NV12))
				c := config(hal.NV12)
				s := openEncoding(t, k, c)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				got := make(chan error, 1)
				go func() {
					var err error
					for i := 0; err == nil; i++ { // a dead encoder keeps some, then the call waits
						_, err = s.Encode(ctx, rawPicture(c, i, 0))
					}
					got <- err
				}()
				time.Sleep(5 * time.Second) // of the bubble's clock: patience is over
				synctest.Wait()
				if err := tt.by(k, s, cancel); err != nil {
					t.Error(err)
				}
				if err := <-got; !errors.Is(err, tt.want) {
					t.Errorf("err = %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func TestOpenEncoderRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		k    *fakeKernel
	}{
		{"a camera", fakeCamera(typeCapture, uint32(hal.H264))},
		{"a decoder", decoder()},
		{"an encoder of unknown pictures", fakeM2M(typeCaptureMP, &fakeEncoder{}, uint32(hal.FourCC("RGB3")))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := openEncoder(tt.k.opener, "/dev/video0", hal.H264, testLog(t))
			if !errors.Is(err, hal.ErrUnsupported) || tt.k.open != 0 {
				t.Errorf("err = %v, open %d times", err, tt.k.open)
			}
		})
	}
}

func decoder() *fakeKernel {
	k := newFake(capM2MMP | capStreaming)
	k.formats[typeCaptureMP] = []fmtDesc{{pixelFormat: uint32(hal.NV12)}}
	k.formats[typeOutputMP] = []fmtDesc{{pixelFormat: uint32(hal.H264)}}
	return k
}
