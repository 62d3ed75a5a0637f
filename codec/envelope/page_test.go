package envelope

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/pack"
)

// TestPage: the examples of docs/control.md are the golden vectors. Where one fails, it prints what belongs there.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "control.md"))
	if err != nil {
		t.Fatal(err)
	}
	outer := golden(t, "command")
	_, header, err := pack.ParseSigned(outer, MaxCommand, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"topic":   string(commandTopic()) + "\n",
		"command": lines(outer) + "\n" + fields(header, "camera", "id", "source", "issued", "expires", "counter", "body"),
		"body":    lines(golden(t, "command-body")) + "\n" + fields(parsed(t, "command-body"), "arguments"),
		"reply": lines(golden(t, "reply-plain")) + "\n" + fields(parsed(t, "reply-plain"), "camera", "id", "time", "code",
			"text", "result", "blob", "progress", "took"),
		"event": lines(golden(t, "event-plain")) + "\n" + fields(parsed(t, "event-plain"), "camera", "id", "seq", "time",
			"sure", "class", "name", "detail", "lost"),
	} {
		if !strings.Contains(string(page), "```\n"+want+"```\n") {
			t.Errorf("docs/control.md has not the %s as it is:\n```\n%s```", name, want)
		}
	}
}

func parsed(t *testing.T, name string) pack.Map {
	t.Helper()
	m, err := pack.Parse(golden(t, name), MaxMessage)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// lines is hexadecimal, 32 bytes a line.
func lines(raw []byte) string {
	var b strings.Builder
	for len(raw) > 0 {
		n := min(32, len(raw))
		b.WriteString(hex.EncodeToString(raw[:n]) + "\n")
		raw = raw[n:]
	}
	return b.String()
}

// fields names what a message holds; the first field is the version, or, of two, the operation.
func fields(m pack.Map, names ...string) string {
	first := "version"
	if len(names) == 1 {
		first = "operation"
	}
	var b strings.Builder
	for i, name := range append([]string{first}, names...) {
		value := fmt.Sprint(m[i].Value)
		if raw, ok := m[i].Value.([]byte); ok {
			if value = hex.EncodeToString(raw); name == "arguments" || name == "result" || name == "detail" {
				value = string(raw)
			}
		}
		if len(value) > 72 {
			value = fmt.Sprintf("%s... (%d bytes)", value[:32], len(value)/2)
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%2d %-10s %s", m[i].Key, name, value), " ") + "\n")
	}
	return b.String()
}
