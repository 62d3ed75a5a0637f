// Package qrcode is the QR symbol of ISO/IEC 18004 (model 2, versions 1 to 40) as a square of modules: Encode makes
// one from a text, Read gets the text back from modules that somebody measured, each with how sure they are.
//
// It knows nothing of pictures. provision/qr finds the modules in what a camera sees; camctl paints those that Encode
// made. Both share the tables and the layout, which is why the writer is our own: beside the reader it costs 200 lines.
package qrcode

import (
	"errors"
	"fmt"
)

// Level is how much of a symbol may be damaged: about 7, 15, 25 and 30 % of its codewords (ISO/IEC 18004 7.5.1).
type Level int

// The error correction levels.
const (
	L Level = iota
	M
	Q
	H
)

// String returns the standard's letter.
func (l Level) String() string {
	if l < L || l > H {
		return fmt.Sprintf("level %d", int(l))
	}
	return "LMQH"[l : l+1]
}

// MaxVersion is the largest version; the smallest is 1.
const MaxVersion = 40

// MaxText is more than any symbol holds (40-L, 7089 digits).
const MaxText = 7089

// QuietZone is how many light modules a writer leaves around a symbol (ISO/IEC 18004 5.3.8).
const QuietZone = 4

var (
	// ErrTooLong: no symbol within the asked versions holds the text.
	ErrTooLong = errors.New("qr code: text too long")
	// ErrDamaged: the modules hold no symbol, or one with more errors than its level mends.
	ErrDamaged = errors.New("qr code: damaged")
	// ErrMode: the symbol is whole and holds a kind of segment that nobody here writes: kanji, structured append, FNC1.
	ErrMode = errors.New("qr code: unsupported segment")
)

// Code is one symbol.
type Code struct {
	Version int
	Level   Level
	Mask    int
	size    int
	dark    []bool
}

// Size returns the side in modules, without the quiet zone.
func (c *Code) Size() int { return c.size }

// Dark reports the module of column x and row y; outside of the symbol all is light.
func (c *Code) Dark(x, y int) bool {
	return x >= 0 && y >= 0 && x < c.size && y < c.size && c.dark[y*c.size+x]
}

// Side returns the side of a version in modules.
func Side(version int) int { return 17 + 4*version }

// Encode makes the smallest symbol of this level that holds text, from version least up (0: any). The text is written
// as digits, as upper-case alphanumerics or as bytes, whichever is the tightest that takes all of it.
func Encode(text string, level Level, least int) (*Code, error) {
	if level < L || level > H || least < 0 || least > MaxVersion {
		return nil, fmt.Errorf("qr code: %v, version %d: no such symbol", level, least)
	}
	mode := tightest(text)
	for v := max(least, 1); v <= MaxVersion; v++ {
		if len(text) <= MaxText && mode.bits(v, len(text)) <= 8*dataCodewords(v, level) {
			return encode(text, mode, v, level), nil
		}
	}
	return nil, fmt.Errorf("%w: %d characters at level %v", ErrTooLong, len(text), level)
}

func encode(text string, mode mode, version int, level Level) *Code {
	words := protect(segment(text, mode, version, dataCodewords(version, level)), version, level)
	l := newLayout(version)
	best, least := (*Code)(nil), 0
	for mask := range 8 {
		c := &Code{Version: version, Level: level, Mask: mask, size: l.size, dark: make([]bool, l.size*l.size)}
		c.draw(l, words)
		if p := c.penalty(); best == nil || p < least {
			best, least = c, p
		}
	}
	return best
}

// draw fills in function patterns, format, version and the masked codewords.
func (c *Code) draw(l *Layout, words []byte) {
	for i, k := range l.kind {
		c.dark[i] = k == fixedDark
	}
	for i, bit := range formatBits(c.Level, c.Mask) {
		first, second := formatPlaces(l.size, i)
		c.dark[first], c.dark[second] = bit, bit
	}
	if c.Version >= 7 {
		for i, bit := range versionBits(c.Version) {
			first, second := versionPlaces(l.size, i)
			c.dark[first], c.dark[second] = bit, bit
		}
	}
	for i, at := range l.data {
		bit := i/8 < len(words) && words[i/8]>>(7-i%8)&1 == 1
		c.dark[at] = bit != masked(c.Mask, at%l.size, at/l.size)
	}
}
