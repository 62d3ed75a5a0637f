package v4l2

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// device is an opened node with the requests as functions.
type device struct {
	k    kernel
	path string
	info hal.DeviceInfo
	caps uint32 // of this node (device_caps)
}

// openDevice opens path and asks what it is.
func openDevice(open opener, path string) (*device, error) {
	k, err := open(path)
	if err != nil {
		return nil, fault("open", path, err)
	}
	var c capability
	if err := k.ioctl(vidiocQueryCap, unsafe.Pointer(&c)); err != nil {
		return nil, errors.Join(fault("query capabilities of", path, err), k.close())
	}
	d := &device{k: k, path: path, caps: c.capabilities}
	if c.capabilities&capDeviceCaps != 0 {
		d.caps = c.deviceCaps
	}
	d.info = hal.DeviceInfo{Name: cString(c.card[:]), Driver: cString(c.driver[:]), Path: path, Bus: cString(c.busInfo[:])}
	return d, nil
}

// cString returns the text before the first NUL, without what can't be printed on one line.
func cString(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, b))
}

func (d *device) close() error { return d.k.close() }

// memoryToMemory reports whether the node has both a CAPTURE and an OUTPUT queue that belong together. Older codec
// drivers say so by the two multi-planar bits alone; a loopback that is camera and sink in one says CAPTURE and OUTPUT.
func (d *device) memoryToMemory() bool {
	return d.caps&(capM2M|capM2MMP) != 0 || d.caps&(capCaptureMP|capOutputMP) == capCaptureMP|capOutputMP
}

// captureType returns the buffer type of the CAPTURE queue, 0 if there is none.
func (d *device) captureType() uint32 {
	switch {
	case d.caps&(capCaptureMP|capM2MMP) != 0:
		return typeCaptureMP
	case d.caps&(capCapture|capM2M) != 0:
		return typeCapture
	}
	return 0
}

func outputType(captureType uint32) uint32 { return captureType + 1 } // in videodev2.h they stand in pairs

func multiplanar(typ uint32) bool { return typ == typeCaptureMP || typ == typeOutputMP }

// formats lists what VIDIOC_ENUM_FMT tells.
func (d *device) formats(typ uint32) ([]fmtDesc, error) {
	var out []fmtDesc
	for i := uint32(0); i < 256; i++ { // a driver that never says EINVAL must not hang us
		f := fmtDesc{index: i, typ: typ}
		err := d.k.ioctl(vidiocEnumFmt, unsafe.Pointer(&f))
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) {
			break
		}
		if err != nil {
			return nil, fault("enumerate formats of", d.path, err)
		}
		out = append(out, f)
	}
	return out, nil
}

// picture is what S_FMT and G_FMT say in either API.
type picture struct {
	fourCC        hal.PixelFormat
	width, height int
	planes        []planeSize
}

type planeSize struct{ stride, size int } // bytesperline, sizeimage

func (f *format) picture() picture {
	if !multiplanar(f.typ) {
		p := f.pix()
		return picture{hal.PixelFormat(p.pixelFormat), int(p.width), int(p.height), []planeSize{{int(p.bytesPerLine), int(p.sizeImage)}}}
	}
	p := f.mp()
	out := picture{fourCC: hal.PixelFormat(p.pixelFormat), width: int(p.width), height: int(p.height)}
	for i := range min(int(p.numPlanes), maxPlanes) {
		out.planes = append(out.planes, planeSize{int(p.planes[i].bytesPerLine), int(p.planes[i].sizeImage)})
	}
	return out
}

// newFormat asks for a format and size; sizeImage is a wish for the coded side, else 0.
func newFormat(typ, fourCC uint32, width, height, sizeImage int) *format {
	f := &format{typ: typ}
	if !multiplanar(typ) {
		p := f.pix()
		p.width, p.height, p.pixelFormat, p.field = uint32(width), uint32(height), fourCC, fieldNone
		p.sizeImage = uint32(sizeImage)
		return f
	}
	p := f.mp()
	p.width, p.height, p.pixelFormat, p.field = uint32(width), uint32(height), fourCC, fieldNone
	p.numPlanes = uint8(memoryPlanes(fourCC))
	p.planes[0].sizeImage = uint32(sizeImage)
	return f
}

// setFormat asks for a format and returns what the driver chose.
func (d *device) setFormat(f *format) (picture, error) {
	err := d.k.ioctl(vidiocSFmt, unsafe.Pointer(f))
	if errors.Is(err, unix.EINVAL) {
		return picture{}, fmt.Errorf("set format of %s: %w (%w)", d.path, hal.ErrUnsupported, err)
	}
	if err != nil {
		return picture{}, fault("set format of", d.path, err)
	}
	return d.format(f.typ)
}

func (d *device) format(typ uint32) (picture, error) {
	f := &format{typ: typ}
	if err := d.k.ioctl(vidiocGFmt, unsafe.Pointer(f)); err != nil {
		return picture{}, fault("read format of", d.path, err)
	}
	return f.picture(), nil
}

func (d *device) tryFormat(f *format) (picture, error) {
	err := d.k.ioctl(vidiocTryFmt, unsafe.Pointer(f))
	return f.picture(), err
}

// setRate asks for a picture rate and returns the one that is in force. Drivers without frame intervals (most sensors
// behind a media controller) leave it unknown.
func (d *device) setRate(typ uint32, want hal.Rate) (hal.Rate, error) {
	if want.Num != 0 && want.Den != 0 {
		p := streamParm{typ: typ, timePerFrame: fract{want.Den, want.Num}}
		if err := d.k.ioctl(vidiocSParm, unsafe.Pointer(&p)); err != nil && !lacks(err) {
			return hal.Rate{}, fault("set frame interval of", d.path, err)
		}
	}
	p := streamParm{typ: typ}
	if err := d.k.ioctl(vidiocGParm, unsafe.Pointer(&p)); err != nil {
		if lacks(err) {
			return hal.Rate{}, nil
		}
		return hal.Rate{}, fault("read frame interval of", d.path, err)
	}
	return p.timePerFrame.rate(), nil
}

// rate turns an interval into a rate in lowest terms; the zero Rate if the driver gave none.
func (f fract) rate() hal.Rate {
	if f.num == 0 || f.den == 0 {
		return hal.Rate{}
	}
	a, b := f.den, f.num
	for b != 0 {
		a, b = b, a%b
	}
	return hal.Rate{Num: f.den / a, Den: f.num / a}
}

// lacks reports whether err says that the driver does not know the request or refuses it for good.
func lacks(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.ENOTSUP)
}

// setControl sets the first of ids that the device has, to the nearest value that it takes.
func (d *device) setControl(value int, ids ...uint32) error {
	for _, id := range ids {
		q, err := d.queryControl(id)
		if errors.Is(err, hal.ErrUnsupported) {
			continue
		}
		if err != nil {
			return err
		}
		c := control{id: id, value: q.nearest(value)}
		return fault(fmt.Sprintf("set control %#x of", id), d.path, d.k.ioctl(vidiocSCtrl, unsafe.Pointer(&c)))
	}
	return fmt.Errorf("set control of %s: %w", d.path, hal.ErrUnsupported)
}

// queryControl describes a control that can be set.
func (d *device) queryControl(id uint32) (queryCtrl, error) {
	q := queryCtrl{id: id}
	err := d.k.ioctl(vidiocQueryCtrl, unsafe.Pointer(&q))
	if lacks(err) || err == nil && q.flags&(ctrlDisabled|ctrlReadOnly) != 0 {
		return q, fmt.Errorf("control %#x of %s: %w", id, d.path, hal.ErrUnsupported)
	}
	return q, fault("query control of", d.path, err)
}

func (d *device) getControl(id uint32) (int32, error) {
	c := control{id: id}
	err := d.k.ioctl(vidiocGCtrl, unsafe.Pointer(&c))
	return c.value, fault(fmt.Sprintf("read control %#x of", id), d.path, err)
}

// nearest clamps value to the control's range and grid.
func (q *queryCtrl) nearest(value int) int32 {
	if q.max <= q.min { // a button
		return q.min
	}
	n := max(int64(q.min), min(int64(q.max), int64(value)))
	if q.step > 1 {
		n -= (n - int64(q.min)) % int64(q.step)
	}
	return int32(n)
}

// control sets one of hal's knobs.
func (d *device) control(c hal.Control, value int) error {
	var err error
	switch c {
	case hal.Bitrate:
		err = d.setControl(value, cidBitrate)
	case hal.GOP:
		err = d.setControl(value, cidGOPSize, cidIPeriod)
	case hal.ForceIDR:
		err = d.setControl(0, cidForceKey)
	default:
		err = fmt.Errorf("set control of %s: %w", d.path, hal.ErrUnsupported)
	}
	if err != nil {
		return fmt.Errorf("%v: %w", c, err)
	}
	return nil
}
