package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/board"
)

func TestDecodeConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text   string
		faults []string // parts of each fault, in order
		same   bool     // the defaults come out
	}{
		"empty":         {"", nil, true},
		"only comments": {"# nothing\n", nil, true},
		"empty section": {"streams:\nrtsp:\n", nil, true},
		"fine":          {"schema: 1\nboard: sim\nlog: debug\nstreams:\n  main:\n    bitrate: 3M\n", nil, false},
		"unknown key":   {"strems:\n  main:\n", []string{"line 1: strems: unknown key, perhaps streams?"}, true},
		"unknown key below": {"streams:\n  main:\n    widht: 5\n    colour: red\n",
			[]string{"line 3: streams.main.widht: unknown key, perhaps width?",
				"line 4: streams.main.colour: unknown key, there are: enabled, width"}, true},
		"wrong type": {"streams:\n  main:\n    width: wide\n    enabled: 3\n    bitrate: fast\n",
			[]string{"line 3: streams.main.width: wide: want a whole number",
				"line 4: streams.main.enabled: 3: want true or false",
				"line 5: streams.main.bitrate: "}, true},
		"wrong value": {"streams:\n  main:\n    width: 5\n  sub:\n    fps: 0\nstatus:\n  address: 0.0.0.0:80\n",
			[]string{"line 3: streams.main.width: 5: want an even", "line 5: streams.sub.fps: 0: want",
				"line 7: status.address: \"0.0.0.0:80\": want a loopback"}, true},
		"no value":          {"streams:\n  main:\n    width:\n", []string{"line 3: streams.main.width: has no value"}, true},
		"twice":             {"log: info\nlog: debug\n", []string{"line 2: log: stands here twice"}, true},
		"not a section":     {"streams: 5\n", []string{"line 1: streams: want keys with values below it"}, true},
		"list":              {"- a\n- b\n", []string{"line 1: want keys"}, true},
		"alias":             {"log: &a info\nboard: *a\n", []string{"anchors", "anchors"}, true},
		"two documents":     {"log: info\n---\nlog: info\n", []string{"more than one document"}, true},
		"not YAML":          {"a: [\n", []string{"line "}, true},
		"too big":           {strings.Repeat("#", maxConfig+1), []string{"bytes are more than"}, true},
		"unknown board":     {"board: toaster\n", []string{`line 1: board: unknown board "toaster", there are: sim`}, true},
		"schema of nothing": {"schema: 0\n", []string{"line 1: schema: 0: want 1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defaults := defaultConfig(board.Board{})
			got, warnings, err := decodeConfig("c.yaml", []byte(c.text), defaults)
			if same := reflect.DeepEqual(got, defaults); same != c.same || len(warnings) > 0 {
				t.Errorf("got defaults %v, warnings %q; want defaults %v", same, warnings, c.same)
			}
			var bad *configError
			errors.As(err, &bad)
			if bad == nil {
				bad = &configError{}
			}
			if len(bad.faults) != len(c.faults) {
				t.Fatalf("got %v, want %d faults", err, len(c.faults))
			}
			for i, f := range bad.faults {
				if !strings.Contains(f.String(), c.faults[i]) {
					t.Errorf("fault %d: got %q, want it to hold %q", i, f, c.faults[i])
				}
			}
		})
	}
}

// TestNewerConfig: whatever a newer release wrote, this one starts, and says what it did not understand.
func TestNewerConfig(t *testing.T) {
	t.Parallel()
	const text = `
schema: 7
board: from-the-future
cloud: {url: x}
streams:
  main: {width: 800, height: 600, hdr: true, gop_seconds: adaptive}
  sub: {fps: 0}
status: {address: "127.0.0.1:1"}
`
	defaults := defaultConfig(board.Board{})
	c, warnings, err := decodeConfig("c.yaml", []byte(text), defaults)
	if err != nil {
		t.Fatal(err)
	}
	if c.Status.Address != "127.0.0.1:1" || c.Streams != defaults.Streams || c.Board != "" {
		t.Errorf("got %+v; want the status of the file, the streams of the defaults (one is invalid), no board", c)
	}
	all := strings.Join(warnings, "\n")
	for _, want := range []string{"newer release", "cloud: unknown key", "hdr: unknown key", "gop_seconds",
		"sub.fps", "board"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning about %s:\n%s", want, all)
		}
	}
}

// TestDamagedConfig: what a damaged disk made of a configuration is set aside, what a person wrote is not.
func TestDamagedConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw     string
		damaged bool
	}{
		"whole": {"schema: 1\nlog: DEBUG\n", false}, "fault of a person": {"shcema: 1\n", false},
		"zeros": {string(make([]byte, 512)), true}, "other data": {"schema: 1\n\xd8\x00\x01rtsp", true},
	} {
		state := t.TempDir()
		path := filepath.Join(state, "config.yaml")
		if err := os.WriteFile(path, []byte(c.raw), 0o600); err != nil {
			t.Fatal(err)
		}
		if w := setAsideDamaged(path, state); w != "" {
			t.Errorf("%s: a file that was named is set aside: %s", name, w)
		}
		warning := setAsideDamaged("", state)
		if (warning != "") != c.damaged {
			t.Errorf("%s: got %q", name, warning)
		}
		kept := path
		if c.damaged {
			kept += ".corrupt"
		}
		if raw, err := os.ReadFile(kept); err != nil || string(raw) != c.raw {
			t.Errorf("%s: %s: got %q, %v", name, kept, raw, err)
		}
	}
}

// TestEveryKeyDocumented: each key has a row in docs/configuration.md, and each row a key.
func TestEveryKeyDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	keys := keysOf(reflect.TypeFor[Config](), "")
	var rows []string
	_, table, _ := strings.Cut(string(page), "\n## Keys\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\|").FindAllStringSubmatch(table, -1) {
		rows = append(rows, m[1])
	}
	for _, k := range keys {
		if !slices.Contains(rows, k) {
			t.Errorf("key %s has no row in docs/configuration.md", k)
		}
	}
	for _, r := range rows {
		if !slices.Contains(keys, r) {
			t.Errorf("docs/configuration.md has a row %s, which is no key", r)
		}
	}
	_, example, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	if _, warnings, err := decodeConfig("example", []byte(example), defaultConfig(board.Board{})); err != nil ||
		len(warnings) > 0 {
		t.Errorf("the example: %v %q", err, warnings)
	}
}

func keysOf(t reflect.Type, prefix string) []string {
	var keys []string
	for i := range t.NumField() {
		name := prefix + keyName(t.Field(i))
		if isSection(t.Field(i).Type) {
			keys = append(keys, keysOf(t.Field(i).Type, name+".")...)
			continue
		}
		keys = append(keys, name)
	}
	return keys
}

func TestBoardDefaults(t *testing.T) {
	t.Parallel()
	for _, b := range board.Boards() {
		c := defaultConfig(b)
		if c.Streams.Main.Width != b.Main.Width || int(c.Streams.Sub.Bitrate) != b.Sub.BitrateBPS {
			t.Errorf("%s: got %+v", b.Name, c.Streams)
		}
		if off := c.Control.Embedded == "off"; off == b.Simulated || c.Control.Broker != "off" {
			t.Errorf("%s: broker in the process %s, another one %s", b.Name, c.Control.Embedded, c.Control.Broker)
		}
		for _, s := range c.sections(c) {
			if err := s.validate(); err != nil {
				t.Errorf("%s: the defaults are wrong: %v", b.Name, err)
			}
		}
	}
}

func FuzzConfig(f *testing.F) {
	for _, s := range []string{"", "schema: 1\n", "schema: 9\nx: [1, {a: b}]\n", "streams: {main: {width: 4}}\n",
		"a: &a [*a]\n",
		"? {a: b}\n: c\n", "streams:\n  main:\n    bitrate: 1e9M\n", "log: !!binary aGk=\n", "<<: {a: b}\n"} {
		f.Add([]byte(s))
	}
	defaults := defaultConfig(board.Board{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, _, err := decodeConfig("c.yaml", raw, defaults)
		if err != nil {
			if _ = err.Error(); c != defaults {
				t.Error("faults, and not the defaults")
			}
			return
		}
		for _, s := range c.sections(defaults) {
			if err := s.validate(); err != nil {
				t.Errorf("taken, and invalid: %v", err)
			}
		}
	})
}
