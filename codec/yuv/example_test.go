package yuv_test

import (
	"fmt"

	"github.com/ocellus/ocellus/codec/yuv"
)

// A frame of a webcam becomes a small planar picture. Both pictures are kept and used again for the next frame.
func Example() {
	const yuyv = 'Y' | 'U'<<8 | 'Y'<<16 | 'V'<<24
	frame := make([]byte, 640*480*2)
	for i := range frame {
		frame[i] = 128
	}
	var whole, half yuv.Picture
	if err := whole.From(yuyv, frame, 640, 480, 0); err != nil {
		fmt.Println(err)
	}
	if err := half.Scale(&whole, 320, 240); err != nil {
		fmt.Println(err)
	}
	fmt.Println(half.Image().Bounds(), len(half.Bytes()))

	fmt.Println(whole.From(yuyv, frame[:1000], 640, 480, 0)) // a truncated buffer
	// Output:
	// (0,0)-(320,240) 115200
	// yuv YUYV 640x480: 1000 bytes: buffer too short
}
