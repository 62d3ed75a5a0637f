package haltest

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
)

// EncoderOptions say what the suite may do with an encoder.
type EncoderOptions struct {
	// Width, Height of the pictures; 640x360 when 0.
	Width, Height int
	// Pictures is how many go through in most laws; 24 when 0.
	Pictures int
	// Skips names laws that are not to be checked, and why.
	Skips map[string]string
}

// Encoder checks the law of hal.Encoder and hal.Encoding. open hands out the encoder, anew for each law.
func Encoder(t *testing.T, open func(t *testing.T) hal.Encoder, o EncoderOptions) {
	t.Helper()
	run(t, encoderLaws(o), open, o.Skips)
}

// EncoderFindings checks what Encoder checks.
func EncoderFindings(ctx context.Context, open func() hal.Encoder, o EncoderOptions) []Finding {
	return findings(ctx, encoderLaws(o), open, o.Skips)
}

func encoderLaws(o EncoderOptions) []law[hal.Encoder] {
	if o.Width == 0 {
		o.Width, o.Height = 640, 360
	}
	if o.Pictures == 0 {
		o.Pictures = 24
	}
	return []law[hal.Encoder]{
		{"inputs are sound", inputsAreSound},
		{"open refuses what it can't take", o.openRefuses},
		{"access units keep the facts of their pictures", o.keepsFacts},
		{"the first access unit is an IDR", o.firstIsIDR},
		{"lost pictures are told", o.tellsLost},
		{"force IDR comes at once", o.forceIDR},
		{"the GOP is kept", o.keepsGOP},
		{"the GOP changes", o.changesGOP},
		{"the bitrate changes", o.changesBitrate},
		{"pictures are not kept", o.keepsNoPicture},
		{"an access unit stays until the next call", o.accessUnitStays},
		{"a broken picture is an error and no end", o.survivesBrokenPictures},
		{"several encodings or busy", o.severalOrBusy},
		{"encode heeds its context", o.heedsContext},
		{"close unblocks encode", o.closeUnblocks},
		{"close is idempotent", o.closeTwice},
		{"controls are honest", o.controlsAreHonest},
	}
}

// config is what most laws open: the cheapest input.
func (o EncoderOptions) config(e hal.Encoder) hal.EncoderConfig {
	c := hal.EncoderConfig{Width: o.Width, Height: o.Height, Rate: hal.FPS(25), BitrateBPS: 1_000_000, GOP: 250}
	if in := e.Inputs(); len(in) > 0 {
		c.Input = in[0]
	}
	return c
}

func inputsAreSound(_ context.Context, e hal.Encoder) error {
	if e.Info().Name == "" {
		return errors.New("Info: no name")
	}
	in := e.Inputs()
	if len(in) == 0 {
		return errors.New("Inputs: none")
	}
	for i, f := range in {
		if f.Coded() || f == 0 {
			return fmt.Errorf("Inputs: %v is no raw format", f)
		}
		if slices.Contains(in[:i], f) {
			return fmt.Errorf("Inputs: %v is listed twice", f)
		}
	}
	return nil
}

func (o EncoderOptions) openRefuses(ctx context.Context, e hal.Encoder) error {
	for what, change := range map[string]func(c *hal.EncoderConfig){
		"format H264": func(c *hal.EncoderConfig) { c.Input = hal.H264 },
		"no format":   func(c *hal.EncoderConfig) { c.Input = 0 },
		"size 0x0":    func(c *hal.EncoderConfig) { c.Width, c.Height = 0, 0 },
		"huge size":   func(c *hal.EncoderConfig) { c.Width, c.Height = 1<<20, 1<<20 },
	} {
		c := o.config(e)
		change(&c)
		enc, err := e.Open(ctx, c)
		if err == nil {
			_ = enc.Close()
		}
		if err := wantError("Open with "+what, err, hal.ErrUnsupported); err != nil {
			return err
		}
	}
	return nil
}

// session is an encoding with the pictures that go into it and the access units that came out.
type session struct {
	hal.Encoding
	pictures *pictures
	units    []unit
	in       int
}

// unit is what the laws look at in an access unit.
type unit struct {
	pts    time.Duration
	seq    uint32
	lost   uint32
	size   int
	sum    uint32
	idr    bool
	params h264.Params
}

// with opens an encoding, uses it and closes it.
func with(ctx context.Context, e hal.Encoder, c hal.EncoderConfig, use func(s *session) error) error {
	p, err := newPictures(c)
	if err != nil {
		return err
	}
	enc, err := e.Open(ctx, c)
	if err != nil {
		return fmt.Errorf("Open %+v: %w", c, err)
	}
	err = use(&session{Encoding: enc, pictures: p})
	if closed := enc.Close(); closed != nil {
		err = errors.Join(err, fmt.Errorf("Close: %w", closed))
	}
	return err
}

// put encodes the next n pictures.
func (s *session) put(ctx context.Context, n int) error {
	for range n {
		if err := s.putFrame(ctx, s.pictures.frame(s.in)); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) putFrame(ctx context.Context, raw hal.Frame) error {
	f, err := s.Encode(ctx, raw)
	if err != nil {
		return fmt.Errorf("Encode picture %d: %w", s.in, err)
	}
	s.in++
	if f.Data == nil {
		return nil
	}
	return s.add(f)
}

func (s *session) add(f hal.Frame) error {
	if f.Format != hal.H264 || len(f.Data) == 0 {
		return fmt.Errorf("%s: format %v", describe(f), f.Format)
	}
	if f.Width != s.pictures.config.Width || f.Height != s.pictures.config.Height {
		return fmt.Errorf("%s: size %dx%d", describe(f), f.Width, f.Height)
	}
	nalus := h264.SplitAnnexB(nil, f.Data)
	if len(nalus) == 0 {
		return fmt.Errorf("%s: no NAL unit in Annex B", describe(f))
	}
	s.units = append(s.units, unit{f.PTS, f.Seq, f.Lost, len(f.Data), crc32.ChecksumIEEE(f.Data),
		h264.HasIDR(nalus), h264.FindParams(nalus).Clone()})
	return nil
}

// drain takes out what is still inside.
func (s *session) drain(ctx context.Context) error {
	for range s.in + 1 {
		f, err := s.Drain(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("Drain: %w", err)
		}
		if err := s.add(f); err != nil {
			return err
		}
	}
	return errors.New("Drain: more access units than pictures went in")
}

// all encodes n pictures and drains.
func (s *session) all(ctx context.Context, n int) error {
	if err := s.put(ctx, n); err != nil {
		return err
	}
	return s.drain(ctx)
}

func (o EncoderOptions) keepsFacts(ctx context.Context, e hal.Encoder) error {
	for _, input := range e.Inputs() {
		c := o.config(e)
		c.Input = input
		err := with(ctx, e, c, func(s *session) error {
			if err := s.all(ctx, o.Pictures); err != nil {
				return err
			}
			return s.accountsFor(o.Pictures)
		})
		var skip Skip
		if err != nil && !(errors.As(err, &skip) && len(e.Inputs()) > 1) {
			return fmt.Errorf("input %v: %w", input, err)
		}
	}
	return nil
}

// accountsFor checks that each of the first n pictures came out, in order and with its facts, or is told as lost.
func (s *session) accountsFor(n int) error {
	next := 0 // the picture that has to come
	for i, u := range s.units {
		next += int(u.lost)
		if want := s.pictures.pts(next); u.seq != uint32(next) || u.pts != want {
			return fmt.Errorf("access unit %d has seq %d and PTS %v, lost %d; want those of picture %d: %v", i, u.seq, u.pts,
				u.lost, next, want)
		}
		next++
	}
	if n-next > 1 { // rate control may have skipped the very last one
		return fmt.Errorf("%d pictures went in, %d are accounted for", n, next)
	}
	return nil
}

func (o EncoderOptions) firstIsIDR(ctx context.Context, e hal.Encoder) error {
	return with(ctx, e, o.config(e), func(s *session) error {
		if err := s.all(ctx, 3); err != nil {
			return err
		}
		if len(s.units) == 0 {
			return errors.New("no access unit")
		}
		return s.units[0].isWholeIDR("the first access unit", o.Width, o.Height)
	})
}

// isWholeIDR says what an IDR lacks.
func (u unit) isWholeIDR(what string, w, h int) error {
	if !u.idr {
		return fmt.Errorf("%s (picture %d) is no IDR", what, u.seq)
	}
	if !u.params.Complete() {
		return fmt.Errorf("%s (picture %d) has no SPS and PPS in front", what, u.seq)
	}
	sps, err := h264.ParseSPS(u.params.SPS)
	if err != nil {
		return fmt.Errorf("%s: SPS: %w", what, err)
	}
	if sps.Width != w || sps.Height != h {
		return fmt.Errorf("%s: SPS says %dx%d, want %dx%d", what, sps.Width, sps.Height, w, h)
	}
	return nil
}

func (o EncoderOptions) tellsLost(ctx context.Context, e hal.Encoder) error {
	return with(ctx, e, o.config(e), func(s *session) error {
		for n := range 12 {
			raw := s.pictures.frame(n)
			if n > 4 { // pictures 5 and 6 never came
				raw = s.pictures.frame(n + 2)
			}
			if n == 5 {
				raw.Lost = 2
			}
			if err := s.putFrame(ctx, raw); err != nil {
				return err
			}
		}
		if err := s.drain(ctx); err != nil {
			return err
		}
		return s.accountsFor(14)
	})
}

func (o EncoderOptions) forceIDR(ctx context.Context, e hal.Encoder) error {
	return with(ctx, e, o.config(e), func(s *session) error {
		for _, before := range []int{5, 9, 2} {
			if err := s.put(ctx, before); err != nil {
				return err
			}
			if err := s.Control(hal.ForceIDR, 0); err != nil {
				if errors.Is(err, hal.ErrUnsupported) {
					return skipf("this encoder has no control for ForceIDR")
				}
				return fmt.Errorf("ForceIDR: %w", err)
			}
		}
		if err := s.all(ctx, 3); err != nil {
			return err
		}
		for _, picture := range []uint32{5, 14, 16} {
			i := slices.IndexFunc(s.units, func(u unit) bool { return u.seq >= picture })
			if i < 0 {
				return fmt.Errorf("picture %d did not come out", picture)
			}
			what := fmt.Sprintf("after ForceIDR before picture %d", picture)
			if err := s.units[i].isWholeIDR(what, o.Width, o.Height); err != nil {
				return err
			}
		}
		return nil
	})
}

func (o EncoderOptions) keepsGOP(ctx context.Context, e hal.Encoder) error {
	c := o.config(e)
	c.GOP = 8
	return with(ctx, e, c, func(s *session) error {
		if err := s.all(ctx, 3*c.GOP+1); err != nil {
			return err
		}
		return s.hasIDREvery(c.GOP, 0)
	})
}

// hasIDREvery checks that from one IDR to the next no more than gop pictures go by, from picture first on.
func (s *session) hasIDREvery(gop int, first uint32) error {
	last := -1
	for _, u := range s.units {
		if u.seq < first {
			continue
		}
		if u.idr {
			last = int(u.seq)
			continue
		}
		if last >= 0 && int(u.seq)-last >= gop {
			return fmt.Errorf("GOP %d: picture %d is no IDR, the last one was %d", gop, u.seq, last)
		}
	}
	if last < 0 {
		return fmt.Errorf("GOP %d: no IDR from picture %d on", gop, first)
	}
	return nil
}

func (o EncoderOptions) changesGOP(ctx context.Context, e hal.Encoder) error {
	return with(ctx, e, o.config(e), func(s *session) error {
		if err := s.put(ctx, 4); err != nil {
			return err
		}
		if err := s.Control(hal.GOP, 6); errors.Is(err, hal.ErrUnsupported) {
			return skipf("this encoder has no control for the GOP while it runs")
		} else if err != nil {
			return fmt.Errorf("GOP: %w", err)
		}
		if err := s.all(ctx, 26); err != nil {
			return err
		}
		return s.hasIDREvery(6, 7)
	})
}

func (o EncoderOptions) changesBitrate(ctx context.Context, e hal.Encoder) error {
	c := o.config(e)
	const part = 50
	return with(ctx, e, c, func(s *session) error {
		s.pictures.noisy = true
		if err := s.put(ctx, part); err != nil {
			return err
		}
		if err := s.Control(hal.Bitrate, c.BitrateBPS/4); errors.Is(err, hal.ErrUnsupported) {
			return skipf("this encoder has no control for the bitrate")
		} else if err != nil {
			return fmt.Errorf("Bitrate: %w", err)
		}
		if err := s.all(ctx, part); err != nil {
			return err
		}
		high, low := s.bytesOf(part/2, part), s.bytesOf(part+part/2, 2*part)
		if low > high*3/4 {
			return fmt.Errorf("a quarter of the bitrate: %d bytes in %d pictures, before: %d", low, part/2, high)
		}
		return nil
	})
}

func (s *session) bytesOf(from, to uint32) int {
	n := 0
	for _, u := range s.units {
		if u.seq >= from && u.seq < to {
			n += u.size
		}
	}
	return n
}

func (o EncoderOptions) keepsNoPicture(ctx context.Context, e hal.Encoder) error {
	encode := func(spoil func([]byte)) ([]unit, error) {
		var units []unit
		err := with(ctx, e, o.config(e), func(s *session) error {
			for n := range o.Pictures {
				raw := s.pictures.frame(n)
				if err := s.putFrame(ctx, raw); err != nil {
					return err
				}
				spoil(raw.Data)
			}
			err := s.drain(ctx)
			units = s.units
			return err
		})
		return units, err
	}
	first, err := encode(func([]byte) {})
	if err != nil {
		return err
	}
	again, err := encode(func([]byte) {})
	if err != nil {
		return err
	}
	if !sameBytes(first, again) {
		return skipf("this encoder does not give the same bytes twice, so they can't be compared")
	}
	spoilt, err := encode(scribble)
	if err != nil {
		return err
	}
	if !sameBytes(first, spoilt) {
		return errors.New("a picture that was overwritten after Encode returned was coded as overwritten")
	}
	return nil
}

func sameBytes(a, b []unit) bool {
	return slices.EqualFunc(a, b, func(x, y unit) bool { return x.sum == y.sum && x.size == y.size })
}

func (o EncoderOptions) accessUnitStays(ctx context.Context, e hal.Encoder) error {
	return with(ctx, e, o.config(e), func(s *session) error {
		for n := range o.Pictures {
			raw := s.pictures.frame(n)
			f, err := s.Encode(ctx, raw)
			if err != nil {
				return err
			}
			before := crc32.ChecksumIEEE(f.Data)
			scribble(raw.Data)
			if crc32.ChecksumIEEE(f.Data) != before {
				return errors.New("the access unit lies in the picture's memory")
			}
		}
		return nil
	})
}

func (o EncoderOptions) survivesBrokenPictures(ctx context.Context, e hal.Encoder) error {
	return with(ctx, e, o.config(e), func(s *session) error {
		if err := s.put(ctx, 2); err != nil {
			return err
		}
		for what, spoil := range map[string]func(f *hal.Frame){
			"an empty picture":           func(f *hal.Frame) { f.Data = nil },
			"half a picture":             func(f *hal.Frame) { f.Data = f.Data[:len(f.Data)/2] },
			"a picture of another size":  func(f *hal.Frame) { f.Width, f.Height = f.Width/2, f.Height/2 },
			"a picture of another kind":  func(f *hal.Frame) { f.Format = hal.MJPEG },
			"a stride below the width":   func(f *hal.Frame) { f.Stride = 2 },
			"a stride beyond the memory": func(f *hal.Frame) { f.Stride = 1 << 28 },
		} {
			raw := s.pictures.frame(s.in)
			spoil(&raw)
			if _, err := s.Encode(ctx, raw); err == nil {
				return fmt.Errorf("Encode took %s", what)
			}
			s.in++
		}
		if err := s.all(ctx, 3); err != nil {
			return fmt.Errorf("after broken pictures: %w", err)
		}
		return s.accountsFor(s.in)
	})
}

func (o EncoderOptions) severalOrBusy(ctx context.Context, e hal.Encoder) error {
	return with(ctx, e, o.config(e), func(a *session) error {
		if err := a.put(ctx, 2); err != nil {
			return err
		}
		err := with(ctx, e, o.config(e), func(b *session) error {
			for range 4 {
				if err := errors.Join(a.put(ctx, 1), b.put(ctx, 1)); err != nil {
					return err
				}
			}
			return errors.Join(b.drain(ctx), b.accountsFor(4))
		})
		if err != nil && !errors.Is(err, hal.ErrBusy) {
			return fmt.Errorf("second encoding: %w", err)
		}
		return errors.Join(a.all(ctx, 2), a.accountsFor(a.in))
	})
}

func (o EncoderOptions) heedsContext(ctx context.Context, e hal.Encoder) error {
	return with(ctx, e, o.config(e), func(s *session) error {
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		return within(promptly, "Encode with a cancelled context", func() error {
			_, err := s.Encode(cancelled, s.pictures.frame(0))
			return wantError("Encode with a cancelled context", err, context.Canceled)
		})
	})
}

func (o EncoderOptions) closeUnblocks(ctx context.Context, e hal.Encoder) error {
	return with(ctx, e, o.config(e), func(s *session) error {
		if err := s.put(ctx, 2); err != nil {
			return err
		}
		raw := s.pictures.frame(s.in)
		return closeUnblocks("Encode", s.Close, func() error {
			for {
				if _, err := s.Encode(ctx, raw); err != nil {
					return err
				}
			}
		})
	})
}

func (o EncoderOptions) closeTwice(ctx context.Context, e hal.Encoder) error {
	for range 3 {
		err := with(ctx, e, o.config(e), func(s *session) error {
			if err := s.put(ctx, 2); err != nil {
				return err
			}
			for i := range 2 {
				if err := s.Close(); err != nil {
					return fmt.Errorf("Close number %d: %w", i+1, err)
				}
			}
			if _, err := s.Encode(ctx, s.pictures.frame(2)); !errors.Is(err, hal.ErrClosed) {
				return wantError("Encode after Close", err, hal.ErrClosed)
			}
			if _, err := s.Drain(ctx); !errors.Is(err, hal.ErrClosed) {
				return wantError("Drain after Close", err, hal.ErrClosed)
			}
			return wantError("Control after Close", s.Control(hal.Bitrate, 1_000_000), hal.ErrClosed)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (o EncoderOptions) controlsAreHonest(ctx context.Context, e hal.Encoder) error {
	return with(ctx, e, o.config(e), func(s *session) error {
		const noSuchControl = hal.Control(9999)
		if err := wantError("Control 9999", s.Control(noSuchControl, 1), hal.ErrUnsupported); err != nil {
			return err
		}
		for control, value := range map[hal.Control]int{hal.Bitrate: 700_000, hal.GOP: 30, hal.ForceIDR: 0} {
			if err := s.Control(control, value); err != nil && !errors.Is(err, hal.ErrUnsupported) {
				return fmt.Errorf("Control %v %d: %w", control, value, err)
			}
		}
		return s.put(ctx, 2)
	})
}
