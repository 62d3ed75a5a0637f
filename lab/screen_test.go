package lab

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// screen is a terminal of tmux with a program in it: what a person sees, key by key.
type screen struct {
	t      *testing.T
	socket string
}

// newScreen starts a program in a terminal of so many columns and rows. The screen stays when the program has ended, and
// says how: tmux's own word for it may be missing, as it can lose a child's end (SIGCHLD) beside utempter's.
func newScreen(t *testing.T, columns, rows int, program ...string) *screen {
	t.Helper()
	need(t, "tmux")
	s := &screen{t, filepath.Join(t.TempDir(), "tmux")}
	s.tmux(append([]string{"-f", "/dev/null", "-u", "new-session", "-d", "-x", fmt.Sprint(columns),
		"-y", fmt.Sprint(rows), "sh", "-c", `"$@"; echo "ended: $?"; exec cat`, "sh"}, program...)...)
	t.Cleanup(func() {
		if t.Failed() {
			if out, err := exec.Command("tmux", "-S", s.socket, "capture-pane", "-p").Output(); err == nil {
				t.Logf("the screen:\n%s", out)
			}
		}
		_ = exec.Command("tmux", "-S", s.socket, "kill-server").Run() // it may have ended with its program
	})
	return s
}

func (s *screen) tmux(args ...string) string {
	s.t.Helper()
	r := tool(s.t, 20*time.Second, "tmux", append([]string{"-S", s.socket}, args...)...)
	if r.code != 0 {
		s.t.Fatalf("tmux %s: %s", strings.Join(args, " "), r.errs)
	}
	return r.out
}

// types types a text, keys press keys by their names: Enter, Tab, C-c, Up, BSpace.
func (s *screen) types(text string) { s.t.Helper(); s.tmux("send-keys", "-l", text) }
func (s *screen) keys(names ...string) {
	s.t.Helper()
	s.tmux(append([]string{"send-keys"}, names...)...)
}

// shown is what stands on the screen, without what was before.
func (s *screen) shown() string { s.t.Helper(); return s.tmux("capture-pane", "-p") }

// row is the last row that is not empty.
func (s *screen) row() string {
	s.t.Helper()
	rows := strings.Split(strings.TrimRight(s.shown(), "\n "), "\n")
	return strings.TrimRight(rows[len(rows)-1], " ")
}

// sees waits until the last row is this; has until it stands somewhere.
func (s *screen) sees(row string) {
	s.t.Helper()
	until(s.t, 20*time.Second, fmt.Sprintf("the last row is %q", row), func() bool { return s.row() == row })
}

func (s *screen) has(text string) {
	s.t.Helper()
	until(s.t, 20*time.Second, fmt.Sprintf("%q is on the screen", text), func() bool {
		return strings.Contains(s.shown(), text)
	})
}
