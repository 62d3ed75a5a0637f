package lab

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMakeRun is what a newcomer types: it ends with a URL that plays, twice the same; with PAIR=manual the camera
// stays without an owner, and says what to do. Ctrl-C ends all of it.
func TestMakeRun(t *testing.T) {
	t.Parallel()
	c := copyTree(t, t.TempDir())
	c.shareCache(t)
	if err := os.Mkdir(c.path("var"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeConfig(t, c.path("var"), nil) // another one may run here
	manual := c.makeRun(t, `become its owner: camctl pair --camera \S+ --label LABEL`, "PAIR=manual")
	if !strings.Contains(manual, "shows its picture to nobody") || strings.Contains(manual, "watch: ") {
		t.Errorf("PAIR=manual says:\n%s", manual)
	}
	const url = `watch: rtsp://viewer:\w+@127\.0\.0\.1:\d+/sub\n`
	first := c.makeRun(t, url)
	if !strings.Contains(first, "pairing the camera with the owner's key in var/owner") {
		t.Errorf("it does not say that it pairs:\n%s", first)
	}
	var last string
	for line := range strings.Lines(first) {
		if !strings.HasPrefix(line, "time=") { // the agent's log
			last = line
		}
	}
	if !regexp.MustCompile("^" + url).MatchString(last) {
		t.Errorf("it ends with %q, and not with a URL:\n%s", last, first)
	}
	user := regexp.MustCompile(`rtsp://viewer:\w+@`)
	if again := c.makeRun(t, url); user.FindString(again) != user.FindString(first) {
		t.Errorf("another credential at the second start:\n%s\n%s", first, again)
	}
}

// makeRun runs scripts/run until it has said something, watches where it says a URL, and presses Ctrl-C.
func (c tree) makeRun(t *testing.T, says string, env ...string) string {
	t.Helper()
	out := &output{}
	cmd := exec.Command("scripts/run")
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, out, out
	cmd.Env = append(append(os.Environ(), "NO_INSTALL=1"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what a terminal sends Ctrl-C to
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // nothing, if all went well
	said := regexp.MustCompile(says)
	until(t, 5*time.Minute, "scripts/run says "+says, func() bool {
		select {
		case err := <-ended:
			t.Fatalf("scripts/run ended: %v\n%s", err, out)
		default:
		}
		return said.MatchString(out.String())
	})
	if address := regexp.MustCompile(`rtsp://viewer:\S+/main`).FindString(out.String()); address != "" {
		if s, r := watch(t, time.Second, address); r.code != 0 || !s.whole() {
			t.Errorf("camctl watch: exit code %d: %s\n%s", r.code, r.errs, out)
		}
	}
	var ports struct{ PID int }
	raw, err := os.ReadFile(c.path("var/ports.json"))
	if err == nil {
		err = json.Unmarshal(raw, &ports)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("Ctrl-C does not end it")
	}
	until(t, 5*time.Second, "the agent ends, too", func() bool { return syscall.Kill(ports.PID, 0) != nil })
	return out.String()
}
