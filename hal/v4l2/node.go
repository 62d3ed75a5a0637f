package v4l2

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// node is the kernel behind /dev/videoN.
type node struct {
	fd    int
	event int // eventfd that wake writes to
	maps  [][]byte
	// time64: this 32-bit kernel knows v4l2_buffer only with a 64-bit time_t. Found out by the first QUERYBUF, which
	// comes before any concurrent use.
	time64 bool
}

func openNode(path string) (kernel, error) {
	fd, err := retry(func() (int, error) { return unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, err
	}
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &node{fd: fd, event: event}, nil
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (n *node) ioctl(request uintptr, arg unsafe.Pointer) error {
	if served, err := go4vlServes(n.fd, request, arg); served {
		return err
	}
	if wide == 0 && (request == vidiocQueryBuf || request == vidiocQBuf || request == vidiocDQBuf) {
		return n.bufferIoctl(request, (*buffer)(arg))
	}
	return ioctl(n.fd, request, arg)
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// bufferIoctl speaks with a 32-bit kernel, in whichever of the two layouts it knows.
func (n *node) bufferIoctl(request uintptr, b *buffer) error {
	if !n.time64 {
		err := ioctl(n.fd, request, unsafe.Pointer(b))
		if err != unix.ENOTTY || request != vidiocQueryBuf {
			return err
		}
		n.time64 = true
	}
	const sizeBits = 0x3fff << 16
	request = request&^sizeBits | unsafe.Sizeof(buffer64{})<<16
	w := b.widen()
	err := ioctl(n.fd, request, unsafe.Pointer(&w))
	if err == nil {
		b.narrow(&w)
	}
	return err
}

func (b *buffer) widen() buffer64 {
	return buffer64{
		index: b.index, typ: b.typ, bytesUsed: b.bytesUsed, flags: b.flags, field: b.field,
		sec: [2]uint32{uint32(b.sec)}, usec: [2]uint32{uint32(b.usec)},
		sequence: b.sequence, memory: b.memory, m: uint32(b.m), length: b.length,
	}
}

func (b *buffer) narrow(w *buffer64) {
	*b = buffer{
		index: w.index, typ: w.typ, bytesUsed: w.bytesUsed, flags: w.flags, field: w.field,
		sec: int(w.sec[0]), usec: int(w.usec[0]),
		sequence: w.sequence, memory: w.memory, m: uintptr(w.m), length: w.length,
	}
}

func (n *node) mmap(offset int64, length int) ([]byte, error) {
	m, err := unix.Mmap(n.fd, offset, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err == nil {
		n.maps = append(n.maps, m)
	}
	return m, err
}

func (n *node) poll(events int16, timeout time.Duration) (int16, bool, error) {
	fd := int32(n.fd)
	if events == 0 {
		fd = -1
	}
	fds := [2]unix.PollFd{{Fd: fd, Events: events}, {Fd: int32(n.event), Events: unix.POLLIN}}
	ms := -1
	if timeout >= 0 {
		ms = int(min((timeout+time.Millisecond-1)/time.Millisecond, math.MaxInt32))
	}
	if _, err := unix.Poll(fds[:], ms); err != nil && err != unix.EINTR {
		return 0, false, err
	}
	woken := fds[1].Revents != 0
	if woken {
		var count [8]byte
		_, _ = unix.Read(n.event, count[:]) // EAGAIN: somebody else has read it
	}
	return fds[0].Revents, woken, nil
}

func (n *node) wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(n.event, one[:]) // EAGAIN: it is set already
}

func (n *node) close() error {
	var errs []error
	for _, m := range n.maps {
		errs = append(errs, unix.Munmap(m))
	}
	n.maps = nil
	errs = append(errs, unix.Close(n.fd), unix.Close(n.event))
	return errors.Join(errs...)
}
