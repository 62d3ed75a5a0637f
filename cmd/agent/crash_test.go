package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/internal/blackbox"
	"github.com/ocellus/ocellus/internal/statefile"
)

// dying is what the Go runtime writes, with what it should not.
const dying = `panic: no such network "Grandma's" psk=hunter2hunter2

goroutine 1 [running]:
main.(*agent).look(0xc000123456)
	/build/cmd/agent/look.go:61 +0x1d
`

// TestCrashIsTold: what an agent died of is known to the next one, told to the owner, and lies nowhere in the clear.
func TestCrashIsTold(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := startAlone(t, state)
	owner := becomeOwner(t, r.ports.Web, r.label)
	var doc statusDocument
	code := owner.ask(t, "status", none{}, &doc)
	if code != codeOK || doc.Start.Why != blackbox.First || doc.Crashes != 0 {
		t.Fatalf("the first start: %s %+v", code, doc.Start)
	}
	if code := r.stop(); code != 0 {
		t.Fatal(code)
	}
	if _, err := os.Stat(filepath.Join(state, wordsName)); !os.IsNotExist(err) {
		t.Errorf("last words of an orderly end: %v", err)
	}
	if err := os.WriteFile(filepath.Join(state, wordsName), []byte(dying), 0o600); err != nil {
		t.Fatal(err)
	}
	r = startAlone(t, state)
	owner.door = r.ports.Web
	var told rebooted
	if code := owner.ask(t, "boots", none{}, &told); code != codeOK || len(told.Starts) != 2 || len(told.Crashes) != 1 {
		t.Fatalf("boots: %s %+v", code, told)
	}
	c := told.Crashes[0]
	if told.Starts[0].Why != blackbox.Panic || told.Starts[1].Ended != "stopped" || told.Starts[0].Board ||
		c.Build.Release != release || c.Build.Slot != "a" ||
		!slices.Equal(c.Stack, []string{"main.(*agent).look look.go:61"}) || strings.Contains(c.Text, "hunter2") || !strings.Contains(c.Text, "no such network") || len(c.Log) < 5 {
		t.Errorf("got %+v", told)
	}
	var events []struct {
		Name, Class string
		Detail      json.RawMessage
	}
	owner.ask(t, "events", none{}, &events)
	if !slices.ContainsFunc(events, func(e struct {
		Name, Class string
		Detail      json.RawMessage
	}) bool {
		return e.Name == "agent.crashed" && e.Class == "alarm" && strings.Contains(string(e.Detail), "look.go:61")
	}) {
		t.Errorf("no event: %+v", events)
	}
	if info, err := os.Stat(filepath.Join(state, wordsName)); err != nil || info.Size() != 0 {
		t.Errorf("the last words still lie open: %v", err)
	}
}

// TestCommandPanics: a panic is the failure of one command, and leaves a record.
func TestCommandPanics(t *testing.T) {
	t.Parallel()
	a, _ := newLogged()
	var err error
	a.box, a.start, _, err = blackbox.Open(statefile.Path(filepath.Join(t.TempDir(), "box")), blackbox.Facts{})
	if err != nil {
		t.Fatal(err)
	}
	table := a.guarded([]command{{"boom", access.Inspect, 1e9, func(context.Context, json.RawMessage) (any, error) {
		panic("token=abcdef")
	}}})
	if _, err := do(t.Context(), table, access.Identity{Role: access.Owner}, "boom", nil); err == nil {
		t.Error("it is no failure")
	}
	list := a.box.Crashes()
	if len(list) != 1 || list[0].Part != "command boom" || list[0].Text != "panic: token=***" || len(list[0].Stack) < 3 {
		t.Errorf("got %+v", list)
	}
}

// TestForeignLastWords: nobody lets an agent write where he wants.
func TestForeignLastWords(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	elsewhere := filepath.Join(state, "precious")
	if err := os.WriteFile(elsewhere, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(state, wordsName)); err != nil {
		t.Fatal(err)
	}
	w, err := listenForLastWords(state)
	if err == nil || w.died != "" {
		t.Errorf("a link is followed: %q, %v", w.died, err)
	}
	w.close()
}

// TestBuildID reads this very test's, and what is none.
func TestBuildID(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "tool", "buildid", self).Output()
	if err != nil {
		t.Fatal(err)
	}
	whole := strings.TrimSpace(string(out))
	if got := buildID(self); got == "" || !strings.HasSuffix(whole, "/"+got) {
		t.Errorf("got %q, go tool buildid says %q", got, whole)
	}
	for name, content := range map[string]string{"empty": "", "text": "hello",
		"cut":     "\x50\x00\x00\x00\x04\x00\x00\x00Go\x00\x00abc",
		"no size": "\x04\x00\x00\x00Go\x00\x00abc"} {
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := buildID(path); got != "" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
