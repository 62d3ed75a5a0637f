package testcard

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/yuv"
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
		name := fmt.Sprintf("%s%dx%d.png", prefix, size[0], size[1])
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
		{160, 120}, {162, 122}, {320, 240}, {640, 360}, {854, 480}, {1920, 1080}, {480, 800},
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

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{0, 0}, {158, 120}, {160, 118}, {161, 120}, {160, 121}, {MaxSide + 2, 720}, {-640, 480}} {
		if _, err := New(Options{Width: size[0], Height: size[1]}); err == nil {
			t.Errorf("New took %dx%d", size[0], size[1])
		}
	}
}

// TestReadScaled reads the card after a scaler, with width and height scaled alike and not.
func TestReadScaled(t *testing.T) {
	t.Parallel()
	for _, from := range [][2]int{{1280, 720}, {640, 480}} {
		c, dst := newCard(t, from[0], from[1])
		want := stampAt(90_000, testTime)
		c.Draw(dst, want)
		var src, p yuv.Picture
		if err := src.View(dst, from[0], from[1], 0); err != nil {
			t.Fatal(err)
		}
		for _, to := range [][2]int{{from[0] / 2, from[1] / 2}, {640, 360}, {640, 480}, {320, 240}, {320, 180}, {426, 240},
			{1280, 720}, {202, 114}} {
			if err := p.Scale(&src, to[0]&^1, to[1]&^1); err != nil {
				t.Fatal(err)
			}
			got, err := Read(p.Y, p.Width, p.Height, p.YStride)
			if err != nil || got != want {
				t.Errorf("%v scaled to %v: read %+v, %v, want %+v", from, to, got, err, want)
			}
		}
	}
}

// TestReadNoisy reads the card through noise, low contrast, a wrong range and a shift by a pixel or two.
func TestReadNoisy(t *testing.T) {
	t.Parallel()
	const w, h = 640, 360
	c, clean := newCard(t, w, h)
	want := stampAt(7, testTime)
	c.Draw(clean, want)
	tests := map[string]func(i int, v byte) byte{
		"noise":        func(i int, v byte) byte { return clamp(int(v) + int(hash(i)%101) - 50) },
		"salt":         func(i int, v byte) byte { return map[bool]byte{true: byte(hash(i) >> 8), false: v}[hash(i)%5 == 0] },
		"low contrast": func(_ int, v byte) byte { return 100 + v/4 },
		"full range":   func(_ int, v byte) byte { return clamp((int(v) - 16) * 255 / 219) },
		"shift":        func(i int, _ byte) byte { return clean[min(max(i-2*w-3, 0), w*h-1)] },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			luma := make([]byte, w*h)
			for i := range luma {
				luma[i] = spoil(i, clean[i])
			}
			if got, err := Read(luma, w, h, w); err != nil || got != want {
				t.Errorf("read %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func clamp(v int) byte { return byte(min(max(v, 0), 255)) }

func hash(i int) uint32 {
	x := uint32(i)*2654435761 + 12345
	x ^= x >> 15
	x *= 2246822519
	return x ^ x>>13
}

func TestReadStride(t *testing.T) {
	t.Parallel()
	const w, h, stride = 320, 240, 352
	c, dst := newCard(t, w, h)
	want := stampAt(1, testTime)
	c.Draw(dst, want)
	padded := make([]byte, stride*(h-1)+w)
	for y := range h {
		copy(padded[y*stride:], dst[y*w:(y+1)*w])
	}
	if got, err := Read(padded, w, h, stride); err != nil || got != want {
		t.Errorf("read %+v, %v, want %+v", got, err, want)
	}
	for _, n := range []int{0, 1, len(padded) / 2, len(padded) - 1} {
		if _, err := Read(padded[:n], w, h, stride); !errors.Is(err, ErrNoBarcode) {
			t.Errorf("%d of %d bytes: %v", n, len(padded), err)
		}
	}
}

func TestReadDamaged(t *testing.T) {
	t.Parallel()
	const w, h = 640, 360
	c, dst := newCard(t, w, h)
	c.Draw(dst, stampAt(1, testTime))
	b := barcodeBox(w, h)
	for col := range barcodeCols { // each cell inverted alone
		luma := slices.Clone(dst[:w*h])
		x := int(b.x0 + (b.x1-b.x0)*(float64(col)+0.5)/barcodeCols)
		for y := int(b.y0); y < int(b.y0)+10; y++ {
			for i := x - 8; i < x+8; i++ {
				luma[y*w+i] = 246 - luma[y*w+i]
			}
		}
		if got, err := Read(luma, w, h, w); err == nil {
			t.Errorf("column %d inverted: read %+v", col, got)
		}
	}
	for name, level := range map[string]byte{"black": 16, "white": 235} {
		if got, err := Read(bytes.Repeat([]byte{level}, w*h), w, h, w); err == nil {
			t.Errorf("a %s picture: read %+v", name, got)
		}
	}
}

func TestCRC(t *testing.T) {
	t.Parallel()
	// The check value of CRC-16/IBM-3740 in the catalogue of parametrised CRC algorithms.
	if got := crc16([]byte("123456789")); got != 0x29B1 {
		t.Errorf("crc %04x, want 29b1", got)
	}
}

// TestBarcodeGolden pins the barcode's form: a reader of another release depends on it.
func TestBarcodeGolden(t *testing.T) {
	t.Parallel()
	want := field{0x00000539, 0x189CB60E, 0x3DB4F0C0, 0}
	got := Stamp{Frame: 1337, CapturedNS: 0x189CB60E3DB4F0C0}.field()
	want[3] = 0x0CE1<<16 | uint32(crc16([]byte{0, 0, 5, 0x39, 0x18, 0x9C, 0xB6, 0x0E, 0x3D, 0xB4, 0xF0, 0xC0}))
	if got != want {
		t.Errorf("field %08x, want %08x", got, want)
	}
	if b := barcodeBox(1280, 720); b != (box{80, 620, 1200, 700}) {
		t.Errorf("place %v", b)
	}
}

func TestMotionNeverStops(t *testing.T) {
	t.Parallel()
	c, last := newCard(t, 320, 240)
	now := slices.Clone(last)
	for n := range 100 {
		c.Draw(now, stampAt(0, testTime.Add(time.Duration(n)*40*time.Millisecond)))
		b := barcodeBox(320, 240)
		if n > 0 && bytes.Equal(now[:int(b.y0)*320], last[:int(b.y0)*320]) {
			t.Errorf("picture %d looks like the one before", n)
		}
		now, last = last, now
	}
}

func FuzzRead(f *testing.F) {
	c, dst := newCard(f, 160, 120)
	c.Draw(dst, stampAt(3, testTime))
	f.Add(dst[:160*120], 160, 120, 160)
	f.Add(dst[:160*120], 80, 240, 80)
	f.Add([]byte{}, 64, 64, 64)
	f.Add([]byte{1}, math.MaxInt, math.MaxInt, math.MaxInt)
	f.Fuzz(func(t *testing.T, luma []byte, w, h, stride int) {
		s, err := Read(luma, w, h, stride)
		if err != nil && !errors.Is(err, ErrNoBarcode) {
			t.Errorf("error %v", err)
		}
		if err != nil && s != (Stamp{}) {
			t.Errorf("stamp %+v beside error %v", s, err)
		}
	})
}

func BenchmarkDraw(b *testing.B) {
	for _, size := range [][2]int{{1280, 720}, {640, 360}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
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
