// Package v4l2 is the hal.Camera and hal.Encoder of Linux: capture nodes (single-planar and multi-planar) and stateful
// memory-to-memory encoders, as linux/videodev2.h and Documentation/userspace-api/media/v4l describe them.
//
// The law it keeps, beside that of hal:
//   - The driver has the last word. Format, size, strides and frame interval are read back after they were set, and
//     what was read back is what Capture.Mode and Frame tell.
//   - A frame is lent straight from the driver's memory: its buffer is queued again at the next Next, Encode or Drain. Of
//     v4l2loopback it is a copy.
//   - Time is the driver's where it says CLOCK_MONOTONIC; else a frame is stamped when it is dequeued, and the log
//     says so once.
//   - Waiting is poll(2) on the node and on an eventfd that Close and a cancelled context write to. Go's own poller
//     is not used: it registers a descriptor once, at open, and drivers exist whose poll is only right after
//     STREAMON (v4l2loopback).
//
// # Floors inside
//
//	camera.go find.go               capture, and the list of what is there
//	encoder.go encoding.go          memory-to-memory encoders
//	session.go                      an opened node: waiting, closing
//	device.go modes.go queue.go     typed requests, enumeration, the buffers of one queue
//	formats.go                      pixel formats and where their planes lie
//	kernel.go                       interface kernel: ioctl, mmap, poll, wake, close. The tests' fake stands here
//	node.go                         the kernel itself
//	go4vl.go                        go4vl's wrappers, for the requests that they serve well
//	abi.go                          structures and numbers of videodev2.h, pinned by testdata/abi.golden
//
// # go4vl and what it is not used for
//
// QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS (discrete), G_FMT, S_FMT, G_PARM, S_PARM (of
// single-planar nodes) and S_CTRL go through github.com/vladimirvivien/go4vl/v4l2 when the program is built with cgo. The rest
// is done here, because in v0.3.0:
//   - there is no multi-planar API, no ENCODER_CMD, no TRY_FMT, no S_SELECTION of an OUTPUT queue;
//   - DequeueBuffer and all others turn ENODEV, EIO, ENOMEM and EBADF into one ErrorSystem: "unplugged" can't be told
//     from "signal lost";
//   - GetFormatFrameInterval reads a stepwise answer 8 bytes too far (the union starts with the discrete member), and
//     Get/SetStreamParam look for the output member behind the capture one, where it isn't;
//   - QueryControlInfo keeps a control's flags to itself, and SetExtControlValues hands the kernel the address of a slice
//     header;
//   - GetBuffer and DequeueBuffer read 24 bytes behind the union m;
//   - every wrapper keeps the kernel's structure on the goroutine's stack and passes its address on as a uintptr
//     through two more calls. If the stack is moved on the way, the answer goes to where the stack was. go4vl.go
//     therefore calls the wrappers on a stack that can neither grow nor shrink meanwhile.
//
// Built without cgo the package does all requests itself and lacks nothing.
package v4l2
