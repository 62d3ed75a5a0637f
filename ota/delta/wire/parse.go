package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// reader takes numbers out of a header. Its first error stays.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
	}
}

func (r *reader) long(what string, most uint64) uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > most {
		r.fail("%s: want at most %d", what, most)
		r.b = nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) number(what string, most int) uint32 { return uint32(r.long(what, uint64(most))) }

// count reads how many things follow, each of which takes at least so many bytes.
func (r *reader) count(what string, most, least int) int {
	return int(r.number(what, min(most, len(r.b)/least)))
}

func (r *reader) take(what string, n int) []byte {
	if n > len(r.b) {
		r.fail("%s: it ends in it", what)
		r.b = nil
		return make([]byte, n)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) image() (i Image) {
	i.Size = r.number("image", MaxImage)
	copy(i.Sum[:], r.take("image", len(i.Sum)))
	return i
}

func (r *reader) header() *Header {
	h := &Header{Source: r.image(), Target: r.image()}
	h.Blocks = string(r.take("settings", int(r.number("settings", maxSettings))))
	h.Streams = string(r.take("settings", int(r.number("settings", maxSettings))))
	h.BlockSize = r.number("block size", maxBlockSize)
	h.Parts = make([]Part, r.count("parts", maxParts, 4))
	end := uint32(0)
	for i := range h.Parts {
		p := Part{Kind: Kind(r.number("part", int(Stream))), Offset: end + r.number("part", MaxImage),
			Stored: r.number("part", MaxImage), Expanded: r.number("part", MaxImage)}
		if end = p.Offset + p.Stored; end > MaxImage {
			r.fail("part behind the source's end")
			break
		}
		h.Parts[i] = p
	}
	h.Pieces = make([]Piece, r.count("pieces", maxParts, 3))
	for i := range h.Pieces {
		h.Pieces[i] = r.piece()
	}
	h.From, h.To = r.spans(), r.spans()
	h.Ops = r.ops()
	h.Frames = make([]Frame, r.count("frames", maxFrames, 2))
	for i := range h.Frames {
		h.Frames[i] = Frame{r.number("frame", MaxStored), r.number("frame", MaxFrame)}
	}
	return h
}

func (r *reader) piece() Piece {
	p := Piece{Kind: Kind(r.number("piece", int(kindsEnd)-1)), Expanded: r.number("piece", MaxImage),
		Stored: r.number("piece", MaxImage)}
	if p.Kind == Tree {
		p.DataFrom, p.DataSize = r.number("tree", MaxImage), r.number("tree", MaxImage)
		p.Salt = bytes.Clone(r.take("salt", int(r.number("salt", maxSalt))))
	}
	return p
}

func (r *reader) spans() []Span {
	all := make([]Span, r.count("spans", maxSpans, 6))
	for i := range all {
		s := Span{Program: r.number("program", maxSpans), At: r.number("span", MaxImage), Size: r.number("span", MaxImage),
			Memory: r.number("span", MaxImage), Address: uint32(r.long("span", math.MaxUint32)),
			Code: Code(r.number("code", int(codes)-1))}
		if s.Size > s.Memory || uint64(s.Address)+uint64(s.Memory) >= 1<<32 {
			r.fail("span of impossible size")
		}
		all[i] = s
	}
	return all
}

func (r *reader) ops() []Op {
	all := make([]Op, r.count("ops", MaxOps, 2))
	for i := range all {
		n := r.long("op", MaxImage<<1)
		all[i].Copy, all[i].Changed = uint32(n>>1), n&changedBit == 1
	}
	for i := range all {
		all[i].Fresh = r.number("op", MaxImage)
	}
	next := int64(0)
	for i, o := range all {
		if o.Copy == 0 {
			continue
		}
		seek, size := binary.Varint(r.b)
		from := next + seek
		if size <= 0 || from < 0 || from > MaxImage {
			r.fail("op from nowhere")
			return nil
		}
		r.b = r.b[size:]
		all[i].From = uint32(from)
		next = from + int64(o.Copy)
	}
	return all
}

// check holds a header together.
func (r *reader) check(h *Header) {
	source, target, stored := uint64(h.Source.Size), uint64(0), uint64(0)
	for _, p := range h.Parts {
		if p.Offset+p.Stored > h.Source.Size || p.Kind == Raw || p.Kind == Block && p.Expanded > h.BlockSize {
			r.fail("impossible part at %d", p.Offset)
		}
		source += uint64(p.Expanded)
	}
	for _, p := range h.Pieces {
		r.checkPiece(h, p, stored)
		target += uint64(p.Expanded)
		stored += uint64(p.Stored)
	}
	made, framed := uint64(0), uint64(0)
	for _, o := range h.Ops {
		if uint64(o.From)+uint64(o.Copy) > source {
			r.fail("op from behind the source's end")
		}
		made += uint64(o.Copy) + uint64(o.Fresh)
	}
	for _, f := range h.Frames {
		if f.Expanded == 0 {
			r.fail("empty frame")
		}
		framed += uint64(f.Expanded)
	}
	if source > MaxImage || target > MaxImage || stored != uint64(h.Target.Size) || made != target || framed != target {
		r.fail("sizes don't add up: source %d, pieces %d of %d, stored %d of %d, frames %d", source, made, target, stored,
			h.Target.Size, framed)
	}
	r.checkSpans(h.From, source, len(h.From))
	r.checkSpans(h.To, target, len(h.From))
}

// checkPiece holds a piece together that is stored at a place in the target.
func (r *reader) checkPiece(h *Header, p Piece, at uint64) {
	switch {
	case p.Kind == Raw && p.Expanded != p.Stored,
		p.Kind == Block && (p.Expanded > h.BlockSize || p.Stored > h.BlockSize || p.Expanded == 0 || p.Stored == 0),
		p.Kind == Stream && (p.Expanded == 0 || p.Stored == 0),
		p.Kind == Tree && (p.Expanded != 0 || uint64(p.DataFrom)+uint64(p.DataSize) > at || p.Stored > MaxTree):
		r.fail("impossible piece at %d", at)
	}
}

// checkSpans holds spans in an expanded image, and in the programs of the source, of which there are less than this.
func (r *reader) checkSpans(all []Span, size uint64, programs int) {
	for _, s := range all {
		if uint64(s.At)+uint64(s.Size) > size || int(s.Program) >= programs {
			r.fail("span outside of the image")
		}
	}
}
