package testcard

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"testing"
	"time"
)

var testTime = time.Date(2026, 3, 14, 15, 9, 26, 535_000_000, time.UTC)

func stampAt(frame uint32, t time.Time) Stamp {
	return Stamp{Frame: frame, CapturedNS: uint64(t.UnixNano())}
}

func newCard(tb testing.TB, w, h int) (*Card, []byte) {
	tb.Helper()
	c, err := New(Options{Width: w, Height: h, Name: "Ocellus", Text: "main · 1280×720 · 25 fps"})
	if err != nil {
		tb.Fatal(err)
	}
	return c, make([]byte, c.Size())
}

// TestRender writes the card to the PNG files that OCELLUS_TESTCARD_PNG names as a prefix, for a person to look at.
func TestRender(t *testing.T) {
	t.Parallel()
	prefix := os.Getenv("OCELLUS_TESTCARD_PNG")
	if prefix == "" {
		t.Skip("OCELLUS_TESTCARD_PNG names no file")
	}
	for _, size := range [][2]int{{1280, 720}, {640, 480}, {320, 240}, {160, 120}} {
		c, dst := newCard(t, size[0], size[1])
		c.Draw(dst, stampAt(1234, testTime))
		pic := newCanvas(dst, size[0], size[1])
		img := &image.NRGBA{Pix: make([]byte, size[0]*size[1]*4), Stride: size[0] * 4, Rect: image.Rect(0, 0, size[0], size[1])}
		pic.toRGB(img.Pix)
		var out bytes.Buffer
		if err := png.Encode(&out, img); err != nil {
			t.Fatal(err)
		}
		name := prefix + time.Duration(size[1]).String() + ".png"
		if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// toRGB converts to 8-bit RGBA (ITU-R BT.601, limited range).
func (c canvas) toRGB(pix []byte) {
	for y := range c.h {
		for x := range c.w {
			i := y/2*(c.w/2) + x/2
			l := 1.164 * (float64(c.y[y*c.w+x]) - 16)
			cb, cr := float64(c.cb[i])-128, float64(c.cr[i])-128
			for j, v := range [3]float64{l + 1.596*cr, l - 0.813*cr - 0.392*cb, l + 2.017*cb} {
				pix[4*(y*c.w+x)+j] = uint8(min(max(v+0.5, 0), 255))
			}
			pix[4*(y*c.w+x)+3] = 255
		}
	}
}

func TestReadBack(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{
		{160, 120}, {162, 122}, {320, 240}, {640, 360}, {640, 480}, {854, 480}, {1280, 720}, {1920, 1080}, {480, 800},
	} {
		c, dst := newCard(t, size[0], size[1])
		for _, want := range []Stamp{{}, stampAt(1, testTime), {Frame: ^uint32(0), CapturedNS: ^uint64(0)}} {
			c.Draw(dst, want)
			got, err := Read(dst, size[0], size[1], size[0])
			if err != nil || got != want {
				t.Errorf("%dx%d: read %+v, %v, want %+v", size[0], size[1], got, err, want)
			}
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	for _, size := range [][2]int{{1280, 720}, {640, 360}} {
		b.Run(time.Duration(size[1]).String(), func(b *testing.B) {
			c, dst := newCard(b, size[0], size[1])
			b.ReportAllocs()
			s := stampAt(0, testTime)
			for b.Loop() {
				s.Frame++
				s.CapturedNS += 40_000_000
				c.Draw(dst, s)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		newCard(b, 1280, 720)
	}
}

func BenchmarkRead(b *testing.B) {
	c, dst := newCard(b, 1280, 720)
	c.Draw(dst, stampAt(7, testTime))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(dst, 1280, 720, 1280); err != nil {
			b.Fatal(err)
		}
	}
}
