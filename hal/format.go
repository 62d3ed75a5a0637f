package hal

import (
	"fmt"
	"time"
)

// PixelFormat is a V4L2 four-character code (linux/videodev2.h, v4l2_fourcc), the word that kernel, drivers and this
// program share for the layout of a frame, coded or raw.
type PixelFormat uint32

// FourCC packs four characters as v4l2_fourcc does: the first one is the lowest byte.
func FourCC(s string) PixelFormat {
	if len(s) != 4 {
		return 0
	}
	return PixelFormat(s[0]) | PixelFormat(s[1])<<8 | PixelFormat(s[2])<<16 | PixelFormat(s[3])<<24
}

// The formats that the agent takes from a camera or gives to an encoder.
const (
	H264  PixelFormat = 'H' | '2'<<8 | '6'<<16 | '4'<<24 // Annex B byte stream, one access unit a buffer
	MJPEG PixelFormat = 'M' | 'J'<<8 | 'P'<<16 | 'G'<<24 // one JPEG picture a buffer
	YUYV  PixelFormat = 'Y' | 'U'<<8 | 'Y'<<16 | 'V'<<24 // packed 4:2:2
	NV12  PixelFormat = 'N' | 'V'<<8 | '1'<<16 | '2'<<24 // 4:2:0, luma plane, then one plane of interleaved Cb and Cr
	YU12  PixelFormat = 'Y' | 'U'<<8 | '1'<<16 | '2'<<24 // planar 4:2:0 (I420): Y, Cb, Cr
)

// Coded reports whether a frame of this format is an H.264 access unit rather than a picture.
func (f PixelFormat) Coded() bool { return f == H264 }

// Raw reports whether a frame of this format is an uncompressed picture.
func (f PixelFormat) Raw() bool { return f == YUYV || f == NV12 || f == YU12 }

func (f PixelFormat) String() string {
	b := [4]byte{byte(f), byte(f >> 8), byte(f >> 16), byte(f >> 24)}
	for _, c := range b {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("0x%08x", uint32(f))
		}
	}
	return string(b[:])
}

// Rate is a picture rate in pictures per second, Num/Den, exact as 30000/1001 has to be. The zero Rate means unknown
// or "whatever the device does by itself".
type Rate struct{ Num, Den uint32 }

// FPS is the rate n/1.
func FPS(n uint32) Rate { return Rate{n, 1} }

// Float returns pictures per second, 0 when unknown.
func (r Rate) Float() float64 {
	if r.Den == 0 {
		return 0
	}
	return float64(r.Num) / float64(r.Den)
}

// Interval returns the time between two pictures, 0 when unknown.
func (r Rate) Interval() time.Duration {
	if r.Num == 0 {
		return 0
	}
	return time.Duration(uint64(time.Second) * uint64(r.Den) / uint64(r.Num))
}

func (r Rate) String() string {
	switch r.Den {
	case 0:
		return "?"
	case 1:
		return fmt.Sprint(r.Num)
	}
	return fmt.Sprintf("%.2f", r.Float())
}

// Mode is one way in which a camera can deliver: format, size in pixels, picture rate.
type Mode struct {
	Format        PixelFormat
	Width, Height int
	Rate          Rate
}

func (m Mode) String() string { return fmt.Sprintf("%v %dx%d@%v", m.Format, m.Width, m.Height, m.Rate) }

// Frame is one picture, coded or raw, lent by the driver that made it.
//
// Data is valid until the next call of Next, Encode, Drain or Close on the value that returned it: whoever needs it
// longer copies it, once. Nobody writes into it.
type Frame struct {
	Format        PixelFormat
	Width, Height int
	// Data holds the bytes that the driver filled, the planes of a raw format one after the other without padding
	// between planes. Its length is the driver's bytesused, so a truncated buffer is short here.
	Data []byte
	// Stride is the length in bytes of a row of the first plane; 0 means no padding (Width bytes for NV12 and YU12,
	// 2*Width for YUYV). The chroma rows of NV12 have the same stride, those of YU12 half of it.
	Stride int
	// PTS is the instant of capture on CLOCK_MONOTONIC, as the driver tells it. The one clock of the program.
	PTS time.Duration
	// Seq numbers the frames of a capture from where the driver's counter began, and Lost is how many that skipped between
	// the frame before and this one: Seq goes on by Lost+1, even where a driver counts two frames alike (vivid on a slow
	// machine), counts anew or does not count.
	Seq, Lost uint32
	// Corrupt: the driver itself marked the buffer as damaged (V4L2_BUF_FLAG_ERROR). Data may still be usable.
	Corrupt bool
}
