package diff

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/squashfs"
	"github.com/ocellus/ocellus/codec/verity"
	"github.com/ocellus/ocellus/ota/delta/wire"
)

// part is a part of an image: as it is stored, and expanded.
type part struct {
	kind     wire.Kind
	at       int
	stored   []byte
	expanded []byte // of a block or a stream that the camera can make again
	tree     wire.Piece
}

// layout is an image, divided. An image that is no slot as cmd/mkimage makes them is one raw part.
type layout struct {
	image           []byte
	parts           []part
	files           []squashfs.File // of the file system, at base
	base            int
	blocks, streams string // the settings of the compressors
	blockSize       int
	odd             int // compressed parts that this program compresses otherwise
}

// divide finds the compressed parts of an image, and proves of each that compressing gives the stored bytes again. What
// doesn't stays raw.
func divide(image []byte) (*layout, error) {
	l := &layout{image: image}
	head, err := fit.Parse(image)
	if err != nil {
		return l, l.fill()
	}
	_, padded, err := fit.Size(image)
	if err != nil || padded > int64(len(image)) {
		return l, l.fill()
	}
	if head.Slot.Payload == fit.Settings {
		l.streams = fit.Settings
		for _, p := range [][]byte{head.Kernel.Data, head.Initrd.Data} {
			l.addStream(p)
		}
	}
	if head.Slot.Filesystem == squashfs.Settings {
		if err := l.addBlocks(int(padded)); err != nil {
			return nil, err
		}
	}
	return l, l.fill()
}

// addStream adds a compressed kernel or initrd, a slice of the image.
func (l *layout) addStream(stored []byte) {
	if !bytes.HasPrefix(stored, []byte(fit.GzipMagic)) {
		return
	}
	expanded, err := expandStream(stored)
	if err == nil {
		var again []byte
		if again, err = compressStream(expanded); err == nil && !bytes.Equal(again, stored) {
			err = fit.ErrFIT
		}
	}
	if err != nil {
		l.odd++
		return
	}
	at := bytes.Index(l.image, stored)
	l.parts = append(l.parts, part{kind: wire.Stream, at: at, stored: stored, expanded: expanded})
}

func expandStream(stored []byte) ([]byte, error) {
	r, err := fit.NewExpander(bytes.NewReader(stored))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, wire.MaxImage))
}

func compressStream(expanded []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := fit.NewCompressor(&out)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(expanded)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

// addBlocks adds the blocks of the file system at a place, and the verity tree behind it.
func (l *layout) addBlocks(at int) error {
	filesystem, err := squashfs.Open(bytes.NewReader(l.image[at:]))
	if err != nil {
		return nil //nolint:nilerr // something else lies there: raw
	}
	blocks, err := filesystem.Blocks()
	if err != nil {
		return fmt.Errorf("slot image: %w", err)
	}
	if l.files, err = filesystem.Files(); err != nil {
		return fmt.Errorf("slot image: %w", err)
	}
	l.base = at
	codec, err := squashfs.NewCodec(filesystem.BlockSize())
	if err != nil {
		return err
	}
	defer codec.Close()
	l.blocks, l.blockSize = squashfs.Settings, filesystem.BlockSize()
	for _, b := range blocks {
		if !b.Compressed {
			continue
		}
		stored := l.image[at+int(b.Offset):][:b.Stored]
		expanded, err := codec.Expand(nil, stored)
		if err != nil {
			return fmt.Errorf("slot image: %w", err)
		}
		if again, compressed := codec.Compress(nil, expanded); !compressed || !bytes.Equal(again, stored) {
			l.odd++
			continue
		}
		l.parts = append(l.parts, part{kind: wire.Block, at: at + int(b.Offset), stored: stored, expanded: expanded})
	}
	l.addTree(at, int(filesystem.Size()))
	return nil
}

// addTree adds the verity tree over the file system at a place.
func (l *layout) addTree(at, size int) {
	behind := at + (size+verity.BlockSize-1)/verity.BlockSize*verity.BlockSize
	if behind+verity.BlockSize > len(l.image) {
		return
	}
	s, err := verity.ParseSuperblock(l.image[behind:][:verity.BlockSize])
	if err != nil || int64(s.DataBlocks)*verity.BlockSize != int64(behind-at) {
		return
	}
	tree, err := verity.New(s.Salt)
	if err != nil {
		return
	}
	_, _ = tree.Write(l.image[at:behind])
	made, _, err := tree.Finish()
	if err != nil || len(made) > wire.MaxTree || !bytes.HasPrefix(l.image[behind:], made) {
		return
	}
	l.parts = append(l.parts, part{kind: wire.Tree, at: behind, stored: made,
		tree: wire.Piece{DataFrom: uint32(at), DataSize: uint32(behind - at), Salt: s.Salt}})
}

// fill puts raw parts between the others, so that they cover the image.
func (l *layout) fill() error {
	slices.SortFunc(l.parts, func(p, q part) int { return p.at - q.at })
	var all []part
	end := 0
	for _, p := range append(l.parts, part{at: len(l.image)}) {
		if p.at < end {
			return fmt.Errorf("slot image: parts overlap at %d", p.at)
		}
		if p.at > end {
			all = append(all, part{at: end, stored: l.image[end:p.at]})
		}
		if len(p.stored) > 0 {
			all = append(all, p)
		}
		end = p.at + len(p.stored)
	}
	l.parts = all
	return nil
}

// content is what a part is in the expanded image.
func (p part) content() []byte {
	switch p.kind {
	case wire.Tree:
		return nil
	case wire.Raw:
		return p.stored
	}
	return p.expanded
}
