// Package testcard draws the picture of the simulated camera: a test card with a running clock, a moving element and a
// barcode of frame number and capture time, and it reads that barcode back from any picture of the card, so that a
// test which decodes pictures measures glass-to-glass latency and counts lost pictures.
//
// The card is an I420 picture (BT.601, limited range) of any even size from 160x120. What stands still is drawn once;
// Draw copies it and adds what moves. The package is pure: the clock is what the caller says it is.
package testcard

import (
	"fmt"
	"math"
	"time"
)

// The sizes that a card can have.
const (
	MinWidth, MinHeight = 160, 120
	MaxSide             = 8192
)

// Options say what a card shows.
type Options struct {
	Width, Height int            // in pixels, both even
	Name          string         // the product's name
	Text          string         // what stream this is, size and rate: "1280×720 · 25 fps"
	Location      *time.Location // of the running clock; UTC when nil
}

// Card is a test card of one size. Its methods may be called by one goroutine at a time.
type Card struct {
	w, h     int
	still    []byte
	location *time.Location
	layout   layout
	big      [len(clockRunes)]sprite
	small    [len(clockRunes)]sprite
}

// clockRunes are the characters that date and time are made of.
const clockRunes = "0123456789:.-"

// New draws what stands still.
func New(o Options) (*Card, error) {
	if o.Width < MinWidth || o.Height < MinHeight || o.Width > MaxSide || o.Height > MaxSide ||
		o.Width%2 != 0 || o.Height%2 != 0 {
		return nil, fmt.Errorf("testcard %dx%d: size must be even and within %dx%d and %dx%d",
			o.Width, o.Height, MinWidth, MinHeight, MaxSide, MaxSide)
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	c := &Card{w: o.Width, h: o.Height, location: o.Location, layout: newLayout(o.Width, o.Height)}
	c.still = make([]byte, c.Size())
	newCanvas(c.still, c.w, c.h).drawStill(c.layout, o)
	for i, r := range clockRunes {
		c.big[i], c.small[i] = c.layout.clock.sprite(r), c.layout.date.sprite(r)
	}
	return c, nil
}

// Size is the number of bytes of a picture: Width*Height*3/2.
func (c *Card) Size() int { return c.w * c.h * 3 / 2 }

// Draw fills dst, an I420 picture without padding of Size bytes, with the card as it looks at the stamp's instant.
func (c *Card) Draw(dst []byte, s Stamp) {
	dst = dst[:c.Size()]
	copy(dst, c.still)
	pic := newCanvas(dst, c.w, c.h)
	now := s.Time().In(c.location)
	c.drawClock(pic, now)
	c.drawMotion(pic, now)
	pic.drawBarcode(s)
}

func (c *Card) drawClock(pic canvas, now time.Time) {
	var buf [32]byte
	l := c.layout
	c.line(pic, &c.big, l.clock, now.AppendFormat(buf[:0], "15:04:05.000"), l.clockY)
	c.line(pic, &c.small, l.date, now.AppendFormat(buf[:0], "2006-01-02"), l.dateY)
}

// line writes a line of prepared characters around the middle of the card.
func (c *Card) line(pic canvas, font *[len(clockRunes)]sprite, p pen, text []byte, y float64) {
	width := 0.0
	for _, b := range text {
		width += p.advance(rune(b))
	}
	x := c.layout.cx - width/2
	for _, b := range text {
		for i := range clockRunes {
			if clockRunes[i] == b {
				pic.stamp(font[i], int(x+0.5), int(y+0.5), 235)
			}
		}
		x += p.advance(rune(b))
	}
}

// Periods of what moves. Both start anew together every four seconds.
const (
	orbitPeriod = 4 * time.Second
	sweepPeriod = 2 * time.Second
)

// drawMotion draws what moves evenly, so that an eye sees a lost or late picture at once: a light on the ring and a
// mark that runs along the ruler above the barcode.
func (c *Card) drawMotion(pic canvas, now time.Time) {
	l := c.layout
	turn := 2 * math.Pi * phase(now, orbitPeriod)
	for i := len(lightTrail) - 1; i >= 0; i-- {
		angle := turn - float64(i)*0.045
		size := l.light * (1 - float64(i)*0.055)
		x, y := l.cx+l.orbit*math.Sin(angle), l.cy-l.orbit*math.Cos(angle)
		pic.fill(square(x, y, size), disc(x, y, size), lightTrail[i])
	}
	x := l.ruler.x0 + (l.ruler.x1-l.ruler.x0)*phase(now, sweepPeriod)
	half := l.light / 2
	mark := box{x - half, l.ruler.y0, x + half, l.ruler.y1}
	mark.x0, mark.x1 = max(mark.x0, l.ruler.x0), min(mark.x1, l.ruler.x1)
	pic.fill(mark, mark.shape(), lightTrail[0])
}

// phase is the share of the period (0 to 1) that has gone by at the instant.
func phase(t time.Time, period time.Duration) float64 {
	whole := int64(period)
	return float64((t.UnixNano()%whole+whole)%whole) / float64(period)
}
