// Package diff makes deltas between images of a slot (ota/delta/wire), on the publisher's machine: it holds both images
// expanded, several times over.
//
// What it looks for: parts that are stored the same are copied as they are stored, so that a kernel that did not change
// costs nothing and is not compressed again. The rest is compared expanded, and as code that moves is meant to be
// compared: with the addresses in it blanked.
package diff

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/ocellus/ocellus/ota/delta/wire"
)

// Report says what a delta is made of.
type Report struct {
	Size    int // bytes of the delta
	Parts   int // of the target that are compressed
	Kept    int // of those, that are stored in the source the same
	Odd     int // compressed parts that nobody compresses to the same bytes again, compared as they are stored
	Ops     int
	Fresh   int // bytes that are in no source, expanded
	Changes int // bytes that say how copies differ
}

// ErrImage: an image that no delta can be made of.
var ErrImage = errors.New("make delta")

// Make returns the delta that makes the image target out of source.
func Make(source, target []byte) ([]byte, Report, error) {
	if len(source) == 0 || len(target) == 0 || len(source) > wire.MaxImage/2 || len(target) > wire.MaxImage/2 {
		return nil, Report{}, fmt.Errorf("%w: images of %d and %d bytes", ErrImage, len(source), len(target))
	}
	from, err := divide(source)
	if err != nil {
		return nil, Report{}, fmt.Errorf("%w: source: %w", ErrImage, err)
	}
	to, err := divide(target)
	if err != nil {
		return nil, Report{}, fmt.Errorf("%w: target: %w", ErrImage, err)
	}
	m := newMaker(from, to)
	m.makeOps()
	if len(m.h.Ops) > wire.MaxOps {
		return nil, Report{}, fmt.Errorf("%w: %d copies, cameras take %d", ErrImage, len(m.h.Ops), wire.MaxOps)
	}
	return m.write()
}

// maker makes one delta.
type maker struct {
	h        wire.Header
	from, to *layout
	x, y     []byte // expanded source and target
	pieces   []piece
	report   Report
}

// piece is a part of the target as the delta has it.
type piece struct {
	part
	y    int
	same int // where the source has the very bytes, -1: nowhere
}

func newMaker(from, to *layout) *maker {
	m := &maker{from: from, to: to, x: bytes.Clone(from.image), report: Report{Odd: to.odd}}
	m.h.Source = wire.Image{Size: uint32(len(from.image)), Sum: sha256.Sum256(from.image)}
	m.h.Target = wire.Image{Size: uint32(len(to.image)), Sum: sha256.Sum256(to.image)}
	m.choosePieces()
	m.expandSource()
	return m
}

// choosePieces decides for each part of the target whether it is copied as it is stored.
func (m *maker) choosePieces() {
	stored := map[[sha256.Size]byte]int{}
	for _, p := range m.from.parts {
		if p.kind != wire.Tree {
			stored[sha256.Sum256(p.stored)] = p.at
		}
	}
	for _, p := range m.to.parts {
		same, kept := stored[sha256.Sum256(p.stored)]
		if !kept {
			same = -1
		}
		m.pieces = append(m.pieces, piece{part: p, same: same})
	}
	m.keepPrograms()
	for i := range m.pieces {
		p := &m.pieces[i]
		p.y = len(m.y)
		if p.kind == wire.Block || p.kind == wire.Stream {
			m.report.Parts++
		}
		if p.same >= 0 && p.kind != wire.Raw {
			m.report.Kept++
			p.kind = wire.Raw
		}
		m.usesPiece(p.kind)
		m.y = append(m.y, p.content()...)
		m.h.Pieces = append(m.h.Pieces, wire.Piece{Kind: p.kind, Expanded: uint32(len(p.content())),
			Stored: uint32(len(p.stored)), DataFrom: p.tree.DataFrom, DataSize: p.tree.DataSize, Salt: p.tree.Salt})
	}
}

// usesPiece notes the settings that the camera's compressors must have.
func (m *maker) usesPiece(k wire.Kind) {
	switch k {
	case wire.Block:
		m.h.Blocks, m.h.BlockSize = m.to.blocks, uint32(m.to.blockSize)
	case wire.Stream:
		m.h.Streams = m.to.streams
	}
}
