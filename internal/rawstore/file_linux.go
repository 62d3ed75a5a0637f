package rawstore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// File is a Disk in a block device, or in a file that stands for one in a test.
//
// It writes through the page cache, pushes what was written out early and forgets it, so that a whole slot never fills
// the memory. It reads with O_DIRECT, past the cache; where a file system has no such reads, it drops the cache first.
type File struct {
	path  string
	write *os.File
	read  *os.File // O_DIRECT, or the same as write where that is not to be had
	size  int64
	block bool
	cache bool // read through the page cache

	mu     sync.Mutex // guards the fields below
	dirty  int64      // bytes written since the last push
	oldest int64      // where they begin

	reading sync.Mutex // guards buffer
	buffer  []byte     // of ReadAt, aligned: one for all reads, since a slot is read in thousands of them
}

// OpenFile opens a disk. exclusive is for what nobody else may have open (O_EXCL: a mounted block device is busy).
func OpenFile(path string, exclusive bool) (*File, error) {
	flags := os.O_RDWR
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeDevice != 0 && exclusive {
		flags |= os.O_EXCL
	}
	w, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("open %s: %w", path, hal.ErrBusy)
	}
	if err != nil {
		return nil, err
	}
	f := &File{path: path, write: w, read: w}
	if f.size, err = w.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	info, err := w.Stat()
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	f.block = info.Mode()&os.ModeDevice != 0
	if r, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0); err == nil {
		f.read = r
	}
	return f, nil
}

// OpenFileReadOnly opens a disk to read it, through the page cache.
func OpenFileReadOnly(path string) (*File, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return &File{path: path, write: r, read: r, size: size, cache: true}, nil
}

// Size implements Disk.
func (f *File) Size() int64 { return f.size }

// align is enough for the O_DIRECT of every block device: the largest logical block that there is.
const align = 4096

// readSize is how much is read at once.
const readSize = 256 << 10

// ReadAt implements Disk.
func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	if f.cache {
		return f.read.ReadAt(p, offset)
	}
	if f.read == f.write {
		if err := errors.Join(f.write.Sync(), f.forget(0, 0)); err != nil {
			return 0, err
		}
		return f.write.ReadAt(p, offset)
	}
	begin := offset / align * align
	end := (offset + int64(len(p)) + align - 1) / align * align
	f.reading.Lock()
	defer f.reading.Unlock()
	if f.buffer == nil {
		f.buffer = aligned(readSize)
	}
	buffer := f.buffer
	n := 0
	for n < len(p) {
		got, err := f.read.ReadAt(buffer[:min(int64(len(buffer)), end-begin)], begin)
		skip := int(offset + int64(n) - begin)
		if got > skip {
			n += copy(p[n:], buffer[skip:got])
		}
		if n == len(p) {
			break
		}
		if err != nil {
			return n, err
		}
		begin += int64(got)
	}
	return n, nil
}

// aligned returns n bytes that begin at a multiple of align in memory.
func aligned(n int) []byte {
	b := make([]byte, n+align)
	skip := align - int(uintptr(unsafe.Pointer(&b[0]))%align)
	return b[skip:][:n:n]
}

// WriteAt implements Disk.
func (f *File) WriteAt(p []byte, offset int64) (int, error) {
	if offset < 0 || offset+int64(len(p)) > f.size {
		return 0, fmt.Errorf("write %s: %d bytes at %d leave its %d bytes", f.path, len(p), offset, f.size)
	}
	n, err := f.write.WriteAt(p, offset)
	if err != nil {
		return n, err
	}
	return n, f.push(offset, int64(n))
}

// push starts to write out what was written, and forgets what was pushed before.
func (f *File) push(offset, n int64) error {
	const window = 4 << 20
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dirty == 0 {
		f.oldest = offset
	}
	if f.dirty += n; f.dirty < window {
		return nil
	}
	begin, length := f.oldest, f.dirty
	f.dirty = 0
	const start, wait = unix.SYNC_FILE_RANGE_WRITE, unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	if err := unix.SyncFileRange(int(f.write.Fd()), begin, length, start); err != nil {
		return nil // only haste is lost: Sync writes all
	}
	if before := begin - window; before >= 0 {
		if err := unix.SyncFileRange(int(f.write.Fd()), before, window, start|wait); err != nil {
			return &os.PathError{Op: "write", Path: f.path, Err: err}
		}
		return f.forget(before, window)
	}
	return nil
}

// forget drops clean pages from the cache; length 0 means to the end.
func (f *File) forget(offset, length int64) error {
	return unix.Fadvise(int(f.write.Fd()), offset, length, unix.FADV_DONTNEED)
}

// Sync implements Disk.
func (f *File) Sync() error { return f.write.Sync() }

// Discard implements Discarder.
func (f *File) Discard(offset, length int64) error {
	if !f.block {
		return fmt.Errorf("discard %s: %w", f.path, hal.ErrUnsupported)
	}
	span := [2]uint64{uint64(offset), uint64(length)}
	for _, request := range []uintptr{unix.BLKSECDISCARD, unix.BLKDISCARD} {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.write.Fd(), request, uintptr(unsafe.Pointer(&span)))
		if errno == 0 {
			return f.write.Sync()
		}
	}
	return fmt.Errorf("discard %s: %w", f.path, hal.ErrUnsupported)
}

// Lock keeps out other processes that lock the disk too; it waits for them.
func (f *File) Lock() (unlock func(), err error) {
	if err := flock(f.write, unix.LOCK_EX); err != nil {
		return nil, err
	}
	return func() { _ = flock(f.write, unix.LOCK_UN) }, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Close closes the disk, without a flush.
func (f *File) Close() error {
	err := f.write.Close()
	if f.read != f.write {
		err = errors.Join(err, f.read.Close())
	}
	return err
}
