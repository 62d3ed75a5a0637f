//go:build cgo && linux && (amd64 || arm64 || arm)

package openh264

import (
	"os"
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

// TestHardwareRecord leaves pictures for a decoder outside of the board that this runs on.
func TestHardwareRecord(t *testing.T) {
	dir := os.Getenv("OCELLUS_OUT")
	if dir == "" {
		t.Skip("OCELLUS_OUT names no folder")
	}
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	haltest.Record(t, e, dir, "openh264", haltest.RecordOptions{
		Width: 322, Height: 182, Pictures: 12, GOP: 5, BitrateBPS: 1_000_000, Want: "30",
	})
}
