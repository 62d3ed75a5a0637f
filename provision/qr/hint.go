package qr

// Hint is what would help to read a code that was seen.
type Hint int

// The hints.
const (
	None   Hint = iota // no code in view, or it was read
	Closer             // its modules are too small
	Darker             // the screen glows: its light runs into its dark
	Still              // blurred or smeared
)

// String returns a word for logs and lamps.
func (h Hint) String() string {
	return [...]string{"none", "closer", "darker", "still"}[min(max(h, None), Still)]
}

// leastKnown is the share of the modules that every symbol of a version has which must be right for a code to be there.
// The filter that was learned from them makes three in four of them right in a picture of anything.
const leastKnown = 0.9

// known returns how many of those modules are right, as a share.
func (s *shape) known(soft []float32) float32 {
	n := s.layout.Size()
	right, all := 0, 0
	for y := range n {
		for x := range n {
			fixed, dark := s.layout.Fixed(x, y)
			if !fixed {
				continue
			}
			all++
			if soft[y*n+x] > 0 == dark {
				right++
			}
		}
	}
	return float32(right) / float32(all)
}

// hint says why a code whose modules stand out this clearly was not read: light and dark are their luma.
func (e *eye) hint(light, dark float32) Hint {
	const small, bright, glow = 2.5, 220, 70
	switch {
	case light >= bright && dark > glow:
		return Darker
	case e.module < small:
		return Closer
	}
	return Still
}

// levels returns the luma of the light and dark modules that every symbol has.
func (e *eye) levels(g *grid, s *shape) (light, dark float32) {
	for _, k := range s.marks {
		x, y := g.at(k.u, k.v)
		if v := e.at.sample(x, y); k.weight > 0 {
			light += k.weight * v
		} else {
			dark -= k.weight * v
		}
	}
	if e.light {
		light, dark = dark, light
	}
	return light, dark
}

// glimpse looks for two finder patterns of one size, good ones: a code of which the rest is lost in blur or glow.
func (r *Reader) glimpse(found []finder) {
	const good = 0.38 // misfit; a hundred rooms without a code had none of two below 0.4
	for i := range found {
		for j := range i {
			a, b := &found[i], &found[j]
			if max(a.misfit, b.misfit) > good || !alike(a, b) || a.module > 1.25*b.module || b.module > 1.25*a.module {
				continue
			}
			r.eye.focus(a.module)
			scale := 1 / float32(int(1)<<r.eye.at.level)
			at := func(modules float64) float32 {
				return r.eye.at.sample((float32(a.x+modules*a.module)+0.5)*scale-0.5, (float32(a.y)+0.5)*scale-0.5)
			}
			light, dark := max(at(2), at(-2)), min(at(0.5), at(-0.5))
			if a.light {
				light, dark = max(at(0.5), at(-0.5)), min(at(2), at(-2))
			}
			r.result.Seen, r.result.Hint = true, r.eye.hint(light, dark)
			return
		}
	}
}
