package delta

import (
	"bytes"
	"fmt"
	"io"
	"sort"

	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/verity"
	"github.com/ocellus/ocellus/ota/delta/wire"
)

// maker turns the pieces of the expanded target into those of the target.
type maker struct {
	piece   int
	left    uint32 // stored bytes of the piece that did not come out yet
	begun   bool
	ready   []byte // of these, what is made
	block   []byte // expanded
	packed  []byte
	pending bytes.Buffer // what the compressor gave
	stream  io.WriteCloser
	unread  uint32 // expanded bytes of the stream that did not go in yet
}

// start is a place where reading can begin: a frame and a piece begin there.
type start struct {
	target       int64
	frame, piece int
}

// starts are all of them.
func (r *Reader) starts() []start {
	h := r.header
	var all []start
	frame, framed := 0, uint32(0)
	target, y := int64(0), uint32(0)
	for i, p := range h.Pieces {
		for frame < len(h.Frames) && framed < y {
			framed += h.Frames[frame].Expanded
			frame++
		}
		if framed == y {
			all = append(all, start{target, frame, i})
		}
		target, y = target+int64(p.Stored), y+p.Expanded
	}
	return all
}

// startFor is the last one in front of a place in the target.
func (r *Reader) startFor(at int64) start {
	i := sort.Search(len(r.begins), func(i int) bool { return r.begins[i].target > at }) - 1
	return r.begins[max(i, 0)]
}

// start begins anew in front of a place in the target.
func (r *Reader) start(at int64) error {
	if r.begins == nil {
		if r.begins = r.starts(); len(r.begins) == 0 {
			return fmt.Errorf("%w: no pieces", ErrFormat)
		}
	}
	s := r.startFor(at)
	r.at = s.target
	r.frame.begin(s.frame)
	r.make.reset(s.piece)
	return nil
}

func (m *maker) reset(piece int) {
	m.piece, m.begun, m.ready, m.stream = piece, false, nil, nil
	m.pending.Reset()
}

// next makes some of the next bytes. here are those in front of them that target does not give back yet.
func (r *Reader) next(p, here []byte) (int, error) {
	m := &r.make
	if m.piece == len(r.header.Pieces) {
		return 0, fmt.Errorf("%w: no more pieces", ErrFormat)
	}
	piece := r.header.Pieces[m.piece]
	if !m.begun {
		if err := r.begin(piece, here); err != nil {
			return 0, err
		}
	}
	if m.left == 0 {
		m.piece, m.begun = m.piece+1, false
		return 0, nil
	}
	p = p[:min(len(p), int(m.left))]
	if piece.Kind == wire.Raw {
		m.left -= uint32(len(p))
		return len(p), r.read(p)
	}
	if piece.Kind == wire.Stream && len(m.ready) == 0 {
		if err := r.pump(); err != nil {
			return 0, err
		}
	}
	n := copy(p, m.ready)
	m.ready = m.ready[n:]
	m.left -= uint32(n)
	return n, nil
}

// begin begins a piece.
func (r *Reader) begin(p wire.Piece, here []byte) (err error) {
	m := &r.make
	m.begun, m.left, m.ready = true, p.Stored, nil
	switch p.Kind {
	case wire.Block:
		return r.compressBlock(p)
	case wire.Tree:
		m.ready, err = r.tree(p, here)
	case wire.Stream:
		m.pending.Reset()
		m.stream, err = fit.NewCompressor(&m.pending)
		m.unread = p.Expanded
	}
	return err
}

func (r *Reader) compressBlock(p wire.Piece) error {
	m := &r.make
	if r.blocks == nil {
		return fmt.Errorf("%w: blocks of no size", ErrFormat)
	}
	if m.block == nil {
		m.block = make([]byte, r.header.BlockSize)
	}
	block := m.block[:p.Expanded]
	if err := r.read(block); err != nil {
		return err
	}
	var compressed bool
	m.packed, compressed = r.blocks.Compress(m.packed[:0], block)
	if m.ready = m.packed; !compressed || len(m.ready) != int(p.Stored) {
		return fmt.Errorf("%w: a block of %d bytes, want %d", ErrTarget, len(m.ready), p.Stored)
	}
	return nil
}

// pump feeds the compressor until it gives something.
func (r *Reader) pump() error {
	m := &r.make
	m.pending.Reset()
	var chunk [wire.Chunk]byte
	for m.pending.Len() == 0 {
		if m.stream == nil {
			return fmt.Errorf("%w: a stream that is %d bytes too short", ErrTarget, m.left)
		}
		part := chunk[:min(uint32(len(chunk)), m.unread)]
		if err := r.read(part); err != nil {
			return err
		}
		if _, err := m.stream.Write(part); err != nil {
			return err
		}
		if m.unread -= uint32(len(part)); m.unread == 0 {
			if err := m.stream.Close(); err != nil {
				return err
			}
			m.stream = nil
		}
	}
	if m.ready = m.pending.Bytes(); len(m.ready) > int(m.left) || m.stream == nil && len(m.ready) != int(m.left) {
		return fmt.Errorf("%w: a stream of another length", ErrTarget)
	}
	return nil
}

// tree makes a verity tree. The data lies in what was written, up to what is here.
func (r *Reader) tree(p wire.Piece, here []byte) ([]byte, error) {
	t, err := verity.New(p.Salt)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	end := int64(p.DataFrom) + int64(p.DataSize)
	written := max(int64(p.DataFrom), min(r.at-int64(len(here)), end))
	data := io.NewSectionReader(r.target, int64(p.DataFrom), written-int64(p.DataFrom))
	if _, err := io.CopyBuffer(t, data, make([]byte, 64<<10)); err != nil {
		return nil, fmt.Errorf("read back for the verity tree: %w", err)
	}
	if written < end {
		from := written - (r.at - int64(len(here)))
		if _, err := t.Write(here[from:min(from+end-written, int64(len(here)))]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
	}
	made, _, err := t.Finish()
	if err != nil || len(made) != int(p.Stored) {
		return nil, fmt.Errorf("%w: a tree of %d bytes, want %d: %w", ErrTarget, len(made), p.Stored, err)
	}
	return made, nil
}
