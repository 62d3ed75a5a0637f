package blackbox

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxDied bounds what is read of the runtime's last words, in bytes.
const MaxDied = 64 << 10

// parse reads what the Go runtime writes when a program dies, or debug.Stack in the middle of a text: what it died of,
// and the functions of the first goroutine with file and line. Arguments are left out: they are memory, and nobody
// knows what of.
func parse(died string) (text string, stack []string) {
	died = died[:min(len(died), MaxDied)]
	inside := false // of the first goroutine
	var function string
	for line := range strings.Lines(died) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "goroutine "):
			if inside {
				return printable(text), stack
			}
			inside = true
		case !inside:
			if t := strings.TrimSpace(line); text == "" && t != "" {
				text = t
			}
		case line == "" && len(stack) > 0:
			return printable(text), stack
		case strings.HasPrefix(line, "\t"):
			if function != "" && len(stack) < maxStack {
				stack = append(stack, printable(function+" "+place(line)))
			}
			function = ""
		default:
			function = nameOf(line)
		}
	}
	return printable(text), stack
}

// place is file and line out of "\t/src/ocellus/cmd/agent/run.go:85 +0x1d".
func place(line string) string {
	where, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	return path.Base(where)
}

// nameOf is the function out of "main.(*agent).run(0xc000123, {0x1, 0x2})" or "created by main.run in goroutine 1".
func nameOf(line string) string {
	if made, ok := strings.CutPrefix(line, "created by "); ok {
		made, _, _ = strings.Cut(made, " ")
		return "created by " + made
	}
	if i := strings.LastIndex(line, "("); i > 0 && strings.HasSuffix(line, ")") {
		return line[:i]
	}
	return line
}

// printable is a text that can be shown anywhere, bounded.
func printable(text string) string {
	text = strings.ToValidUTF8(text, "?")
	return cut(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text))
}

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
