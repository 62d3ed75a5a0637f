package testcard

import "math"

// The letters are strokes on a grid of 4 by 6 units: each pair of digits is a point (x, y), pairs in one word are
// joined, a word is one stroke of the pen. Drawn with a round pen they are legible at any size.
const glyphWide, glyphTall = 4, 6

// strokes returns the pen's way for a character, "" for one that the font lacks. Small letters are drawn as capitals.
func strokes(r rune) string {
	if r >= 'a' && r <= 'z' {
		r -= 'a' - 'A'
	}
	switch {
	case r >= '0' && r <= '9':
		return digits[r-'0']
	case r >= 'A' && r <= 'Z':
		return letters[r-'A']
	}
	switch r {
	case ':':
		return "2121 2525"
	case '.':
		return "2626"
	case ',':
		return "2617"
	case '·':
		return "2323"
	case '-':
		return "1333"
	case '+':
		return "2125 0343"
	case '/':
		return "4006"
	case '_':
		return "0646"
	case '×':
		return "0145 4105"
	case '(':
		return "30212536"
	case ')':
		return "10212516"
	}
	return ""
}

// digits and letters are tables, never written.
var digits = [10]string{
	"103041453616050110", "112026 1636", "01103041420646", "0110304142334445361605 1333", "36300444",
	"400003334445361605", "413010010516364544331304", "0040412426", "103041423313020110 3344453616050413",
	"051636454130100102133342",
}

var letters = [26]string{
	"0602204246 0444", "00304142334445360600 0333", "4130100105163645", "00304145360600", "40000646 0333",
	"400006 0333", "41301001051636454323", "0006 4046 0343", "2026 1030 1636", "4045361605",
	"0006 400346", "000646", "0600234046", "06004640", "103041453616050110",
	"06003041423303", "103041453616050110 2446", "06003041423303 2346", "413010010213334445361605", "0040 2026",
	"000516364540", "002640", "0006244640", "0046 4006", "002340 2326",
	"00400646",
}

// pen says how text is written: cap height in pixels; weight is the width of a stroke in units of the grid.
type pen struct{ size, weight float64 }

func (p pen) unit() float64 { return p.size / glyphTall }

// advance is the way from one character to the next. Digits all have the same, so that a running clock stands still.
func (p pen) advance(r rune) float64 {
	switch r {
	case '.', ':', ',', '·':
		return 3 * p.unit()
	case ' ':
		return 4 * p.unit()
	}
	return (glyphWide + 1.7) * p.unit()
}

func (p pen) width(s string) float64 {
	w := 0.0
	for _, r := range s {
		w += p.advance(r)
	}
	return w - (1.7-p.weight)*p.unit()
}

// glyph returns the shape of a character whose grid starts at (x, y).
func (p pen) glyph(r rune, x, y float64) shape {
	type segment struct{ x0, y0, x1, y1 float64 }
	u := p.unit()
	if p.advance(r) == 3*u {
		x -= 1.5 * u // narrow characters stand in the middle of their grid
	}
	var segments []segment
	way := strokes(r)
	for i := 0; i+3 < len(way); i += 2 {
		if way[i+2] == ' ' {
			i++ // to the first point of the next stroke, less the step of the loop
			continue
		}
		at := func(j int) float64 { return float64(way[i+j]-'0') * u }
		segments = append(segments, segment{x + at(0), y + at(1), x + at(2), y + at(3)})
	}
	half := p.weight * u / 2
	return func(px, py float64) float64 {
		least := math.Inf(1)
		for _, s := range segments {
			dx, dy := s.x1-s.x0, s.y1-s.y0
			along := 0.0
			if length := dx*dx + dy*dy; length > 0 {
				along = min(max(((px-s.x0)*dx+(py-s.y0)*dy)/length, 0), 1)
			}
			ex, ey := px-s.x0-along*dx, py-s.y0-along*dy
			least = min(least, ex*ex+ey*ey)
		}
		return math.Sqrt(least) - half
	}
}

// text writes a line whose grid starts at (x, y).
func (c canvas) text(s string, x, y float64, p pen, k colour) {
	for _, r := range s {
		in := box{x, y, x + glyphWide*p.unit(), y + p.size}
		c.fill(in.grow(2*p.unit()), p.glyph(r, x, y), k)
		x += p.advance(r)
	}
}

// textCentred writes a line around x = cx, made smaller where it would be wider than room.
func (c canvas) textCentred(s string, cx, y, room float64, p pen, k colour) {
	if w := p.width(s); w > room {
		shrunk := pen{p.size * room / w, p.weight}
		y += (p.size - shrunk.size) / 2
		p = shrunk
	}
	c.text(s, cx-p.width(s)/2+p.weight*p.unit()/2, y, p, k)
}

// sprite is a character drawn beforehand: shares (0 to 255) of the ink over its box.
type sprite struct {
	w, h  int
	share []uint8
}

func (p pen) sprite(r rune) sprite {
	margin := p.weight * p.unit() / 2
	w, h := int(math.Ceil(p.advance(r)+2*margin)), int(math.Ceil(p.size+2*margin))+1
	s := sprite{w, h, make([]uint8, w*h)}
	g := p.glyph(r, margin, margin)
	for i := range s.share {
		share, _ := coverage(g(float64(i%w)+0.5, float64(i/w)+0.5))
		s.share[i] = uint8(min(share, 255))
	}
	return s
}

// stamp writes a sprite into the luma plane alone: white or grey ink on a grey ground.
func (c canvas) stamp(s sprite, x, y int, ink uint8) {
	if x < 0 || y < 0 || x+s.w > c.w || y+s.h > c.h {
		return
	}
	for row := range s.h {
		dst, share := c.y[(y+row)*c.w+x:][:s.w], s.share[row*s.w:][:s.w]
		for i, a := range share {
			if a != 0 {
				dst[i] = mix(dst[i], ink, int(a)+1)
			}
		}
	}
}
