package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/internal/statefile"
)

// TestMain fails the run when a test left a goroutine or a socket behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leaked(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "left behind:\n"+left)
		code = 1
	}
	os.Exit(code)
}

// leaked returns the stacks of the program's goroutines and the listening sockets, after it gave them a moment to end.
func leaked() string {
	buf := make([]byte, 1<<20)
	var left []string
	for range 100 {
		left = left[:0]
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "ocellus/") && !strings.Contains(g, "agent.TestMain") {
				left = append(left, g)
			}
		}
		left = append(left, listening()...)
		if len(left) == 0 {
			return ""
		}
		<-time.After(10 * time.Millisecond)
	}
	return strings.Join(left, "\n\n")
}

// listening lists the descriptors that accept connections.
func listening() []string {
	var found []string
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, e := range fds {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && on == 1 {
			name, _ := unix.Getsockname(fd)
			found = append(found, fmt.Sprintf("listener %d: %+v", fd, name))
		}
	}
	return found
}

// agentVerb runs a verb as main does.
func agentVerb(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = dispatch(t.Context(), world{&o, &e, func(string) string { return "" }, t.TempDir()}, args)
	return code, o.String(), e.String()
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	for name, c := range map[string]struct {
		args []string
		code int
		says string // in what was printed, on either side
	}{
		"nothing":         {nil, 0, "agent run"},
		"help":            {[]string{"help"}, 0, "agent viewer"},
		"help of a verb":  {[]string{"run", "-h"}, 0, "-state"},
		"unknown verb":    {[]string{"fly"}, 2, `unknown verb "fly"`},
		"unknown flag":    {[]string{"run", "--fast"}, 2, "usage: agent run"},
		"unexpected word": {[]string{"check", "now"}, 2, "unexpected now"},
		"version":         {[]string{"version"}, 0, "ocellus agent devel"},
		"unknown board":   {[]string{"run", "--board", "toaster", "--state", state}, 1, "there are: sim"},
		"no board":        {[]string{"run", "--state", state}, 1, "--board sim"},
		"file on a real one": {[]string{"run", "--board", "generic", "--file", "x", "--state", state}, 1,
			"--board sim --file"},
		"no config":           {[]string{"run", "--config", "/nowhere.yaml", "--state", state}, 1, "/nowhere.yaml"},
		"viewer what":         {[]string{"viewer"}, 2, "add NAME"},
		"viewer add whom":     {[]string{"viewer", "add", "--state", state}, 2, "add NAME"},
		"viewer of nobody":    {[]string{"viewer", "remove", "zoe", "--state", state}, 1, "no owner"},
		"status, not running": {[]string{"status", "--state", state}, 1, "no agent is running"},
		"state not there":     {[]string{"viewer", "list", "--state", "/nowhere"}, 1, "--state"},
		"state not makeable":  {[]string{"run", "--board", "sim", "--state", "/proc/x"}, 1, "--state DIR"},
	} {
		code, out, errs := agentVerb(t, c.args...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: got code %d, %q, %q; want %d and %q", name, code, out, errs, c.code, c.says)
		}
	}
}

func TestVersionJSON(t *testing.T) {
	t.Parallel()
	_, out, _ := agentVerb(t, "version", "--json")
	var f buildFacts
	if err := json.Unmarshal([]byte(out), &f); err != nil || f.Release != release || len(f.Boards) < 6 {
		t.Errorf("got %+v, %v", f, err)
	}
}

// TestViewersWithoutAgent: the verbs do their work on the owner's file while no agent runs.
func TestViewersWithoutAgent(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	identify(t, state)
	if code, _, errs := agentVerb(t, "viewer", "add", "anna", "--state", state); code != 1 ||
		!strings.Contains(errs, "no owner") {
		t.Errorf("without an owner: got code %d, %q", code, errs)
	}
	claimState(t, state)
	for want, args := range map[string][]string{
		"is not one of": {"add", "a b"}, "owner, member": {"add", "a", "--role", "king"}, "no such viewer": {"remove", "zoe"},
	} {
		if code, _, errs := agentVerb(t, append([]string{"viewer", "--state", state}, args...)...); code != 1 ||
			!strings.Contains(errs, want) {
			t.Errorf("%v: got code %d, %q", args, code, errs)
		}
	}
	code, out, errs := agentVerb(t, "viewer", "add", "anna", "--role", "member", "--json", "--state", state)
	var r admitted
	if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil || len(r.Password) < 16 {
		t.Fatalf("add: got code %d, %q, %q", code, out, errs)
	}
	if code, _, errs := agentVerb(t, "viewer", "add", "anna", "--state", state); code != 1 ||
		!strings.Contains(errs, "exists") {
		t.Errorf("add again: got code %d, %q", code, errs)
	}
	if _, out, _ := agentVerb(t, "viewer", "list", "--state", state); !strings.Contains(out, "anna  member") {
		t.Errorf("list: got %q", out)
	}
	if code, out, _ := agentVerb(t, "viewer", "remove", "--state", state, "anna"); code != 0 ||
		out != "viewer anna removed\n" {
		t.Errorf("remove: got code %d, %q", code, out)
	}
	unlock, err := lockState(state)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if code, _, errs := agentVerb(t, "viewer", "list", "--state", state); code != 1 ||
		!strings.Contains(errs, "another agent") {
		t.Errorf("while locked: got code %d, %q", code, errs)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	state, owned, apart := t.TempDir(), t.TempDir(), t.TempDir()
	claimState(t, owned)
	if err := os.Link(filepath.Join(owned, ownerName), filepath.Join(apart, ownerName)); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(state, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, out, errs := agentVerb(t, "check", "--state", state); code != 0 || !strings.Contains(out, "defaults hold") {
		t.Errorf("nothing there: got code %d, %q %q", code, out, errs)
	}
	write("config.yaml", "streams:\n  main:\n    widht: 5\n    fps: 0\n")
	write(ownerName, "{")
	write(certificateName, "junk")
	code, out, _ := agentVerb(t, "check", "--state", state)
	for _, want := range []string{"2 fault(s)", "line 3: streams.main.widht", "line 4: streams.main.fps",
		"owner: ", "corrupt", "certificate: "} {
		if code != 1 || !strings.Contains(out, want) {
			t.Errorf("got code %d without %q:\n%s", code, want, out)
		}
	}
	for _, name := range []string{ownerName, certificateName} {
		if _, err := os.Stat(filepath.Join(state, name)); err != nil {
			t.Errorf("check changed %s: %v", name, err)
		}
	}
	for want, state := range map[string]string{"one, and 0 viewer(s)": owned, "its key is elsewhere": apart} {
		if code, out, _ := agentVerb(t, "check", "--state", state); code != 0 || !strings.Contains(out, want) {
			t.Errorf("got code %d without %q:\n%s", code, want, out)
		}
	}
	write("config.yaml", "schema: 2\nhdr: true\n")
	if _, out, _ := agentVerb(t, "check", "--state", state); !strings.Contains(out, "config.yaml: line 2: hdr") {
		t.Errorf("newer: got %q", out)
	}
}

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meminfo, group string
		want           int64
	}{
		"512 MiB":       {"MemFree: 1 kB\nMemTotal:         524288 kB\n", "", 512 << 20 / 100 * 25},
		"in a group":    {"MemTotal: 8388608 kB\n", "268435456\n", 256 << 20 / 100 * 25},
		"group, no max": {"MemTotal: 524288 kB\n", "max\n", 512 << 20 / 100 * 25},
		"tiny":          {"MemTotal: 65536 kB\n", "", minMemory},
		"unknown":       {"", "", 1<<63 - 1},
	} {
		root := t.TempDir()
		for path, content := range map[string]string{"proc/meminfo": c.meminfo, "sys/fs/cgroup/memory.max": c.group} {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := memoryLimit(root, 25); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
	if residentBytes() < 1<<20 {
		t.Errorf("resident: got %d bytes", residentBytes())
	}
}

// TestCertificate: one for each owner, kept while he is, and damaged ones are replaced.
func TestCertificate(t *testing.T) {
	t.Parallel()
	path := statefile.Path(filepath.Join(t.TempDir(), certificateName))
	show := func(whose string) []byte {
		t.Helper()
		c := &certificates{place: path, whose: func() string { return whose }, log: silent()}
		shown, err := c.show()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := c.show(); err != nil || again != shown {
			t.Errorf("the next client sees another one: %v", err)
		}
		return shown.Certificate[0]
	}
	if bytes.Equal(show(""), show("")) {
		t.Error("without an owner the certificate is kept")
	}
	first := show("anna's")
	if info, err := os.Stat(string(path)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v; want mode 0600", info.Mode(), err)
	}
	if !bytes.Equal(show("anna's"), first) {
		t.Error("second start: another certificate")
	}
	if bytes.Equal(show("bob's"), first) || bytes.Equal(show("anna's"), first) {
		t.Error("two owners, one certificate")
	}
	first = show("anna's")
	if err := path.Store([]byte("junk")); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(show("anna's"), first) {
		t.Error("damaged: want a new one")
	}
}
