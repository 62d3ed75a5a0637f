package ota

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/ota/delta"
	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/ota/trust"
)

// shortcut is a delta that leads to a release.
type shortcut struct {
	manifest.Delta
	path   string
	length int64
}

// shortcuts are the deltas of a release whose sources are told with their size.
func shortcuts(u trust.Update, r manifest.Release) []shortcut {
	var all []shortcut
	for _, d := range r.Deltas {
		if t, err := u.Find(d.Target); err == nil && d.SourceSize > 0 {
			all = append(all, shortcut{d, t.Path(u.Consistent), t.Length})
		}
	}
	return all
}

// once is a Source that gives each target once, in its order: a bundle. Asking for one that it does not have costs those
// that it has.
type once interface {
	// NextTarget is the path of the target that comes next.
	NextTarget(ctx context.Context) (string, error)
}

// patch opens the delta that starts from what is in the booted slot; nil: there is none, or none to be had.
func (e *Engine) patch(ctx context.Context, src Source, o offer, written io.ReaderAt) *patched {
	if len(o.shortcuts) == 0 {
		return nil
	}
	own, err := e.o.Slots.Read(e.o.Slots.Booted())
	if err != nil {
		e.o.Log.Warn("booted slot not read, so no delta", "error", err)
		return nil
	}
	d, err := e.startsHere(ctx, own, o.shortcuts)
	if err == nil {
		err = comes(ctx, src, d)
	}
	if err != nil {
		e.o.Log.Info("no delta, the whole image", "reason", errors.Join(err, own.Close()))
		return nil
	}
	e.o.Log.Info("a delta leads from here to the release", "target", d.Target, "bytes", d.length)
	in := &segments{e: e, delta: d, buf: make([]byte, min(manifest.Segment, d.length)), held: -1,
		from: &stream{src: src, path: d.path}}
	return &patched{own: own, in: in, written: written}
}

// comes asks a source that gives everything once whether the delta is what it gives next.
func comes(ctx context.Context, src Source, d shortcut) error {
	s, ok := src.(once)
	if !ok {
		return nil
	}
	next, err := s.NextTarget(ctx)
	if err == nil && next != d.path {
		err = fmt.Errorf("update: delta %s: %w", d.Target, fs.ErrNotExist)
	}
	return err
}

// startsHere finds the delta whose source is the image in a slot. It reads the slot once.
func (e *Engine) startsHere(ctx context.Context, own hal.SlotReader, all []shortcut) (shortcut, error) {
	h := sha256.New()
	buf := make([]byte, 64<<10)
	left := all
	for at := int64(0); len(left) > 0 && at < own.Size(); {
		if err := ctx.Err(); err != nil {
			return shortcut{}, carrier(ctx, err)
		}
		end := own.Size()
		var longer []shortcut
		for _, d := range left {
			if d.SourceSize > at {
				longer = append(longer, d)
				end = min(end, d.SourceSize)
			}
		}
		part := buf[:min(int64(len(buf)), end-at)]
		if len(longer) == 0 {
			break
		}
		if n, err := own.ReadAt(part, at); n < len(part) {
			return shortcut{}, slotFault(err)
		}
		h.Write(part)
		at += int64(len(part))
		for _, d := range longer {
			if d.SourceSize == at && d.Source == manifest.Sum(h.Sum(nil)) {
				return d, nil
			}
		}
		left = longer
	}
	return shortcut{}, fmt.Errorf("update: a delta from what runs: %w", fs.ErrNotExist)
}

// patched brings the segments of an image out of a delta and the booted slot.
type patched struct {
	own     hal.SlotReader
	in      *segments
	written io.ReaderAt
	r       *delta.Reader
}

// read implements bringer.
func (p *patched) read(ctx context.Context, part []byte, at int64) error {
	p.in.ctx = ctx
	if p.r == nil {
		r, err := delta.Open(p.own, p.in, p.written)
		if err != nil {
			return err
		}
		if manifest.Sum(r.Source().Sum) != p.in.delta.Source {
			r.Close()
			return fmt.Errorf("%w: it starts from another image", delta.ErrTarget)
		}
		p.r = r
	}
	return p.r.Segment(part, at)
}

// close implements bringer.
func (p *patched) close() {
	if p.r != nil {
		p.r.Close()
	}
	p.r = nil
	p.in.from.close()
	p.in.held = -1
}

// end lets go of the booted slot, too.
func (p *patched) end() {
	p.close()
	if err := p.own.Close(); err != nil {
		p.in.e.o.Log.Warn("booted slot not closed", "error", err)
	}
}

// segments are the bytes of a delta. Each segment is verified before any of it is looked at.
type segments struct {
	e     *Engine
	ctx   context.Context // of the read that is under way: io.ReaderAt has none
	delta shortcut
	from  *stream
	buf   []byte
	held  int64 // the segment in buf
}

// ReadAt implements io.ReaderAt.
func (s *segments) ReadAt(p []byte, at int64) (int, error) {
	done := 0
	for done < len(p) {
		if at < 0 || at >= s.delta.length {
			return done, io.EOF
		}
		i := at / manifest.Segment
		part := s.buf[:min(manifest.Segment, s.delta.length-i*manifest.Segment)]
		if i != s.held {
			s.held = -1
			err := s.e.bring(s.ctx, s.from, s.delta.Target, part, i*manifest.Segment, s.delta.Segments[i])
			if err != nil {
				return done, err
			}
			s.held = i
		}
		n := copy(p[done:], part[at-i*manifest.Segment:])
		done, at = done+n, at+int64(n)
	}
	return done, nil
}
