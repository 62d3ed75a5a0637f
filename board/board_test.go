package board

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/gpio"
)

func TestBoards(t *testing.T) {
	t.Parallel()
	names, compatible := map[string]bool{}, map[string]string{}
	for _, b := range Boards() {
		if names[b.Name] || !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(b.Name) {
			t.Errorf("%q: name is used twice or is not lower case", b.Name)
		}
		names[b.Name] = true
		for _, c := range b.Compatible {
			if other, ok := compatible[c]; ok {
				t.Errorf("%s and %s: both %q", b.Name, other, c)
			}
			compatible[c] = b.Name
		}
		for _, s := range []Stream{b.Main, b.Sub} {
			if s.Width < 16 || s.Height < 16 || s.Width%2 != 0 || s.Height%2 != 0 || s.FPS < 1 || s.BitrateBPS < 64_000 {
				t.Errorf("%s: stream %+v", b.Name, s)
			}
		}
		if b.Title == "" || b.MemoryPercent < 10 || b.MemoryPercent > 80 {
			t.Errorf("%s: title %q, memory %d %%", b.Name, b.Title, b.MemoryPercent)
		}
		if got, err := Named(b.Name); err != nil || got.Title != b.Title {
			t.Errorf("%s: got %+v, %v", b.Name, got, err)
		}
	}
	if _, err := Named("toaster"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "rpi4") {
		t.Errorf("got %v, want an error that lists the boards", err)
	}
}

// TestLinesHaveSources: every value of a board file names where it comes from.
func TestLinesHaveSources(t *testing.T) {
	t.Parallel()
	value := regexp.MustCompile(`^\s*("[^"]{1,40}",|Compatible: +\[\]string\{"|(Main|Sub|MemoryPercent): )`)
	for _, name := range []string{"sim", "generic", "qemuvirt", "rpizero2w", "rpi4", "dragonboard410c"} {
		src, err := os.ReadFile(name + ".go")
		if err != nil {
			t.Fatal(err)
		}
		before := ""
		for line := range strings.Lines(string(src)) {
			if value.MatchString(line) && !strings.Contains(line, "// ") && !strings.HasPrefix(before, "//") {
				t.Errorf("%s.go: no source on %s", name, strings.TrimSpace(line))
			}
			before = strings.TrimSpace(line)
		}
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tree string
		dev  string
		want string
	}{
		"device tree":               {"raspberrypi,4-model-b\x00brcm,bcm2711\x00", "", "rpi4"},
		"second string":             {"acme,camera\x00qcom,apq8016-sbc\x00", "video0", "dragonboard-410c"},
		"virtual":                   {"linux,dummy-virt\x00", "", "qemu-virt"},
		"unknown tree, with camera": {"acme,toaster\x00", "video3", "generic"},
		"no tree, with camera":      {"", "video0", "generic"},
		"unknown tree, no camera":   {"acme,toaster\x00", "", ""},
		"nothing":                   {"", "", ""},
	} {
		root := t.TempDir()
		write := func(path, content string) {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c.tree != "" {
			write("proc/device-tree/compatible", c.tree)
		}
		if c.dev != "" {
			write("dev/"+c.dev, "")
		}
		got, err := Detect(root)
		if got.Name != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: got %q, %v; want %q", name, got.Name, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), "--board sim") {
			t.Errorf("%s: got %v, want it to say what to do", name, err)
		}
	}
}

// TestGadgetsAreOptional: what the board's data name and the machine has not is left aside.
func TestGadgetsAreOptional(t *testing.T) {
	t.Parallel()
	nowhere := &gpio.Line{Chip: "no such chip", Offset: 1}
	b := Board{Watchdog: filepath.Join(t.TempDir(), "watchdog0"), LED: nowhere, Button: nowhere}
	var d hal.Devices
	openGadgets(&d, b, slog.New(slog.DiscardHandler))
	if d.Watchdog != nil || d.LED != nil || d.Button != nil {
		t.Errorf("got %+v, want none", d)
	}
	if err := os.WriteFile(b.Watchdog, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	openGadgets(&d, b, slog.New(slog.DiscardHandler))
	if d.Watchdog == nil {
		t.Error("the watchdog is there, and not opened")
	}
}
