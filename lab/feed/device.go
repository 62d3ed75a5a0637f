package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// format is struct v4l2_format of linux/videodev2.h for a single-planar picture. The union that begins with pix has 200
// bytes and is aligned as a pointer is.
type format struct {
	typ uint32
	_   [0]uintptr
	pix struct {
		width, height, pixelFormat, field, bytesPerLine, sizeImage uint32
		_                                                          [200 - 6*4]byte
	}
}

const (
	typeVideoOutput = 2                                                // V4L2_BUF_TYPE_VIDEO_OUTPUT
	fieldNone       = 1                                                // V4L2_FIELD_NONE
	fourCCH264      = 'H' | '2'<<8 | '6'<<16 | '4'<<24                 // V4L2_PIX_FMT_H264
	fourCCYUYV      = 'Y' | 'U'<<8 | 'Y'<<16 | 'V'<<24                 // V4L2_PIX_FMT_YUYV
	setFormat       = 3<<30 | unsafe.Sizeof(format{})<<16 | 'V'<<8 | 5 // VIDIOC_S_FMT, _IOWR('V', 5, struct v4l2_format)
	streamOn        = 1<<30 | 4<<16 | 'V'<<8 | 18                      // VIDIOC_STREAMON, _IOW('V', 18, int)
)

// open opens the writing side of a loopback for pictures of a size. A coded picture may be as large as a raw one.
//
// v4l2loopback 0.12.7 takes note of a writer's end only where he began to stream: behind one who just wrote, the device is
// neither an output nor a camera as soon as somebody asks what it is, and the next writer is refused.
func open(path string, fourCC, width, height uint32) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	want := format{typ: typeVideoOutput}
	want.pix.width, want.pix.height, want.pix.pixelFormat, want.pix.field = width, height, fourCC, fieldNone
	want.pix.sizeImage = width * height * 2
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), setFormat, uintptr(unsafe.Pointer(&want)))
	if errno != 0 {
		return nil, fmt.Errorf("set format of %s: %w", path, errno)
	}
	typ := int32(typeVideoOutput)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), streamOn, uintptr(unsafe.Pointer(&typ))); errno != 0 {
		return nil, fmt.Errorf("begin to stream to %s: %w", path, errno)
	}
	return f, nil
}
