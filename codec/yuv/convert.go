package yuv

import "fmt"

// The four-character codes of the layouts (linux/videodev2.h), as From takes them.
const (
	fourccYU12  = 'Y' | 'U'<<8 | '1'<<16 | '2'<<24
	fourccNV12  = 'N' | 'V'<<8 | '1'<<16 | '2'<<24
	fourccYUYV  = 'Y' | 'U'<<8 | 'Y'<<16 | 'V'<<24
	fourccMJPEG = 'M' | 'J'<<8 | 'P'<<16 | 'G'<<24
)

// From converts a frame of the format with this four-character code (YU12, NV12, YUYV, MJPG) into p. width, height and
// stride (0: no padding) are the frame's; a JPEG picture must have that size.
func (p *Picture) From(fourcc uint32, data []byte, width, height, stride int) error {
	switch fourcc {
	case fourccYU12:
		return p.FromI420(data, width, height, stride)
	case fourccNV12:
		return p.FromNV12(data, width, height, stride)
	case fourccYUYV:
		return p.FromYUYV(data, width, height, stride)
	case fourccMJPEG:
		if err := p.FromJPEG(data); err != nil {
			return err
		}
		if p.Width != width || p.Height != height {
			return fmt.Errorf("yuv JPEG of %dx%d in a frame of %dx%d: %w", p.Width, p.Height, width, height, ErrSize)
		}
		return nil
	}
	return fmt.Errorf("yuv 0x%08x: %w", fourcc, ErrFormat)
}

// FromI420 copies an I420 picture (YU12) into memory without padding.
func (p *Picture) FromI420(data []byte, w, h, stride int) error {
	var src Picture
	if err := src.View(data, w, h, stride); err != nil {
		return err
	}
	if err := p.Resize(w, h); err != nil {
		return err
	}
	copyPlane(p.Y, p.YStride, src.Y, src.YStride, w, h)
	copyPlane(p.Cb, p.CStride, src.Cb, src.CStride, w/2, h/2)
	copyPlane(p.Cr, p.CStride, src.Cr, src.CStride, w/2, h/2)
	return nil
}

func copyPlane(dst []byte, dstStride int, src []byte, srcStride, w, h int) {
	for y := range h {
		copy(dst[y*dstStride:][:w], src[y*srcStride:][:w])
	}
}

// FromNV12 converts a luma plane followed by a plane of interleaved Cb and Cr of the same stride.
func (p *Picture) FromNV12(data []byte, w, h, stride int) error {
	if err := p.prepare("NV12", data, w, h, &stride, w, h+h/2); err != nil {
		return err
	}
	copyPlane(p.Y, p.YStride, data, stride, w, h)
	for y := range h / 2 {
		src := data[(h+y)*stride:][:w]
		cb, cr := p.Cb[y*p.CStride:][:w/2], p.Cr[y*p.CStride:][:w/2]
		for x := range cb {
			cb[x], cr[x] = src[2*x], src[2*x+1]
		}
	}
	return nil
}

// FromYUYV converts packed 4:2:2: the chroma of two rows is averaged.
func (p *Picture) FromYUYV(data []byte, w, h, stride int) error {
	if err := p.prepare("YUYV", data, w, h, &stride, 2*w, h); err != nil {
		return err
	}
	for y := 0; y < h; y += 2 {
		upper, lower := data[y*stride:][:2*w], data[(y+1)*stride:][:2*w]
		y0, y1 := p.Y[y*p.YStride:][:w], p.Y[(y+1)*p.YStride:][:w]
		cb, cr := p.Cb[y/2*p.CStride:][:w/2], p.Cr[y/2*p.CStride:][:w/2]
		for x := range cb {
			a, b := upper[4*x:4*x+4:4*x+4], lower[4*x:4*x+4:4*x+4]
			y0[2*x], y0[2*x+1], y1[2*x], y1[2*x+1] = a[0], a[2], b[0], b[2]
			cb[x] = uint8((uint(a[1]) + uint(b[1]) + 1) / 2)
			cr[x] = uint8((uint(a[3]) + uint(b[3]) + 1) / 2)
		}
	}
	return nil
}

// prepare checks a frame of rows rows of rowBytes bytes each and makes p as large as it.
func (p *Picture) prepare(what string, data []byte, w, h int, stride *int, rowBytes, rows int) error {
	if err := checkSize(w, h); err != nil {
		return err
	}
	if *stride == 0 {
		*stride = rowBytes
	}
	if *stride < rowBytes || *stride > 4*MaxSide {
		return fmt.Errorf("yuv %s stride %d of %d pixels: %w", what, *stride, w, ErrSize)
	}
	if len(data) < *stride*(rows-1)+rowBytes {
		return fmt.Errorf("yuv %s %dx%d: %d bytes: %w", what, w, h, len(data), ErrShort)
	}
	return p.Resize(w, h)
}
