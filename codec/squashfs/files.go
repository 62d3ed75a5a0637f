package squashfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// File is where the content of a file lies: whole blocks, then a part of a fragment block.
type File struct {
	Size     int64
	Blocks   []Block
	Fragment int64 // the offset of the fragment block in the image, -1: none
	From     int   // where the file's end begins in the expanded fragment block
}

// Files returns the files in the order of their inodes.
func (i *Image) Files() ([]File, error) {
	fragments, err := i.fragmentBlocks()
	if err != nil {
		return nil, err
	}
	r := i.table(i.super.InodeTable, i.super.DirectoryTable)
	var files []File
	room := maxBlocks
	for n := range i.super.Inodes {
		f, err := i.inode(r, fragments, room)
		if err != nil {
			return nil, fmt.Errorf("%w: inode %d: %w", ErrImage, n+1, err)
		}
		if f.Size > 0 {
			files = append(files, f)
			room -= len(f.Blocks)
		}
	}
	return files, nil
}

// inode reads the next inode. What is no file has no size.
func (i *Image) inode(r io.Reader, fragments []Block, room int) (File, error) {
	var b [40]byte
	read := func(n int) error { _, err := io.ReadFull(r, b[:n]); return err }
	if err := read(16); err != nil {
		return File{}, err
	}
	switch kind := binary.LittleEndian.Uint16(b[:]); kind {
	case typeDirectory:
		return File{}, read(16)
	case typeExtended:
		return File{}, read(24)
	case typeSymlink:
		if err := read(8); err != nil {
			return File{}, err
		}
		n := binary.LittleEndian.Uint32(b[4:])
		if n > maxTarget {
			return File{}, fmt.Errorf("target of %d bytes", n)
		}
		_, err := io.CopyN(io.Discard, r, int64(n))
		return File{}, err
	case typeFile:
		if err := read(16); err != nil {
			return File{}, err
		}
	default:
		return File{}, fmt.Errorf("type %d", kind)
	}
	le := binary.LittleEndian
	f := File{Size: int64(le.Uint32(b[12:])), Fragment: -1, From: int(le.Uint32(b[8:]))}
	if n := le.Uint32(b[4:]); n != noFragment {
		if n >= uint32(len(fragments)) || f.From > i.BlockSize() {
			return File{}, errors.New("impossible fragment")
		}
		f.Fragment = fragments[n].Offset
	}
	err := i.blockList(r, &f, int64(le.Uint32(b[:])), room)
	return f, err
}

// blockList reads the block list of a file that begins at a place.
func (i *Image) blockList(r io.Reader, f *File, at int64, room int) error {
	size := int64(i.BlockSize())
	count := f.Size / size
	if f.Size%size > 0 && f.Fragment < 0 {
		count++
	}
	var b [4]byte
	for range count {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return err
		}
		if len(f.Blocks) >= room {
			return errors.New("too many blocks")
		}
		block := newBlock(at, binary.LittleEndian.Uint32(b[:]))
		f.Blocks = append(f.Blocks, block)
		at += int64(block.Stored)
	}
	return nil
}
