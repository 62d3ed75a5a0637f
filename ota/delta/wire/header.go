// Package wire is the format of a delta between two images of a slot, and the coding of what differs; ota/delta reads
// it, ota/delta/diff writes it. Bytes in, values out.
//
// An image is looked at as its pieces: bytes as they are, compressed blocks, compressed streams, a verity tree. The
// expanded source is the source as it is, and behind it its blocks and streams, expanded, in the order of Parts. The
// expanded target is its pieces, expanded, in the order of Pieces; a tree has no bytes there, since it is made again.
// Copies make the expanded target out of the expanded source:
//
//	"OCDELTA1" | bytes of the stored header, of the header, uint32 each, little endian | stored header (zstd) | frames
//
//	header: all numbers as unsigned varints
//	  source, target     size and SHA-256 of the images
//	  blocks, streams    the settings of the compressors, as texts; empty where there are none
//	  block size
//	  parts              of the source: kind, bytes since the end of the part before, stored bytes, expanded bytes
//	  pieces             of the target: kind, expanded bytes, stored bytes; a tree: where its data begins in the image,
//	                     bytes of it, salt
//	  spans              of the source, then of the target: program, place, size, size in memory, address, code
//	  ops                three columns: copied bytes * 2 + whether they are changed, fresh bytes, and where from
//	  frames             stored bytes, expanded bytes of the target
//
//	frame: bytes of fresh, of fresh as stored, then these (zstd where it is shorter), then the changes (Model)
//
// A frame can be read without those before it, so a delta that was cut short goes on at a frame. Everything is bounded
// before memory is taken for it, and whatever a delta says, no more comes out than its header announced.
package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFormat: this is no delta, or a damaged one.
var ErrFormat = errors.New("no delta")

// Magic is how a delta begins.
const Magic = "OCDELTA1"

// Bounds of a delta. They are what a camera can hold.
const (
	PrefixSize   = len(Magic) + 8
	MaxHeader    = 2 << 20 // bytes, expanded
	MaxFrame     = 1 << 20 // bytes of the expanded target
	MaxStored    = MaxFrame + MaxFrame/4
	MaxImage     = 1 << 30 // bytes, expanded too
	MaxOps       = 1 << 17
	maxParts     = 1 << 14
	maxFrames    = 1 << 12
	maxSpans     = 1 << 10
	maxSettings  = 200
	maxSalt      = 256
	maxBlockSize = 1 << 20
	MaxTree      = 16 << 20  // bytes of a verity tree
	StreamWindow = 256 << 10 // bytes that a copy may go back in a stream
	changedBit   = 1
)

// Kind is what a part or a piece is.
type Kind byte

// The kinds.
const (
	Raw    Kind = iota // stored as it is
	Block              // a block of a file system (codec/squashfs), compressed
	Stream             // a kernel or an initrd (codec/fit), compressed
	Tree               // superblock and hashes of verity (codec/verity), made out of what lies before it
	kindsEnd
)

// Part is a compressed part of the source.
type Part struct {
	Kind     Kind
	Offset   uint32 // in the source
	Stored   uint32 // bytes there
	Expanded uint32
}

// Piece is a piece of the target.
type Piece struct {
	Kind     Kind
	Expanded uint32
	Stored   uint32
	DataFrom uint32 // of a tree: where the data lies in the target
	DataSize uint32
	Salt     []byte
}

// Op makes Copy bytes out of the expanded source, then takes Fresh bytes that are not in it.
type Op struct {
	Copy    uint32
	Fresh   uint32
	From    uint32
	Changed bool // the copied bytes are not the same: the model says how
}

// Frame is a part of the expanded target that is read by itself.
type Frame struct {
	Stored   uint32
	Expanded uint32
}

// Image is what an image is known by.
type Image struct {
	Size uint32
	Sum  [sha256.Size]byte
}

// Header is everything in front of the frames.
type Header struct {
	Source, Target  Image
	Blocks, Streams string
	BlockSize       uint32
	Parts           []Part
	Pieces          []Piece
	From, To        []Span // programs in the expanded source and target
	Ops             []Op
	Frames          []Frame
}

// Expanded is the size of the expanded source.
func (h *Header) Expanded() uint32 {
	n := h.Source.Size
	for _, p := range h.Parts {
		n += p.Expanded
	}
	return n
}

// Append writes the header as Parse reads it, not compressed.
func (h *Header) Append(b []byte) []byte {
	w := writer{b}
	for _, i := range []Image{h.Source, h.Target} {
		w.numbers(i.Size)
		w.b = append(w.b, i.Sum[:]...)
	}
	w.text([]byte(h.Blocks))
	w.text([]byte(h.Streams))
	w.numbers(h.BlockSize, uint32(len(h.Parts)))
	end := uint32(0)
	for _, p := range h.Parts {
		w.numbers(uint32(p.Kind), p.Offset-end, p.Stored, p.Expanded)
		end = p.Offset + p.Stored
	}
	w.numbers(uint32(len(h.Pieces)))
	for _, p := range h.Pieces {
		w.numbers(uint32(p.Kind), p.Expanded, p.Stored)
		if p.Kind == Tree {
			w.numbers(p.DataFrom, p.DataSize)
			w.text(p.Salt)
		}
	}
	w.spans(h.From)
	w.spans(h.To)
	w.ops(h.Ops)
	w.numbers(uint32(len(h.Frames)))
	for _, f := range h.Frames {
		w.numbers(f.Stored, f.Expanded)
	}
	return w.b
}

type writer struct{ b []byte }

func (w *writer) numbers(all ...uint32) {
	for _, n := range all {
		w.b = binary.AppendUvarint(w.b, uint64(n))
	}
}

func (w *writer) text(t []byte) {
	w.numbers(uint32(len(t)))
	w.b = append(w.b, t...)
}

func (w *writer) spans(all []Span) {
	w.numbers(uint32(len(all)))
	for _, s := range all {
		w.numbers(s.Program, s.At, s.Size, s.Memory, s.Address, uint32(s.Code))
	}
}

func (w *writer) ops(all []Op) {
	w.numbers(uint32(len(all)))
	for _, o := range all {
		w.b = binary.AppendUvarint(w.b, uint64(o.Copy)<<1|uint64(truth(o.Changed)))
	}
	for _, o := range all {
		w.numbers(o.Fresh)
	}
	next := uint32(0)
	for _, o := range all {
		if o.Copy > 0 {
			w.b = binary.AppendVarint(w.b, int64(o.From)-int64(next))
			next = o.From + o.Copy
		}
	}
}

// Parse reads a header that was expanded, and holds together what is said twice: sizes add up, copies stay in the
// source, parts follow one another.
func Parse(b []byte) (*Header, error) {
	if len(b) > MaxHeader {
		return nil, fmt.Errorf("%w: header of %d bytes", ErrFormat, len(b))
	}
	r := &reader{b: b}
	h := r.header()
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes behind the header", len(r.b))
	}
	if r.err == nil {
		r.check(h)
	}
	if r.err != nil {
		return nil, r.err
	}
	return h, nil
}
