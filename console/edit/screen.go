package edit

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// insert puts a character where the cursor is.
func (e *Editor) insert(r rune) {
	if e.size+utf8.RuneLen(r) > MaxLine {
		if !e.long {
			e.print("\a")
		}
		e.long = true
		return
	}
	e.size += utf8.RuneLen(r)
	e.line = append(e.line, 0)
	copy(e.line[e.at+1:], e.line[e.at:])
	e.line[e.at] = r
	e.at++
	if e.at == len(e.line) && e.room() > 0 {
		e.print(e.shown(r))
		return
	}
	e.draw()
}

// remove takes characters out; what lies outside of the line is not there.
func (e *Editor) remove(from, to int) {
	from, to = max(from, 0), min(to, len(e.line))
	if from >= to {
		return
	}
	atEnd := to == len(e.line) && e.at == to && from >= e.left
	for _, r := range e.line[from:to] {
		e.size -= utf8.RuneLen(r)
	}
	gone := e.width(e.line[from:to])
	e.line = append(e.line[:from], e.line[to:]...)
	if e.at > from {
		e.at = max(from, e.at-(to-from))
	}
	if atEnd && gone > 0 && e.at > e.left {
		e.print(strings.Repeat("\b", gone) + "\x1b[K")
		return
	}
	e.draw()
}

// move puts the cursor somewhere else.
func (e *Editor) move(to int) {
	to = min(max(to, 0), len(e.line))
	if to == e.at {
		return
	}
	e.at = to
	e.draw()
}

func (e *Editor) wordLeft() int {
	at := e.at
	for at > 0 && e.line[at-1] == ' ' {
		at--
	}
	for at > 0 && e.line[at-1] != ' ' {
		at--
	}
	return at
}

func (e *Editor) wordRight() int {
	at := e.at
	for at < len(e.line) && e.line[at] == ' ' {
		at++
	}
	for at < len(e.line) && e.line[at] != ' ' {
		at++
	}
	return at
}

// recall shows the line that was entered so many lines ago.
func (e *Editor) recall(past int) {
	if past < 0 || past > len(e.history) || e.Masked {
		return
	}
	if e.past == 0 {
		e.typed = string(e.line)
	}
	text := e.typed
	if past > 0 {
		text = e.history[len(e.history)-past]
	}
	typed := e.typed
	e.clear()
	e.past, e.typed = past, typed
	e.line = append(e.line, []rune(text)...)
	e.size, e.at = len(text), len(e.line)
	e.draw()
}

// complete completes the word before the cursor as far as there is one way, and lists the ways where somebody asks
// twice.
func (e *Editor) complete() {
	if e.Complete == nil || e.Masked {
		return
	}
	before := string(e.line[:e.at])
	word := before[strings.LastIndexByte(before, ' ')+1:]
	var fits []string
	for _, c := range e.Complete(before) {
		if strings.HasPrefix(c, word) {
			fits = append(fits, c)
		}
	}
	if len(fits) == 0 {
		e.print("\a")
		return
	}
	rest := common(fits)[len(word):]
	if len(fits) == 1 {
		rest += " "
	}
	if rest == "" {
		if e.tabs++; e.tabs > 1 {
			e.list(fits)
		}
		return
	}
	e.tabs = 0
	for _, r := range rest {
		e.insert(r)
	}
}

// common is what all of them begin with.
func common(words []string) string {
	prefix := words[0]
	for _, w := range words[1:] {
		for !strings.HasPrefix(w, prefix) {
			_, size := utf8.DecodeLastRuneInString(prefix)
			prefix = prefix[:len(prefix)-size]
		}
	}
	return prefix
}

// list shows words in columns below the line, and the line again.
func (e *Editor) list(words []string) {
	widest := 0
	for _, w := range words {
		widest = max(widest, Width(w))
	}
	each := max((e.columns-1)/(widest+2), 1)
	e.print("\r\n")
	for i, w := range words {
		e.print(w)
		if (i+1)%each == 0 || i+1 == len(words) {
			e.print("\r\n")
			continue
		}
		e.print(strings.Repeat(" ", widest+2-Width(w)))
	}
	e.draw()
}

// room is how many columns are free behind the text that is on the screen.
func (e *Editor) room() int {
	return e.columns - 1 - Width(e.prompt) - e.width(e.line[e.left:])
}

// draw writes the row anew: the prompt, the part of the line around the cursor, and the cursor where it belongs. A line
// that runs out of the row is scrolled by half of it, so that this happens rarely.
func (e *Editor) draw() {
	room := max(e.columns-1-Width(e.prompt), 2)
	if e.at < e.left {
		e.left = max(e.at-room/2, 0)
	}
	for e.left < e.at && e.width(e.line[e.left:e.at]) > room {
		e.left = min(e.left+max(room/2, 1), e.at)
	}
	end, columns := e.left, 0
	for end < len(e.line) && columns+e.columnsOf(e.line[end]) <= room {
		columns += e.columnsOf(e.line[end])
		end++
	}
	e.print("\r" + e.prompt)
	for _, r := range e.line[e.left:end] {
		e.print(e.shown(r))
	}
	e.print("\x1b[K")
	if back := e.width(e.line[e.at:max(end, e.at)]); back > 0 {
		e.print("\x1b[" + strconv.Itoa(back) + "D")
	}
}

// shown is a character as the screen shows it.
func (e *Editor) shown(r rune) string {
	if e.Masked {
		return "*"
	}
	return string(r)
}

func (e *Editor) width(line []rune) (columns int) {
	for _, r := range line {
		columns += e.columnsOf(r)
	}
	return columns
}

func (e *Editor) columnsOf(r rune) int {
	if e.Masked {
		return 1
	}
	return runeWidth(r)
}

// Width is how many columns a text takes on a screen.
func Width(text string) (columns int) {
	for _, r := range text {
		columns += runeWidth(r)
	}
	return columns
}

// runeWidth is 0 for what is written over the character before, 2 for what takes two columns (Unicode Standard Annex
// 11, the blocks that are wide as a whole), else 1.
func runeWidth(r rune) int {
	const joiner = 0x200d
	switch {
	case r < 0x300:
		return 1
	case r == joiner, r >= 0xfe00 && r <= 0xfe0f, unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6,
		r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
