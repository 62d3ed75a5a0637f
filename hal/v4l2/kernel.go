package v4l2

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// kernel is an opened node as the kernel shows it. Errors are unix.Errno. The tests' fake implements it and answers as
// recorded kernels did.
type kernel interface {
	// ioctl does not return EINTR.
	ioctl(request uintptr, arg unsafe.Pointer) error
	// mmap maps a buffer; close unmaps all of them.
	mmap(offset int64, length int) ([]byte, error)
	// poll waits until the node has one of events (0: the node is left out) or an error, wake was called (woken, which is forgotten then) or the time is
	// up; negative means for ever.
	poll(events int16, timeout time.Duration) (revents int16, woken bool, err error)
	// wake makes the running or the next poll return. It may be called at any time before close.
	wake()
	close() error
}

// opener opens a node by its path.
type opener func(path string) (kernel, error)

// fault turns a kernel's answer into an error that names the operation and the object, and wraps the one that callers
// branch on.
func fault(op, object string, err error) error {
	var sentinel error
	switch {
	case err == nil:
		return nil
	case gone(err):
		sentinel = hal.ErrClosed
	case errors.Is(err, unix.EBUSY):
		sentinel = hal.ErrBusy
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.ENOTSUP):
		sentinel = hal.ErrUnsupported
	}
	if sentinel == nil || errors.Is(err, sentinel) {
		return fmt.Errorf("%s %s: %w", op, object, err)
	}
	return fmt.Errorf("%s %s: %w (%w)", op, object, sentinel, err)
}

// gone reports whether err says that the device is not there any more, or not yet.
func gone(err error) bool {
	for _, e := range []error{unix.ENODEV, unix.ENXIO, unix.EBADF, unix.ESHUTDOWN, fs.ErrNotExist} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
