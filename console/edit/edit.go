// Package edit is the line editor of the console, pure: bytes of a terminal in, bytes for its screen out.
//
// It knows the keys of VT100 and xterm (ECMA-48, XTerm Control Sequences), UTF-8 with wide and combining characters, a
// history and completion. A line is one row of the screen, whatever its length: what does not fit is scrolled, so that
// it works at any width and needs no answer of the terminal. What is no key of a person does nothing: noise, a wrong
// baud rate and binary data leave no trace on the screen. Nothing grows without bound.
package edit

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Bounds.
const (
	MaxLine    = 1024 // bytes of a line; what is more is dropped, and the line is refused
	MaxHistory = 50   // lines
	maxEscape  = 16   // bytes of an escape sequence
)

// The sizes of a screen that are believed; what a terminal says beyond them is noise.
const (
	MinColumns, MaxColumns = 20, 500
	MinRows, MaxRows       = 5, 300
)

// Act is what a person did beside typing.
type Act uint8

// The acts.
const (
	None      Act = iota
	Entered       // a line is there: Line
	TooLong       // a line that was longer than MaxLine: it is gone
	Interrupt     // Ctrl-C; the line is gone
	End           // Ctrl-D on an empty line
	Sized         // the terminal told the size of its screen: Size, and Redraw
)

// Editor edits lines. New is the only door; it is for one goroutine.
type Editor struct {
	// Complete returns what the last word of a text (all that stands before the cursor) may become; nil for no
	// completion. Each is a whole word.
	Complete func(before string) []string
	// Masked shows a star for each character and leaves the line out of the history: for passwords.
	Masked bool

	prompt        string
	columns, rows int
	line          []rune
	size          int // of line in bytes
	at            int // cursor, in runes
	left          int // first rune that is on the screen
	long          bool
	entered       string
	history       []string
	past          int    // how far back in the history; 0: the line that is being typed
	typed         string // that line, while the history is looked at
	partial       []byte // of a UTF-8 sequence
	escape        []byte // of an escape sequence, with its ESC
	afterCR       bool
	tabs          int
	out           []byte
}

// New makes an editor for a screen of 80 columns and 24 rows.
func New() *Editor { return &Editor{columns: 80, rows: 24} }

// Size is the screen's.
func (e *Editor) Size() (columns, rows int) { return e.columns, e.rows }

// Line is the line that was entered last.
func (e *Editor) Line() string { return e.entered }

// Screen returns what goes to the screen, and forgets it.
func (e *Editor) Screen() []byte {
	out := e.out
	e.out = nil
	return out
}

// Prompt begins a line behind a prompt.
func (e *Editor) Prompt(prompt string) {
	e.prompt = prompt
	e.clear()
	e.draw()
}

// Redraw shows prompt and line anew, where something else was written.
func (e *Editor) Redraw() { e.draw() }

// Hide clears the row, so that something else can be written; Redraw brings it back.
func (e *Editor) Hide() { e.print("\r\x1b[K") }

// Forget forgets the line and the history.
func (e *Editor) Forget() {
	clear(e.history)
	e.history, e.entered = nil, ""
	e.clear()
	e.partial, e.escape = nil, nil
}

func (e *Editor) clear() {
	clear(e.line) // it may be a password
	e.line, e.size, e.at, e.left, e.past, e.typed, e.tabs, e.long = e.line[:0], 0, 0, 0, 0, "", 0, false
}

// Feed takes bytes until a person has done something, and returns how many it took.
func (e *Editor) Feed(p []byte) (n int, act Act) {
	for _, b := range p {
		n++
		if act := e.take(b); act != None {
			return n, act
		}
	}
	return n, None
}

// Key takes bytes until a person has pressed a key outside of a line, and returns it; ok is false where there was none.
// Escape sequences are no keys here: one may be the late answer to AskSize.
func (e *Editor) Key(p []byte) (n int, key byte, ok bool) {
	for _, b := range p {
		n++
		switch size := len(e.escape); {
		case b == 0x1b:
			e.escape = append(e.escape[:0], b)
		case size == 0 || b < ' ' || b > '~':
			e.escape = e.escape[:0]
			return n, b, true
		case size == 1 && (b == '[' || b == 'O') || size > 1 && b < '@' && size < maxEscape:
			e.escape = append(e.escape, b)
		default:
			if b == 'R' && size > 1 {
				e.sized(string(e.escape[2:]))
			}
			e.escape = e.escape[:0]
		}
	}
	return n, 0, false
}

// take takes one byte.
func (e *Editor) take(b byte) Act {
	const esc = 0x1b
	afterCR := e.afterCR
	e.afterCR = false
	switch {
	case b == esc:
		e.escape, e.partial = append(e.escape[:0], b), nil
		return None
	case len(e.escape) > 0 && b >= ' ' && b <= '~', len(e.escape) == 1 && (b == 0x7f || b == '\b'):
		return e.sequence(b)
	case b == '\n' && afterCR: // the second half of a line's end
		return None
	case b >= utf8.RuneSelf:
		e.escape = e.escape[:0]
		e.multibyte(b)
		return None
	}
	e.escape, e.partial = e.escape[:0], nil
	if b < ' ' || b == 0x7f {
		return e.control(b)
	}
	e.tabs = 0
	e.insert(rune(b))
	return None
}

// multibyte collects a UTF-8 sequence; what is none is noise.
func (e *Editor) multibyte(b byte) {
	if utf8.RuneStart(b) {
		e.partial = e.partial[:0]
	}
	e.partial = append(e.partial, b)
	if !utf8.FullRune(e.partial) {
		return
	}
	r, size := utf8.DecodeRune(e.partial)
	whole := size == len(e.partial)
	e.partial = e.partial[:0]
	if whole && r != utf8.RuneError && unicode.IsGraphic(r) || whole && r == 0x200d {
		e.insert(r)
	}
}

// control does what a control character asks for (ISO 646; the keys are those of readline(3)).
func (e *Editor) control(b byte) Act {
	if b != '\t' {
		e.tabs = 0
	}
	switch b {
	case '\r', '\n':
		e.afterCR = b == '\r'
		return e.enter()
	case 3:
		return e.interrupt()
	case 4:
		if len(e.line) == 0 {
			return End
		}
		e.remove(e.at, e.at+1)
	case 1:
		e.move(0)
	case 2:
		e.move(e.at - 1)
	case 5:
		e.move(len(e.line))
	case 6:
		e.move(e.at + 1)
	case 8, 0x7f:
		e.remove(e.at-1, e.at)
	case '\t':
		e.complete()
	case 11:
		e.remove(e.at, len(e.line))
	case 12:
		e.print("\x1b[H\x1b[2J")
		e.draw()
	case 14:
		e.recall(e.past - 1)
	case 16:
		e.recall(e.past + 1)
	case 21:
		e.remove(0, e.at)
	case 23:
		e.remove(e.wordLeft(), e.at)
	}
	return None
}

func (e *Editor) enter() Act {
	e.print("\r\n")
	if e.long {
		e.clear()
		return TooLong
	}
	e.entered = string(e.line)
	if !e.Masked && e.entered != "" {
		e.remember(e.entered)
	}
	e.clear()
	return Entered
}

func (e *Editor) interrupt() Act {
	e.print("^C\r\n")
	e.clear()
	return Interrupt
}

func (e *Editor) remember(line string) {
	if n := len(e.history); n > 0 && e.history[n-1] == line {
		return
	}
	if len(e.history) == MaxHistory {
		copy(e.history, e.history[1:])
		e.history = e.history[:MaxHistory-1]
	}
	e.history = append(e.history, line)
}

// sequence takes a byte of an escape sequence, and does what it asks for once it is whole (ECMA-48 5.4, and the two
// letters of an Alt key and of the application's cursor keys).
func (e *Editor) sequence(b byte) Act {
	e.escape = append(e.escape, b)
	n := len(e.escape)
	switch {
	case n == 2 && (b == '[' || b == 'O'):
		return None
	case n == 2:
		e.escape = e.escape[:0]
		e.alt(b)
		return None
	case b < '@' && n < maxEscape:
		return None
	}
	parameters := string(e.escape[2 : n-1])
	e.escape = e.escape[:0]
	if n == maxEscape && b < '@' {
		return None
	}
	return e.key(b, parameters)
}

// alt is a key with Alt.
func (e *Editor) alt(b byte) {
	switch b {
	case 'b':
		e.move(e.wordLeft())
	case 'f':
		e.move(e.wordRight())
	case 'd':
		e.remove(e.at, e.wordRight())
	case 0x7f, 8:
		e.remove(e.wordLeft(), e.at)
	}
}

// key does what a function key asks for, by the last byte of its sequence.
func (e *Editor) key(last byte, parameters string) Act {
	e.tabs = 0
	byWord := parameters == "1;5" || parameters == "1;3" // with Ctrl, with Alt
	switch last {
	case 'A':
		e.recall(e.past + 1)
	case 'B':
		e.recall(e.past - 1)
	case 'C':
		if byWord {
			e.move(e.wordRight())
		} else {
			e.move(e.at + 1)
		}
	case 'D':
		if byWord {
			e.move(e.wordLeft())
		} else {
			e.move(e.at - 1)
		}
	case 'H':
		e.move(0)
	case 'F':
		e.move(len(e.line))
	case '~':
		e.tilde(parameters)
	case 'R':
		return e.sized(parameters)
	}
	return None
}

// tilde is a key of the block above the cursor keys.
func (e *Editor) tilde(parameters string) {
	switch parameters {
	case "1", "7":
		e.move(0)
	case "4", "8":
		e.move(len(e.line))
	case "3":
		e.remove(e.at, e.at+1)
	}
}

// AskSize asks the terminal how large its screen is: the cursor goes to a far corner, the terminal tells where it ended
// (CPR, ECMA-48 8.3.14), and it goes back.
const AskSize = "\x1b7\x1b[999;999H\x1b[6n\x1b8"

// sized takes the answer to AskSize.
func (e *Editor) sized(parameters string) Act {
	for i := range len(parameters) {
		if parameters[i] != ';' {
			continue
		}
		rows, err1 := strconv.Atoi(parameters[:i])
		columns, err2 := strconv.Atoi(parameters[i+1:])
		if err1 != nil || err2 != nil || rows < MinRows || rows > MaxRows || columns < MinColumns || columns > MaxColumns {
			return None
		}
		e.columns, e.rows = columns, rows
		return Sized
	}
	return None
}

func (e *Editor) print(text string) { e.out = append(e.out, text...) }
