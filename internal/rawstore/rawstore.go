// Package rawstore is how boot record, slots and vault are written to a bare disk so that a power cut at any instant
// does no harm. It knows one small Disk: hal/ubootenv, hal/blockslot and hal/vault give it a block device, hal/sim a
// disk in memory whose power can be cut.
//
// The order of writes and flushes is the whole point; each type says its own.
package rawstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Disk is a partition. A write may reach the device at any time and in any order until Sync has returned.
type Disk interface {
	// ReadAt reads what the device holds, not what a cache of the kernel does.
	io.ReaderAt
	io.WriterAt
	Sync() error
	Size() int64
}

// Discarder is a disk that can forget (BLKDISCARD, or better BLKSECDISCARD).
type Discarder interface {
	Discard(offset, length int64) error
}

// errReadBack: the device took a write, and does not give it back.
var errReadBack = errors.New("read back differs from what was written")

// put writes, flushes and reads back.
func put(d Disk, data []byte, offset int64) error {
	if _, err := d.WriteAt(data, offset); err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return err
	}
	back := make([]byte, len(data))
	if err := readFull(d, back, offset); err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return fmt.Errorf("%w at %d", errReadBack, offset)
	}
	return nil
}

// readFull reads all of p.
func readFull(d Disk, p []byte, offset int64) error {
	n, err := d.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
