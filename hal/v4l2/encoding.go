package v4l2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
	"unsafe"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// encoding is an opened encoder: raw pictures go into the OUTPUT queue, coded ones come out of the CAPTURE queue (the
// kernel's words; here in and out).
type encoding struct {
	session
	log   *slog.Logger
	coded hal.PixelFormat
	cfg   hal.EncoderConfig
	pic   picture // the raw format as the driver wants it
	rate  hal.Rate
	in    *queue
	out   *queue

	// Of the goroutine that calls Encode and Drain:
	free    []int    // buffers of in that we have
	inside  []picked // pictures that went in and have not come out, oldest first
	lent    int      // buffer of out that the caller has, -1 if none
	depth   int      // pictures that the device keeps before the first comes out, as far as we have seen
	most    int      // pictures that may be inside when Encode returns
	lost    uint32   // pictures that did not come out before the next one
	refused uint32   // pictures that did not go in before the next one
	params  h264.Params
	joined  []byte // parameter sets and picture, where the driver delivers them apart
	state   drainState
}

type picked struct {
	key     time.Duration // the timestamp that the driver copies from the raw buffer to the coded one
	pts     time.Duration
	seq     uint32
	lost    uint32
	corrupt bool
}

// drainState: encoding --STOP--> draining --LAST--> drained --START--> encoding.
type drainState int

const (
	encodingNow drainState = iota
	draining
	drained
)

func (s *encoding) Encode(ctx context.Context, raw hal.Frame) (hal.Frame, error) {
	if err := s.enter("encode"); err != nil {
		return hal.Frame{}, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return hal.Frame{}, err
	}
	if raw.Format != s.cfg.Input || raw.Width != s.cfg.Width || raw.Height != s.cfg.Height {
		s.refuse(&raw)
		return hal.Frame{}, fmt.Errorf("encode %s: %v %dx%d, opened for %v %dx%d: %w", s.d.path, raw.Format, raw.Width,
			raw.Height, s.cfg.Input, s.cfg.Width, s.cfg.Height, hal.ErrUnsupported)
	}
	if err := errors.Join(s.giveBack(), s.resume()); err != nil {
		return hal.Frame{}, err
	}
	if err := s.feed(ctx, &raw); err != nil {
		return hal.Frame{}, err
	}
	limit := time.Duration(0)
	switch n := len(s.inside); {
	case n > s.most:
		limit = -1
	case n > s.depth:
		limit = patience
	}
	out, err := s.next(ctx, limit)
	if err == nil && out.Data == nil && limit > 0 {
		s.depth = len(s.inside)
		s.log.Info("the encoder keeps pictures inside", "pictures", s.depth)
	}
	return out, err
}

// feed copies a picture into a buffer of in and queues it.
func (s *encoding) feed(ctx context.Context, raw *hal.Frame) error {
	index, err := s.freeBuffer(ctx)
	if err != nil {
		return err
	}
	used, err := s.fill(index, raw)
	if err != nil {
		s.free = append(s.free, index)
		s.refuse(raw)
		return err
	}
	p := picked{key: raw.PTS.Truncate(time.Microsecond), pts: raw.PTS, seq: raw.Seq, lost: raw.Lost + s.refused, corrupt: raw.Corrupt}
	if n := len(s.inside); n > 0 {
		p.key = max(p.key, s.inside[n-1].key+time.Microsecond)
	}
	if err := s.in.put(index, used, p.key); err != nil {
		return err
	}
	s.inside = append(s.inside, p)
	s.refused = 0
	return nil
}

// refuse counts a picture that can't be encoded as lost before the next one that can.
func (s *encoding) refuse(raw *hal.Frame) { s.refused += raw.Lost + 1 }

// freeBuffer returns a buffer of in that the driver has read.
func (s *encoding) freeBuffer(ctx context.Context) (int, error) {
	for {
		f, err := s.in.take()
		for ; err == nil; f, err = s.in.take() {
			s.free = append(s.free, int(f.index))
		}
		if !errors.Is(err, unix.EAGAIN) {
			return 0, fault("encode", s.d.path, err)
		}
		if n := len(s.free); n > 0 {
			index := s.free[n-1]
			s.free = s.free[:n-1]
			return index, nil
		}
		if _, err := s.ready(ctx, unix.POLLOUT, -1); err != nil {
			return 0, err
		}
	}
}

// fill copies a raw picture into a buffer, row by row where the driver's rows are longer.
func (s *encoding) fill(index int, raw *hal.Frame) ([]int, error) {
	from := colourPlanes(raw.Format, raw.Width, raw.Height, raw.Stride)
	last := from[len(from)-1]
	// The division keeps a senseless stride from overflowing the sum; the last row may lack its padding.
	if from[0].stride < from[0].width || from[0].stride > len(raw.Data)/(raw.Height-1) ||
		len(raw.Data) < totalSize(from)-(last.stride-last.width) {
		return nil, fmt.Errorf("encode %s: a raw picture of %d bytes in rows of %d is not whole", s.d.path, len(raw.Data),
			from[0].stride)
	}
	to := colourPlanes(raw.Format, s.pic.width, s.pic.height, s.pic.planes[0].stride)
	data, dst := raw.Data, s.in.memory(index, 0)
	used := make([]int, 0, maxPlanes)
	for p := range from {
		if p < s.in.width {
			dst = s.in.memory(index, p)
			to[p].stride = orElse(s.pic.planes[p].stride, to[p].stride)
			used = append(used, min(len(dst), max(to[p].size(), s.pic.planes[p].size)))
		}
		if len(dst) < to[p].size() {
			return nil, fmt.Errorf("encode %s: a buffer of %d bytes, %d are needed", s.d.path, len(dst), to[p].size())
		}
		copyRows(dst, data, to[p], from[p])
		data, dst = data[min(len(data), from[p].size()):], dst[to[p].size():]
	}
	return used, nil
}

func copyRows(dst, src []byte, to, from rows) {
	if to.stride == from.stride {
		copy(dst, src[:min(len(src), from.size())])
		return
	}
	for y := range from.height {
		copy(dst[y*to.stride:(y+1)*to.stride], src[y*from.stride:y*from.stride+from.width])
	}
}

func (s *encoding) giveBack() error {
	if s.lent < 0 {
		return nil
	}
	i := s.lent
	s.lent = -1
	return s.out.put(i, nil, 0)
}

// next returns the next access unit, without Data if there is none within limit, io.EOF after the last one.
func (s *encoding) next(ctx context.Context, limit time.Duration) (hal.Frame, error) {
	for {
		f, err := s.out.take()
		switch {
		case errors.Is(err, unix.EAGAIN):
			ok, err := s.ready(ctx, unix.POLLIN, limit)
			if err != nil || !ok {
				return hal.Frame{}, err
			}
			continue
		case errors.Is(err, unix.EPIPE): // the buffer with LAST was dequeued before
			s.state = drained
			return hal.Frame{}, io.EOF
		case err != nil:
			return hal.Frame{}, fault("encode", s.d.path, err)
		}
		s.lent = int(f.index)
		if frame, ok := s.frame(&f); ok {
			return frame, nil
		}
		if err := s.giveBack(); err != nil {
			return hal.Frame{}, err
		}
		if f.flags&bufLast != 0 {
			s.state = drained
			return hal.Frame{}, io.EOF
		}
	}
}

// errorPause keeps a driver whose poll reports an error without one from taking the CPU: memory-to-memory drivers do
// that before Linux 5.6 while one of their queues is empty.
const errorPause = 5 * time.Millisecond

// ready waits until a queue has something; not ok when limit is over.
func (s *encoding) ready(ctx context.Context, event int16, limit time.Duration) (ok bool, err error) {
	got, err := s.wait(ctx, event, limit)
	if err != nil {
		return false, err
	}
	if got&(unix.POLLHUP|unix.POLLNVAL) != 0 {
		return false, fmt.Errorf("encode %s: poll says %#x: %w", s.d.path, got, hal.ErrClosed)
	}
	if got&event == 0 && got != 0 {
		_, err = s.wait(ctx, 0, errorPause)
	}
	return got != 0, err
}

// frame turns a buffer into an access unit; not ok if it holds none.
func (s *encoding) frame(f *filled) (hal.Frame, bool) {
	data := s.out.data(f, 0)
	if len(data) == 0 {
		if f.flags&bufLast == 0 { // the rate control left a picture out
			if p, ok := s.pick(f.at); ok {
				s.lost += p.lost + 1
			}
		}
		return hal.Frame{}, false
	}
	if s.coded == hal.H264 {
		var picture bool
		if data, picture = s.complete(data); !picture {
			return hal.Frame{}, false
		}
	}
	p, ok := s.pick(f.at)
	if !ok {
		s.log.Warn("the encoder delivers a picture that it was not given", "bytes", len(data))
		return hal.Frame{}, false
	}
	out := hal.Frame{
		Format: s.coded, Width: s.cfg.Width, Height: s.cfg.Height, Data: data,
		PTS: p.pts, Seq: p.seq, Lost: s.lost + p.lost, Corrupt: p.corrupt || f.flags&bufError != 0,
	}
	s.lost = 0
	return out, true
}

// pick finds the picture that a coded buffer holds: the one whose timestamp the driver copied, or the oldest if the
// driver copies none. Pictures before it were left out by the driver.
func (s *encoding) pick(key time.Duration) (picked, bool) {
	if len(s.inside) == 0 {
		return picked{}, false
	}
	at := max(0, slices.IndexFunc(s.inside, func(p picked) bool { return p.key == key }))
	for _, p := range s.inside[:at] {
		s.lost += p.lost + 1
	}
	p := s.inside[at]
	s.inside = slices.Delete(s.inside, 0, at+1)
	return p, true
}

// complete puts SPS and PPS in front of an IDR that came without them. It reports whether there is a picture in data:
// some drivers deliver the parameter sets in a buffer of their own.
func (s *encoding) complete(data []byte) (_ []byte, picture bool) {
	nalus := h264.SplitAnnexB(nil, data)
	params := h264.FindParams(nalus)
	if params.Complete() {
		s.params = params.Clone()
	}
	idr := false
	for _, n := range nalus {
		t := h264.TypeOf(n)
		picture = picture || t.VCL()
		idr = idr || t == h264.NALIDR
	}
	if !idr || params.Complete() || !s.params.Complete() {
		return data, picture
	}
	s.joined = h264.AppendAnnexB(s.joined[:0], s.params.SPS, s.params.PPS)
	s.joined = append(s.joined, data...)
	return s.joined, picture
}

func (s *encoding) Drain(ctx context.Context) (hal.Frame, error) {
	if err := s.enter("drain"); err != nil {
		return hal.Frame{}, err
	}
	defer s.leave()
	if err := errors.Join(ctx.Err(), s.giveBack()); err != nil {
		return hal.Frame{}, err
	}
	if s.state == drained || s.state == encodingNow && len(s.inside) == 0 {
		return hal.Frame{}, io.EOF
	}
	if s.state == encodingNow {
		switch err := s.command(encCmdStop); {
		case err == nil:
			s.state = draining
		case !errors.Is(err, hal.ErrUnsupported):
			return hal.Frame{}, err
		default: // an old driver: it has no pipeline to speak of
			out, err := s.next(ctx, patience)
			if err == nil && out.Data == nil {
				err = fmt.Errorf("drain %s: %d pictures do not come out: %w", s.d.path, len(s.inside), hal.ErrUnsupported)
			}
			return out, err
		}
	}
	out, err := s.next(ctx, -1)
	if errors.Is(err, io.EOF) && len(s.inside) > 0 {
		s.log.Warn("pictures did not come out of the encoder", "pictures", len(s.inside))
		s.inside = s.inside[:0]
	}
	return out, err
}

// resume starts an encoder that was drained.
func (s *encoding) resume() error {
	switch s.state {
	case draining:
		return fmt.Errorf("encode %s: it is being drained: %w", s.d.path, hal.ErrBusy)
	case drained:
		if err := s.command(encCmdStart); err != nil {
			return err
		}
		s.state = encodingNow
	}
	return nil
}

func (s *encoding) command(cmd uint32) error {
	c := encoderCmd{cmd: cmd}
	err := s.d.k.ioctl(vidiocEncoderCmd, unsafe.Pointer(&c))
	if lacks(err) {
		return fmt.Errorf("encoder command %d to %s: %w (%w)", cmd, s.d.path, hal.ErrUnsupported, err)
	}
	return fault(fmt.Sprintf("encoder command %d to", cmd), s.d.path, err)
}

func (s *encoding) Control(c hal.Control, value int) error {
	if err := s.enter("control"); err != nil {
		return err
	}
	defer s.leave()
	return s.d.control(c, value)
}

func (s *encoding) Close() error {
	return s.shut(func() error { return errors.Join(s.in.stop(), s.out.stop()) })
}
