package yuv

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"slices"
	"testing"
)

// gradient is a picture whose samples all differ from their neighbours.
func gradient(tb testing.TB, w, h int) *Picture {
	tb.Helper()
	p := &Picture{}
	if err := p.Resize(w, h); err != nil {
		tb.Fatal(err)
	}
	for i := range p.Y {
		p.Y[i] = byte(16 + (i%w*5+i/w*3)%219)
	}
	for i := range p.Cb {
		p.Cb[i], p.Cr[i] = byte(16+(i*7)%224), byte(16+(i*11)%224)
	}
	return p
}

// pad writes rows of width bytes with the given stride, the padding filled with a byte that must not be seen.
func pad(plane []byte, width, stride int) []byte {
	var out []byte
	for row := range slices.Chunk(plane, width) {
		out = append(append(out, row...), bytes.Repeat([]byte{0xEE}, stride-width)...)
	}
	return out
}

func same(t *testing.T, got, want *Picture) {
	t.Helper()
	if got.Width != want.Width || got.Height != want.Height {
		t.Fatalf("size %dx%d, want %dx%d", got.Width, got.Height, want.Width, want.Height)
	}
	if !bytes.Equal(got.Y, want.Y) || !bytes.Equal(got.Cb, want.Cb) || !bytes.Equal(got.Cr, want.Cr) {
		t.Error("samples differ")
	}
}

// encodings of a picture in every raw format.
func encodings(p *Picture, padding int) map[string]struct {
	fourcc uint32
	stride int
	data   []byte
} {
	w := p.Width
	planar := slices.Concat(pad(p.Y, w, w+padding), pad(p.Cb, w/2, (w+padding)/2), pad(p.Cr, w/2, (w+padding)/2))
	var chroma, packed []byte
	for i := range p.Cb {
		chroma = append(chroma, p.Cb[i], p.Cr[i])
	}
	for i := 0; i < len(p.Y); i += 2 {
		c := i/w/2*(w/2) + i%w/2
		packed = append(packed, p.Y[i], p.Cb[c], p.Y[i+1], p.Cr[c])
	}
	type encoding = struct {
		fourcc uint32
		stride int
		data   []byte
	}
	return map[string]encoding{
		"YU12": {fourccYU12, w + padding, planar},
		"NV12": {fourccNV12, w + padding, append(pad(p.Y, w, w+padding), pad(chroma, w, w+padding)...)},
		"YUYV": {fourccYUYV, 2*w + padding, pad(packed, 2*w, 2*w+padding)},
	}
}

func TestFromRaw(t *testing.T) {
	t.Parallel()
	want := gradient(t, 34, 18)
	for _, padding := range []int{0, 6, 64} {
		for name, e := range encodings(want, padding) {
			var got Picture
			if err := got.From(e.fourcc, e.data, want.Width, want.Height, e.stride); err != nil {
				t.Fatalf("%s padding %d: %v", name, padding, err)
			}
			same(t, &got, want)
			// The padding behind the last row may be missing, nothing else.
			least := len(e.data) - padding
			if name == "YU12" {
				least = len(e.data) - padding/2
			}
			if err := got.From(e.fourcc, e.data[:least], want.Width, want.Height, e.stride); err != nil {
				t.Errorf("%s padding %d without the last padding: %v", name, padding, err)
			}
			for _, n := range []int{0, 1, least / 2, least - 1} {
				if err := got.From(e.fourcc, e.data[:n], want.Width, want.Height, e.stride); !errors.Is(err, ErrShort) {
					t.Errorf("%s padding %d, %d of %d bytes: %v, want ErrShort", name, padding, n, least, err)
				}
			}
		}
	}
}

func TestBadSizes(t *testing.T) {
	t.Parallel()
	data := make([]byte, 1<<16)
	for _, tt := range []struct{ w, h, stride int }{
		{0, 16, 0}, {16, 0, 0}, {-2, 16, 0}, {15, 16, 0}, {16, 15, 0}, {MaxSide + 2, 16, 0}, {16, 16, 2}, {16, 16, -16},
		{16, 16, math.MaxInt},
	} {
		for _, fourcc := range []uint32{fourccYU12, fourccNV12, fourccYUYV} {
			var p Picture
			if err := p.From(fourcc, data, tt.w, tt.h, tt.stride); !errors.Is(err, ErrSize) {
				t.Errorf("0x%x %dx%d stride %d: %v, want ErrSize", fourcc, tt.w, tt.h, tt.stride, err)
			}
		}
	}
	var p Picture
	if err := p.From(0x12345678, data, 16, 16, 0); !errors.Is(err, ErrFormat) {
		t.Errorf("unknown format: %v, want ErrFormat", err)
	}
}

func TestViewSharesMemory(t *testing.T) {
	t.Parallel()
	src := gradient(t, 16, 8)
	var p Picture
	if err := p.View(src.Bytes(), 16, 8, 0); err != nil {
		t.Fatal(err)
	}
	same(t, &p, src)
	img := p.Image()
	src.Y[17], src.Cb[3] = 99, 77
	if got := img.YCbCrAt(1, 1); got.Y != 99 {
		t.Errorf("image luma %d, want the source's 99", got.Y)
	}
	if got := img.YCbCrAt(7, 1); got.Cb != 77 {
		t.Errorf("image Cb %d, want the source's 77", got.Cb)
	}
	if p.Bytes() != nil {
		t.Error("a view owns no memory")
	}
}

func TestScaleHalf(t *testing.T) {
	t.Parallel()
	src := gradient(t, 64, 36)
	var p Picture
	if err := p.Scale(src, 32, 18); err != nil {
		t.Fatal(err)
	}
	for y := range p.Height {
		for x := range p.Width {
			i := 2*y*64 + 2*x
			want := (int(src.Y[i]) + int(src.Y[i+1]) + int(src.Y[i+64]) + int(src.Y[i+65]) + 2) / 4
			if got := int(p.Y[y*32+x]); got != want {
				t.Fatalf("luma (%d,%d) = %d, want %d", x, y, got, want)
			}
		}
	}
}

// TestScale checks what every scaler keeps: a flat picture stays flat, and the mean stays what it was.
func TestScale(t *testing.T) {
	t.Parallel()
	for _, to := range [][2]int{{32, 18}, {64, 36}, {20, 36}, {22, 14}, {128, 72}, {66, 38}, {2, 2}, {200, 10}} {
		var p Picture
		flat := gradient(t, 64, 36)
		fill(flat.Y, 235)
		fill(flat.Cb, 16)
		fill(flat.Cr, 240)
		if err := p.Scale(flat, to[0], to[1]); err != nil {
			t.Fatal(err)
		}
		for plane, want := range map[*[]byte]byte{&p.Y: 235, &p.Cb: 16, &p.Cr: 240} {
			if i := slices.IndexFunc(*plane, func(b byte) bool { return b != want }); i >= 0 {
				t.Errorf("%v: a flat %d became %d", to, want, (*plane)[i])
			}
		}
		src := gradient(t, 64, 36)
		if err := p.Scale(src, to[0], to[1]); err != nil {
			t.Fatal(err)
		}
		if got, want := mean(p.Y), mean(src.Y); to[0] > 2 && (got-want > 2 || want-got > 2) {
			t.Errorf("%v: mean luma %.1f, want %.1f", to, got, want)
		}
	}
}

func mean(b []byte) float64 {
	sum := 0
	for _, v := range b {
		sum += int(v)
	}
	return float64(sum) / float64(len(b))
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	src := gradient(t, 64, 36)
	var p, small, view Picture
	all := encodings(src, 0)
	got := testing.AllocsPerRun(20, func() {
		for _, e := range all {
			_ = p.From(e.fourcc, e.data, 64, 36, e.stride)
		}
		_ = small.Scale(&p, 32, 18)
		_ = small.Scale(&p, 20, 22)
		_ = view.View(p.Bytes(), 64, 36, 0)
		view.Image()
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// jpegs are a picture of one colour in every subsampling that image/jpeg can write or the test can make.
func encodeJPEG(tb testing.TB, img image.Image) []byte {
	tb.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 95}); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func TestFromJPEG(t *testing.T) {
	t.Parallel()
	img := image.NewNRGBA(image.Rect(0, 0, 48, 32))
	for i := range img.Rect.Dx() * img.Rect.Dy() {
		img.Set(i%48, i/48, color.NRGBA{R: 200, G: 40, B: 90, A: 255})
	}
	grey := image.NewGray(image.Rect(0, 0, 33, 17))
	fill(grey.Pix, 255)
	tests := []struct {
		name      string
		data      []byte
		w, h      int
		y, cb, cr byte
	}{
		{"4:2:0", encodeJPEG(t, img), 48, 32, 98, 125, 194},
		{"4:2:0 without Huffman tables", withoutHuffmanTables(t, encodeJPEG(t, img)), 48, 32, 98, 125, 194},
		{"grey, odd size", encodeJPEG(t, grey), 32, 16, 235, 128, 128},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var p Picture
			if err := p.FromJPEG(tt.data); err != nil {
				t.Fatal(err)
			}
			if p.Width != tt.w || p.Height != tt.h {
				t.Fatalf("size %dx%d, want %dx%d", p.Width, p.Height, tt.w, tt.h)
			}
			near := func(got, want byte) bool { return int(got)-int(want) < 3 && int(want)-int(got) < 3 }
			if !near(p.Y[100], tt.y) || !near(p.Cb[50], tt.cb) || !near(p.Cr[50], tt.cr) {
				t.Errorf("colour %d %d %d, want %d %d %d", p.Y[100], p.Cb[50], p.Cr[50], tt.y, tt.cb, tt.cr)
			}
			for n := range len(tt.data) - 2 {
				_ = p.FromJPEG(tt.data[:n]) // any error, no panic
			}
		})
	}
}

// withoutHuffmanTables takes the DHT segments out, as cameras do.
func withoutHuffmanTables(tb testing.TB, data []byte) []byte {
	tb.Helper()
	out := slices.Clone(data[:2])
	for i := 2; i+4 <= len(data) && data[i] == 0xFF; {
		length := 2 + int(data[i+2])<<8 + int(data[i+3])
		if data[i+1] == markerSOS {
			return append(out, data[i:]...)
		}
		if data[i+1] != markerDHT {
			out = append(out, data[i:i+length]...)
		}
		i += length
	}
	tb.Fatal("no scan")
	return nil
}

func TestChromaOfEverySubsampling(t *testing.T) {
	t.Parallel()
	for _, ratio := range []image.YCbCrSubsampleRatio{
		image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410,
	} {
		img := image.NewYCbCr(image.Rect(0, 0, 16, 8), ratio)
		for y := range 8 {
			for x := range 16 { // left half blue, right half red
				img.Y[img.YOffset(x, y)] = 255
				i := img.COffset(x, y)
				img.Cb[i], img.Cr[i] = 255, 0
				if x >= 8 {
					img.Cb[i], img.Cr[i] = 0, 255
				}
			}
		}
		var p Picture
		if err := p.fromImage(img); err != nil {
			t.Fatal(err)
		}
		for x := range 8 {
			want := [2]byte{240, 16}
			if x >= 4 {
				want = [2]byte{16, 240}
			}
			if got := [2]byte{p.Cb[2*8+x], p.Cr[2*8+x]}; got != want {
				t.Errorf("%v: chroma %d is %v, want %v", ratio, x, got, want)
			}
		}
		if p.Y[5] != 235 {
			t.Errorf("%v: luma %d, want 235", ratio, p.Y[5])
		}
	}
}

func FuzzFrom(f *testing.F) {
	img := image.NewYCbCr(image.Rect(0, 0, 16, 16), image.YCbCrSubsampleRatio422)
	f.Add(uint32(fourccMJPEG), encodeJPEG(f, img), 16, 16, 0)
	f.Add(uint32(fourccMJPEG), withoutHuffmanTables(f, encodeJPEG(f, img)), 16, 16, 0)
	f.Add(uint32(fourccYUYV), make([]byte, 512), 16, 16, 32)
	f.Add(uint32(fourccNV12), make([]byte, 384), 16, 16, 16)
	f.Add(uint32(fourccYU12), make([]byte, 384), 16, 16, 16)
	f.Add(uint32(fourccYU12), make([]byte, 3), 2, 2, math.MaxInt)
	f.Fuzz(func(t *testing.T, fourcc uint32, data []byte, w, h, stride int) {
		if w > 512 || h > 512 {
			w, h = w%512, h%512
		}
		var p, q Picture
		if p.From(fourcc, data, w, h, stride) != nil {
			return
		}
		if p.Width != w || p.Height != h || len(p.Bytes()) != w*h*3/2 {
			t.Fatalf("%dx%d, %d bytes from %dx%d", p.Width, p.Height, len(p.Bytes()), w, h)
		}
		if err := q.Scale(&p, 34, 22); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkFrom(b *testing.B) {
	src := gradient(b, 1280, 720)
	for name, e := range encodings(src, 0) {
		b.Run(name, func(b *testing.B) {
			var p Picture
			b.SetBytes(int64(len(e.data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := p.From(e.fourcc, e.data, 1280, 720, e.stride); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("MJPEG", func(b *testing.B) {
		data := encodeJPEG(b, src.Image())
		var p Picture
		for b.Loop() {
			if err := p.FromJPEG(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkScale(b *testing.B) {
	src := gradient(b, 1280, 720)
	for name, to := range map[string][2]int{"half": {640, 360}, "area": {480, 270}, "bilinear": {1920, 1080}} {
		b.Run(name, func(b *testing.B) {
			var p Picture
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Scale(src, to[0], to[1]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
