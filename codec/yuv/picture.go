// Package yuv turns the raw picture formats that cameras deliver into I420 (planar 4:2:0: Y, Cb, Cr) and scales it.
//
// Every function writes into a Picture that the caller keeps and reuses: once it has its size, nothing is allocated.
// The package is pure. It checks each length before it reads: a truncated buffer is an error, never a panic. Samples
// keep their range; nothing is converted between limited and full range unless a name says so.
//
// Layouts are those of the kernel's pixel format pages (Documentation/userspace-api/media/v4l/pixfmt-yuv-planar.rst,
// pixfmt-packed-yuv.rst).
package yuv

import (
	"errors"
	"fmt"
	"image"
)

// Errors that callers branch on.
var (
	// ErrShort: the buffer holds fewer bytes than its size and stride ask for. Cameras do this; the frame is lost.
	ErrShort = errors.New("buffer too short")
	// ErrSize: a size that is not positive, odd, or too large to be a picture.
	ErrSize = errors.New("size not even or out of range")
	// ErrFormat: a layout that this package does not read.
	ErrFormat = errors.New("pixel format not known")
)

// The largest picture, in pixels: a bound on what a header can make this package allocate.
const (
	MaxSide   = 16384
	MaxPixels = 8192 * 4608
)

// Picture is an I420 picture. The zero Picture is ready to be converted into.
type Picture struct {
	Width, Height    int // in pixels, both even
	Y, Cb, Cr        []byte
	YStride, CStride int

	memory []byte // what the planes lie in when the picture owns them
	image  image.YCbCr
	scaler scaler
}

// checkSize says what is wrong with a size.
func checkSize(w, h int) error {
	if w <= 0 || h <= 0 || w%2 != 0 || h%2 != 0 || w > MaxSide || h > MaxSide || w*h > MaxPixels {
		return fmt.Errorf("yuv %dx%d: %w", w, h, ErrSize)
	}
	return nil
}

// Resize gives the picture memory of its own for w by h pixels, the planes one after the other without padding.
// The samples are undefined afterwards.
func (p *Picture) Resize(w, h int) error {
	if err := checkSize(w, h); err != nil {
		return err
	}
	size := w * h * 3 / 2
	if cap(p.memory) < size {
		p.memory = make([]byte, size)
	}
	p.memory = p.memory[:size]
	return p.lay(p.memory, w, h, w)
}

// lay lets the planes point into data.
func (p *Picture) lay(data []byte, w, h, stride int) error {
	luma, chroma := stride*h, stride/2*(h/2)
	if stride < w || stride%2 != 0 || stride > 4*MaxSide {
		return fmt.Errorf("yuv stride %d of %d pixels: %w", stride, w, ErrSize)
	}
	// The last row need not have its padding.
	if len(data) < luma+2*chroma-(stride-w)/2 {
		return fmt.Errorf("yuv I420 %dx%d: %d bytes: %w", w, h, len(data), ErrShort)
	}
	p.Width, p.Height, p.YStride, p.CStride = w, h, stride, stride/2
	p.Y, p.Cb, p.Cr = data[:luma], data[luma:luma+chroma], data[luma+chroma:min(luma+2*chroma, len(data))]
	return nil
}

// View lets the picture show the I420 bytes in data, without copying: it is valid as long as data is. stride is the
// length of a luma row, half of it that of a chroma row; 0 means no padding.
func (p *Picture) View(data []byte, w, h, stride int) error {
	if err := checkSize(w, h); err != nil {
		return err
	}
	if stride == 0 {
		stride = w
	}
	return p.lay(data, w, h, stride)
}

// Image returns the picture as an image that shares its memory. It belongs to the picture and is valid until the next
// conversion into it.
func (p *Picture) Image() *image.YCbCr {
	p.image = image.YCbCr{Y: p.Y, Cb: p.Cb, Cr: p.Cr, YStride: p.YStride, CStride: p.CStride,
		SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, p.Width, p.Height)}
	return &p.image
}

// Bytes returns the planes as one run of I420 bytes when they lie without padding in the picture's own memory, else
// nil.
func (p *Picture) Bytes() []byte {
	size := p.Width * p.Height * 3 / 2
	if p.Width == 0 || p.YStride != p.Width || len(p.memory) < size || &p.memory[0] != &p.Y[0] {
		return nil
	}
	return p.memory[:size]
}
