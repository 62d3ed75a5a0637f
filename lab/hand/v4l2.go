package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// queryControl and control are structures of linux/videodev2.h, the same on 32 and 64 bit.
type queryControl struct {
	id, kind            uint32
	name                [32]byte
	min, max, step, def int32
	flags               uint32
	_                   [2]uint32
}

type control struct {
	id    uint32
	value int32
}

const (
	queryControls = 3<<30 | unsafe.Sizeof(queryControl{})<<16 | 'V'<<8 | 36 // VIDIOC_QUERYCTRL
	setControl    = 3<<30 | unsafe.Sizeof(control{})<<16 | 'V'<<8 | 28      // VIDIOC_S_CTRL
	nextControl   = 0x80000000                                              // V4L2_CTRL_FLAG_NEXT_CTRL
)

// setV4L2 sets a control of a video device by its name.
func setV4L2(device, name, value string) error {
	n, err := strconv.ParseInt(value, 0, 32)
	if err != nil {
		return err
	}
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", device, err)
	}
	defer func() { _ = unix.Close(fd) }()
	id, err := findControl(fd, name)
	if err != nil {
		return fmt.Errorf("%s: control %q: %w", device, name, err)
	}
	err = v4l2(fd, setControl, unsafe.Pointer(&control{id, int32(n)}))
	if errors.Is(err, unix.ENODEV) {
		return nil // the control that unplugs the device has no device to answer it
	}
	return err
}

func findControl(fd int, name string) (uint32, error) {
	q := queryControl{id: nextControl}
	for {
		if err := v4l2(fd, queryControls, unsafe.Pointer(&q)); err != nil {
			return 0, err
		}
		if has, _, _ := bytes.Cut(q.name[:], []byte{0}); string(has) == name {
			return q.id, nil
		}
		q.id |= nextControl
	}
}

func v4l2(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
