package stream

import (
	"errors"

	"github.com/ocellus/ocellus/codec/yuv"
	"github.com/ocellus/ocellus/hal"
)

// convert makes st.base the picture that the frame shows. Planar frames are looked at where they lie.
func (st *studio) convert(f hal.Frame) error {
	if f.Format == hal.YU12 {
		return st.base.View(f.Data, f.Width, f.Height, f.Stride)
	}
	return st.base.From(uint32(f.Format), f.Data, f.Width, f.Height, f.Stride)
}

// unreadable counts a frame that could not be converted.
func (st *studio) unreadable(f hal.Frame, err error) {
	kind := faultFormat
	switch {
	case f.Format == hal.MJPEG:
		kind = faultBadJPEG
	case errors.Is(err, yuv.ErrShort):
		kind = faultTruncated
	}
	st.run.src.faults.add(kind, 1)
}

// wholeFrame returns the bytes that a raw frame of that size has at least, 0 where that can't be said.
func wholeFrame(f hal.Frame) int {
	switch f.Format {
	case hal.YUYV:
		stride := max(f.Stride, 2*f.Width)
		return stride*(f.Height-1) + 2*f.Width
	case hal.NV12:
		stride := max(f.Stride, f.Width)
		return stride*(f.Height+f.Height/2-1) + f.Width
	case hal.YU12:
		stride := max(f.Stride, f.Width)
		return stride*f.Height + stride/2*(f.Height-1) + f.Width/2
	}
	return 0
}

// shape returns the picture as the output's encoder takes it: scaled, and in its format, without padding.
func (o *output) shape(base *yuv.Picture) ([]byte, error) {
	pic := base
	if base.Width != o.in.Width || base.Height != o.in.Height || base.Bytes() == nil && o.in.Input == hal.YU12 {
		if err := o.scaled.Scale(base, o.in.Width, o.in.Height); err != nil {
			return nil, err
		}
		pic = &o.scaled
	}
	if o.in.Input == hal.YU12 {
		return pic.Bytes(), nil
	}
	o.packed = appendNV12(o.packed[:0], pic)
	return o.packed, nil
}

// appendNV12 appends the picture with its chroma planes interleaved.
func appendNV12(dst []byte, p *yuv.Picture) []byte {
	for y := range p.Height {
		dst = append(dst, p.Y[y*p.YStride:][:p.Width]...)
	}
	for y := range p.Height / 2 {
		cb, cr := p.Cb[y*p.CStride:][:p.Width/2], p.Cr[y*p.CStride:][:p.Width/2]
		for x := range cb {
			dst = append(dst, cb[x], cr[x])
		}
	}
	return dst
}
