package v4l2

import (
	"bytes"

	"github.com/ocellus/ocellus/hal"
)

// Codes of videodev2.h that are other shapes of a hal format.
const (
	fourCCJPEG = 'J' | 'P'<<8 | 'E'<<16 | 'G'<<24 // V4L2_PIX_FMT_JPEG: one JFIF picture
	fourCCNM12 = 'N' | 'M'<<8 | '1'<<16 | '2'<<24 // V4L2_PIX_FMT_NV12M: NV12, each plane in its own memory
	fourCCYM12 = 'Y' | 'M'<<8 | '1'<<16 | '2'<<24 // V4L2_PIX_FMT_YUV420M: YU12, each plane in its own memory
	fourCCFWHT = 'F' | 'W'<<8 | 'H'<<16 | 'T'<<24 // V4L2_PIX_FMT_FWHT, the codec of the kernel's simulator vicodec
)

// fourCCs lists the codes under which a driver may offer f, the one to prefer first.
func fourCCs(f hal.PixelFormat) []uint32 {
	switch f {
	case hal.MJPEG:
		return []uint32{uint32(f), fourCCJPEG}
	case hal.NV12:
		return []uint32{uint32(f), fourCCNM12}
	case hal.YU12:
		return []uint32{uint32(f), fourCCYM12}
	}
	return []uint32{uint32(f)}
}

// halFormats lists the formats that this package hands on.
func halFormats() []hal.PixelFormat {
	return []hal.PixelFormat{hal.H264, hal.MJPEG, hal.YUYV, hal.NV12, hal.YU12}
}

// halFormat returns the hal format that a driver's code carries.
func halFormat(fourCC uint32) (hal.PixelFormat, bool) {
	for _, f := range halFormats() {
		for _, c := range fourCCs(f) {
			if c == fourCC {
				return f, true
			}
		}
	}
	return 0, false
}

// offered returns the code under which the driver offers f.
func offered(list []fmtDesc, f hal.PixelFormat) (uint32, bool) {
	for _, c := range fourCCs(f) {
		for _, d := range list {
			if d.pixelFormat == c {
				return c, true
			}
		}
	}
	return 0, false
}

// memoryPlanes is the number of separate memory planes of a code.
func memoryPlanes(fourCC uint32) int {
	switch fourCC {
	case fourCCNM12:
		return 2
	case fourCCYM12:
		return 3
	}
	return 1
}

// rows describes one colour plane of a raw picture: rows of width bytes, stride bytes apart.
type rows struct{ width, stride, height int }

func (r rows) size() int { return r.stride * r.height }

// colourPlanes returns the planes of a raw format, chroma after luma, as Frame.Data holds them. A stride of 0 means
// no padding.
func colourPlanes(f hal.PixelFormat, width, height, stride int) []rows {
	cw, ch := (width+1)/2, (height+1)/2
	switch f {
	case hal.YUYV:
		return []rows{{4 * cw, orElse(stride, 4*cw), height}}
	case hal.NV12:
		s := orElse(stride, width)
		return []rows{{width, s, height}, {2 * cw, s, ch}}
	case hal.YU12:
		s := orElse(stride, width)
		return []rows{{width, s, height}, {cw, (s + 1) / 2, ch}, {cw, (s + 1) / 2, ch}}
	}
	return nil
}

func orElse(n, other int) int {
	if n == 0 {
		return other
	}
	return n
}

func totalSize(planes []rows) (n int) {
	for _, p := range planes {
		n += p.size()
	}
	return n
}

// startsAnnexB reports whether b begins with a start code (ISO/IEC 14496-10 B.1.1: zero bytes, then 00 00 01).
func startsAnnexB(b []byte) bool {
	zeros := bytes.IndexFunc(b, func(r rune) bool { return r != 0 })
	return zeros >= 2 && b[zeros] == 1
}
