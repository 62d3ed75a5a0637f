package disklog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
)

// Recorder is a disk in memory that writes down what is done to it, in the format of a log: what QEMU does for a whole
// machine, for code that runs in the test's own process.
type Recorder struct {
	mu      sync.Mutex // guards the rest
	disk    *Disk
	log     []byte
	entries uint64
}

const recorderSector = 512

// NewRecorder begins with a disk, which is left as it is.
func NewRecorder(base *Disk) *Recorder {
	le := binary.LittleEndian
	super := make([]byte, recorderSector)
	le.PutUint64(super[0:], magic)
	le.PutUint64(super[8:], version)
	le.PutUint32(super[24:], recorderSector)
	return &Recorder{disk: base.Clone(), log: super}
}

// Size returns the size in bytes.
func (r *Recorder) Size() int64 { return r.disk.Size() }

// ReadAt reads what was written.
func (r *Recorder) ReadAt(p []byte, offset int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.disk.ReadAt(p, offset)
}

// WriteAt writes. What is not whole sectors is made into such, as a kernel does it.
func (r *Recorder) WriteAt(p []byte, offset int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if offset < 0 || offset+int64(len(p)) > r.disk.Size() {
		return 0, fmt.Errorf("write %d bytes at %d: the disk has %d", len(p), offset, r.disk.Size())
	}
	begin := offset / recorderSector * recorderSector
	end := (offset + int64(len(p)) + recorderSector - 1) / recorderSector * recorderSector
	data := make([]byte, end-begin)
	if _, err := r.disk.ReadAt(data[:min(end, r.disk.Size())-begin], begin); err != nil {
		return 0, err
	}
	copy(data[offset-begin:], p)
	r.entry(0, begin, int64(len(data)))
	r.log = append(r.log, data...)
	return len(p), r.disk.put(newPiece(begin, data), 0, int64(len(data)))
}

// Sync flushes.
func (r *Recorder) Sync() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entry(Flush, 0, 0)
	return nil
}

// Discard makes whole sectors read as zeros.
func (r *Recorder) Discard(offset, length int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entry(Discard, offset, length)
	return r.disk.put(newPiece(offset, make([]byte, length)), 0, length)
}

func (r *Recorder) entry(flags uint64, offset, length int64) {
	le := binary.LittleEndian
	var e [recorderSector]byte
	le.PutUint64(e[0:], uint64(offset/recorderSector))
	le.PutUint64(e[8:], uint64(length/recorderSector))
	le.PutUint64(e[16:], flags)
	r.log = append(r.log, e[:]...)
	r.entries++
	le.PutUint64(r.log[16:], r.entries)
}

// Now returns the length of the log.
func (r *Recorder) Now() Instant {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Instant(len(r.log))
}

// Log reads the log as it is now.
func (r *Recorder) Log() (*Log, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Read(bytes.NewReader(bytes.Clone(r.log)), int64(len(r.log)))
}

// Part is a part of a recorder's disk, as a partition is. It serves as internal/rawstore's Disk.
type Part struct {
	recorder     *Recorder
	offset, size int64
}

// Part returns a part of the disk.
func (r *Recorder) Part(offset, size int64) *Part { return &Part{r, offset, size} }

// Size returns the size in bytes.
func (p *Part) Size() int64 { return p.size }

// ReadAt reads the part.
func (p *Part) ReadAt(b []byte, offset int64) (int, error) {
	if err := p.check(b, offset); err != nil {
		return 0, err
	}
	return p.recorder.ReadAt(b, p.offset+offset)
}

// WriteAt writes the part.
func (p *Part) WriteAt(b []byte, offset int64) (int, error) {
	if err := p.check(b, offset); err != nil {
		return 0, err
	}
	return p.recorder.WriteAt(b, p.offset+offset)
}

func (p *Part) check(b []byte, offset int64) error {
	if offset < 0 || offset+int64(len(b)) > p.size {
		return fmt.Errorf("%d bytes at %d leave a partition of %d bytes", len(b), offset, p.size)
	}
	return nil
}

// Sync flushes the whole disk, as a drive does.
func (p *Part) Sync() error { return p.recorder.Sync() }

// Discard makes whole sectors of the part read as zeros.
func (p *Part) Discard(offset, length int64) error {
	return p.recorder.Discard(p.offset+offset, length)
}
