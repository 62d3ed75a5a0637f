package lab

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// consoleOf types lines at the console of a board, as camctl does for a program, and returns what was said.
func consoleOf(t *testing.T, b *virt.Board, home string, lines ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program("camctl"), "console", "--home", home, b.Serial())
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("camctl console: %v\n%s", err, out)
	}
	return string(out)
}

func says(t *testing.T, said string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("no %q in what the console said:\n%s", w, said)
		}
	}
}

// boardConsole is the agent's own port: the owner is let in, a stranger looks, and the kernel says nothing there.
func boardConsole(t *testing.T, b *virt.Board) {
	b.URL("main") // somebody owns it
	said := consoleOf(t, b, b.Home(), "version", "status", "speed 9600", "", "speed 1500000", "", "config get console")
	says(t, said, "Unlocked for owner", "release ", "stream main", "9600 baud.", "1500000 baud.", "baud: 115200")
	said = consoleOf(t, b, t.TempDir(), "status", "reboot")
	says(t, said, "locked: ", "has an owner", "reboot is for whoever has unlocked")
	conn, err := net.Dial("tcp", b.Serial())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("\r")); err != nil {
		t.Fatal(err)
	}
	heard := &output{}
	go func() {
		p := make([]byte, 4096)
		for n, err := 0, error(nil); err == nil; {
			n, err = conn.Read(p)
			_, _ = heard.Write(p[:n])
		}
	}()
	until(t, 20*time.Second, "a prompt", func() bool { return strings.Contains(heard.String(), "ocellus> ") })
	b.Sh("echo '<0>the kernel has something to say' >/dev/kmsg")
	b.Expect("the kernel has something to say", 20*time.Second)
	if _, err := conn.Write([]byte("version\r")); err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, "an answer", func() bool { return strings.Contains(heard.String(), "release ") })
	if strings.Contains(heard.String(), "kernel has") || len(b.Lines(`ocellus[>#]`)) > 0 {
		t.Errorf("the ports of kernel and agent are mixed: %q", heard)
	}
}

// TestBoardRelease boots a release: its kernel says nothing on the serial port and no program but the agent has one,
// the console is no developer's, and camctl makes no release of a developer's image.
func TestBoardRelease(t *testing.T) {
	need(t, "ffprobe")
	arch := virt.Arches(t)[0]
	p := newPublisher(t)
	disk := p.pack(arch, "1.0.0", "-console=false").disk
	b := virt.Boot(t, virt.Options{Arch: arch, Disk: disk})
	answers(t, b)
	if active := b.Sh("cat /sys/class/tty/console/active; cat /proc/cmdline"); strings.Contains(active, "ttyAMA") {
		t.Errorf("the kernel has the serial port: %s", active)
	}
	for at, line := range b.Lines("") {
		if strings.HasPrefix(line, "Starting kernel") {
			if rest := b.Lines("")[at+1:]; len(rest) > 0 {
				t.Errorf("on the kernel's port stands, behind the boot loader's words: %q", rest)
			}
		}
	}
	if held := b.Sh("for f in /proc/[0-9]*/fd/*; do " +
		"case $(readlink $f) in /dev/ttyAMA*|/dev/ttyS*) echo $f;; esac; done | " +
		"cut -d/ -f3 | sort -u"); strings.TrimSpace(held) != agentPID(b) {
		t.Errorf("serial ports are open in the processes %q, the agent is %s", held, agentPID(b))
	}
	said := consoleOf(t, b, t.TempDir(), "version", "network scan")
	if says(t, said, "camera QEMU-VIRT", "Looking around"); strings.Contains(said, "developer") {
		t.Errorf("it says that it is a developer's: %s", said)
	}
	slot := p.pack(arch, "1.0.1", "-flavour", "developer").slot
	r := tool(t, time.Minute, program("camctl"), "ota", "build", "--slot", slot, "--board", "qemu-virt-"+arch,
		"--version", "1.0.1", "-o", p.path("bundle"))
	if r.code != 2 || !strings.Contains(r.errs, "developer") {
		t.Errorf("camctl ota build takes a developer's image: %d %s", r.code, r.errs)
	}
}
