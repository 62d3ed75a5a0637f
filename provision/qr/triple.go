package qr

import (
	"cmp"
	"math"
	"slices"
)

// triple is three finder patterns that may belong to one code: upper left, upper right, lower left.
type triple struct {
	f    [3]finder
	size float64 // of the code in modules, as far as one can tell yet
	cost float64
}

// triples returns the best candidates among the finder patterns, at most most of them.
func triples(found []finder, most int) []triple {
	var out []triple
	for i := range found {
		for j := i + 1; j < len(found); j++ {
			if !alike(&found[i], &found[j]) {
				continue
			}
			for k := j + 1; k < len(found); k++ {
				if alike(&found[i], &found[k]) && alike(&found[j], &found[k]) {
					if t, ok := arrange(found[i], found[j], found[k]); ok {
						out = append(out, t)
					}
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b triple) int { return cmp.Compare(a.cost, b.cost) })
	return out[:min(len(out), most)]
}

func alike(a, b *finder) bool {
	return a.light == b.light && a.module < 1.8*b.module && b.module < 1.8*a.module
}

// arrange names the corners and judges the shape.
func arrange(a, b, c finder) (triple, bool) {
	// The longest side lies opposite of the upper left one.
	d := func(p, q finder) float64 { return math.Hypot(p.x-q.x, p.y-q.y) }
	switch ab, bc, ca := d(a, b), d(b, c), d(c, a); {
	case ab >= bc && ab >= ca:
		a, c = c, a
	case ca >= ab && ca >= bc:
		a, b = b, a
	}
	u, v := point{b.x - a.x, b.y - a.y}, point{c.x - a.x, c.y - a.y}
	turn := u.x*v.y - u.y*v.x
	if turn < 0 {
		b, c, u, v = c, b, v, u
	}
	lu, lv := u.length(), v.length()
	m := (a.module + b.module + c.module) / 3
	if lu < 10*a.module || lv < 10*a.module || lu > 2.2*lv || lv > 2.2*lu {
		return triple{}, false
	}
	sine := math.Abs(turn) / (lu * lv)
	if sine < 0.6 {
		return triple{}, false
	}
	// The area says how large the code is whatever the tilt.
	size := math.Sqrt(math.Abs(turn))/m + 7
	if size < 17 || size > 190 {
		return triple{}, false
	}
	spread := (max(a.module, b.module, c.module) - min(a.module, b.module, c.module)) / m
	cost := 2*spread + math.Abs(math.Log(lu/lv)) + 2*(1-sine) + a.misfit + b.misfit + c.misfit
	return triple{f: [3]finder{a, b, c}, size: size, cost: cost}, true
}

// pose returns the first guess: the sizes of the finder patterns tell the perspective, since an area shrinks with the
// third power of the distance.
func (t *triple) pose(size int) pose {
	p := pose{size: size, near: [2]float64{1, 1}}
	for i, f := range t.f {
		p.at[i] = point{f.x, f.y}
	}
	for i := range p.near {
		r := t.f[i+1].module / t.f[0].module
		p.near[i] = min(max(math.Pow(r, -2.0/3), 0.7), 1.4)
	}
	return p
}
