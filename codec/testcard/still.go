package testcard

import "math"

// layout is where things are, in pixels.
type layout struct {
	cx, cy, r   float64 // the big circle
	orbit       float64 // radius of the moving light's way
	light       float64 // radius of the light
	clock, date pen
	clockY      float64
	dateY       float64
	ruler       box // the way of the sweeping mark
}

func newLayout(w, h int) layout {
	fw, fh := float64(w), float64(h)
	r := min(0.362*fh, 0.36*fw)
	l := layout{cx: fw / 2, cy: 0.428 * fh, r: r}
	l.orbit, l.light = r*1.06, max(r*0.042, 2)
	l.clock, l.date = pen{r * 0.17, 1}, pen{r * 0.095, 0.9}
	l.clockY, l.dateY = l.cy+0.075*r, l.cy+0.345*r
	code := barcodeBox(w, h)
	l.ruler = box{code.x0, code.y0 - fh/72 - max(fh/60, 3), code.x1, code.y0 - fh/72}.round()
	return l
}

// The card's colours. Tables, never written.
var (
	night  = rgb(0x141A22)
	grid   = rgb(0x2C3846)
	ink    = rgb(0x0B0E12)
	white  = grey(1)
	silver = rgb(0xAEB9C6)
	amber  = rgb(0xFFB224)

	// bars are the 75 % colour bars of SMPTE EG 1.
	bars = [8]colour{rgb(0xBFBFBF), rgb(0xBFBF00), rgb(0x00BFBF), rgb(0x00BF00),
		rgb(0xBF00BF), rgb(0xBF0000), rgb(0x0000BF), rgb(0x000000)}

	// lightTrail is the moving light, then its trail, darker and darker.
	lightTrail = [12]colour{rgb(0xFFC24A), rgb(0xE8A53A), rgb(0xD29533), rgb(0xBC862E), rgb(0xA7772A), rgb(0x926927),
		rgb(0x7D5B24), rgb(0x694E21), rgb(0x56411E), rgb(0x44351B), rgb(0x322917), rgb(0x221D13)}

	// swatches: skin, foliage, sky and the like, as colour checkers have them.
	swatches = [2][6]colour{
		{rgb(0x735244), rgb(0xC29682), rgb(0xD67E2C), rgb(0xE7C71F), rgb(0x9DBC40), rgb(0x576C43)},
		{rgb(0x627A9D), rgb(0x505BA6), rgb(0x0885A1), rgb(0x67BDAA), rgb(0xBB5695), rgb(0xAF363C)},
	}
)

func (c canvas) drawStill(l layout, o Options) {
	c.drawGround()
	c.drawCorners()
	c.drawSwatches()
	c.drawCircle(l, o)
	c.drawRuler(l)
	code := barcodeBox(c.w, c.h)
	c.fillBox(code.grow(float64(c.h)/120), colour{cellBlack, 128, 128})
}

// drawGround paints the night-blue ground with square fields, twelve on the height, counted from the middle.
func (c canvas) drawGround() {
	w, h := float64(c.w), float64(c.h)
	c.fillBox(box{0, 0, w, h}, night)
	pitch, line := h/12, max(math.Round(h/360), 1)
	for x := math.Mod(w/2, pitch); x < w; x += pitch {
		c.fillBox(box{x - line/2, 0, x + line/2, h}, grid)
	}
	for y := pitch; y < h-1; y += pitch {
		c.fillBox(box{0, y - line/2, w, y + line/2}, grid)
	}
	edge := max(math.Round(h/240), 1)
	outer := box{0, 0, w, h}
	for _, b := range []box{{0, 0, w, edge}, {0, h - edge, w, h}, {0, 0, edge, h}, {w - edge, 0, w, h}} {
		c.fillBox(b, silver)
	}
	c.drawArrows(outer)
}

// drawArrows marks the middle of each side of the picture: what is cut away by a player is seen at once.
func (c canvas) drawArrows(b box) {
	size := float64(c.h) / 40
	midX, midY := (b.x0+b.x1)/2, (b.y0+b.y1)/2
	left := func(x, y float64) float64 { return max(math.Abs(y-midY)-(x-b.x0), x-b.x0-size) * 0.7 }
	right := func(x, y float64) float64 { return max(math.Abs(y-midY)-(b.x1-x), b.x1-x-size) * 0.7 }
	top := func(x, y float64) float64 { return max(math.Abs(x-midX)-(y-b.y0), y-b.y0-size) * 0.7 }
	c.fill(box{b.x0, midY - size, b.x0 + size, midY + size}, left, white)
	c.fill(box{b.x1 - size, midY - size, b.x1, midY + size}, right, white)
	c.fill(box{midX - size, b.y0, midX + size, b.y0 + size}, top, white)
}

// column says where the figures beside the circle stand: how far from the picture's side, and how large.
func (c canvas) column() (x, r float64) {
	w, h := float64(c.w), float64(c.h)
	r = h * 0.115
	if w < h*1.5 {
		r = h * 0.09 // narrow pictures leave less room beside the circle
	}
	return r * 1.25, r
}

// drawCorners paints rings in the upper corners and stars of wedges in the lower ones, for geometry and sharpness.
func (c canvas) drawCorners() {
	near, r := c.column()
	low := float64(c.h)*0.78 - r
	for _, x := range []float64{near, float64(c.w) - near} {
		c.fill(square(x, near, r), disc(x, near, r), ink)
		for i := range 4 {
			radius := r * float64(4-i) / 4
			c.fill(square(x, near, r), ring(x, near, radius-r*0.04, r*0.08), silver)
		}
		c.fill(square(x, near, r/9), disc(x, near, r/9), amber)

		star := func(px, py float64) float64 {
			dx, dy := px-x, py-low
			const wedges = 18
			return math.Sin(math.Atan2(dy, dx)*wedges) * math.Hypot(dx, dy) / wedges
		}
		c.fill(square(x, low, r), disc(x, low, r), ink)
		c.fill(square(x, low, r), both(star, disc(x, low, r*0.96)), silver)
		c.fill(square(x, low, r/6), disc(x, low, r/6), ink)
	}
}

// drawSwatches paints a column of colours on each side.
func (c canvas) drawSwatches() {
	near, r := c.column()
	h := float64(c.h)
	top := near + r                // where the rings end
	bottom := h*0.78 - 2*r         // where the stars begin
	side := (bottom - top) * 0.145 // the rest is left free above and below
	for i, column := range swatches {
		x := near
		if i == 1 {
			x = float64(c.w) - x
		}
		for j, k := range column {
			y := (top+bottom)/2 + (float64(j)-3)*side
			c.fillBox(box{x - r*0.72, y + side*0.06, x + r*0.72, y + side*0.94}, k)
		}
	}
}

// drawCircle paints the disc in the middle: an eye whose iris is a classic test card.
func (c canvas) drawCircle(l layout, o Options) {
	all := square(l.cx, l.cy, l.r*1.15)
	c.fill(all, ring(l.cx, l.cy, l.orbit, l.light*2.6), ink)
	inside := disc(l.cx, l.cy, l.r)
	band := func(top, bottom, left, right float64, k colour) {
		b := box{l.cx + left*l.r, l.cy + top*l.r, l.cx + right*l.r, l.cy + bottom*l.r}.round()
		c.fill(b, both(b.shape(), inside), k)
	}
	band(-1, 1, -1, 1, ink)
	for i, k := range bars {
		band(-0.56, -0.2, -1+float64(i)/4, -0.75+float64(i)/4, k)
	}
	const steps = 11
	for i := range steps {
		band(-0.2, -0.04, -1+2*float64(i)/steps, -1+2*float64(i+1)/steps, grey(float64(i)/(steps-1)))
	}
	c.drawRamp(l, inside)
	c.drawWords(l, o)
	c.fill(all, ring(l.cx, l.cy, l.r, max(l.r*0.022, 1.5)), white)
}

// drawRamp paints the smooth grey ramp below the clock, dark to light, and the blue-to-amber one below it.
func (c canvas) drawRamp(l layout, inside shape) {
	top, bottom := math.Round(l.cy+0.525*l.r), math.Round(l.cy+0.60*l.r)
	const steps = 64
	for i := range steps {
		x0, x1 := -0.7+1.4*float64(i)/steps, -0.7+1.4*float64(i+1)/steps
		b := box{l.cx + x0*l.r, top, l.cx + x1*l.r, bottom}.round()
		c.fill(b, both(b.shape(), inside), grey(float64(i)/(steps-1)))
	}
}

func (c canvas) drawWords(l layout, o Options) {
	name := pen{l.r * 0.16, 0.9}
	c.textCentred(o.Name, l.cx, l.cy-0.81*l.r, l.r*1.05, name, white)
	if text := (pen{l.r * 0.095, 0.85}); text.size >= 5 {
		c.textCentred(o.Text, l.cx, l.cy+0.69*l.r, l.r*1.2, text, silver)
	}
}

// drawRuler paints the way of the sweeping mark, with a tick each tenth.
func (c canvas) drawRuler(l layout) {
	b := l.ruler
	c.fillBox(b, ink)
	line := max(math.Round(float64(c.h)/360), 1)
	for i := range 11 {
		x := b.x0 + (b.x1-b.x0-line)*float64(i)/10
		c.fillBox(box{x, b.y0, x + line, b.y1}, grid)
	}
}
