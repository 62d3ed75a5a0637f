package qr

import "math"

type point struct{ x, y float64 }

func (p point) minus(q point) point           { return point{p.x - q.x, p.y - q.y} }
func (p point) plus(q point, f float64) point { return point{p.x + f*q.x, p.y + f*q.y} }
func (p point) length() float64               { return math.Hypot(p.x, p.y) }

// pose says where the picture shows a point of the code: the middles of the three finder patterns (upper left, upper
// right, lower left), how much nearer the second and the third are than the first, and the barrel of the lens. That is
// every perspective (eight numbers) and one more.
type pose struct {
	at     [3]point
	near   [2]float64
	barrel float64
	size   int // side of the code, modules
}

// lens undoes and does the barrel of a picture.
type lens struct {
	cx, cy, reach2 float64
}

func (l lens) straight(p point, barrel float64) point {
	if barrel == 0 {
		return p
	}
	d := point{p.x - l.cx, p.y - l.cy}
	return point{l.cx, l.cy}.plus(d, 1+barrel*(d.x*d.x+d.y*d.y)/l.reach2)
}

// grid is a pose, worked out: a projective map from modules to straight pixels, then the lens.
type grid struct {
	m      [9]float32
	cx, cy float32
	bend   float32 // barrel by squared reach; 0 for none
}

func (p *pose) grid(l lens) grid {
	a, b, c := l.straight(p.at[0], p.barrel), l.straight(p.at[1], p.barrel), l.straight(p.at[2], p.barrel)
	wb, wc := p.near[0], p.near[1]
	span := float64(p.size - 7)
	// Homogeneous: A (1-s-t) + B wb s + C wc t, with s = (u-3.5)/span, t = (v-3.5)/span.
	g := grid{cx: float32(l.cx), cy: float32(l.cy), bend: float32(p.barrel / l.reach2)}
	row := func(i int, a, b, c float64) {
		u, v := (b-a)/span, (c-a)/span
		g.m[i], g.m[i+1], g.m[i+2] = float32(u), float32(v), float32(a-3.5*(u+v))
	}
	row(0, a.x, b.x*wb, c.x*wc)
	row(3, a.y, b.y*wb, c.y*wc)
	row(6, 1, wb, wc)
	return g
}

// rescale turns pixels of the picture into those of a plane.
func (g *grid) rescale(level int) {
	if level == 0 {
		return
	}
	f := 1 / float32(int(1)<<level)
	shift := 0.5*f - 0.5
	for i := range 6 {
		g.m[i] = g.m[i]*f + shift*g.m[6+i%3]
	}
	g.cx, g.cy, g.bend = g.cx*f+shift, g.cy*f+shift, g.bend/(f*f)
}

// at returns the pixel that shows the point (u, v) of the code, in modules; (0.5, 0.5) is the middle of the first.
func (g *grid) at(u, v float32) (x, y float32) {
	w := 1 / (g.m[6]*u + g.m[7]*v + g.m[8])
	x, y = (g.m[0]*u+g.m[1]*v+g.m[2])*w, (g.m[3]*u+g.m[4]*v+g.m[5])*w
	if g.bend == 0 {
		return x, y
	}
	// The inverse of straight, to a hundredth of a pixel for any lens worth the name.
	dx, dy := x-g.cx, y-g.cy
	k := g.bend * (dx*dx + dy*dy)
	f := 1 / (1 + k)
	f = 1 / (1 + k*f*f)
	f = 1 / (1 + k*f*f)
	return g.cx + dx*f, g.cy + dy*f
}

// sane reports whether the code lies before the camera, within a picture of w by h pixels or nearly so.
func (g *grid) sane(size, w, h int) bool {
	n := float32(size)
	for _, c := range [4][2]float32{{0, 0}, {n, 0}, {0, n}, {n, n}} {
		if d := g.m[6]*c[0] + g.m[7]*c[1] + g.m[8]; d < 0.2 || d > 5 {
			return false
		}
		x, y := g.at(c[0], c[1])
		if x < -0.1*float32(w) || y < -0.1*float32(h) || x > 1.1*float32(w) || y > 1.1*float32(h) {
			return false
		}
	}
	return true
}
