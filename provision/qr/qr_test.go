package qr

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/qrcode"
	"github.com/ocellus/ocellus/provision/qr/scene"
)

// everyday is a sealed code for an everyday network: version 5.
const everyday = "OC1:100KB0*M0DY0W016C1X$N0J6/WR1NE1AF16N.LQ4DECI9SFG VTOUBJKA JN.:6547$QS2DFQC914W4MI6." +
	"LBJ4VDTUU5TDQ.MB:O4FY0%DE0KLQ26ASKEIK.U7BDAIGF.C5PMBQ0VBH1M4VZ$0 8A"

func encode(t testing.TB, text string, level qrcode.Level) *qrcode.Code {
	t.Helper()
	c, err := qrcode.Encode(text, level, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const width, height = 640, 480

// TestClasses holds a floor under the read rate, well below what the benchmark measures.
func TestClasses(t *testing.T) {
	t.Parallel()
	code := encode(t, everyday, qrcode.L)
	camera, rng := scene.NewCamera(width, height), rand.New(rand.NewPCG(20, 26))
	var r Reader
	read, shots := 0, 0
	for _, side := range []float64{0.3, 0.4} {
		for _, class := range scene.Classes() {
			p := scene.Draw(class, side, width, height, rng)
			p.Invert = shots%3 == 0
			got := r.Read(camera.Take(code, p), width, height, width)
			shots++
			switch {
			case len(got.Texts) == 0:
				t.Logf("%s, side %.0f %%: not read, hint %v", class, 100*side, got.Hint)
			case got.Texts[0] != everyday || len(got.Texts) > 1 || !got.Seen || got.Hint != None:
				t.Errorf("%s, side %.0f %%: got %+v", class, 100*side, got)
			default:
				read++
			}
		}
	}
	if floor := shots * 7 / 10; read < floor {
		t.Errorf("read %d of %d, want at least %d", read, shots, floor)
	}
}

// flat paints a code into a picture with rows of stride bytes, without any harm.
func flat(code *qrcode.Code, w, h, stride, x0, y0, scale int, invert bool) []byte {
	luma := make([]byte, stride*h)
	paint := func(x, y int, dark bool) {
		if luma[y*stride+x] = 230; dark != invert {
			luma[y*stride+x] = 20
		}
	}
	side := code.Size() * scale
	for y := range h {
		for x := range w {
			paint(x, y, x >= x0 && y >= y0 && x < x0+side && y < y0+side && code.Dark((x-x0)/scale, (y-y0)/scale))
		}
	}
	return luma
}

func TestVersionsAndPlaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                        string
		version, scale, x, y, extra int
		invert                      bool
	}{
		{"smallest", 1, 3, 40, 40, 0, false},
		{"in the corner, half a quiet zone", 3, 4, 8, 8, 0, false},
		{"stride", 4, 5, 200, 100, 64, false},
		{"inverted", 6, 4, 100, 50, 0, true},
		{"version information", 7, 3, 60, 60, 0, false},
		{"large", 20, 3, 100, 80, 0, false},
		{"largest, two pixels a module", 40, 2, 120, 60, 0, true},
	} {
		code, err := qrcode.Encode("OC1:ANY", qrcode.M, c.version)
		if err != nil {
			t.Fatal(err)
		}
		var r Reader
		stride := width + c.extra
		got := r.Read(flat(code, width, height, stride, c.x, c.y, c.scale, c.invert), width, height, stride)
		if !slices.Equal(got.Texts, []string{"OC1:ANY"}) {
			t.Errorf("%s: got %+v", c.name, got)
		}
	}
}

// TestTwoCodes: a label beside a phone.
func TestTwoCodes(t *testing.T) {
	t.Parallel()
	luma := flat(encode(t, "OCELLUS:L1", qrcode.M), width, height, width, 60, 150, 7, false)
	for i, v := range flat(encode(t, everyday, qrcode.L), width, height, width, 340, 150, 5, false) {
		luma[i] = min(luma[i], v)
	}
	var r Reader
	got := r.Read(luma, width, height, width).Texts
	slices.Sort(got)
	if !slices.Equal(got, []string{everyday, "OCELLUS:L1"}) {
		t.Errorf("got %q", got)
	}
}

// TestHints: of three pictures of a code that is hard to read, some say why; no picture says something else.
func TestHints(t *testing.T) {
	t.Parallel()
	code := encode(t, strings.Repeat("correct horse battery ", 14), qrcode.L)
	camera := scene.NewCamera(width, height)
	for _, c := range []struct {
		want   Hint
		change func(p *scene.Params)
	}{
		{None, func(p *scene.Params) { p.Side = 0.5 }},
		{Closer, func(p *scene.Params) { p.Side, p.Blur, p.Noise = 0.2, 0.5, 20 }},
		{Darker, func(p *scene.Params) { p.Side, p.Gain, p.Bloom, p.BloomSigma, p.Blur = 0.6, 2.2, 0.5, 8, 1.5 }},
	} {
		p := scene.Draw(scene.Clean, 0.4, width, height, rand.New(rand.NewPCG(5, 5)))
		c.change(&p)
		hinted := 0
		for p.NoiseSeed = range 3 {
			var r Reader
			got := r.Read(camera.Take(code, p), width, height, width)
			switch {
			case got.Hint != None && got.Hint != c.want, got.Hint != None && !got.Seen, got.Hint != None && len(got.Texts) > 0:
				t.Errorf("%v: got %+v", c.want, got)
			case got.Hint == c.want:
				hinted++
			}
		}
		if hinted == 0 {
			t.Errorf("%v: no picture says so", c.want)
		}
	}
}

// TestMore: a board that has time for two looks a picture still takes all of them, one picture after the other.
func TestMore(t *testing.T) {
	t.Parallel()
	luma := make([]byte, width*height)
	left := 0
	r := Reader{More: func() bool { left--; return left > 0 }}
	for range 2 * len(looks()) {
		before := r.due
		left = 2
		if got := r.Read(luma, width, height, width); got.Looks != 2 {
			t.Fatalf("%d looks, want 2", got.Looks)
		}
		if want := (before + 1) % (len(looks()) - 1); r.due != want {
			t.Fatalf("look %d is due, want %d", r.due, want)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	var r Reader
	for name, c := range map[string]struct{ n, w, h, stride int }{
		"empty":    {0, 0, 0, 0},
		"negative": {100, -1, -1, -1},
		"small":    {63 * 63, 63, 63, 63},
		"large":    {100, MaxSide + 1, 64, MaxSide + 1},
		"short":    {64*64 - 1, 64, 64, 64},
		"narrow":   {64 * 64, 64, 64, 63},
		"overflow": {64 * 64, 64, 64, math.MaxInt},
	} {
		if got := r.Read(make([]byte, c.n), c.w, c.h, c.stride); got.Looks != 0 || got.Seen {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// TestAllocates: a reader that has seen a picture needs next to nothing for one that shows no code.
func TestAllocates(t *testing.T) {
	luma := scene.NewCamera(width, height).Take(encode(t, "X", qrcode.L),
		scene.Params{X: -5, Y: -5, Side: 0.1, Gain: 1, White: 200, Noise: 3})
	var r Reader
	if n := testing.AllocsPerRun(3, func() { r.Read(luma, width, height, width) }); n > 100 {
		t.Errorf("%.0f allocations a picture", n)
	}
}

// FuzzRead: a picture of any modules, 32 a row, one bit each, with noise and padding.
func FuzzRead(f *testing.F) {
	code := encode(f, "A", qrcode.L)
	seed := make([]byte, 4*code.Size())
	for y := range code.Size() {
		for x := range code.Size() {
			if code.Dark(x, y) {
				seed[4*y+x/8] |= 0x80 >> (x % 8)
			}
		}
	}
	f.Add(uint8(3), uint8(0), uint8(0), seed)
	f.Add(uint8(2), uint8(9), uint8(7), seed[:40])
	var r Reader
	f.Fuzz(func(t *testing.T, scale, noise, extra uint8, b []byte) {
		const w, h = 96, 96
		rng := rand.New(rand.NewPCG(uint64(noise), 0))
		stride := w + int(extra)
		luma := make([]byte, stride*(h-1)+w)
		for i := range luma {
			x, y := (i%stride-12)/(int(scale%8)+1), (i/stride-12)/(int(scale%8)+1)
			v := 200
			if at := 4*y + x/8; x >= 0 && y >= 0 && x < 32 && at < len(b) && b[at]&(0x80>>(x%8)) != 0 {
				v = 40
			}
			luma[i] = byte(v + int(float64(noise)*rng.NormFloat64()/8))
		}
		r.Read(luma, w, h, stride)
	})
}

// BenchmarkRead: a code that the first looks read, and a room without one, which takes all looks.
func BenchmarkRead(b *testing.B) {
	code := encode(b, everyday, qrcode.L)
	for _, size := range [][2]int{{640, 480}, {1280, 720}} {
		w, h := size[0], size[1]
		for _, x := range []float64{0.5, -5} {
			name := map[bool]string{true: "code", false: "room"}[x > 0]
			b.Run(fmt.Sprintf("%s-%dx%d", name, w, h), func(b *testing.B) {
				p := scene.Draw(scene.Real, 0.4, w, h, rand.New(rand.NewPCG(1, 1)))
				p.X = x
				luma := scene.NewCamera(w, h).Take(code, p)
				var r Reader
				for b.Loop() {
					r.Read(luma, w, h, w)
				}
			})
		}
	}
}
