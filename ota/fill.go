package ota

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/ota/delta"
	"github.com/ocellus/ocellus/ota/manifest"
)

// maxAsked is how often a segment that comes wrong is asked for.
const maxAsked = 3

// fill writes a release into the other slot: segment by segment, each verified before it is written, and what a write
// that was cut short left there is kept where its hash is right. Then the whole is read back, and the head is written.
// It holds two segments in memory.
func (e *Engine) fill(ctx context.Context, src Source, o offer) (err error) {
	w, err := e.o.Slots.Open(e.remembered().slot())
	if err != nil {
		return slotFault(err)
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	f := filler{e: e, w: w, r: o.release, again: o.again, bufs: e.buffers(),
		from: &stream{src: src, path: o.path}}
	defer func() { f.from.close() }()
	f.patch = e.patch(ctx, src, o, w)
	err = errors.Join(f.all(ctx), f.settle())
	f.giveUp()
	if err != nil {
		return err
	}
	if err := e.readBack(ctx, w, o.release.Size, hexOf(o.release.Sum), f.bufs); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return slotFault(err)
	}
	return nil
}

// buffers are two of a segment each.
func (e *Engine) buffers() [2][]byte {
	return [2][]byte{make([]byte, e.segment), make([]byte, e.segment)}
}

func slotFault(err error) error { return fmt.Errorf("update: %w: %w", SlotFault, err) }

// filler fills a slot.
type filler struct {
	e     *Engine
	w     hal.SlotWriter
	r     manifest.Release
	again bool
	bufs  [2][]byte  // one is written while the other is filled
	under chan error // capacity 1: of the write that is under way; nil: there is none
	from  bringer
	patch *patched // instead of from, as long as it goes well
}

// bringer brings the segments of an image, mostly one after another.
type bringer interface {
	read(ctx context.Context, part []byte, at int64) error
	close()
}

// all fills it with every segment. While one is written the next one comes and is verified, unless that takes a look at
// what was written before.
func (f *filler) all(ctx context.Context) error {
	for i, sum := range f.r.Segments {
		if err := ctx.Err(); err != nil {
			return carrier(ctx, err)
		}
		at := int64(i) * f.e.segment
		part := f.bufs[i%2][:min(f.e.segment, f.r.Size-at)]
		f.e.tell(PhaseWriting, at, f.r.Size)
		if f.again || f.patch != nil {
			if err := f.settle(); err != nil {
				return err
			}
		}
		if f.again && f.has(part, at, sum) {
			continue
		}
		if err := f.bring(ctx, part, at, sum); err != nil {
			return err
		}
		if err := f.settle(); err != nil {
			return err
		}
		f.write(part, at)
	}
	f.e.tell(PhaseWriting, f.r.Size, f.r.Size)
	return nil
}

// write begins to write a part, which stays as it is until settle.
func (f *filler) write(part []byte, at int64) {
	under := make(chan error, 1)
	f.under = under
	go func() {
		_, err := f.w.WriteAt(part, at)
		under <- err
	}()
}

// settle waits for the write that is under way.
func (f *filler) settle() error {
	if f.under == nil {
		return nil
	}
	err := <-f.under
	f.under = nil
	if err != nil {
		return slotFault(err)
	}
	return nil
}

// has reports whether a segment is in the slot already. The head never is: it is zeros on the disk.
func (f *filler) has(part []byte, at int64, sum manifest.Sum) bool {
	if at < hal.SlotHead {
		return false
	}
	n, err := f.w.ReadAt(part, at)
	return n == len(part) && (err == nil || errors.Is(err, io.EOF)) && sha256.Sum256(part) == sum
}

// bring makes a segment out of the delta, or reads it, from the first one on that the delta could not make.
func (f *filler) bring(ctx context.Context, part []byte, at int64, sum manifest.Sum) error {
	if f.patch != nil {
		err := f.patch.read(ctx, part, at)
		if err == nil && sha256.Sum256(part) != sum {
			err = fmt.Errorf("%w: at byte %d", delta.ErrTarget, at)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return carrier(ctx, err)
		}
		f.e.o.Log.Warn("delta given up, the whole image from here on", "offset", at, "error", err)
		f.giveUp()
	}
	return f.e.bring(ctx, f.from, f.r.Target, part, at, sum)
}

// giveUp ends the delta.
func (f *filler) giveUp() {
	if f.patch != nil {
		f.patch.end()
	}
	f.patch = nil
}

// bring reads a segment, and asks again for one that is not what was signed.
func (e *Engine) bring(ctx context.Context, from bringer, target string, part []byte, at int64, sum manifest.Sum) error {
	for asked := 1; ; asked++ {
		if err := from.read(ctx, part, at); err != nil {
			return carrier(ctx, err)
		}
		if sha256.Sum256(part) == sum {
			return nil
		}
		if asked == maxAsked {
			return fmt.Errorf("update: %w: at byte %d of %s, asked for %d times", Segment, at, target, asked)
		}
		e.o.Log.Warn("segment is not what was signed, asking again", "offset", at)
		from.close()
	}
}

// stream reads a target of a source, mostly straight on.
type stream struct {
	src  Source
	path string
	open io.ReadCloser
	at   int64
}

// read fills part with what lies at an offset.
func (s *stream) read(ctx context.Context, part []byte, at int64) error {
	if s.open == nil || s.at != at {
		s.close()
		r, err := s.src.Target(ctx, s.path, at)
		if err != nil {
			return err
		}
		s.open, s.at = r, at
	}
	n, err := io.ReadFull(s.open, part)
	s.at += int64(n)
	return err
}

func (s *stream) close() {
	if s.open != nil {
		_ = s.open.Close()
	}
	s.open = nil
}

// readBack hashes a slot's image as the device gives it: one buffer is hashed while the other is read.
func (e *Engine) readBack(ctx context.Context, from io.ReaderAt, size int64, sum string, bufs [2][]byte) error {
	h := sha256.New()
	step := e.segment
	part := func(at int64) []byte { return bufs[at/step%2][:min(step, size-at)] }
	ahead := make(chan error, 1) // one read is under way at most
	read := func(at int64) {
		n, err := from.ReadAt(part(at), at)
		if n == len(part(at)) {
			err = nil
		}
		ahead <- err
	}
	go read(0)
	for at := int64(0); at < size; at += step {
		e.tell(PhaseVerifying, at, size)
		if err := <-ahead; err != nil {
			return slotFault(err)
		}
		if err := ctx.Err(); err != nil {
			return carrier(ctx, err)
		}
		if at+step < size {
			go read(at + step)
		}
		h.Write(part(at))
	}
	e.tell(PhaseVerifying, size, size)
	want, err := hex.DecodeString(sum)
	if got := h.Sum(nil); err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("update: %w: sha256 is %x, want %s", ReadBack, got, sum)
	}
	return nil
}

// verify reads back a slot that was written before the engine started. One that is not whole is made invalid again.
func (e *Engine) verify(ctx context.Context) error {
	u := e.remembered().Update
	r, err := e.o.Slots.Read(u.Slot)
	if err != nil {
		return slotFault(err)
	}
	err = e.readBack(ctx, r, u.Size, u.Sum, e.buffers())
	if err = errors.Join(err, r.Close()); !errors.Is(err, ReadBack) {
		return err
	}
	w, opened := e.o.Slots.Open(u.Slot)
	if opened == nil {
		opened = w.Close()
	}
	return errors.Join(err, opened)
}
