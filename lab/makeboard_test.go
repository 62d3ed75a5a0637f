package lab

import (
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// TestMakeBoard is what a newcomer types for a board in an emulator: with PAIR=manual it stays without an owner, and the
// line that is said makes one; without, the script makes itself the owner, and the URL plays. Ctrl-A X leaves it.
func TestMakeBoard(t *testing.T) {
	t.Parallel()
	arch := virt.Arches(t)[0] // one script for all
	c := copyTree(t, t.TempDir())
	c.shareCache(t)
	c.bringImage(t, arch)
	manual := c.board(t, arch, "PAIR=manual")
	pair := manual.awaits(`become its owner: (bin/camctl pair .* --label OCELLUS:L1:\S+)\r\n`)[1]
	const denied = 4 // camctl's exit code
	if _, r := watch(t, time.Second, "rtsp://viewer:guess@"+manual.stream+"/main"); r.code != denied {
		t.Errorf("without an owner: exit code %d: %s\n%s", r.code, r.errs, manual.out)
	}
	if r := c.run(t, time.Minute, pair); r.code != 0 || !strings.Contains(r.out, "watch: rtsp://viewer:") {
		t.Errorf("%s: exit code %d: %s%s", pair, r.code, r.out, r.errs)
	}
	manual.leaves()
	if r := c.run(t, time.Minute, "scripts/board reset --arch "+arch); r.code != 0 {
		t.Fatalf("scripts/board reset: %s", r.errs)
	}
	paired := c.board(t, arch)
	plays := paired.awaits(`watch: (rtsp://viewer:\S+/main)\r\n`)[1]
	if s, r := watch(t, time.Second, plays); r.code != 0 || !s.whole() {
		t.Errorf("camctl watch: exit code %d: %s\n%s", r.code, r.errs, paired.out)
	}
	paired.leaves()
}

// bringImage gives the copy the image that was built here, as the newest of its files.
func (c tree) bringImage(t *testing.T, arch string) {
	t.Helper()
	if err := os.Mkdir(c.path("dist"), 0o755); err != nil {
		t.Fatal(err)
	}
	from := "../dist/qemu-virt-" + arch
	if r := tool(t, time.Minute, "cp", "-r", "--sparse=always", from, c.path("dist")); r.code != 0 {
		t.Fatal(r.errs)
	}
}

// onScreen is a board that runs as scripts/board shows it.
type onScreen struct {
	t      *testing.T
	out    *output
	keys   io.WriteCloser
	stream string // where its streams are
	ended  chan error
}

// board runs scripts/board run, with ports of its own.
func (c tree) board(t *testing.T, arch string, env ...string) *onScreen {
	t.Helper()
	cmd := exec.Command("scripts/board", "run", "--arch", arch)
	cmd.Dir, cmd.Env = c.dir, append(append(os.Environ(), "NO_INSTALL=1", "BOARD_ALONE="), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s := &onScreen{t: t, out: &output{}, stream: freeAddress(t), ended: make(chan error, 1)} // capacity 1: its last word
	for name, address := range map[string]string{
		"BOARD_PORT": s.stream, "BOARD_DOOR": freeAddress(t), "BOARD_SERIAL": freeAddress(t),
	} {
		_, port, _ := net.SplitHostPort(address)
		cmd.Env = append(cmd.Env, name+"="+port)
	}
	cmd.Stdout, cmd.Stderr = s.out, s.out
	var err error
	if s.keys, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // nothing, if all went well
	return s
}

// awaits waits until something stands on the screen, and returns it.
func (s *onScreen) awaits(says string) []string {
	s.t.Helper()
	var found []string
	until(s.t, 3*time.Minute, "scripts/board says "+says, func() bool {
		select {
		case err := <-s.ended:
			s.t.Fatalf("scripts/board ended: %v\n%s", err, s.out)
		default:
		}
		found = regexp.MustCompile(says).FindStringSubmatch(s.out.String())
		return found != nil
	})
	return found
}

// leaves presses Ctrl-A X.
func (s *onScreen) leaves() {
	s.t.Helper()
	if _, err := s.keys.Write([]byte("\x01x")); err != nil {
		s.t.Fatal(err)
	}
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Errorf("scripts/board: %v\n%s", err, s.out)
		}
	case <-time.After(20 * time.Second):
		s.t.Fatalf("Ctrl-A X does not leave it\n%s", s.out)
	}
}
