package squashfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrImage: the image is damaged, or not one that Build wrote.
var ErrImage = errors.New("squashfs image")

// maxBlocks bounds the memory of a reader: 6 MB of block list, 32 GiB of files.
const maxBlocks = 1 << 18

// Block is one stored block of an image: data of a file, or a fragment block with the ends of several.
type Block struct {
	Offset     int64 // in the image
	Stored     int   // bytes in the image
	Compressed bool  // else the stored bytes are the block
}

// Image is an image that is read.
type Image struct {
	r     io.ReaderAt
	super superblock
}

// Open reads the superblock.
func Open(r io.ReaderAt) (*Image, error) {
	head := make([]byte, superblockSize)
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("%w: superblock: %w", ErrImage, err)
	}
	i := &Image{r: r}
	_, _ = binary.Decode(head, binary.LittleEndian, &i.super)
	s := i.super
	switch {
	case s.Magic != magic:
		return nil, fmt.Errorf("%w: no superblock", ErrImage)
	case s.Major != 4 || s.Minor != 0 || s.Compressor != compressorZstd:
		return nil, fmt.Errorf("%w: version %d.%d with compressor %d, want 4.0 with zstd",
			ErrImage, s.Major, s.Minor, s.Compressor)
	case !validBlockSize(int(s.BlockSize)):
		return nil, fmt.Errorf("%w: block size %d", ErrImage, s.BlockSize)
	case s.Flags&flagRawInodes == 0:
		return nil, fmt.Errorf("%w: its inodes are compressed", ErrImage)
	case s.InodeTable < superblockSize || s.DirectoryTable < s.InodeTable || s.Used < s.DirectoryTable || s.Used >= 1<<40:
		return nil, fmt.Errorf("%w: tables out of order", ErrImage)
	case s.Fragments > maxBlocks || s.Fragments > 0 && (s.FragmentTable < s.DirectoryTable || s.FragmentTable > s.Used):
		return nil, fmt.Errorf("%w: impossible fragment table", ErrImage)
	}
	return i, nil
}

// Size is the length of the file system in bytes, without its padding.
func (i *Image) Size() int64 { return int64(i.super.Used) }

// BlockSize is the size of a whole block.
func (i *Image) BlockSize() int { return int(i.super.BlockSize) }

// Blocks returns all stored blocks in the order in which they lie in the image. What lies between and behind them
// (superblock, tables, padding) is stored as it is.
func (i *Image) Blocks() ([]Block, error) {
	blocks, err := i.fragmentBlocks()
	if err != nil {
		return nil, err
	}
	files, err := i.Files()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if blocks = append(blocks, f.Blocks...); len(blocks) > maxBlocks {
			return nil, fmt.Errorf("%w: too many blocks", ErrImage)
		}
	}
	slices.SortFunc(blocks, func(a, b Block) int { return int(a.Offset - b.Offset) })
	end := int64(superblockSize)
	for _, b := range blocks {
		if b.Offset < end || b.Stored <= 0 || b.Stored > i.BlockSize() {
			return nil, fmt.Errorf("%w: block at %d of %d bytes", ErrImage, b.Offset, b.Stored)
		}
		end = b.Offset + int64(b.Stored)
	}
	if end > int64(i.super.InodeTable) {
		return nil, fmt.Errorf("%w: blocks reach into the tables", ErrImage)
	}
	return blocks, nil
}

func newBlock(offset int64, size uint32) Block {
	return Block{Offset: offset, Stored: int(size &^ blockRaw), Compressed: size&blockRaw == 0}
}

func (i *Image) fragmentBlocks() ([]Block, error) {
	if i.super.Fragments == 0 {
		return nil, nil
	}
	first := make([]byte, 8)
	if _, err := i.r.ReadAt(first, int64(i.super.FragmentTable)); err != nil {
		return nil, fmt.Errorf("%w: fragment table: %w", ErrImage, err)
	}
	r := i.table(binary.LittleEndian.Uint64(first), i.super.FragmentTable)
	blocks := make([]Block, 0, i.super.Fragments)
	var item [16]byte
	for range i.super.Fragments {
		if _, err := io.ReadFull(r, item[:]); err != nil {
			return nil, fmt.Errorf("%w: fragment table: %w", ErrImage, err)
		}
		start := binary.LittleEndian.Uint64(item[:])
		if start > i.super.Used {
			return nil, fmt.Errorf("%w: fragment at %d", ErrImage, start)
		}
		blocks = append(blocks, newBlock(int64(start), binary.LittleEndian.Uint32(item[8:])))
	}
	return blocks, nil
}

// table returns the bytes of the metadata blocks from start to end.
func (i *Image) table(start, end uint64) io.Reader {
	return &tableReader{r: i.r, at: int64(start), end: int64(end)}
}

type tableReader struct {
	r       io.ReaderAt
	at, end int64
	rest    bytes.Reader
	buffer  []byte
}

func (t *tableReader) Read(p []byte) (int, error) {
	if t.rest.Len() == 0 {
		if err := t.next(); err != nil {
			return 0, err
		}
	}
	return t.rest.Read(p)
}

// next reads one metadata block.
func (t *tableReader) next() error {
	var head [2]byte
	if t.at+2 > t.end {
		return io.ErrUnexpectedEOF
	}
	if _, err := t.r.ReadAt(head[:], t.at); err != nil {
		return err
	}
	size := binary.LittleEndian.Uint16(head[:])
	n := int64(size &^ metadataRaw)
	if size&metadataRaw == 0 || n == 0 || n > metadataSize || t.at+2+n > t.end {
		return errors.New("impossible metadata block")
	}
	if t.buffer == nil {
		t.buffer = make([]byte, metadataSize)
	}
	if _, err := t.r.ReadAt(t.buffer[:n], t.at+2); err != nil {
		return err
	}
	t.rest.Reset(t.buffer[:n])
	t.at += 2 + n
	return nil
}

// Expand reads a block and appends its expanded bytes to dst.
func (i *Image) Expand(c *Codec, b Block, dst []byte) ([]byte, error) {
	stored := make([]byte, b.Stored)
	if _, err := i.r.ReadAt(stored, b.Offset); err != nil {
		return dst, fmt.Errorf("%w: block at %d: %w", ErrImage, b.Offset, err)
	}
	if !b.Compressed {
		return append(dst, stored...), nil
	}
	out, err := c.Expand(dst, stored)
	if err != nil {
		return dst, fmt.Errorf("%w: block at %d: %w", ErrImage, b.Offset, err)
	}
	return out, nil
}

// Prove expands every block, compresses it again and returns those that do not give the stored bytes. It goes backwards
// through the image with a codec of its own, so that a compressor that carries anything from block to block is found.
func (i *Image) Prove() (blocks int, failed []Block, err error) {
	list, err := i.Blocks()
	if err != nil {
		return 0, nil, err
	}
	codec, err := NewCodec(i.BlockSize())
	if err != nil {
		return 0, nil, err
	}
	defer codec.Close()
	var expanded, again []byte
	stored := make([]byte, i.BlockSize())
	for _, b := range slices.Backward(list) {
		if expanded, err = i.Expand(codec, b, expanded[:0]); err != nil {
			return 0, nil, err
		}
		if _, err = i.r.ReadAt(stored[:b.Stored], b.Offset); err != nil {
			return 0, nil, fmt.Errorf("%w: block at %d: %w", ErrImage, b.Offset, err)
		}
		var compressed bool
		again, compressed = codec.Compress(again[:0], expanded)
		if compressed != b.Compressed || !bytes.Equal(again, stored[:b.Stored]) {
			failed = append(failed, b)
		}
	}
	return len(list), failed, nil
}
