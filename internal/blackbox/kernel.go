package blackbox

import (
	"strings"
	"unicode"
)

// MaxPanicked is how much of a kernel's last words is looked at, in bytes.
const MaxPanicked = 16 << 10

// parseKernel reads what a kernel said when it died, as pstore keeps it (Documentation/admin-guide/ramoops.rst): lines of
// "<6>[    1.234567] text". It returns what it died of, the functions of the last call trace, and the last lines beside
// those. What registers and stack held is left out: it is memory.
func parseKernel(raw string) (text string, stack, log []string) {
	raw = raw[max(0, len(raw)-MaxPanicked):]
	tracing := false
	for line := range strings.Lines(raw) {
		said := spoken(line)
		switch {
		case said == "", isMemory(said) && !isFunction(said): // "pc : panic+0x190/0x34c" says where
			continue
		case strings.HasPrefix(said, "Kernel panic"):
			text = printable(said)
		case strings.EqualFold(said, "call trace:"):
			tracing, stack = true, nil
		case tracing && isFunction(said):
			if len(stack) < maxStack {
				stack = append(stack, printable(said))
			}
			continue
		default:
			tracing = false
		}
		log = append(log[max(0, len(log)-maxLog+1):], printable(said))
	}
	return text, stack, log
}

// spoken is a line of the kernel's log without level and time.
func spoken(line string) string {
	line = strings.TrimSpace(line)
	if rest, ok := strings.CutPrefix(line, "<"); ok {
		if level, said, ok := strings.Cut(rest, ">"); ok && len(level) <= 4 {
			line = said
		}
	}
	if rest, ok := strings.CutPrefix(line, "["); ok {
		if when, said, ok := strings.Cut(rest, "]"); ok && len(when) <= 16 {
			line = said
		}
	}
	return strings.TrimSpace(line)
}

// isMemory reports whether a line is a dump of registers, stack or code: "x29: ffff80000b...", "sp : ...", "Code: ...",
// "bfa0: 00000000 ...".
func isMemory(said string) bool {
	name, _, ok := strings.Cut(said, ":")
	name = strings.ToLower(strings.TrimSpace(name))
	switch {
	case !ok || strings.Contains(name, " "):
		return false
	case name == "code", name == "sp", name == "lr", name == "pc", name == "fp", name == "ip", name == "pstate", name == "psr":
		return true
	}
	register := strings.TrimLeft(name, "xr")
	digits := strings.TrimFunc(register, func(r rune) bool { return unicode.Is(unicode.ASCII_Hex_Digit, r) })
	return len(register) < len(name) && len(register) <= 2 && digits == "" || len(name) == 4 && digits == ""
}

// isFunction reports whether a line is a frame of a call trace: "panic+0x190/0x34c", "r8 (mod) ...".
func isFunction(said string) bool {
	return strings.Contains(said, "+0x") && strings.Contains(said, "/0x")
}
