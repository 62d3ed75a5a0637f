package edit

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// screen is a row of a VT100, written from ECMA-48: what a person sees of the line that is edited.
type screen struct {
	row     []rune // of the row that the cursor is in; 0 stands right of a wide character
	at      int
	rows    []string // that were left
	columns int
	bell    int
}

func (s *screen) write(t testing.TB, out []byte) {
	t.Helper()
	text := string(out)
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		i += size
		switch {
		case r == '\r':
			s.at = 0
		case r == '\n':
			s.rows = append(s.rows, s.text())
			s.row = nil
		case r == '\b':
			s.at = max(s.at-1, 0)
		case r == '\a':
			s.bell++
		case r == 0x1b:
			i += s.sequence(t, text[i:])
		case r < ' ' || r == 0x7f || r == utf8.RuneError:
			t.Fatalf("the screen gets %q in %q", r, text)
		default:
			s.put(t, r)
		}
	}
}

func (s *screen) put(t testing.TB, r rune) {
	t.Helper()
	w := runeWidth(r)
	if w == 0 { // over the character before
		return
	}
	if s.at+w > s.columns {
		t.Fatalf("%q is written over the right margin at column %d", r, s.at)
	}
	for len(s.row) < s.at+w {
		s.row = append(s.row, ' ')
	}
	s.row[s.at] = r
	if w == 2 {
		s.row[s.at+1] = 0
	}
	s.at += w
}

func (s *screen) sequence(t testing.TB, text string) int {
	t.Helper()
	end := strings.IndexFunc(text[1:], func(r rune) bool { return r >= '@' }) + 1
	n := 1
	_, _ = fmt.Sscanf(text[1:end], "%d", &n)
	switch text[end] {
	case 'K':
		if s.at < len(s.row) {
			s.row = s.row[:s.at]
		}
	case 'D':
		s.at -= n
	case 'H':
		s.at = 0
	case 'J':
		s.row = nil
	default:
		t.Fatalf("the screen gets ESC %q", text[:end+1])
	}
	if s.at < 0 {
		t.Fatal("the cursor is left of the screen")
	}
	return end + 1
}

func (s *screen) text() string {
	return strings.TrimRight(strings.ReplaceAll(string(s.row), "\x00", ""), " ")
}

// typed edits with these keys, and returns the editor, what is seen, and the acts.
func typed(t testing.TB, columns int, keys string) (*Editor, *screen, []Act) {
	t.Helper()
	e := New()
	e.columns = columns
	s := &screen{columns: columns}
	e.Complete = func(string) []string { return []string{"reboot", "reset", "status", "straße", "support"} }
	e.Prompt("> ")
	s.write(t, e.Screen())
	var acts []Act
	for p := []byte(keys); len(p) > 0; {
		n, act := e.Feed(p)
		p = p[n:]
		s.columns = e.columns
		s.write(t, e.Screen())
		if act != None {
			acts = append(acts, act)
		}
		if act == Sized {
			e.Redraw()
			s.write(t, e.Screen())
		} else if act != None {
			e.Prompt("> ")
			s.write(t, e.Screen())
		}
	}
	return e, s, acts
}

const (
	up, down, right, left = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
	home, end, del        = "\x1b[H", "\x1b[F", "\x1b[3~"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keys string
		line string // that is entered last
		seen string // row of the cursor, before Enter
	}{
		"typed":                    {"status", "status", "> status"},
		"backspace":                {"statux\x7fs", "status", "> status"},
		"backspace of nothing":     {"\x7f\x08a", "a", "> a"},
		"in the middle":            {"sttus" + left + left + left + "a", "status", "> status"},
		"home and end":             {"tatu" + home + "s" + end + "s", "status", "> status"},
		"home and end of others":   {"b\x1b[1~a\x1b[4~c\x1bOHx\x1bOFy\x1b[7~1\x1b[8~2", "1xabcy2", "> 1xabcy2"},
		"delete":                   {"xstatus" + home + del, "status", "> status"},
		"ctrl-d in a line":         {"xstatus\x01\x04", "status", "> status"},
		"ctrl-a, b, e, f":          {"b\x01a\x05d\x02c\x06\x06e", "abcde", "> abcde"},
		"ctrl-k":                   {"status now" + left + left + left + "\x0b", "status ", "> status"},
		"ctrl-u":                   {"all of it\x15x", "x", "> x"},
		"ctrl-w":                   {"config set  key \x17value", "config set  value", "> config set  value"},
		"words":                    {"a bc d\x1bb\x1bbX\x1b[1;5CY\x1bfZ\x1b[1;5DW", "a XbcY WdZ", "> a XbcY WdZ"},
		"alt-d":                    {"a bc d\x01\x1bf\x1bd", "a d", "> a d"},
		"ctrl-l":                   {"abc\x0cd", "abcd", "> abcd"},
		"umlauts":                  {"Größe\x7f\x7fß", "Größ", "> Größ"},
		"wide":                     {"网络" + left + left + "的" + end + "x", "的网络x", "> 的网络x"},
		"combining":                {"e\u0301x\x7f", "e\u0301", "> e"},
		"half a character":         {"a\xc3b\xe7\xbdc\xffd", "abcd", "> abcd"},
		"a surrogate":              {"a\xed\xa0\x80b", "ab", "> ab"},
		"controls are no text":     {"a\x00\x02\x06\x07\x0e\x10\x13\x1c\x1fb", "ab", "> ab"},
		"C1 is no text":            {"a\u0085\u009bb", "ab", "> ab"},
		"keys that mean nothing":   {"a\x1b[15~\x1b[2~\x1bOP\x1b[5~\x1b[1;2Ab", "ab", "> ab"},
		"a sequence without end":   {"a\x1b[" + strings.Repeat("1", 100) + "b", "a" + strings.Repeat("1", 100-14) + "b", ""},
		"completed":                {"sta\t", "status ", "> status"},
		"completed to the fork":    {"re\t", "re", "> re"},
		"completed behind a word":  {"call sup\t", "call support ", "> call support"},
		"completed, umlaut":        {"stra\t", "straße ", "> straße"},
		"nothing to complete":      {"xyz\t", "xyz", "> xyz"},
		"two ways, asked twice":    {"re\t\tb\t", "reboot ", "> reboot"},
		"history":                  {"one\rtwo\rth" + up + up, "one", "> one"},
		"history and back":         {"one\rtwo\rth" + up + up + down + down, "th", "> th"},
		"history beyond its end":   {"one\r" + up + up + up, "one", "> one"},
		"history, changed":         {"one\r" + up + "x", "onex", "> onex"},
		"the same twice":           {"one\rone\rtwo\r" + up + up + up, "one", "> one"},
		"ctrl-p and n":             {"one\rtwo\r\x10\x10\x0e", "two", "> two"},
		"interrupted":              {"never\x03status", "status", "> status"},
		"line feed alone":          {"one\ntwo", "two", "> two"},
		"return and line feed":     {"one\r\ntwo", "two", "> two"},
		"cursor report in a line":  {"sta\x1b[24;80Rtus", "status", "> status"},
		"an impossible report":     {"a\x1b[0;0R\x1b[9999;1R\x1b[99999999999;2R\x1b[1R\x1b[;Rb", "ab", "> ab"},
		"left of the line":         {left + left + "a" + left + left + "b" + right + right + "c", "bac", "> bac"},
		"alt-backspace":            {"one two\x1b\x7fx", "one x", "> one x"},
		"escape, then another one": {"a\x1b\x1b[Db", "ba", "> ba"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, s, _ := typed(t, 80, c.keys)
			if got := s.text(); c.seen != "" && got != c.seen {
				t.Errorf("seen %q, want %q", got, c.seen)
			}
			if _, act := e.Feed([]byte("\r")); act != Entered || e.Line() != c.line {
				t.Errorf("got %q (%v), want %q", e.Line(), act, c.line)
			}
		})
	}
}

func TestActs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keys string
		want []Act
	}{
		"enter":           {"a\r\r\n\n", []Act{Entered, Entered, Entered}},
		"interrupt":       {"abc\x03\x03", []Act{Interrupt, Interrupt}},
		"end":             {"\x04a\x04", []Act{End}},
		"size":            {"\x1b[50;132R", []Act{Sized}},
		"too long":        {strings.Repeat("x", MaxLine+1) + "\r", []Act{TooLong}},
		"as long as can":  {strings.Repeat("x", MaxLine) + "\r", []Act{Entered}},
		"umlauts, longer": {strings.Repeat("ü", MaxLine/2+1) + "\rx\r", []Act{TooLong, Entered}},
	} {
		if _, _, got := typed(t, 80, c.keys); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// TestWidth edits lines that do not fit into the row: what is seen is the part around the cursor, in one row.
func TestWidth(t *testing.T) {
	t.Parallel()
	text := "config set streams.main.bitrate 网网网 4000000"
	for columns := MinColumns; columns < 60; columns++ {
		e, s, _ := typed(t, columns, text+strings.Repeat(left, 12)+strings.Repeat(right, 3)+"x\x7f\x01\x05")
		if len(s.rows) != 0 {
			t.Errorf("%d columns: it takes %d rows", columns, len(s.rows)+1)
		}
		if seen := strings.TrimPrefix(s.text(), "> "); !strings.Contains(text, seen) || !strings.HasSuffix(text, seen) {
			t.Errorf("%d columns: seen %q", columns, seen)
		}
		if e.Feed([]byte("\r")); e.Line() != text {
			t.Errorf("%d columns: got %q", columns, e.Line())
		}
	}
	// A paste of a long line costs no more than some rows.
	e := New()
	e.Prompt("> ")
	e.Screen()
	e.Feed([]byte(strings.Repeat("A", 400)))
	if n := len(e.Screen()); n > 2000 {
		t.Errorf("a line of 400 characters is shown by %d bytes", n)
	}
}

func TestMasked(t *testing.T) {
	t.Parallel()
	e := New()
	s := &screen{columns: 80}
	e.Masked = true
	e.Prompt("Password: ")
	e.Feed([]byte("geheimß网\t" + up + left + "\x7f"))
	s.write(t, e.Screen())
	if got := s.text(); got != "Password: *******" {
		t.Errorf("seen %q", got)
	}
	if e.Feed([]byte("\r")); e.Line() != "geheim网" {
		t.Errorf("got %q", e.Line())
	}
	e.Masked = false
	e.Feed([]byte(up + "\r"))
	if e.Line() != "" {
		t.Errorf("%q is in the history", e.Line())
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	e := New()
	e.Feed([]byte("secret\rnext"))
	e.Forget()
	if e.Feed([]byte(up + "\r")); e.Line() != "" {
		t.Errorf("got %q", e.Line())
	}
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	e := New()
	for i := range 3 * MaxHistory {
		e.Feed(fmt.Appendf(nil, "line %d\r", i))
	}
	e.Feed([]byte(strings.Repeat(up, 4*MaxHistory) + "\r"))
	if want := fmt.Sprintf("line %d", 2*MaxHistory); e.Line() != want {
		t.Errorf("the oldest is %q, want %q", e.Line(), want)
	}
}

// TestKey: between two pages a sequence is no key, and a size is heeded.
func TestKey(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"q": "q", " ": " ", "\r": "\r", "\x1b[Aq": "q", "\x1b[24;80Rx": "x", "\x1bOPx": "x", "\x1bbx": "x", "\x1b\x03": "\x03", "\x1b": "",
		"\x1b[1": "", "": "", "\x1b[" + strings.Repeat("1", 20): "1",
	} {
		e := New()
		_, key, ok := e.Key([]byte(in))
		if got := string(key); ok && got != want || !ok && want != "" {
			t.Errorf("%q: got %q, %v, want %q", in, got, ok, want)
		}
		if columns, rows := e.Size(); columns != 80 || rows != 24 {
			t.Errorf("%q: %d columns, %d rows", in, columns, rows)
		}
	}
	e := New()
	e.Key([]byte("\x1b[50;132R"))
	if columns, rows := e.Size(); columns != 132 || rows != 50 || len(e.Screen()) > 0 {
		t.Errorf("%d columns, %d rows", columns, rows)
	}
}

func TestPager(t *testing.T) {
	t.Parallel()
	p := NewPager("one\ntwo\nthree\x1b[2J\tx\nfour is longer than ten\n", 10, 3)
	var got []string
	for more := true; more; {
		var page string
		page, more = p.Page()
		got = append(got, page)
	}
	want := []string{"one\r\ntwo\r\n", "three.[2J \r\nx\r\n", "four is lo\r\nnger than \r\n", "ten\r\n"}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("got %q, want %q", got, want)
	}
	p = NewPager("a\nb\nc", 80, 2)
	if row, more := p.Row(); row != "a\r\n" || !more {
		t.Errorf("got %q, %v", row, more)
	}
	if rest := p.All(); rest != "b\r\nc\r\n" {
		t.Errorf("got %q", rest)
	}
	if page, more := NewPager("", 80, 24).Page(); page != "" || more {
		t.Errorf("an empty text: %q, %v", page, more)
	}
	if page, _ := NewPager("网网网", 5, 24).Page(); page != "网网\r\n网\r\n" {
		t.Errorf("wide characters: %q", page)
	}
}

// FuzzEditor: whatever comes, the line is bounded, the screen gets what a screen takes, and not much of it.
func FuzzEditor(f *testing.F) {
	f.Add([]byte("status\r"), uint16(80))
	f.Add([]byte("re\t\tb\t\x1b[A\x1b[1;5D\x1b[3~\x17ü网\x7f\x1b[50;20R\r\n"), uint16(20))
	f.Add([]byte("\xff\xfe\x1b[\x80\x1bO\x03\x04\xc3"), uint16(500))
	f.Fuzz(func(t *testing.T, keys []byte, columns uint16) {
		e, s, _ := typed(t, min(max(int(columns), MinColumns), MaxColumns), string(keys))
		if e.size > MaxLine || e.size != len(string(e.line)) || e.at > len(e.line) || len(e.history) > MaxHistory {
			t.Errorf("line of %d bytes (%d counted), cursor %d, history %d", len(string(e.line)), e.size, e.at, len(e.history))
		}
		if s.at > e.columns {
			t.Errorf("cursor at column %d of %d", s.at, e.columns)
		}
	})
}

func FuzzPager(f *testing.F) {
	f.Add("one\ntwo\n网\x1b[2J", uint16(20), uint16(5))
	f.Fuzz(func(t *testing.T, text string, columns, rows uint16) {
		p := NewPager(text, int(columns), int(rows))
		s := &screen{columns: max(int(columns), 2)}
		for more := true; more; {
			var page string
			page, more = p.Page()
			s.write(t, []byte(page))
		}
	})
}
