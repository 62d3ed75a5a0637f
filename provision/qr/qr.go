// Package qr reads the QR codes that somebody holds before the camera: luma in, texts out. It is pure: no clock, no
// I/O, and what it costs is bounded by the size of the picture, whatever that shows.
//
// A picture goes through a cascade of looks, the cheapest first, until a text comes out:
//
//	look      finder patterns (1:1:3:1:1, both polarities, edges between pixels), at several scales and thresholds
//	triple    three of them that stand like a code's corners, with timing patterns between them
//	pose      a perspective and the barrel of the lens, from them and the alignment pattern, climbed until the modules
//	          that every code has fit best
//	equalize  a filter that is learned from those modules undoes blur, motion and bloom
//	read      codec/qrcode: soft modules, error correction with erasures
//
// What is seen but not read is told apart, so that the camera can coach: closer, darker, hold still.
package qr

import (
	"math"

	"github.com/ocellus/ocellus/codec/qrcode"
)

// Bounds of the pictures that Read takes, in pixels.
const (
	MinSide   = 64
	MaxSide   = 4096
	MaxStride = 4 * MaxSide
)

// Result is what one picture showed.
type Result struct {
	Texts []string // of the codes that were read, usually one
	Seen  bool     // a code is in view, read or not
	Hint  Hint     // for one that is seen and not read; believe it when a second picture says so
	Looks int      // how many were taken: what it cost
}

// Reader reads one picture after the other and uses its memory again. The zero Reader is ready. One goroutine at a
// time.
type Reader struct {
	// More is asked before every look but the first; false ends the picture there, and the next one goes on with the
	// look that is due. It is how a slow board keeps its pace. Nil always goes on.
	More func() bool

	planes  [3]plane
	scratch []uint32
	scan    scan
	eye     eye
	eq      equalizer
	shapes  [qrcode.MaxVersion + 1]*shape
	soft    []float32
	due     int // the look after the first that comes next
	tried   []attempt
	poses   int
	read    []finder // of the codes that were read
	result  Result
}

// look is one search for finder patterns.
type look struct {
	level int // of the plane: 0 whole, 1 half, 2 quarter size
	reach int // blocks around a pixel over which the threshold is taken: the fewer, the more it sharpens
	bias  int // of the threshold, luma steps: up for screens that glow, down for smeared ones
	step  int // rows
}

// looks are the cascade. The first is on every picture.
func looks() [6]look {
	return [...]look{
		{level: 1, reach: 2, step: 1},
		{level: 0, reach: 0, step: 1},
		{level: 0, reach: 2, step: 2},
		{level: 2, reach: 1, step: 1},
		{level: 0, reach: 2, step: 2, bias: 25},
		{level: 0, reach: 2, step: 2, bias: -25},
	}
}

// Read looks for codes in the luma of a picture of w by h pixels, stride bytes from one row to the next. A picture
// outside of the bounds, or shorter than it says, shows nothing.
func (r *Reader) Read(luma []byte, w, h, stride int) Result {
	r.result, r.poses, r.tried, r.read = Result{}, 0, r.tried[:0], r.read[:0]
	if w < MinSide || h < MinSide || w > MaxSide || h > MaxSide || stride < w || stride > MaxStride ||
		len(luma)-w < stride*(h-1) {
		return Result{}
	}
	r.prepare(luma, w, h, stride)
	all := looks()
	r.look(all[0])
	for n := 1; n < len(all) && len(r.result.Texts) == 0; n++ {
		if r.More != nil && !r.More() {
			break
		}
		r.look(all[1+r.due])
		r.due = (r.due + 1) % (len(all) - 1)
	}
	if len(r.result.Texts) > 0 {
		r.result.Hint, r.due = None, 0
	}
	r.planes[0].pix = nil // the picture was lent
	return r.result
}

func (r *Reader) prepare(luma []byte, w, h, stride int) {
	r.planes[0].pix, r.planes[0].w, r.planes[0].h, r.planes[0].stride = luma, w, h, stride
	r.planes[1].shrink(&r.planes[0])
	r.planes[2].shrink(&r.planes[1])
	c := lens{cx: float64(w) / 2, cy: float64(h) / 2}
	c.reach2 = c.cx*c.cx + c.cy*c.cy
	r.eye = eye{planes: r.planes[:], lens: c}
}

// Bounds of what is tried, whatever the picture shows.
const (
	mostTriples = 6  // a look
	mostPoses   = 24 // a picture
)

func (r *Reader) look(l look) {
	r.result.Looks++
	p := &r.planes[l.level]
	r.scratch = p.threshold(l.reach, r.scratch)
	r.scan.run(p, l.bias, l.step)
	for _, t := range triples(r.scan.found, mostTriples) {
		if r.poses >= mostPoses || r.known(&t, l.level) {
			continue
		}
		if text, ok := r.try(&t); ok {
			r.result.Texts = append(r.result.Texts, text)
			r.read = append(r.read, t.f[:]...)
		}
	}
	if !r.result.Seen {
		r.glimpse(r.scan.found)
	}
}

// attempt is a triple that was tried.
type attempt struct {
	at    point
	level int
}

// known reports whether this triple was tried before on this plane or belongs to a code that was read, and notes it.
func (r *Reader) known(t *triple, level int) bool {
	for i := range r.read {
		for j := range t.f {
			if math.Hypot(r.read[i].x-t.f[j].x, r.read[i].y-t.f[j].y) < 3*t.f[j].module {
				return true
			}
		}
	}
	a := attempt{point{t.f[1].x + t.f[2].x, t.f[1].y + t.f[2].y}, level}
	for _, o := range r.tried {
		if o.level == level && math.Abs(o.at.x-a.at.x)+math.Abs(o.at.y-a.at.y) < t.f[0].module {
			return true
		}
	}
	r.tried = append(r.tried, a)
	return false
}

// shape returns a version's, made on first use and kept.
func (r *Reader) shape(version int) *shape {
	if r.shapes[version] == nil {
		r.shapes[version] = newShape(version)
	}
	return r.shapes[version]
}

// versions returns the versions that a triple may be, by how well their timing patterns alternate, at most two.
func (r *Reader) versions(t *triple) []int {
	const least = 0.3
	type candidate struct {
		version int
		timing  float32
	}
	var best [2]candidate
	near := int(math.Round((t.size - 17) / 4))
	spread := 1 + near/10
	for v := max(near-spread, 1); v <= min(near+spread, qrcode.MaxVersion); v++ {
		p := t.pose(qrcode.Side(v))
		c := candidate{v, r.eye.timing(&p)}
		switch {
		case c.timing < least:
		case c.timing > best[0].timing:
			best[0], best[1] = c, best[0]
		case c.timing > best[1].timing:
			best[1] = c
		}
	}
	var out []int
	for _, c := range best {
		if c.version > 0 && c.timing > 0.6*best[0].timing {
			out = append(out, c.version)
		}
	}
	return out
}

// try reads the code of a triple.
func (r *Reader) try(t *triple) (string, bool) {
	r.eye.light = t.f[0].light
	r.eye.focus((t.f[0].module + t.f[1].module + t.f[2].module) / 3)
	for _, v := range r.versions(t) {
		if text, ok := r.tryVersion(t, r.shape(v)); ok {
			return text, true
		}
	}
	return "", false
}

func (r *Reader) tryVersion(t *triple, s *shape) (string, bool) {
	r.poses++
	n := s.layout.Size()
	p := r.eye.corner(t.pose(n), s)
	r.eye.climb(&p, s.marks, 0.4, 0.05)
	g := r.eye.grid(&p)
	if !g.sane(n, r.eye.at.w, r.eye.at.h) {
		return "", false
	}
	r.eq.measure(&r.eye, &g, n)
	if !r.eq.train(s.layout, nil) {
		return "", false
	}
	r.soft = append(r.soft[:0], r.eq.apply(s.layout)...)
	known := s.known(r.soft)
	if text, err := qrcode.Read(s.layout, r.soft); err == nil {
		r.result.Seen = true
		return string(text.Text), true
	}
	if known < leastKnown {
		return "", false
	}
	r.result.Seen = true
	r.result.Hint = r.eye.hint(r.eye.levels(&g, s))
	// Once more, with what is sure by now as a longer training sequence.
	if r.eq.train(s.layout, r.soft) {
		r.soft = append(r.soft[:0], r.eq.apply(s.layout)...)
	}
	text, err := qrcode.Read(s.layout, r.soft)
	return string(text.Text), err == nil
}
