package scene

import "math"

// view maps the picture to the plane of the code.
type view struct {
	inverse [9]float64
	forward [9]float64
	cx, cy  float64
	reach   float64 // half the picture's diagonal
	barrel  float64
}

// focal is the focal length in heights of the picture: 45 degrees from its top to its bottom.
const focal = 1.2071

func newView(p Params, modules int) view {
	w, h := float64(p.Width), float64(p.Height)
	n := float64(modules)
	f := focal * h
	unit := p.Side * h / f / n // one module at distance 1
	rot, tilt, to := p.Rotate*math.Pi/180, p.Tilt*math.Pi/180, p.TiltTo*math.Pi/180
	// The code's axes after a turn in the plane, then about an axis in direction to.
	turn := func(x, y float64) (float64, float64, float64) {
		x, y = x*math.Cos(rot)-y*math.Sin(rot), x*math.Sin(rot)+y*math.Cos(rot)
		along, across := x*math.Cos(to)+y*math.Sin(to), -x*math.Sin(to)+y*math.Cos(to)
		flat, deep := across*math.Cos(tilt), across*math.Sin(tilt)
		return along*math.Cos(to) - flat*math.Sin(to), along*math.Sin(to) + flat*math.Cos(to), deep
	}
	ux, uy, uz := turn(unit, 0)
	vx, vy, vz := turn(0, unit)
	px, py := (p.X-0.5)*w/f, (p.Y-0.5)*h/f
	ox, oy, oz := px-n/2*(ux+vx), py-n/2*(uy+vy), 1-n/2*(uz+vz)
	v := view{cx: w / 2, cy: h / 2, reach: math.Hypot(w, h) / 2, barrel: p.Barrel}
	v.forward = [9]float64{
		f*ux + v.cx*uz, f*vx + v.cx*vz, f*ox + v.cx*oz,
		f*uy + v.cy*uz, f*vy + v.cy*vz, f*oy + v.cy*oz,
		uz, vz, oz,
	}
	v.inverse = invert(v.forward)
	return v
}

// plane returns the point of the code's plane that a point of the picture shows.
func (v *view) plane(x, y float64) (float64, float64) {
	dx, dy := x-v.cx, y-v.cy
	stretch := 1 + v.barrel*(dx*dx+dy*dy)/(v.reach*v.reach)
	return project(&v.inverse, v.cx+dx*stretch, v.cy+dy*stretch)
}

// Corner returns where the picture shows a point of the code's plane, in modules from its upper left corner.
func (p Params) Corner(modules int, u, w float64) (x, y float64) {
	v := newView(p, modules)
	x, y = project(&v.forward, u, w)
	return v.distort(x, y)
}

// distort finds the point that plane stretches to (x, y).
func (v *view) distort(x, y float64) (float64, float64) {
	dx, dy := x-v.cx, y-v.cy
	r := math.Hypot(dx, dy) / v.reach
	d := r
	for range 12 {
		d -= (d*(1+v.barrel*d*d) - r) / (1 + 3*v.barrel*d*d)
	}
	if r == 0 {
		return x, y
	}
	return v.cx + dx*d/r, v.cy + dy*d/r
}

// bounds returns the part of the picture in which a box of the plane lies.
func (v *view) bounds(box [4]float64, w, h int) (x0, y0, x1, y1 int) {
	lowX, lowY, highX, highY := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for i := range 4 * 9 {
		t := float64(i%9) / 8
		a, b := box[0]+t*(box[2]-box[0]), box[1]+t*(box[3]-box[1])
		edge := [4][2]float64{{a, box[1]}, {a, box[3]}, {box[0], b}, {box[2], b}}[i/9]
		x, y := project(&v.forward, edge[0], edge[1])
		x, y = v.distort(x, y)
		lowX, lowY, highX, highY = min(lowX, x), min(lowY, y), max(highX, x), max(highY, y)
	}
	clamp := func(f float64, most int) int { return int(min(max(f, 0), float64(most))) }
	return clamp(lowX-2, w), clamp(lowY-2, h), clamp(highX+3, w), clamp(highY+3, h)
}

func project(m *[9]float64, x, y float64) (float64, float64) {
	w := m[6]*x + m[7]*y + m[8]
	return (m[0]*x + m[1]*y + m[2]) / w, (m[3]*x + m[4]*y + m[5]) / w
}

func invert(m [9]float64) [9]float64 {
	a, b, c := m[4]*m[8]-m[5]*m[7], m[5]*m[6]-m[3]*m[8], m[3]*m[7]-m[4]*m[6]
	det := m[0]*a + m[1]*b + m[2]*c
	return [9]float64{
		a / det, (m[2]*m[7] - m[1]*m[8]) / det, (m[1]*m[5] - m[2]*m[4]) / det,
		b / det, (m[0]*m[8] - m[2]*m[6]) / det, (m[2]*m[3] - m[0]*m[5]) / det,
		c / det, (m[1]*m[6] - m[0]*m[7]) / det, (m[0]*m[4] - m[1]*m[3]) / det,
	}
}
