package sim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/codec/mp4"
	"github.com/ocellus/ocellus/codec/testcard"
	"github.com/ocellus/ocellus/hal"
)

// cardPlayer draws the test card. Picture n is due n intervals after the start, to the nanosecond: no drift.
type cardPlayer struct {
	camera *Camera
	mode   hal.Mode
	card   *testcard.Card
	data   []byte
	start  time.Duration
	n      uint32
}

func newCardPlayer(c *Camera, m hal.Mode, now time.Duration) (*cardPlayer, error) {
	if m.Rate.Num == 0 || m.Rate.Den == 0 {
		return nil, fmt.Errorf("%v: no rate: %w", m, hal.ErrUnsupported)
	}
	p := &cardPlayer{camera: c, mode: m, start: now}
	return p, p.resize(size{width: m.Width, height: m.Height})
}

func (p *cardPlayer) at(n uint32) time.Duration {
	ticks := uint64(n) * uint64(p.mode.Rate.Den)
	rate := uint64(p.mode.Rate.Num)
	return p.start + time.Duration(ticks/rate)*time.Second + time.Duration(ticks%rate*uint64(time.Second)/rate)
}

func (p *cardPlayer) due() time.Duration { return p.at(p.n) }

func (p *cardPlayer) next(now time.Duration, drop uint32) (hal.Frame, error) {
	first, interval := p.n, p.mode.Rate.Interval()
	p.n += drop
	if late := now - p.due(); late > backlog*interval {
		p.n += uint32(late / interval)
	}
	f := hal.Frame{Format: hal.YU12, Width: p.mode.Width, Height: p.mode.Height, Data: p.data,
		PTS: p.due(), Seq: p.n, Lost: p.n - first}
	p.card.Draw(p.data, testcard.Stamp{Frame: f.Seq, CapturedNS: uint64(p.camera.wall(f.PTS).UnixNano())})
	factor := lighter(int(p.camera.exposure.Load()))
	expose(p.data[:p.mode.Width*p.mode.Height], factor)
	if p.camera.held != nil {
		p.camera.held.draw(p.data, p.mode.Width, p.mode.Height, p.camera.faults.look().glare, factor)
	}
	p.n++
	return f, nil
}

func (p *cardPlayer) shift(by time.Duration) { p.start += by }

func (p *cardPlayer) resize(s size) error {
	m := p.mode
	m.Width, m.Height = s.width, s.height
	card, err := p.camera.card(m)
	if err != nil {
		return err
	}
	p.mode, p.card, p.data = m, card, make([]byte, card.Size())
	return nil
}

func (p *cardPlayer) close() error { return nil }

// clip is an opened file.
type clip struct {
	h264.Clip
	file *os.File
}

func (c clip) Close() error { return c.file.Close() }

func openClip(path string) (clip, error) {
	file, err := os.Open(path) //nolint:gosec // the path is the person's own choice
	if err != nil {
		return clip{}, fmt.Errorf("open clip: %w", err)
	}
	c, err := readClip(file)
	if err != nil {
		return clip{}, errors.Join(fmt.Errorf("open clip %s: %w", path, err), file.Close())
	}
	return clip{c, file}, nil
}

func readClip(file *os.File) (h264.Clip, error) {
	head := make([]byte, 12)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if mp4.Is(head[:n]) {
		info, err := file.Stat()
		if err != nil {
			return nil, err
		}
		return mp4.OpenClip(file, info.Size())
	}
	return h264.OpenClip(file, h264.ClipOptions{})
}

// clipPlayer plays a clip, over and over.
type clipPlayer struct {
	clip  clip
	start time.Duration // of this round
	ahead h264.Sample   // the next picture
	seq   uint32
	data  []byte
}

func newClipPlayer(path string, now time.Duration) (*clipPlayer, error) {
	c, err := openClip(path)
	if err != nil {
		return nil, err
	}
	p := &clipPlayer{clip: c, start: now}
	if err := p.advance(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return p, nil
}

// advance reads the next picture, the first one after the last one.
func (p *clipPlayer) advance() error {
	last := p.ahead.DTS
	var err error
	if p.ahead, err = p.clip.Next(); !errors.Is(err, io.EOF) {
		return err
	}
	if err := p.clip.Rewind(); err != nil {
		return err
	}
	p.start += last + p.clip.Info().Interval
	if p.ahead, err = p.clip.Next(); err != nil {
		return fmt.Errorf("clip without pictures: %w", err)
	}
	return nil
}

func (p *clipPlayer) due() time.Duration { return p.start + p.ahead.DTS }

func (p *clipPlayer) next(now time.Duration, drop uint32) (hal.Frame, error) {
	first := p.seq
	for ; drop > 0; drop-- {
		if err := p.skip(); err != nil {
			return hal.Frame{}, err
		}
	}
	// A picture that comes too late is no use, and neither is what refers to it: on to the next IDR.
	for now-p.due() > backlog*p.clip.Info().Interval || (p.seq != first && p.seq-first > backlog && !p.ahead.IDR) {
		if err := p.skip(); err != nil {
			return hal.Frame{}, err
		}
	}
	i := p.clip.Info()
	p.data = h264.AppendAnnexB(p.data[:0], p.ahead.NALUs...)
	f := hal.Frame{Format: hal.H264, Width: i.Width, Height: i.Height, Data: p.data,
		PTS: p.start + p.ahead.PTS, Seq: p.seq, Lost: p.seq - first}
	return f, p.skip()
}

func (p *clipPlayer) skip() error {
	p.seq++
	return p.advance()
}

func (p *clipPlayer) shift(by time.Duration) { p.start += by }

func (p *clipPlayer) resize(s size) error {
	if s.clip == "" {
		return fmt.Errorf("change the size of a clip: %w", hal.ErrUnsupported)
	}
	c, err := openClip(s.clip)
	if err != nil {
		return err
	}
	old := p.clip
	p.start, p.clip, p.ahead = p.due(), c, h264.Sample{}
	return errors.Join(p.advance(), old.Close())
}

func (p *clipPlayer) close() error { return p.clip.Close() }
