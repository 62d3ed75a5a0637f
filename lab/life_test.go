package lab

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestIdle: nothing is drawn or encoded while nobody watches. Not parallel: it measures time.
func TestIdle(t *testing.T) {
	a := startAgent(t, agentOptions{})
	const length = 4 * time.Second
	before := cpuOf(t, a.cmd.Process.Pid)
	time.Sleep(length)
	used := cpuOf(t, a.cmd.Process.Pid) - before
	if share := used.Seconds() / length.Seconds(); share > 0.01 {
		t.Errorf("an idle agent takes %.2f %% of a core, want less than 1 %%", share*100)
	}
}

// cpuOf is the CPU time that a process has used (clock_getcpuclockid(3)).
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	var at unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &at); err != nil {
		t.Fatal(err)
	}
	return time.Duration(at.Nano())
}

// TestStop: SIGTERM ends the agent within two seconds with readers connected, and each of them is told.
func TestStop(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	var wait sync.WaitGroup
	for _, transport := range []string{"tcp", "udp"} {
		wait.Go(func() {
			if s, r := watch(t, 30*time.Second, a.url("main"), "--transport", transport); r.code != 8 || !s.whole() {
				t.Errorf("%s: exit code %d, want 8 (ended before its time): %+v %s", transport, r.code, s, r.errs)
			}
		})
	}
	until(t, 10*time.Second, "two readers", func() bool { return a.metric(t, ofStream("ocellus_stream_readers", "main")) == 2 })
	if took := a.stop(t); took > 2*time.Second {
		t.Errorf("took %v to end", took)
	}
	wait.Wait()
	if _, err := os.Stat(filepath.Join(a.state, "ports.json")); err == nil {
		t.Error("ports.json is left behind")
	}
}

// TestKill: after SIGKILL the next start takes up the same state, with the same viewers.
func TestKill(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	if err := a.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	a.ended <- <-a.ended
	b := startAgent(t, agentOptions{state: a.state})
	b.user = a.user
	if s, r := watch(t, 2*time.Second, b.url("main")); r.code != 0 || !s.whole() {
		t.Errorf("exit code %d: %s", r.code, r.errs)
	}
}

// TestTwoAgents: a state directory has one agent at a time.
func TestTwoAgents(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	r := tool(t, 10*time.Second, program("agent"), "run", "--board", "sim", "--state", a.state)
	if r.code == 0 || !strings.Contains(r.errs, "another agent") {
		t.Errorf("exit code %d: %s", r.code, r.errs)
	}
}

// TestCheck: agent check names every fault of a configuration at once and starts nothing.
func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, config string
		code         int
		says         []string
	}{
		{"no file", "", 0, []string{"defaults hold"}},
		{"good", "schema: 1\nstreams:\n  main: {bitrate: 3M}\n", 0, []string{"no faults"}},
		{"unknown key", "schema: 1\nstreems: {}\n", 1, []string{"streems"}},
		{
			"several faults", "schema: 1\nrtsp: {address: nonsense}\nstreams:\n  main: {width: 7, bitrat: 1}\n", 1,
			[]string{"rtsp.address", "streams.main.width", "bitrat"},
		},
		{"no YAML", "schema: [1\n", 1, []string{"config.yaml"}},
		{"from a newer release", "schema: 99\nlater: {key: 1}\n", 0, []string{"warning", "later"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			state := t.TempDir()
			if tt.config != "" {
				if err := os.WriteFile(filepath.Join(state, "config.yaml"), []byte(tt.config), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r := tool(t, 10*time.Second, program("agent"), "check", "--state", state)
			if r.code != tt.code {
				t.Errorf("exit code %d, want %d: %s%s", r.code, tt.code, r.out, r.errs)
			}
			for _, want := range tt.says {
				if !strings.Contains(r.out+r.errs, want) {
					t.Errorf("does not say %q: %s%s", want, r.out, r.errs)
				}
			}
			if tt.code == 0 {
				return
			}
			if r := tool(t, 10*time.Second, program("agent"), "run", "--board", "sim", "--state", state); r.code == 0 {
				t.Error("agent run took the configuration")
			}
		})
	}
}

// TestViewers: a viewer who is added may watch at once, and one who is removed may not.
func TestViewers(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	r := tool(t, 10*time.Second, program("agent"), "viewer", "add", "grandma", "--state", a.state)
	if r.code != 0 {
		t.Fatalf("viewer add: exit code %d: %s", r.code, r.errs)
	}
	at := strings.Index(r.out, "rtsp://grandma:")
	if at < 0 {
		t.Fatalf("viewer add prints no URL: %s", r.out)
	}
	address, _, _ := strings.Cut(r.out[at:], "\n")
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	mine := a.urlAs("grandma", password, "main")
	if s, r := watch(t, time.Second, mine); r.code != 0 || !s.whole() {
		t.Errorf("the new viewer: exit code %d: %s", r.code, r.errs)
	}
	if r := tool(t, 10*time.Second, program("agent"), "viewer", "list", "--state", a.state); !strings.Contains(r.out, "grandma") ||
		strings.Contains(r.out, password) {
		t.Errorf("viewer list: %s", r.out)
	}
	if r := tool(t, 10*time.Second, program("agent"), "viewer", "remove", "grandma", "--state", a.state); r.code != 0 {
		t.Errorf("viewer remove: exit code %d: %s", r.code, r.errs)
	}
	if _, r := watch(t, time.Second, mine); r.code != 4 {
		t.Errorf("the removed viewer: exit code %d, want 4 (credential refused): %s", r.code, r.errs)
	}
	if strings.Contains(a.log.String(), password) {
		t.Error("the password stands in the log")
	}
}

// TestBruteForce: wrong passwords are answered more and more slowly, and the right one is not.
func TestBruteForce(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	begin := time.Now()
	var first, last time.Duration
	for i := range 8 {
		at := time.Now()
		if _, r := watch(t, time.Second, a.urlAs(a.user.Username(), fmt.Sprint("guess", i), "main")); r.code != 4 {
			t.Fatalf("guess %d: exit code %d: %s", i, r.code, r.errs)
		}
		if last = time.Since(at); i == 0 {
			first = last
		}
	}
	if last < first+200*time.Millisecond {
		t.Errorf("the last of 8 wrong guesses was refused after %v, the first after %v; all took %v", last, first, time.Since(begin))
	}
	s, r := watch(t, time.Second, a.url("main"))
	if r.code != 0 || s.FirstPicture == nil {
		t.Fatalf("the right credential: exit code %d: %s", r.code, r.errs)
	}
	if *s.FirstPicture > 1000 {
		t.Errorf("the right credential was held back: first picture after %.0f ms", *s.FirstPicture)
	}
	if _, r := watch(t, time.Second, "rtsp://"+a.ports.RTSP+"/main"); r.code != 4 {
		t.Errorf("an anonymous reader: exit code %d, want 4", r.code)
	}
}
