// Package disklog reads what QEMU's blklogwrites block driver recorded and rebuilds the disk as a power cut at any
// instant may have left it. The format is that of Linux's dm-log-writes
// (Documentation/admin-guide/device-mapper/log-writes.rst): a superblock in the first sector, then for each request an
// entry of one sector and, unless it is a discard, its data.
//
//	superblock   0 magic 6a736677736872, 8 version 1, 16 number of entries (8 bytes each), 24 sector size (4)
//	entry        0 sector, 8 number of sectors, 16 flags, 24 length of a mark's data (8 bytes each)
//
// Numbers are little endian. QEMU writes the number of entries anew at each flush, so that the log of a machine that
// was killed can be read too, up to its last flush.
//
//	qemu ... -blockdev driver=file,node-name=f0,filename=disk.img -blockdev driver=raw,node-name=r0,file=f0 \
//	  -blockdev driver=file,node-name=lf,filename=log.bin -blockdev driver=blklogwrites,node-name=lw,file=r0,log=lf \
//	  -device virtio-blk-device,drive=lw      (log.bin has to be there, empty)
package disklog

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// The flags of an entry.
const (
	Flush   = 1 << 0 // what completed before is durable; the entry's own data are not, unless FUA says so
	FUA     = 1 << 1 // the entry's data are durable
	Discard = 1 << 2
	Mark    = 1 << 3 // a name, no write
)

const (
	magic   = 0x6a736677736872
	version = 1
)

// ErrLog: this is no log of writes, or it is damaged.
var ErrLog = errors.New("disk log")

// Entry is one request to the disk.
type Entry struct {
	Offset int64 // on the disk, in bytes
	Length int64 // in bytes
	Flags  uint64
	data   int64 // where its data are in the log; -1 for none
	end    Instant
}

// Writes reports whether the entry changes the disk.
func (e Entry) Writes() bool { return e.data >= 0 && e.Flags&Mark == 0 || e.Flags&Discard != 0 }

// Log is a recorded run.
type Log struct {
	Entries    []Entry
	SectorSize int64
	file       io.ReaderAt
}

// maxEntries bounds what a damaged superblock may claim.
const maxEntries = 50_000_000

// Read reads a log of size bytes. An entry whose end is missing ends the log: the machine was killed.
func Read(file io.ReaderAt, size int64) (*Log, error) {
	var super [28]byte
	if _, err := file.ReadAt(super[:], 0); err != nil {
		return nil, fmt.Errorf("%w: superblock: %w", ErrLog, err)
	}
	le := binary.LittleEndian
	l := &Log{SectorSize: int64(le.Uint32(super[24:])), file: file}
	count := le.Uint64(super[16:])
	switch {
	case le.Uint64(super[0:]) != magic:
		return nil, fmt.Errorf("%w: magic %x, want %x", ErrLog, le.Uint64(super[0:]), uint64(magic))
	case le.Uint64(super[8:]) != version:
		return nil, fmt.Errorf("%w: version %d, want %d", ErrLog, le.Uint64(super[8:]), version)
	case l.SectorSize < 512 || l.SectorSize > 1<<16 || l.SectorSize&(l.SectorSize-1) != 0:
		return nil, fmt.Errorf("%w: sectors of %d bytes", ErrLog, l.SectorSize)
	case count > maxEntries:
		return nil, fmt.Errorf("%w: %d entries, at most %d", ErrLog, count, maxEntries)
	}
	at := l.SectorSize
	for range count {
		e, next, err := l.entry(at, size)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		l.Entries = append(l.Entries, e)
		at = next
	}
	return l, nil
}

// entry reads the entry at an offset of the log, and returns where the next one begins.
func (l *Log) entry(at, size int64) (Entry, int64, error) {
	if at > size-l.SectorSize {
		return Entry{}, 0, io.EOF
	}
	var b [32]byte
	if _, err := l.file.ReadAt(b[:], at); err != nil {
		return Entry{}, 0, fmt.Errorf("%w: entry at %d: %w", ErrLog, at, err)
	}
	le := binary.LittleEndian
	sector, sectors, flags, mark := le.Uint64(b[0:]), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])
	if most := uint64(math.MaxInt64 / l.SectorSize / 2); sector > most || sectors > most {
		return Entry{}, 0, fmt.Errorf("%w: entry at %d: sector %d, %d sectors", ErrLog, at, sector, sectors)
	}
	if mark > uint64(l.SectorSize)-32 {
		return Entry{}, 0, fmt.Errorf("%w: entry at %d: mark of %d bytes", ErrLog, at, mark)
	}
	e := Entry{Offset: int64(sector) * l.SectorSize, Length: int64(sectors) * l.SectorSize, Flags: flags, data: -1}
	at += l.SectorSize
	if flags&Discard == 0 && sectors > 0 {
		if e.Length > size-at {
			return Entry{}, 0, io.EOF
		}
		e.data = at
		at += e.Length
	}
	e.end = Instant(at)
	return e, at, nil
}

// Instant is a length of the log, in bytes: an instant of the run as the machine's disk saw it. Whoever drives the
// machine takes one by the size of the log's file. QEMU tells the guest that a request is done after it is in the log:
// when the machine has answered a command, all that the command did to the disk lies before an instant that is taken
// then, and nothing that a command will do lies before one that is taken ahead of it.
type Instant int64

// Instant returns the length of the log's first n entries.
func (l *Log) Instant(n int) Instant {
	if n == 0 {
		return Instant(l.SectorSize)
	}
	return l.Entries[n-1].end
}

// Logged returns how many entries had been logged at an instant, whole.
func (l *Log) Logged(at Instant) int {
	n, _ := slices.BinarySearchFunc(l.Entries, at+1, func(e Entry, at Instant) int { return cmp.Compare(e.end, at) })
	return n
}

// Reached returns how many entries there are once an instant is reached. One that was being logged then is among them:
// a cut before it lies ahead of the instant.
func (l *Log) Reached(at Instant) int {
	n := l.Logged(at)
	if l.Instant(n) < at && n < len(l.Entries) {
		n++
	}
	return n
}

// Edit returns the log of a run that went another way: entries changed, or left out where edit returns false. With it a
// proof shows that it can fail. Instants keep their meaning.
func (l *Log) Edit(edit func(n int, e Entry) (Entry, bool)) *Log {
	other := &Log{SectorSize: l.SectorSize, file: l.file}
	for n, e := range l.Entries {
		e, keep := edit(n, e)
		if keep {
			other.Entries = append(other.Entries, e)
		} else if last := len(other.Entries) - 1; last >= 0 {
			other.Entries[last].end = e.end
		}
	}
	return other
}

// Data reads some bytes of an entry, from an offset inside it.
func (l *Log) Data(e Entry, p []byte, from int64) error {
	if e.data < 0 {
		clear(p) // a discard: QEMU's raw files read as zeros there
		return nil
	}
	if _, err := l.file.ReadAt(p, e.data+from); err != nil {
		return fmt.Errorf("%w: data of the write at %d: %w", ErrLog, e.Offset, err)
	}
	return nil
}
