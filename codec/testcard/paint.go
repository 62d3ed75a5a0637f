package testcard

import "math"

// colour is a point in BT.601 YCbCr, limited range (luma 16 to 235): what raw V4L2 formats carry unless told otherwise.
type colour struct{ y, cb, cr uint8 }

// rgb converts a gamma-coded colour 0xRRGGBB (ITU-R BT.601-7 2.5).
func rgb(hex uint32) colour {
	r, g, b := float64(hex>>16&255)/255, float64(hex>>8&255)/255, float64(hex&255)/255
	y := 0.299*r + 0.587*g + 0.114*b
	return colour{
		y:  uint8(math.Round(16 + 219*y)),
		cb: uint8(math.Round(128 + 224*(b-y)/1.772)),
		cr: uint8(math.Round(128 + 224*(r-y)/1.402)),
	}
}

// grey is a colour without colour: level 0 (black) to 1 (white).
func grey(level float64) colour { return colour{uint8(math.Round(16 + 219*level)), 128, 128} }

// canvas is an I420 picture in one buffer.
type canvas struct {
	w, h      int
	y, cb, cr []byte
}

func newCanvas(buf []byte, w, h int) canvas {
	luma, chroma := w*h, (w/2)*(h/2)
	return canvas{w: w, h: h, y: buf[:luma], cb: buf[luma : luma+chroma], cr: buf[luma+chroma : luma+2*chroma]}
}

// box is a rectangle in pixels, right and bottom edge excluded.
type box struct{ x0, y0, x1, y1 float64 }

func (b box) grow(d float64) box { return box{b.x0 - d, b.y0 - d, b.x1 + d, b.y1 + d} }

// shape tells the distance in pixels from a point to an outline, or less than that, negative inside: one function per
// form, and forms combine by min (union), max (intersection) and negation.
type shape func(x, y float64) float64

func (b box) shape() shape {
	cx, cy, hw, hh := (b.x0+b.x1)/2, (b.y0+b.y1)/2, (b.x1-b.x0)/2, (b.y1-b.y0)/2
	return func(x, y float64) float64 { return max(math.Abs(x-cx)-hw, math.Abs(y-cy)-hh) }
}

func disc(cx, cy, r float64) shape {
	return func(x, y float64) float64 { return math.Sqrt((x-cx)*(x-cx)+(y-cy)*(y-cy)) - r }
}

// ring is a circle line of the given width.
func ring(cx, cy, r, width float64) shape {
	d := disc(cx, cy, r)
	return func(x, y float64) float64 { return math.Abs(d(x, y)) - width/2 }
}

func both(a, b shape) shape {
	return func(x, y float64) float64 { return max(a(x, y), b(x, y)) }
}

func square(cx, cy, r float64) box { return box{cx - r, cy - r, cx + r, cy + r} }

// fill paints the part of the shape that lies within the box, its edge smoothed over one sample of each plane.
func (c canvas) fill(in box, s shape, k colour) {
	in = in.grow(1)
	x0, x1 := clampTo(in.x0, c.w), clampTo(in.x1+1, c.w)
	y0, y1 := clampTo(in.y0, c.h), clampTo(in.y1+1, c.h)
	for y := y0; y < y1; y++ {
		row := c.y[y*c.w : (y+1)*c.w]
		for x := x0; x < x1; {
			share, run := coverage(s(float64(x)+0.5, float64(y)+0.5))
			run = min(run, x1-x)
			paint(row[x:x+run], k.y, share)
			x += run
		}
	}
	cw := c.w / 2
	for y := y0 / 2; y < (y1+1)/2; y++ {
		for x := x0 / 2; x < (x1+1)/2; {
			share, run := coverage(s(float64(2*x+1), float64(2*y+1)) / 2)
			run = min(run, (x1+1)/2-x)
			i := y*cw + x
			paint(c.cb[i:i+run], k.cb, share)
			paint(c.cr[i:i+run], k.cr, share)
			x += run
		}
	}
}

// paint mixes a level into a run of samples.
func paint(run []byte, level uint8, share int) {
	switch share {
	case 0:
	case whole:
		for i := range run {
			run[i] = level
		}
	default:
		for i := range run {
			run[i] = mix(run[i], level, share)
		}
	}
}

// fillBox paints a rectangle whose edges are rounded to pixels.
func (c canvas) fillBox(b box, k colour) {
	b = b.round()
	c.fill(b, b.shape(), k)
}

func (b box) round() box {
	return box{math.Round(b.x0), math.Round(b.y0), math.Round(b.x1), math.Round(b.y1)}
}

// whole is the share of a sample that lies inside altogether.
const whole = 256

// coverage is the share (0 to whole) of a sample that an outline at this distance leaves inside, and how many samples
// of the row have that share at least: the farther the outline, the more.
func coverage(distance float64) (share, run int) {
	switch {
	case distance >= 0.5:
		return 0, max(int(distance-0.5), 1)
	case distance <= -0.5:
		return whole, max(int(-distance-0.5), 1)
	}
	return int((0.5 - distance) * whole), 1
}

func mix(from, to uint8, share int) uint8 {
	return uint8((int(from)*(whole-share) + int(to)*share + 128) >> 8)
}

func clampTo(v float64, limit int) int { return min(max(int(v), 0), limit) }
