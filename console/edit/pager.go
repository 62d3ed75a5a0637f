package edit

import "strings"

// Pager shows a text a screen at a time. NewPager is the only door.
type Pager struct {
	lines []string
	rows  int
}

// More is what a pager shows while it waits for a key.
const More = "-- more: space, Enter, q --"

// NewPager cuts a text into rows of a screen. Control characters in it are shown as dots, so that no name of a network
// or line of a log can drive the terminal.
func NewPager(text string, columns, rows int) *Pager {
	p := &Pager{rows: max(rows-1, 1)}
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return p
	}
	for line := range strings.SplitSeq(text, "\n") {
		p.lines = append(p.lines, wrap(Plain(line), max(columns, 2))...)
	}
	return p
}

// Plain replaces what would drive a terminal by dots; a tab becomes a blank.
func Plain(line string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ', r >= 0x7f && r < 0xa0, r == '\ufffd':
			return '.'
		}
		return r
	}, line)
}

func wrap(line string, columns int) (rows []string) {
	begin, width := 0, 0
	for i, r := range line {
		w := runeWidth(r)
		if width+w > columns {
			rows = append(rows, line[begin:i])
			begin, width = i, 0
		}
		width += w
	}
	return append(rows, line[begin:])
}

// Page returns the next screen of text, and whether there is more behind it.
func (p *Pager) Page() (screen string, more bool) { return p.next(p.rows) }

// Row returns the next row alone.
func (p *Pager) Row() (screen string, more bool) { return p.next(1) }

// All returns what is left.
func (p *Pager) All() string {
	screen, _ := p.next(len(p.lines))
	return screen
}

func (p *Pager) next(n int) (string, bool) {
	n = min(n, len(p.lines))
	var b strings.Builder
	for _, line := range p.lines[:n] {
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	p.lines = p.lines[n:]
	return b.String(), len(p.lines) > 0
}
