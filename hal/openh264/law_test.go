//go:build cgo && linux && (amd64 || arm64 || arm)

package openh264

import (
	"testing"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

// The law counts goroutines and descriptors of the process, so this test is not parallel.
func TestLaw(t *testing.T) {
	haltest.Encoder(t, func(t *testing.T) hal.Encoder {
		e, err := New()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}, haltest.EncoderOptions{Width: 320, Height: 240, Pictures: 16})
}
