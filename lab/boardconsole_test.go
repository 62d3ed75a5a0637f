package lab

import (
	"encoding/hex"
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
	conn, heard := wires(t, b)
	defer conn.Close()
	if _, err := conn.Write([]byte("\r")); err != nil {
		t.Fatal(err)
	}
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

// wires are the console's port of a board, and what is heard there until it is closed.
func wires(t *testing.T, b *virt.Board) (net.Conn, *output) {
	t.Helper()
	conn, err := net.Dial("tcp", b.Serial())
	if err != nil {
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
	return conn, heard
}

// TestBoardRelease boots a release, as a factory has it before itself: its kernel says nothing on the serial port and no
// program but the agent has one, the console is no developer's, a page and the factory find a new camera, and camctl
// makes no release of a developer's image.
func TestBoardRelease(t *testing.T) {
	atOnce(t, func(t *testing.T, arch string) {
		p := newPublisher(t)
		f, public := newFactory(t)
		b := virt.Boot(t, virt.Options{Arch: arch, Disk: p.pack(arch, "1.0.0", "-console=false", "-factory", public).disk})
		answers(t, b)
		releaseSilent(t, b)
		said := consoleOf(t, b, t.TempDir(), "version", "network scan")
		if says(t, said, "camera QEMU-VIRT", "Looking around"); strings.Contains(said, "developer") {
			t.Errorf("it says that it is a developer's: %s", said)
		}
		releaseNew(t, b, f)
		slot := p.pack(arch, "1.0.1", "-flavour", "developer").slot
		r := tool(t, time.Minute, program("camctl"), "ota", "build", "--slot", slot, "--board", "qemu-virt-"+arch,
			"--version", "1.0.1", "-o", p.path("bundle"))
		if r.code != 2 || !strings.Contains(r.errs, "developer") {
			t.Errorf("camctl ota build takes a developer's image: %d %s", r.code, r.errs)
		}
	})
}

// releaseSilent: no serial port has a kernel or a getty on it.
func releaseSilent(t *testing.T, b *virt.Board) {
	t.Helper()
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
}

// releaseNew: an Improv page finds a camera that waits for a network; the factory finishes the board over its port, once;
// and its label makes somebody the owner.
func releaseNew(t *testing.T, b *virt.Board, f factory) {
	t.Helper()
	conn, heard := wires(t, b)
	raw, err := hex.DecodeString(askState)
	if err == nil {
		_, err = conn.Write(append(raw, '\n'))
	}
	if err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, "the page hears that the camera is ready", func() bool {
		return strings.Contains(hex.EncodeToString([]byte(heard.String())), ready)
	})
	if _, err := conn.Write([]byte("\r")); err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, "a person's banner", func() bool { return strings.Contains(heard.String(), "ocellus> ") })
	_ = conn.Close()
	says(t, heard.String(), "QEMU-VIRT", "release ", "has no owner yet", "support code ")
	for _, secret := range append(strings.Split(b.Label(), ":")[3:], strings.TrimSpace(b.Sh("cat /sys/class/net/eth0/address"))) {
		if strings.Contains(heard.String(), secret) {
			t.Errorf("the banner has %q in it: %s", secret, heard)
		}
	}
	port := "tcp:" + b.Serial()
	got, r := f.run("--untested", port) // no network is on the air around it, which its radio calls a fault
	if done := got[port]; r.code != 0 || done.Result != "done" || done.Model != "QEMU-VIRT" {
		t.Fatalf("the factory: %d %+v %s", r.code, got, r.errs)
	}
	text, _, _ := strings.Cut(f.file(got[port].Fingerprint, "txt"), "\n")
	if text != b.Label() {
		t.Error("the factory's label is another one than the board's")
	}
	if got, r := f.run("--untested", port); r.code != 1 || got[port].Result != "refused" {
		t.Errorf("the factory, once more: %d %+v", r.code, got)
	}
	b.Claim()
	if got, r := f.run("--untested", port); r.code != 1 || !strings.Contains(got[port].Text, "has an owner") {
		t.Errorf("the factory, at a board with an owner: %d %+v", r.code, got)
	}
}
