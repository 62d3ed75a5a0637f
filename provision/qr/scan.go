package qr

import (
	"cmp"
	"math"
	"slices"
)

// finder is a finder pattern that a plane showed, in pixels of the picture.
type finder struct {
	x, y   float64
	module float64 // side of one of its modules, the geometric mean over directions
	light  bool    // its core is light: the code is inverted
	hits   int     // rows that crossed it
	misfit float64 // how far its edges are from where they should be, in modules
}

// Bounds of what one scan keeps and tries, whatever the picture shows.
const (
	maxFinders = 256 // found in a plane
	bestOf     = 32  // of them go on
	checkShare = 64  // a row hit in so many pixels is looked at closer
	contrast   = 8   // luma steps between the dark and the light of a pattern, at least
)

// scan finds the finder patterns of one plane: rows that cross dark and light in the ratio 1:1:3:1:1, checked in other
// directions. Edges are placed between pixels, so that modules of a pixel and a half still measure right.
type scan struct {
	p      *plane
	bias   int32 // added to the threshold, 256ths
	edges  [6]float32
	n      int
	checks int
	row    []int32
	found  []finder
}

func (s *scan) run(p *plane, bias, step int) {
	s.p, s.bias, s.checks, s.found = p, int32(bias)*256, 0, s.found[:0]
	s.row = grow(s.row, p.w)
	for y := step / 2; y < p.h; y += step {
		p.thresholdRow(y, s.row)
		s.line(y)
		if s.checks > p.w*p.h/checkShare {
			break
		}
	}
	s.choose(step)
}

// choose keeps the best patterns: those that fit well and that many rows crossed.
func (s *scan) choose(step int) {
	for i := range s.found {
		f := &s.found[i]
		rows := 3 * f.module / float64(step*(int(1)<<s.p.level))
		f.misfit += 0.3 * max(0, 1-float64(f.hits)/max(rows, 1))
	}
	slices.SortFunc(s.found, func(a, b finder) int { return cmp.Compare(a.misfit, b.misfit) })
	s.found = s.found[:min(len(s.found), bestOf)]
}

// line walks along a row and looks at the last five runs at every edge.
func (s *scan) line(y int) {
	pix, row := s.p.pix[y*s.p.stride:][:s.p.w], s.row[:s.p.w]
	s.n = 0
	last := int32(pix[0])<<8 - row[0] - s.bias
	light := last > 0
	for x := 1; x < len(pix); x++ {
		d := int32(pix[x])<<8 - row[x] - s.bias
		if (d > 0) == light {
			last = d
			continue
		}
		light = d > 0
		at := float32(x) - float32(d)/float32(d-last)
		last = d
		copy(s.edges[:5], s.edges[1:])
		s.edges[5] = at
		if s.n++; s.n >= 6 {
			s.pattern(y, light)
		}
	}
}

// pattern checks the last five runs. light is what comes after them, which the core is not.
func (s *scan) pattern(y int, light bool) {
	e := &s.edges
	total := e[5] - e[0]
	if total < 7 {
		return
	}
	// From an edge to the next but one: these do not change when light bleeds into dark.
	a, b, c, d := e[2]-e[0], e[3]-e[1], e[4]-e[2], e[5]-e[3]
	m := (a + b + c + d) / 12
	slack := 0.45*m + 0.5
	if off(a-2*m) > slack || off(d-2*m) > slack || off(b-4*m) > slack || off(c-4*m) > slack {
		return
	}
	core := e[3] - e[2]
	if core < 1.4*m || core < e[2]-e[1] || core < e[4]-e[3] || core > 4.8*m {
		return
	}
	row := s.p.pix[y*s.p.stride:][:s.p.w]
	at := func(i int) int { return int(row[int(e[i]+e[i+1]+1)/2]) }
	depth := (at(1)+at(3))/2 - at(2)
	if max(depth, -depth) >= contrast {
		s.check(float64(e[2]+e[3])/2, float64(y), float64(m), !light)
	}
}

func off(v float32) float32 { return max(v, -v) }

// check looks at a row hit in other directions and keeps what is a finder pattern; light is what its core is.
func (s *scan) check(x, y, m float64, light bool) {
	scale := float64(int(1) << s.p.level)
	px, py := (x+0.5)*scale-0.5, (y+0.5)*scale-0.5
	for i := range s.found {
		f := &s.found[i]
		if f.light == light && math.Abs(f.x-px) < 1.5*f.module && math.Abs(f.y-py) < 3*f.module {
			f.hits++
			return
		}
	}
	s.checks++
	for range 2 {
		up, ok1 := s.ray(x, y, 0, -1, m, light)
		down, ok2 := s.ray(x, y, 0, 1, m, light)
		if !ok1 || !ok2 || !cross(up, down) {
			return
		}
		y += middle(up, down)
		left, ok1 := s.ray(x, y, -1, 0, m, light)
		right, ok2 := s.ray(x, y, 1, 0, m, light)
		if !ok1 || !ok2 || !cross(left, right) {
			return
		}
		x += middle(left, right)
	}
	if f, ok := s.outline(x, y, m, light); ok && len(s.found) < maxFinders {
		f.x, f.y, f.module, f.light, f.hits = (x+0.5)*scale-0.5, (y+0.5)*scale-0.5, f.module*scale, light, 1
		s.found = append(s.found, f)
	}
}

// edges3 is how far it is from the middle of a finder pattern to the end of core, ring and outline.
type edges3 [3]float64

// ray walks from (x, y) outward and returns the three edges. light is what the core is.
func (s *scan) ray(x, y, dx, dy, m float64, light bool) (e edges3, ok bool) {
	const reach = 8 // modules of m; a tilted pattern is longer in one direction than in the other
	last, want := 0, light
	n := 0
	for t := 0.0; t <= reach*m+2; t++ {
		ix, iy := int(x+t*dx+0.5), int(y+t*dy+0.5)
		if ix < 0 || iy < 0 || ix >= s.p.w || iy >= s.p.h {
			// The quiet zone may end with the picture: then so does the outline.
			if n == 2 {
				e[2] = t
				return e, true
			}
			return e, false
		}
		d := int(s.p.pix[iy*s.p.stride+ix])<<8 - s.p.around(ix, iy) - int(s.bias)
		if t == 0 {
			if (d > 0) != want {
				return e, false
			}
			last = d
			continue
		}
		if (d > 0) != want {
			e[n] = t - float64(d)/float64(d-last)
			if n++; n == 3 {
				return e, true
			}
			want = !want
		}
		last = d
	}
	return e, false
}

// cross reports whether two opposite rays go through a finder pattern.
func cross(a, b edges3) bool {
	core, ring, outline := a[0]+b[0], a[1]+b[1], a[2]+b[2]
	m := (outline + ring) / 12
	slack := 0.5*m + 0.6
	return math.Abs(core+ring-8*m) < 2*slack && math.Abs(a[1]+a[0]-4*m) < 2*slack && math.Abs(b[1]+b[0]-4*m) < 2*slack &&
		math.Abs(outline-7*m) < 1.2*slack+0.5*m && core > 1.3*m && ring > core
}

// middle returns how far the middle of the pattern is from where the rays began, toward b.
func middle(a, b edges3) float64 {
	return ((b[0] - a[0]) + (b[1] - a[1]) + (b[2] - a[2])) / 6
}

// outline looks all around, and returns size and misfit of the pattern.
func (s *scan) outline(x, y, m float64, light bool) (finder, bool) {
	const rays = 16
	outer, ring, misfit := 0.0, 0.0, 0.0
	good := 0
	for i := range rays {
		dy, dx := math.Sincos(2 * math.Pi * float64(i) / rays)
		e, ok := s.ray(x, y, dx, dy, m, light)
		if !ok {
			misfit += 0.5
			continue
		}
		good++
		outer += e[2] * e[2]
		ring += e[1] * e[1]
		// Along any ray through a square in a square the edges are as 3:5:7.
		unit := (e[1] + e[2]) / 6
		misfit += min(math.Abs(e[0]/unit-1.5)/2+math.Abs(e[1]/unit-2.5), 1)
	}
	if good < rays*3/4 {
		return finder{}, false
	}
	area := math.Pi / float64(good)
	return finder{module: (math.Sqrt(outer*area) + math.Sqrt(ring*area)) / 12, misfit: misfit / rays}, true
}
