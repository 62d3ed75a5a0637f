package delta

import (
	"encoding/binary"
	"fmt"

	"github.com/ocellus/ocellus/ota/delta/wire"
)

// frame reads the expanded target, frame after frame.
type frame struct {
	header  *wire.Header
	source  *source
	model   *wire.Model
	cursor  *wire.Cursor
	next    int    // frame
	y       uint32 // where it begins
	stored  []byte
	fresh   []byte
	changes *wire.Decoder

	buffer, old [wire.Chunk]byte
	have        []byte // of buffer, not read yet
}

func newFrame(h *wire.Header, s *source) *frame {
	return &frame{header: h, source: s, model: wire.NewModel(wire.NewAddresses(h.From, h.To, h.Ops)),
		cursor: wire.NewCursor(h.Ops)}
}

// begin goes to a frame, and forgets what was under way.
func (f *frame) begin(number int) {
	f.next, f.y, f.have = number, 0, nil
	for _, before := range f.header.Frames[:number] {
		f.y += before.Expanded
	}
	f.cursor.Frame(f.y, 0)
}

// read fills p with the next bytes of the expanded target.
func (r *Reader) read(p []byte) error {
	f := r.frame
	for len(p) > 0 {
		if len(f.have) > 0 {
			n := copy(p, f.have)
			p, f.have = p[n:], f.have[n:]
			continue
		}
		s, ok := f.cursor.Step()
		if !ok {
			if err := r.load(); err != nil {
				return err
			}
			continue
		}
		if err := f.step(s); err != nil {
			return err
		}
	}
	return nil
}

// step makes the bytes of a step.
func (f *frame) step(s wire.Step) error {
	f.have = f.buffer[:s.Size]
	switch {
	case s.Fresh:
		if len(f.fresh) < len(f.have) {
			return fmt.Errorf("%w: fresh bytes are missing", ErrFormat)
		}
		f.fresh = f.fresh[copy(f.have, f.fresh):]
	case !s.Changed:
		return f.source.read(f.have, s.X)
	default:
		old := f.old[:s.Size]
		if err := f.source.read(old, s.X); err != nil {
			return err
		}
		f.model.Region(f.changes, old, f.have, s.X, s.Y)
	}
	return nil
}

// load reads the next frame.
func (r *Reader) load() error {
	f := r.frame
	if f.next == len(f.header.Frames) {
		return fmt.Errorf("%w: no more frames", ErrFormat)
	}
	info := f.header.Frames[f.next]
	if cap(f.stored) < int(info.Stored) {
		f.stored = make([]byte, info.Stored)
	}
	b := f.stored[:info.Stored]
	if err := readFull(r.delta, b, r.frames[f.next]); err != nil {
		return err
	}
	size, n := binary.Uvarint(b)
	b = b[max(n, 0):]
	stored, m := binary.Uvarint(b)
	if n <= 0 || m <= 0 || size > uint64(info.Expanded) || stored > uint64(len(b)-m) || stored > size {
		return fmt.Errorf("%w: frame %d", ErrFormat, f.next)
	}
	b = b[m:]
	if f.fresh = b[:stored]; stored < size {
		var err error
		if f.fresh, err = r.unpack(f.fresh, int(size)); err != nil {
			return err
		}
	}
	f.changes = wire.NewDecoder(b[stored:])
	f.model.Reset()
	f.cursor.Frame(f.y, info.Expanded)
	f.next++
	f.y += info.Expanded
	return nil
}
