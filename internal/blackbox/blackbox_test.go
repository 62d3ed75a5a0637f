package blackbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ocellus/ocellus/internal/statefile"
)

const died = `panic: runtime error: index out of range [3] with length 2 [recovered]

goroutine 34 [running]:
main.(*agent).look(0xc000123456, {0x6b6579, 0x3})
	/build/ocellus/cmd/agent/look.go:61 +0x1d
created by main.run in goroutine 1
	/build/ocellus/cmd/agent/run.go:85 +0x5c

goroutine 1 [select]:
main.main()
	/build/ocellus/cmd/agent/main.go:70 +0x1
`

func open(t *testing.T, path string, f Facts) (*Box, Start, *Crash) {
	t.Helper()
	b, s, c, err := Open(statefile.Path(path), f)
	if err != nil {
		t.Fatal(err)
	}
	return b, s, c
}

// TestCauses: how one start ended is why the next one began.
func TestCauses(t *testing.T) {
	t.Parallel()
	old := Build{Release: "1.4.0", Slot: "a"}
	for _, c := range []struct {
		name  string
		end   string // an orderly one
		next  Facts
		why   Cause
		text  string
		board bool
		crash bool
	}{
		{"ordered", "asked by a command", Facts{Kernel: "k2"}, Ordered, "asked by a command", true, false},
		{"ordered, and the watchdog's flag still stands", "update", Facts{Kernel: "k2", Watchdog: true}, Ordered,
			"update", true, false},
		{"stopped and started", "stopped", Facts{Kernel: "k1"}, Ordered, "stopped", false, false},
		{"panic", "", Facts{Kernel: "k1", Died: died, Init: "code 2"}, Panic,
			"panic: runtime error: index out of range [3] with length 2 [recovered]", false, true},
		{"killed", "", Facts{Kernel: "k1", Init: "signal 9"}, Killed, "signal 9", false, true},
		{"killed, and nobody saw it", "", Facts{Kernel: "k1", Watchdog: true}, Killed, "ended without a word", false, true},
		{"watchdog", "", Facts{Kernel: "k2", Watchdog: true, Init: "signal 9"}, Watchdog, "the watchdog reset", true, true},
		{"the kernel died", "", Facts{Kernel: "k2", Watchdog: true, Panicked: panicked}, Kernel,
			"Kernel panic - not syncing: Oops: Fatal exception", true, true},
		{"power", "", Facts{Kernel: "k2"}, Power, "no orderly end", true, false},
		{"no kernel's name", "", Facts{}, Power, "no orderly end", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "box")
			b, first, none := open(t, path, Facts{Kernel: "k1", Build: old})
			if first.Why != First || first.Number != 1 || none != nil {
				t.Fatalf("the first start: %+v, %v", first, none)
			}
			if c.end != "" {
				if err := b.End(c.end); err != nil {
					t.Fatal(err)
				}
			}
			c.next.Build, c.next.Log = Build{Release: "1.5.0"}, []string{"one", "two"}
			b, s, crash := open(t, path, c.next)
			if s.Why != c.why || !strings.HasPrefix(s.Text, c.text) || s.Board != c.board || s.Number != 2 {
				t.Errorf("got %+v", s)
			}
			if (crash != nil) != c.crash || len(b.Crashes()) != len(b.Starts())-1 && c.crash {
				t.Fatalf("crash: %+v, kept %+v", crash, b.Crashes())
			}
			if c.why == Kernel { // its own last lines say more
				crash.Log = c.next.Log
			}
			if crash != nil && (crash.Build != old || crash.Start != 1 || !slices.Equal(crash.Log, []string{"one", "two"})) {
				t.Errorf("got %+v, want the build that crashed, not the one that tells", crash)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "box")
	var b *Box
	for i := range 3 * maxStarts {
		b, _, _ = open(t, path, Facts{Kernel: "k", Died: strings.Replace(died, "look", fmt.Sprint("look", i), 1),
			Log: slices.Repeat([]string{strings.Repeat("ü", maxText)}, 3*maxLog)})
	}
	starts, crashes := b.Starts(), b.Crashes()
	if len(starts) != maxStarts || starts[0].Number != 3*maxStarts || len(crashes) != maxCrashes ||
		crashes[0].Number != 3*maxStarts {
		t.Errorf("%d starts, %d crashes, the newest are %d and %d", len(starts), len(crashes), starts[0].Number,
			crashes[0].Number)
	}
	if c := crashes[0]; len(c.Log) != maxLog || len(c.Log[0]) > maxText || !utf8.ValidString(c.Log[0]) {
		t.Errorf("%d lines of %d bytes", len(c.Log), len(c.Log[0]))
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 200<<10 {
		t.Errorf("%v, %v", info.Size(), err)
	}
}

// TestSameAgain: a part that dies of the same again and again is one record.
func TestSameAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "box")
	b, _, _ := open(t, path, Facts{Kernel: "k"})
	for range 9 {
		if err := b.Crashed(Crash{Part: "stream"}, "panic: nil map\n"+string(debug.Stack())); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Crashed(Crash{Part: "rtsp"}, died); err != nil {
		t.Fatal(err)
	}
	again, _, _ := open(t, path, Facts{Kernel: "k2"})
	list := again.Crashes()
	here := func(f string) bool { return strings.Contains(f, "TestSameAgain blackbox_test.go:") }
	if len(list) != 2 || list[0].Part != "rtsp" || list[1].Times != 9 || list[1].Text != "panic: nil map" ||
		!slices.ContainsFunc(list[1].Stack, here) {
		t.Errorf("got %+v", list)
	}
}

// TestDamaged: what can't be read is no reason not to remember from now on.
func TestDamaged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "box")
	if err := os.WriteFile(path, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, s, _, err := Open(statefile.Path(path), Facts{Kernel: "k"})
	if !errors.Is(err, statefile.ErrCorrupt) || s.Why != First {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, s, _ := open(t, path, Facts{Kernel: "k2"}); s.Number != 2 || s.Why != Power {
		t.Errorf("the next start: %+v", s)
	}
	_, _, _, err = Open(statefile.Path(filepath.Join(t.TempDir(), "no", "box")), Facts{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	text, stack := parse(died)
	want := []string{"main.(*agent).look look.go:61", "created by main.run run.go:85"}
	if text != "panic: runtime error: index out of range [3] with length 2 [recovered]" || !slices.Equal(stack, want) {
		t.Errorf("got %q, %q", text, stack)
	}
	if text, stack := parse("\x00\xff\n\tgoroutine"); stack != nil || !utf8.ValidString(text) {
		t.Errorf("got %q, %q", text, stack)
	}
}

// TestRealDeath reads what the runtime that we are built with writes, by dying.
func TestRealDeath(t *testing.T) {
	t.Parallel()
	if path := os.Getenv("BLACKBOX_DIE"); path != "" {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
			t.Fatal(err)
		}
		done := make(chan int)
		go dieOf(nil, done)
		<-done
	}
	path := filepath.Join(t.TempDir(), "last words")
	cmd := exec.Command(os.Args[0], "-test.run=^TestRealDeath$")
	cmd.Env = append(os.Environ(), "BLACKBOX_DIE="+path)
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Fatalf("it lives: %s", out)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, stack := parse(string(raw))
	if !strings.Contains(text, "assignment to entry in nil map") || len(stack) < 2 ||
		!strings.Contains(stack[0], "blackbox.dieOf blackbox_test.go:") {
		t.Errorf("got %q, %q\n%s", text, stack, raw)
	}
}

func dieOf(m map[string]time.Time, done chan int) {
	m["x"] = time.Now()
	close(done)
}

// panicked is what a kernel says that dies in an interrupt (arm64), as pstore keeps it.
const panicked = `Panic#2 Part1
<6>[    1.104221] vivid-000: V4L2 capture device registered as video0
<1>[   12.400101] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000
<0>[   12.400301] Internal error: Oops: 0000000096000044 [#1] SMP
<4>[   12.400401] pstate: 60000005 (nZCv daif -PAN -UAO -TCO -DIT -SSBS BTYPE=--)
<4>[   12.400402] pc : sysrq_handle_crash+0x20/0x34
<4>[   12.400403] sp : ffff80000b1bbc80
<4>[   12.400404] x29: ffff80000b1bbc80 x28: 7365637265742121 x27: 0000000000000000
<4>[   12.400405] x2 : 7365637265742121
<4>[   12.400501] Call trace:
<4>[   12.400502]  sysrq_handle_crash+0x20/0x34
<4>[   12.400503]  vfs_write+0xc8/0x2a0
<0>[   12.400504] Code: aa0003e1 d503201f 7365637265 (39000001)
<4>[   12.400601] ---[ end trace 0000000000000000 ]---
<0>[   12.400701] Kernel panic - not syncing: Oops: Fatal exception
<2>[   12.400801] SMP: stopping secondary CPUs
`

func TestParseKernel(t *testing.T) {
	t.Parallel()
	text, stack, log := parseKernel(panicked)
	if text != "Kernel panic - not syncing: Oops: Fatal exception" ||
		!slices.Equal(stack, []string{"sysrq_handle_crash+0x20/0x34", "vfs_write+0xc8/0x2a0"}) {
		t.Errorf("got %q, %q", text, stack)
	}
	all := strings.Join(log, "\n")
	for _, words := range []string{"vivid-000", "NULL pointer", "pc : sysrq_handle_crash", "SMP: stopping"} {
		if !strings.Contains(all, words) {
			t.Errorf("no %q in %q", words, log)
		}
	}
	if strings.Contains(all, "73656372") || strings.Contains(all, "x29") {
		t.Errorf("memory is told: %q", log)
	}
	for raw, want := range map[string]string{"": "", "<": "<", "<4>[": "[", "<12345>x": "<12345>x", "[a]": "", "junk\x00": "junk?"} {
		if _, _, log := parseKernel(raw); strings.Join(log, "|") != want {
			t.Errorf("%q: got %q, want %q", raw, log, want)
		}
	}
}

// FuzzParseKernel: what outlived a reset is anything; what comes out is bounded and can be shown.
func FuzzParseKernel(f *testing.F) {
	f.Add(panicked)
	f.Add("<0>[1]Kernel panic\nCall Trace:\n a+0x1/0x2\nbfa0: 00000000")
	f.Fuzz(func(t *testing.T, raw string) {
		text, stack, log := parseKernel(raw)
		if len(stack) > maxStack || len(log) > maxLog || len(text) > maxText {
			t.Fatalf("%d frames, %d lines, %d bytes", len(stack), len(log), len(text))
		}
		for _, s := range append(append(stack, text), log...) {
			if len(s) > maxText || !utf8.ValidString(s) || strings.ContainsAny(s, "\n\t\x1b") {
				t.Errorf("got %q", s)
			}
		}
	})
}

// FuzzParse: the last words of a dying program are anything; what comes out is bounded and can be shown.
func FuzzParse(f *testing.F) {
	f.Add(died)
	f.Add("fatal error: concurrent map writes\n\ngoroutine 1 [running]:\n\n\tx\n(\n\ty")
	f.Fuzz(func(t *testing.T, raw string) {
		text, stack := parse(raw)
		if len(stack) > maxStack || len(text) > maxText {
			t.Fatalf("%d frames, %d bytes", len(stack), len(text))
		}
		for _, s := range append(stack, text) {
			if len(s) > maxText || !utf8.ValidString(s) || strings.ContainsAny(s, "\n\t\x1b") {
				t.Errorf("got %q", s)
			}
		}
	})
}
