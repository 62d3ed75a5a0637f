// Package scene makes the pictures that a camera would take of a phone which shows a QR code: the phone in a cluttered
// room, seen by a pinhole camera with a lens, a sensor and an encoder that each do harm. The reader of provision/qr is
// measured and tested on them, beside zbar on the same luma. docs/provisioning-qr.md lists every parameter.
//
// A picture follows from its Params alone: the same Params give the same bytes.
package scene

import (
	"math"
	"math/rand/v2"
)

// Symbol is a square of modules, as codec/qrcode makes it.
type Symbol interface {
	Size() int
	Dark(x, y int) bool
}

// Params are one picture. Angles are in degrees; lengths in pixels are those of a picture 720 high and scale with it
// where the cause scales with the picture (motion, bloom), and are real pixels where the sensor causes them (blur of
// the lens, noise, moire).
type Params struct {
	Width, Height int
	Side          float64 // of the code without its quiet zone, as a share of the picture's height, seen from the front
	X, Y          float64 // the code's centre, as shares of width and height
	Rotate        float64 // in the picture's plane
	Tilt, TiltTo  float64 // out of that plane, about an axis in this direction
	Invert        bool    // light modules on a dark screen
	White, Black  float64 // luma of the screen's light and dark before the lens
	Blur          float64 // sigma of the lens, pixels
	Motion        float64 // length of the smear, pixels at 720 rows
	MotionTo      float64 // its direction
	Gain          float64 // exposure: 1 is right, 2 one stop too much; clips at 255
	Bloom         float64 // share of the light that strays
	BloomSigma    float64 // how far it strays, pixels at 720 rows
	Moire         float64 // amplitude as a share of the light
	MoirePeriod   float64 // pixels
	MoireTo       float64 // direction
	Shade         float64 // light falls off by this share from one side of the picture to the other
	Barrel        float64 // distortion at the picture's corner, as a share of the distance from its centre
	Noise         float64 // sigma, luma steps
	JPEG          int     // quality; 0: not compressed
	Seed          uint64  // of room and screen
	NoiseSeed     uint64  // of the noise
}

// Camera takes pictures of one size; it keeps its memory for the next. One goroutine at a time.
type Camera struct {
	w, h      int
	light     []float32
	spare     []float32
	luma      []byte
	gauss     [1 << 12]float32
	gaussInit bool
}

// NewCamera returns a camera of w by h pixels.
func NewCamera(w, h int) *Camera {
	return &Camera{w: w, h: h, light: make([]float32, w*h), spare: make([]float32, w*h), luma: make([]byte, w*h)}
}

// Take returns the luma of the picture, one byte a pixel without padding, valid until the next Take.
func (c *Camera) Take(s Symbol, p Params) []byte {
	p.Width, p.Height = c.w, c.h
	scale := float64(c.h) / 720
	c.room(rand.New(rand.NewPCG(p.Seed, 0)))
	c.phone(s, p)
	c.smear(p.Motion*scale, p.MotionTo)
	c.soften(p.Blur)
	c.bloom(p.Bloom, p.BloomSigma*scale)
	c.sensor(p, rand.New(rand.NewPCG(p.Seed, p.NoiseSeed)))
	if p.JPEG > 0 {
		c.compress(p.JPEG)
	}
	return c.luma
}

// room draws what stands behind the phone: a gradient, furniture, and things with fine structure such as books.
func (c *Camera) room(rng *rand.Rand) {
	a, gx, gy := 60+80*rng.Float64(), 60*(rng.Float64()-0.5), 60*(rng.Float64()-0.5)
	for y := range c.h {
		row := c.light[y*c.w:][:c.w]
		base := a + gy*float64(y)/float64(c.h)
		for x := range row {
			row[x] = float32(base + gx*float64(x)/float64(c.w))
		}
	}
	for i := range 48 {
		w, h := c.w/40+rng.IntN(c.w/5), c.h/40+rng.IntN(c.h/4)
		x0, y0 := rng.IntN(c.w)-w/2, rng.IntN(c.h)-h/2
		tone, other := float32(20+rng.IntN(200)), float32(20+rng.IntN(200))
		period := 0
		if i%3 == 0 {
			period = 4 + rng.IntN(c.w/32)
		}
		round := i%4 == 1
		c.thing(x0, y0, w, h, round, func(x, y int) float32 {
			if period > 0 && (x/period+y/period/4)%2 == 0 {
				return other
			}
			return tone
		})
	}
}

// thing paints a box or an ellipse.
func (c *Camera) thing(x0, y0, w, h int, round bool, tone func(x, y int) float32) {
	for y := max(y0, 0); y < min(y0+h, c.h); y++ {
		for x := max(x0, 0); x < min(x0+w, c.w); x++ {
			if round {
				dx, dy := float64(2*(x-x0))/float64(w)-1, float64(2*(y-y0))/float64(h)-1
				if dx*dx+dy*dy > 1 {
					continue
				}
			}
			c.light[y*c.w+x] = tone(x-x0, y-y0)
		}
	}
}

// phone draws the phone where the camera sees it, nine samples a pixel.
func (c *Camera) phone(s Symbol, p Params) {
	const grid = 3
	v, screen := newView(p, s.Size()), newScreen(s, p)
	x0, y0, x1, y1 := v.bounds(screen.outline, c.w, c.h)
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			sum, hit := 0.0, 0
			for i := range grid * grid {
				u, w := v.plane(float64(x)+(float64(i%grid)+0.5)/grid, float64(y)+(float64(i/grid)+0.5)/grid)
				if tone, ok := screen.tone(u, w); ok {
					sum += tone
					hit++
				}
			}
			if hit > 0 {
				at := &c.light[y*c.w+x]
				*at += (float32(sum/float64(hit)) - *at) * float32(hit) / (grid * grid)
			}
		}
	}
}

// screen is the phone in the plane of the code, one unit a module, the origin at the code's upper left corner.
type screen struct {
	s            Symbol
	size, margin float64
	light, dark  float64
	page         float64
	seed         uint64
	outline      [4]float64 // left, top, right, bottom of the phone
}

const bezel = 0.05 // of the code's side

func newScreen(s Symbol, p Params) *screen {
	n := float64(s.Size())
	sc := &screen{s: s, size: n, margin: 4 + 0.12*n, light: p.White, dark: p.Black, page: p.White, seed: p.Seed}
	if p.Invert {
		sc.light, sc.dark, sc.page = p.Black, p.White, p.Black
	}
	edge := sc.margin + bezel*n
	sc.outline = [4]float64{-edge, -edge - 0.35*n, n + edge, n + edge + 0.5*n}
	return sc
}

// tone returns what the phone looks like at a point of its plane.
func (s *screen) tone(u, v float64) (float64, bool) {
	x0, y0, x1, y1 := s.outline[0], s.outline[1], s.outline[2], s.outline[3]
	if u < x0 || v < y0 || u >= x1 || v >= y1 {
		return 0, false
	}
	b := bezel * s.size
	switch {
	case u < x0+b || v < y0+b || u >= x1-b || v >= y1-b:
		return 18, true
	case u >= 0 && v >= 0 && u < s.size && v < s.size:
		if s.s.Dark(int(u), int(v)) {
			return s.dark, true
		}
		return s.light, true
	case v < -s.margin || v > s.size+s.margin: // lines of text above and below
		line := int(math.Floor(v / (0.045 * s.size)))
		word := int(math.Floor(u / (0.02 * s.size)))
		if line%2 == 0 && hash(s.seed, line, word)%3 != 0 && u > 0 && u < s.size {
			return s.dark, true
		}
	}
	return s.page, true
}

func hash(seed uint64, a, b int) uint64 {
	x := seed ^ uint64(a)*0x9E3779B97F4A7C15 ^ uint64(b)*0xC2B2AE3D27D4EB4F
	x ^= x >> 29
	x *= 0xBF58476D1CE4E5B9
	return x ^ x>>32
}
