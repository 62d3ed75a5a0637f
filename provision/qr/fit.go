package qr

import (
	"math"

	"github.com/ocellus/ocellus/codec/qrcode"
)

// mark is a module that every symbol of a version has, with the weight that it has in a fit: above 0 for light.
type mark struct{ u, v, weight float32 }

// shape is a version's layout and the modules by which a pose of it is judged.
type shape struct {
	layout *qrcode.Layout
	marks  []mark
}

// newShape picks the marks: timing and alignment patterns, and of the finder patterns every other module, which is
// where an edge is never far.
func newShape(version int) *shape {
	s := &shape{layout: qrcode.NewLayout(version)}
	n := s.layout.Size()
	light, dark := 0, 0
	for y := range n {
		for x := range n {
			fixed, isDark := s.layout.Fixed(x, y)
			corner := (x < 8 || x >= n-8) && (y < 8 || y >= n-8)
			if !fixed || corner && (x+y)%2 == 0 {
				continue
			}
			m := mark{float32(x) + 0.5, float32(y) + 0.5, 1}
			if isDark {
				m.weight = -1
				dark++
			} else {
				light++
			}
			s.marks = append(s.marks, m)
		}
	}
	for i := range s.marks {
		if s.marks[i].weight > 0 {
			s.marks[i].weight /= float32(light)
		} else {
			s.marks[i].weight /= float32(dark)
		}
	}
	return s
}

// eye is what a fit looks with.
type eye struct {
	planes []plane
	lens   lens
	light  bool // the code is inverted
	at     *plane
	module float64 // pixels of the picture
}

// focus picks the scale at which a module is two to five pixels.
func (e *eye) focus(module float64) {
	i, m := 0, module
	for ; i+1 < len(e.planes) && m >= 5; i++ {
		m /= 2
	}
	e.at, e.module = &e.planes[i], module
}

// grid works a pose out in pixels of the plane in focus.
func (e *eye) grid(p *pose) grid {
	g := p.grid(e.lens)
	g.rescale(e.at.level)
	return g
}

// fit says how much lighter the light modules are than the dark ones, in luma steps.
func (e *eye) fit(g *grid, marks []mark) float32 {
	sum := float32(0)
	for i := range marks {
		m := &marks[i]
		x, y := g.at(m.u, m.v)
		sum += m.weight * e.at.sample(x, y)
	}
	if e.light {
		return -sum
	}
	return sum
}

// climb moves the pose until it fits best, in steps from first down to last modules.
func (e *eye) climb(p *pose, marks []mark, first, last float64) float32 {
	g := e.grid(p)
	best := e.fit(&g, marks)
	try := func(v *float64, step float64) bool {
		old := *v
		for _, s := range [2]float64{step, -step} {
			*v = old + s
			g := e.grid(p)
			if f := e.fit(&g, marks); f > best {
				best = f
				return true
			}
		}
		*v = old
		return false
	}
	for step := first; step >= last; step /= 2 {
		for range 3 {
			moved := false
			for i := range p.at {
				moved = try(&p.at[i].x, step*e.module) || moved
				moved = try(&p.at[i].y, step*e.module) || moved
			}
			// A change of one step moves the far corner by about as much.
			for i := range p.near {
				moved = try(&p.near[i], 2*step/float64(p.size)) || moved
			}
			if step < 0.3 {
				moved = try(&p.barrel, 0.1*step) || moved
			}
			if !moved {
				break
			}
		}
	}
	return best
}

// timing says how well the timing patterns of a pose alternate: 1 is perfectly, 0 not at all. They lie between finder
// patterns, so they tell the version before anything else does.
func (e *eye) timing(p *pose) float32 {
	g := e.grid(p)
	worst := float32(1)
	for side := range 2 {
		best := float32(0)
		for off := float32(-0.5); off <= 0.5; off += 0.5 {
			best = max(best, e.alternates(&g, p.size, 6.5+off, side == 1))
		}
		worst = min(worst, best)
	}
	return worst
}

// alternates correlates one line of modules with dark and light in turn.
func (e *eye) alternates(g *grid, size int, across float32, down bool) float32 {
	var sum, last, contrast float32
	n := 0
	for i := 7; i < size-7; i++ {
		u, v := float32(i)+0.5, across
		if down {
			u, v = v, u
		}
		x, y := g.at(u, v)
		s := e.at.sample(x, y)
		if i > 7 {
			d := s - last
			if i%2 == 0 != e.light { // from light to dark
				d = -d
			}
			sum += d
			contrast += max(d, -d)
		}
		last = s
		n++
	}
	if contrast < float32(4*n) {
		contrast = float32(4 * n)
	}
	return sum / contrast
}

// peak is a place where an alignment pattern may be, in modules from where it was expected.
type peak struct{ dx, dy, fit float32 }

// corner looks for the alignment pattern nearest to the corner without a finder pattern, and sets the perspective by
// it.
// It returns the pose that fits best, the first guess or one of the candidates.
func (e *eye) corner(first pose, s *shape) pose {
	g := e.grid(&first)
	best, top := first, e.fit(&g, s.marks)
	aligned := s.layout.Alignments()
	if len(aligned) == 0 {
		return best
	}
	c := float32(aligned[len(aligned)-1]) + 0.5
	for _, k := range e.peaks(&g, c, 1.5+0.06*float32(first.size)) {
		if k.fit <= 0 {
			continue
		}
		p := first
		x, y := g.at(c+k.dx, c+k.dy)
		if !p.through(e.full(x, y), float64(c), e.lens) {
			continue
		}
		h := e.grid(&p)
		if f := e.fit(&h, s.marks); f > top {
			best, top = p, f
		}
	}
	return best
}

// full returns a point of the plane in focus as one of the picture.
func (e *eye) full(x, y float32) point {
	scale := float64(int(1) << e.at.level)
	return point{(float64(x)+0.5)*scale - 0.5, (float64(y)+0.5)*scale - 0.5}
}

// peaks returns the best places for an alignment pattern within reach modules of (c, c).
func (e *eye) peaks(g *grid, c, reach float32) [3]peak {
	var best [3]peak
	for dy := -reach; dy <= reach; dy += 0.5 {
		for dx := -reach; dx <= reach; dx += 0.5 {
			k := peak{dx, dy, e.alignment(g, c+dx, c+dy)}
			for i := range best {
				near := off(best[i].dx-dx) < 1.2 && off(best[i].dy-dy) < 1.2
				if k.fit > best[i].fit {
					if !near {
						copy(best[i+1:], best[i:len(best)-1])
					}
					best[i] = k
					break
				}
				if near {
					break
				}
			}
		}
	}
	return best
}

// alignment says how much the surroundings of (u, v) look like an alignment pattern.
func (e *eye) alignment(g *grid, u, v float32) float32 {
	at := func(dx, dy float32) float32 {
		x, y := g.at(u+dx, v+dy)
		return e.at.sample(x, y)
	}
	middle := at(0, 0)
	ring := at(-1, 0) + at(1, 0) + at(0, -1) + at(0, 1)
	outer := at(-2, 0) + at(2, 0) + at(0, -2) + at(0, 2)
	f := ring/4 - middle
	if o := (ring - outer) / 4; e.light == (o > f) { // both must hold, for either polarity
		f = o
	}
	if e.light {
		return -f
	}
	return f
}

// through sets the perspective so that the point (c, c) of the code falls on q.
func (p *pose) through(q point, c float64, l lens) bool {
	// (A (1-s-t) + B wb s + C wc t) = q (...), s = t = (c-3.5)/span: two linear equations for wb and wc.
	s := (c - 3.5) / float64(p.size-7)
	q = l.straight(q, p.barrel)
	a := l.straight(p.at[0], p.barrel).minus(q)
	b, d := l.straight(p.at[1], p.barrel).minus(q), l.straight(p.at[2], p.barrel).minus(q)
	det := (b.x*d.y - b.y*d.x) * s
	if math.Abs(det) < 1 {
		return false
	}
	k := 2*s - 1
	wb, wc := k*(a.x*d.y-a.y*d.x)/det, k*(b.x*a.y-b.y*a.x)/det
	if min(wb, wc) < 0.4 || max(wb, wc) > 2.5 {
		return false
	}
	p.near = [2]float64{wb, wc}
	return true
}
