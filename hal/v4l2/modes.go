package v4l2

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

type size struct{ width, height int }

// usualSizes are the sizes that are listed of a range, beside its largest.
func usualSizes() []size {
	return []size{
		{160, 120}, {320, 180}, {320, 240}, {640, 360}, {640, 480}, {800, 600}, {1024, 768}, {1280, 720}, {1280, 960},
		{1600, 1200}, {1920, 1080}, {2304, 1296}, {2560, 1440}, {2592, 1944}, {3840, 2160},
	}
}

// usualRates are the rates that are listed of a range, beside its fastest.
func usualRates() []uint32 { return []uint32{5, 10, 15, 20, 24, 25, 30, 50, 60} }

// modes lists what the camera can do, in the driver's order of formats, largest size and fastest rate first.
func (d *device) modes(ctx context.Context) ([]hal.Mode, error) {
	typ := d.captureType()
	list, err := d.formats(typ)
	if err != nil {
		return nil, err
	}
	var out []hal.Mode
	var seen []hal.PixelFormat
	for _, desc := range list {
		f, ok := halFormat(desc.pixelFormat)
		if !ok || slices.Contains(seen, f) {
			continue
		}
		seen = append(seen, f)
		code, _ := offered(list, f)
		for _, s := range d.sizes(typ, code) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			for _, r := range d.rates(code, s) {
				out = append(out, hal.Mode{Format: f, Width: s.width, Height: s.height, Rate: r})
			}
		}
	}
	return out, nil
}

// sizes lists the picture sizes of a format, largest first.
func (d *device) sizes(typ, fourCC uint32) []size {
	var out []size
	for i := uint32(0); i < 1024; i++ {
		e := frmSizeEnum{index: i, pixelFormat: fourCC}
		if d.k.ioctl(vidiocEnumFrmSizes, unsafe.Pointer(&e)) != nil {
			break
		}
		if e.typ != sizeDiscrete {
			out = sizesWithin(e.size)
			break
		}
		out = append(out, size{int(e.size[0]), int(e.size[1])})
	}
	if len(out) == 0 {
		out = d.trySizes(typ, fourCC)
	}
	slices.SortFunc(out, func(a, b size) int {
		return cmp.Or(cmp.Compare(b.width*b.height, a.width*a.height), cmp.Compare(b.width, a.width))
	})
	return slices.Compact(out)
}

// sizesWithin lists the usual sizes of a range {min_width, max_width, step_width, min_height, max_height,
// step_height} and its largest one. A continuous range has steps of 1 (some drivers say 0).
func sizesWithin(r [6]uint32) []size {
	out := []size{{int(r[1]), int(r[4])}}
	fits := func(n int, lo, hi, step uint32) bool {
		return n >= int(lo) && n <= int(hi) && (n-int(lo))%int(max(step, 1)) == 0
	}
	for _, s := range usualSizes() {
		if s != out[0] && fits(s.width, r[0], r[1], r[2]) && fits(s.height, r[3], r[4], r[5]) {
			out = append(out, s)
		}
	}
	return out
}

// trySizes is for drivers without VIDIOC_ENUM_FRAMESIZES: it asks for the usual sizes and keeps those that the driver
// would take as they are, and the current one.
func (d *device) trySizes(typ, fourCC uint32) []size {
	var out []size
	if now, err := d.format(typ); err == nil && uint32(now.fourCC) == fourCC && now.width > 0 {
		out = append(out, size{now.width, now.height})
	}
	for _, s := range usualSizes() {
		p, err := d.tryFormat(newFormat(typ, fourCC, s.width, s.height, 0))
		if errors.Is(err, unix.ENOTTY) {
			break
		}
		got := size{p.width, p.height}
		if err == nil && uint32(p.fourCC) == fourCC && got == s && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// rates lists the picture rates of a size, fastest first; one unknown rate if the driver tells none.
func (d *device) rates(fourCC uint32, s size) []hal.Rate {
	var out []hal.Rate
	for i := uint32(0); i < 256; i++ {
		e := frmIvalEnum{index: i, pixelFormat: fourCC, width: uint32(s.width), height: uint32(s.height)}
		if d.k.ioctl(vidiocEnumFrmIvals, unsafe.Pointer(&e)) != nil {
			break
		}
		if e.typ != ivalDiscrete {
			out = ratesWithin(e.interval[0], e.interval[1])
			break
		}
		if r := e.interval[0].rate(); r.Num != 0 {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return []hal.Rate{{}}
	}
	slices.SortFunc(out, func(a, b hal.Rate) int { return cmp.Compare(b.Float(), a.Float()) })
	return slices.Compact(out)
}

// ratesWithin lists the usual rates of a range of intervals and the fastest one. Steps are left to the driver, which
// rounds: Capture.Mode tells.
func ratesWithin(shortest, longest fract) []hal.Rate {
	fastest, slowest := shortest.rate(), longest.rate()
	if fastest.Num == 0 { // an interval of 0: no upper limit
		fastest = hal.FPS(usualRates()[len(usualRates())-1])
	}
	out := []hal.Rate{fastest}
	for _, fps := range usualRates() {
		if f := float64(fps); f < fastest.Float() && f >= slowest.Float() {
			out = append(out, hal.FPS(fps))
		}
	}
	return out
}
