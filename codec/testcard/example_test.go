package testcard_test

import (
	"fmt"

	"github.com/ocellus/ocellus/codec/testcard"
)

// A camera draws the card; whoever gets the picture, decoded and scaled, reads which one it is and when it was taken.
func Example() {
	const w, h = 640, 360
	card, err := testcard.New(testcard.Options{Width: w, Height: h, Name: "Ocellus", Text: "640×360 · 25 fps"})
	if err != nil {
		fmt.Println(err)
		return
	}
	picture := make([]byte, card.Size())
	card.Draw(picture, testcard.Stamp{Frame: 42, CapturedNS: 1_773_500_966_535_000_000})

	stamp, err := testcard.Read(picture[:w*h], w, h, w)
	fmt.Println(stamp.Frame, stamp.Time().UTC(), err)
	// Output: 42 2026-03-14 15:09:26.535 +0000 UTC <nil>
}
