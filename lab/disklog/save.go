package disklog

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// Saver writes a part of disks of one base as sparse files, for programs that want a file: a checker of file systems,
// an emulator. What the base holds there is read once.
type Saver struct {
	offset, length int64
	base           map[int64][]byte // by the block's number; without those of zeros
}

// NewSaver saves a part that is whole blocks of 4 KiB.
func NewSaver(base io.ReaderAt, offset, length int64) (*Saver, error) {
	if offset%blockSize != 0 || length%blockSize != 0 {
		return nil, errors.New("save a part of a disk: it is not whole blocks")
	}
	s := &Saver{offset, length, map[int64][]byte{}}
	b, zeros := make([]byte, blockSize), make([]byte, blockSize)
	for at := offset; at < offset+length; at += blockSize {
		if err := readBase(base, b, at); err != nil {
			return nil, err
		}
		if !bytes.Equal(b, zeros) {
			s.base[at/blockSize] = bytes.Clone(b)
		}
	}
	return s, nil
}

// Save writes the part of a disk to a new file.
func (s *Saver) Save(d *Disk, name string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(s.length); err != nil {
		return err
	}
	for number, data := range s.base {
		if d.block(number) != nil {
			continue
		}
		if _, err := f.WriteAt(data, number*blockSize-s.offset); err != nil {
			return err
		}
	}
	return d.changes(s.offset, s.length, func(offset int64, data []byte) error {
		_, err := f.WriteAt(data, offset-s.offset)
		return err
	})
}
