//go:build cgo

package v4l2

import (
	"errors"
	"syscall"
	"unsafe"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// go4vlServes answers a request with go4vl's wrapper where there is one that serves it well; see the package comment.
func go4vlServes(fd int, request uintptr, arg unsafe.Pointer) (served bool, err error) {
	if !go4vlKnows(request, arg) {
		return false, nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		withSteadyStack(func() { served, err = askGo4vl(uintptr(fd), request, arg) })
	}()
	<-done
	if err == nil {
		return served, nil
	}
	if errors.Is(err, v4l2.ErrorBadArgument) {
		return true, unix.EINVAL
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return true, errno
	}
	return false, nil // it does not tell the errno: ask again without it
}

func go4vlKnows(request uintptr, arg unsafe.Pointer) bool {
	switch request {
	case vidiocQueryCap, vidiocEnumFrmSizes, vidiocEnumFrmIvals, vidiocSCtrl:
		return true
	case vidiocEnumFmt:
		return (*fmtDesc)(arg).typ == typeCapture
	case vidiocGFmt, vidiocSFmt:
		return (*format)(arg).typ == typeCapture
	case vidiocGParm, vidiocSParm:
		return (*streamParm)(arg).typ == typeCapture
	}
	return false
}

func askGo4vl(fd, request uintptr, arg unsafe.Pointer) (bool, error) {
	switch request {
	case vidiocQueryCap:
		return true, go4vlCapability(fd, (*capability)(arg))
	case vidiocEnumFmt:
		return true, go4vlFormatDesc(fd, (*fmtDesc)(arg))
	case vidiocEnumFrmSizes:
		return true, go4vlFrameSize(fd, (*frmSizeEnum)(arg))
	case vidiocEnumFrmIvals:
		return go4vlInterval(fd, (*frmIvalEnum)(arg))
	case vidiocGFmt:
		return true, go4vlReadFormat(fd, (*format)(arg).pix())
	case vidiocSFmt:
		return true, go4vlSetFormat(fd, (*format)(arg).pix())
	case vidiocGParm, vidiocSParm:
		return true, go4vlParm(fd, request, (*streamParm)(arg))
	case vidiocSCtrl:
		c := (*control)(arg)
		return true, v4l2.SetControlValue(fd, c.id, c.value)
	}
	return false, nil
}

func go4vlCapability(fd uintptr, c *capability) error {
	got, err := v4l2.GetCapability(fd)
	if err != nil {
		return err
	}
	copy(c.driver[:], got.Driver)
	copy(c.card[:], got.Card)
	copy(c.busInfo[:], got.BusInfo)
	c.version, c.capabilities, c.deviceCaps = got.Version, got.Capabilities, got.DeviceCapabilities
	return nil
}

func go4vlFormatDesc(fd uintptr, f *fmtDesc) error {
	got, err := v4l2.GetFormatDescription(fd, f.index)
	if err != nil {
		return err
	}
	f.flags, f.pixelFormat = got.Flags, got.PixelFormat
	copy(f.description[:], got.Description)
	return nil
}

func go4vlFrameSize(fd uintptr, e *frmSizeEnum) error {
	got, err := v4l2.GetFormatFrameSize(fd, e.index, e.pixelFormat)
	if err != nil {
		return err
	}
	e.typ = got.Type
	s := got.Size
	if got.Type == sizeDiscrete {
		e.size = [6]uint32{s.MaxWidth, s.MaxHeight}
		return nil
	}
	e.size = [6]uint32{s.MinWidth, s.MaxWidth, s.StepWidth, s.MinHeight, s.MaxHeight, s.StepHeight}
	return nil
}

func go4vlInterval(fd uintptr, e *frmIvalEnum) (served bool, err error) {
	got, err := v4l2.GetFormatFrameInterval(fd, e.index, e.pixelFormat, e.width, e.height)
	if err != nil {
		return true, err
	}
	if got.Type != ivalDiscrete {
		return false, nil // it reads a range from the wrong place
	}
	e.typ = got.Type
	e.interval[0] = fract{got.Interval.Min.Numerator, got.Interval.Min.Denominator}
	return true, nil
}

func go4vlReadFormat(fd uintptr, p *pixFormat) error {
	got, err := v4l2.GetPixFormat(fd)
	if err != nil {
		return err
	}
	*p = pixFormat{
		width: got.Width, height: got.Height, pixelFormat: got.PixelFormat, field: got.Field,
		bytesPerLine: got.BytesPerLine, sizeImage: got.SizeImage, colorspace: got.Colorspace, priv: got.Priv,
	}
	return nil
}

// go4vlSetFormat reads the format back, since the wrapper throws the driver's answer away.
func go4vlSetFormat(fd uintptr, p *pixFormat) error {
	err := v4l2.SetPixFormat(fd, v4l2.PixFormat{
		Width: p.width, Height: p.height, PixelFormat: p.pixelFormat, Field: p.field, SizeImage: p.sizeImage,
	})
	if err != nil {
		return err
	}
	return go4vlReadFormat(fd, p)
}

func go4vlParm(fd, request uintptr, p *streamParm) error {
	if request == vidiocSParm {
		tpf := v4l2.Fract{Numerator: p.timePerFrame.num, Denominator: p.timePerFrame.den}
		return v4l2.SetStreamParam(fd, typeCapture, v4l2.StreamParam{Capture: v4l2.CaptureParam{TimePerFrame: tpf}})
	}
	got, err := v4l2.GetStreamParam(fd, typeCapture)
	if err != nil {
		return err
	}
	p.capability, p.mode = got.Capture.Capability, got.Capture.CaptureMode
	p.timePerFrame = fract{got.Capture.TimePerFrame.Numerator, got.Capture.TimePerFrame.Denominator}
	return nil
}

const (
	steadyPad = 24 << 10
	headRoom  = 8 << 10 // more than the wrappers use
)

// withSteadyStack calls f, on a goroutine made for it, where the stack can't move: it does not grow, since room was
// made, and it does not shrink, since the garbage collector halves only stacks of which less than a quarter is in use
// (24 of 64 KiB are). The kernel then finds the structure whose address go4vl passed to it as a number.
func withSteadyStack(f func()) {
	var pad [steadyPad]byte
	makeRoom()
	f()
	touch(pad[:])
}

//go:noinline
func makeRoom() {
	var room [headRoom]byte
	touch(room[:])
}

//go:noinline
func touch(b []byte) { b[0]++ }
