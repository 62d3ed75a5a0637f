package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/codec/yuv"
	"github.com/ocellus/ocellus/hal"
)

// DefaultJPEGQuality is what Snapshot takes for a quality of 0.
const DefaultJPEGQuality = 85

// lookers are those who look at the camera's pictures. Each has its own copy of the newest one, made only while it is
// ready for the next: a slow looker misses pictures and costs the streams nothing.
type lookers struct {
	demand demand

	mu   sync.Mutex // guards list
	list []*looker
}

type looker struct {
	ready atomic.Bool // pic is the looker's to fill; otherwise it is being looked at
	pic   yuv.Picture
	shown chan time.Duration // capacity 1: the PTS of pic; never full, since ready is taken first
	no    chan error         // capacity 1: why there are no pictures; a second reason is dropped
}

// Look calls see with the camera's pictures, one after the other, until see returns an error or ctx ends, and returns
// that error. The picture is lent: it is valid until see returns. A camera that can't give pictures (one that has only
// H.264) is hal.ErrUnsupported.
func (s *Source) Look(ctx context.Context, see func(pic *yuv.Picture, pts time.Duration) error) error {
	if err := s.canLook(ctx); err != nil {
		return err
	}
	l := &looker{shown: make(chan time.Duration, 1), no: make(chan error, 1)}
	l.ready.Store(true)
	s.lookers.add(l)
	defer s.lookers.remove(l)
	s.poke() // a camera that runs already has to answer too
	for {
		select {
		case pts := <-l.shown:
			if err := see(&l.pic, pts); err != nil {
				return err
			}
			l.ready.Store(true)
		case err := <-l.no:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errSeen ends a Look that has what it wants.
var errSeen = errors.New("seen")

// Snapshot returns one picture as JPEG (quality 1 to 100, 0 means DefaultJPEGQuality) and when it was captured.
func (s *Source) Snapshot(ctx context.Context, quality int) ([]byte, time.Time, error) {
	if quality <= 0 {
		quality = DefaultJPEGQuality
	}
	var out bytes.Buffer
	var captured time.Time
	err := s.Look(ctx, func(pic *yuv.Picture, pts time.Duration) error {
		captured = s.wall(pts)
		fullRange(pic) // the copy is ours
		if err := jpeg.Encode(&out, pic.Image(), &jpeg.Options{Quality: min(quality, 100)}); err != nil {
			return err
		}
		return errSeen
	})
	if !errors.Is(err, errSeen) {
		return nil, time.Time{}, fmt.Errorf("snapshot: %w", err)
	}
	return out.Bytes(), captured, nil
}

// canLook answers at once where the camera has no mode that gives pictures.
func (s *Source) canLook(ctx context.Context) error {
	s.mu.Lock()
	modes := s.modes
	s.mu.Unlock()
	if modes == nil {
		var err error
		if modes, err = s.camera.Modes(ctx); err != nil {
			return fmt.Errorf("look through %s: %w", s.camera.Info().Path, err)
		}
	}
	if !slices.ContainsFunc(modes, func(m hal.Mode) bool { return picture(m.Format) }) {
		return unsupported(s.camera, "it has H.264 only")
	}
	return nil
}

func unsupported(c hal.Camera, why string) error {
	return fmt.Errorf("look through %s: %s: %w", c.Info().Path, why, hal.ErrUnsupported)
}

func (ls *lookers) add(l *looker) {
	ls.mu.Lock()
	ls.list = append(slices.Clone(ls.list), l)
	ls.mu.Unlock()
	ls.demand.raise()
}

func (ls *lookers) remove(l *looker) {
	ls.mu.Lock()
	ls.list = slices.DeleteFunc(slices.Clone(ls.list), func(other *looker) bool { return other == l })
	ls.mu.Unlock()
	ls.demand.lower()
}

func (ls *lookers) all() []*looker {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.list
}

// waiting reports whether somebody is ready for a picture.
func (ls *lookers) waiting() bool {
	return slices.ContainsFunc(ls.all(), func(l *looker) bool { return l.ready.Load() })
}

// show copies the picture for each who is ready.
func (ls *lookers) show(pic *yuv.Picture, pts time.Duration) {
	for _, l := range ls.all() {
		if l.ready.CompareAndSwap(true, false) {
			if err := l.pic.Scale(pic, pic.Width, pic.Height); err != nil { // the same size: a copy
				l.ready.Store(true)
				continue
			}
			l.shown <- pts
		}
	}
}

// refuse tells all that there are no pictures.
func (ls *lookers) refuse(why error) {
	for _, l := range ls.all() {
		select {
		case l.no <- why:
		default:
		}
	}
}

// fullRange brings a picture from limited range, which cameras and encoders have, to the full range of JPEG (JFIF).
func fullRange(p *yuv.Picture) {
	var luma, chroma [256]byte
	for v := range 256 {
		luma[v] = clamp((v-16)*255, 219)
		chroma[v] = clamp((v-128)*255+128*224, 224)
	}
	replace(p.Y, &luma)
	replace(p.Cb, &chroma)
	replace(p.Cr, &chroma)
}

// clamp divides, rounds, and keeps the result in a byte.
func clamp(n, by int) byte { return byte(max(0, min(255, (n+by/2)/by))) }

func replace(b []byte, table *[256]byte) {
	for i, v := range b {
		b[i] = table[v]
	}
}
