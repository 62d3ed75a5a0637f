//go:build cgo && linux && (amd64 || arm64 || arm)

package openh264

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ocellus/ocellus/codec/testcard"
	"github.com/ocellus/ocellus/hal"
)

// TestBarcodeSurvives encodes the test card at a low bitrate, lets ffmpeg decode and scale it, and reads the barcode
// of every picture.
func TestBarcodeSurvives(t *testing.T) {
	t.Parallel()
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("no decoder:", err)
	}
	const pictures = 60
	for _, tt := range []struct {
		w, h, bitrate int
		scales        [][2]int
	}{
		{1280, 720, 500_000, [][2]int{{1280, 720}, {640, 360}, {320, 240}}},
		{640, 480, 300_000, [][2]int{{640, 480}}},
		{640, 360, 200_000, [][2]int{{320, 180}}},
		{320, 240, 100_000, [][2]int{{320, 240}}},
	} {
		t.Run(fmt.Sprintf("%dx%d at %d", tt.w, tt.h, tt.bitrate), func(t *testing.T) {
			t.Parallel()
			file := encodeFile(t, tt.w, tt.h, tt.bitrate, pictures)
			for _, to := range tt.scales {
				if n := readAll(t, decode(t, ffmpeg, file, to), to[0], to[1]); n != pictures {
					t.Errorf("scaled to %v: %d pictures came out, %d went in", to, n, pictures)
				}
			}
		})
	}
}

// decode returns the luma planes of a file's pictures, scaled.
func decode(t *testing.T, ffmpeg, file string, to [2]int) io.Reader {
	t.Helper()
	//nolint:gosec // the arguments are ours
	cmd := exec.CommandContext(t.Context(), ffmpeg, "-v", "error", "-i", file,
		"-vf", fmt.Sprintf("scale=%d:%d", to[0], to[1]), "-pix_fmt", "gray",
		"-vsync", "passthrough", "-f", "rawvideo", "-")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return &out
}

// encodeFile writes an Annex B file of test cards and returns its path.
func encodeFile(t *testing.T, w, h, bitrate, pictures int) string {
	t.Helper()
	conf := config(w, h)
	conf.BitrateBPS, conf.GOP = bitrate, 50
	c, enc := newCards(t, w, h), openEncoding(t, conf)
	var stream []byte
	for n := range pictures {
		f, err := enc.Encode(t.Context(), c.frame(n))
		if err != nil {
			t.Fatal(err)
		}
		stream = append(stream, f.Data...)
	}
	t.Logf("%dx%d: %d bit/s asked for, %d came out", w, h, bitrate, len(stream)*8*25/pictures)
	file := filepath.Join(t.TempDir(), "card.h264")
	if err := os.WriteFile(file, stream, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// readAll reads the barcodes of decoded luma planes.
func readAll(t *testing.T, r io.Reader, w, h int) int {
	t.Helper()
	luma := make([]byte, w*h)
	for n := 0; ; n++ {
		if _, err := io.ReadFull(r, luma); errors.Is(err, io.EOF) {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
		stamp, err := testcard.Read(luma, w, h, w)
		if err != nil || stamp.Frame != uint32(n) {
			t.Errorf("picture %d: %+v, %v", n, stamp, err)
		}
	}
}

// TestFacts checks what the barcode test can't: a picture that can't be coded is told by the next one.
func TestFacts(t *testing.T) {
	t.Parallel()
	c, enc := newCards(t, 320, 240), openEncoding(t, config(320, 240))
	raw := c.frame(0)
	raw.Lost = 2
	raw.Data = raw.Data[:100]
	if _, err := enc.Encode(t.Context(), raw); err == nil {
		t.Fatal("a truncated picture was coded")
	}
	raw = c.frame(1)
	raw.Corrupt = true
	f, err := enc.Encode(t.Context(), raw)
	if err != nil || f.Lost != 3 || !f.Corrupt || f.Seq != 1 {
		t.Errorf("got lost %d, corrupt %v, seq %d, %v; want 3, true, 1", f.Lost, f.Corrupt, f.Seq, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*hal.EncoderConfig){
		"odd width": func(c *hal.EncoderConfig) { c.Width++ },
		"too small": func(c *hal.EncoderConfig) { c.Width = 14 },
		"too large": func(c *hal.EncoderConfig) { c.Width = 3842 },
		"no rate":   func(c *hal.EncoderConfig) { c.Rate = hal.Rate{} },
		"bitrate 0": func(c *hal.EncoderConfig) { c.BitrateBPS = 0 },
		"GOP -1":    func(c *hal.EncoderConfig) { c.GOP = -1 },
		"MJPEG":     func(c *hal.EncoderConfig) { c.Input = hal.MJPEG },
	} {
		c := config(320, 240)
		change(&c)
		if _, err := e.Open(t.Context(), c); !errors.Is(err, hal.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
}

// TestSizes opens the corners of what Open takes.
func TestSizes(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{160, 120}, {176, 144}, {1920, 1080}, {480, 800}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			conf := config(size[0], size[1])
			c, enc := newCards(t, size[0], size[1]), openEncoding(t, conf)
			for n := range 3 {
				encode(t, enc, c.frame(n))
			}
		})
	}
}
