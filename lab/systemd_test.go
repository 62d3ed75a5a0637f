package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/lab/virt"
)

// unit is the name that packaging/agent.service is installed under.
const unit = "ocellus-agent"

// TestSystemd installs packaging/agent.service as it says itself, under the systemd of a real Debian in an emulated
// board with the kernel's vivid camera, and sees that the unit does what it promises. Not parallel: the emulator needs
// both cores.
func TestSystemd(t *testing.T) {
	if !slices.Contains(virt.Arches(t), "arm64") {
		t.Skip("the Debian with systemd is arm64, ARCH narrows to another")
	}
	need(t, "qemu-system-aarch64", "ffmpeg")
	d := bootDebian(t)
	// busybox has no install
	d.run(t, "mkdir -p /usr/local/bin; cp /install/agent /usr/local/bin/ocellus-agent; chmod 755 /usr/local/bin/ocellus-agent")
	d.run(t, fmt.Sprintf("cp /install/agent.service /etc/systemd/system/%s.service; chmod 644 /etc/systemd/system/%[1]s.service",
		unit))
	d.run(t, "systemctl daemon-reload && systemctl enable --now "+unit)
	d.wantActive(t, 0) // Type=notify: enable --now came back after READY=1
	d.wantUnprivileged(t)
	stream := d.url(t)
	d.wantStream(t, stream)

	before := d.property(t, "MainPID")
	d.run(t, "kill -9 "+before)
	until(t, 15*time.Second, "started again after SIGKILL", func() bool { return d.property(t, "NRestarts") == "1" })
	d.wantActive(t, 1)
	if d.property(t, "MainPID") == before {
		t.Error("SIGKILL ended nothing")
	}
	d.wantStream(t, stream)

	d.run(t, "kill -STOP "+d.property(t, "MainPID"))
	until(t, 50*time.Second, "started again by WatchdogSec= after SIGSTOP", func() bool {
		return d.property(t, "NRestarts") == "2"
	})
	d.wantActive(t, 2)
	if said := d.run(t, "journalctl -o cat -u "+unit); !strings.Contains(said, "Watchdog timeout") {
		t.Errorf("the journal knows of no watchdog:\n%s", tail(said, 2000))
	}
	d.wantReset(t)
	d.wantStop(t, d.url(t))
}

// debian is the emulated board. Its second serial port is the hand: scripts/systemd-init.
type debian struct {
	dir        string
	host, door string // where its RTSP port and its LAN door are reached from here
	cmd        *exec.Cmd
	conn       net.Conn
	lines      *bufio.Reader
	asked      int // the number of the last question
}

// bootDebian powers the board on and waits for its hand.
func bootDebian(t *testing.T) *debian {
	t.Helper()
	d := &debian{dir: t.TempDir(), host: freeAddress(t), door: freeAddress(t)}
	files := filepath.Join("..", "dist", "systemd-arm64")
	if _, err := os.Stat(filepath.Join(files, "root.img")); err != nil {
		t.Fatalf("%v: make lab makes it", err)
	}
	listener, err := net.Listen("unix", filepath.Join(d.dir, "hand"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	d.cmd = exec.Command("qemu-system-aarch64", "-M", "virt,acpi=off", "-cpu", "cortex-a53", "-smp", "2", "-m", "512",
		"-nodefaults", "-display", "none", "-no-reboot", "-monitor", "none", "-serial", "file:"+d.file("console"),
		"-kernel", filepath.Join(files, "vmlinuz"), "-initrd", filepath.Join(files, "initrd.gz"),
		"-append", "console=ttyAMA0 panic=1 quiet systemd.unit=multi-user.target systemd.getty_auto=no systemd.mask=getty-static.service",
		"-drive", "if=none,id=root,format=raw,readonly=on,file="+filepath.Join(files, "root.img"),
		"-device", "virtio-blk-device,drive=root",
		"-netdev", "user,id=net,hostfwd=tcp:"+d.host+"-:8554,hostfwd=tcp:"+d.door+"-:8443",
		"-device", "virtio-net-device,netdev=net",
		"-chardev", "socket,id=hand,path="+d.file("hand"), "-device", "pci-serial,chardev=hand")
	errs := &output{}
	d.cmd.Stderr = errs
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.cleanUp(t, errs) })
	if err := listener.(*net.UnixListener).SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if d.conn, err = listener.Accept(); err != nil {
		t.Fatalf("the emulator does not start: %v\n%s", err, errs)
	}
	d.lines = bufio.NewReader(d.conn)
	began := time.Now()
	d.awaken(t, began.Add(90*time.Second))
	t.Logf("a shell under systemd %.1f s after power-on", time.Since(began).Seconds())
	return d
}

// freeAddress is one of the loopback that nobody listens on. Nobody else gets it while the test lasts: a socket that is
// bound and does not listen keeps the kernel from choosing it, and no server from taking it (SO_REUSEADDR, ip(7)).
func freeAddress(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
}

func (d *debian) file(name string) string { return filepath.Join(d.dir, name) }

// cleanUp pulls the plug. A kernel that complained fails the test.
func (d *debian) cleanUp(t *testing.T, errs *output) {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
	if d.conn != nil {
		_ = d.conn.Close()
	}
	console, _ := os.ReadFile(d.file("console"))
	if bad := regexp.MustCompile(`(?m)^.*(Oops|BUG:|Call trace|WARNING: CPU).*$`).Find(console); bad != nil {
		t.Errorf("the kernel complains: %s", bad)
	}
	if t.Failed() {
		t.Logf("emulator: %s\nconsole:\n%s", errs, tail(string(bytes.ReplaceAll(console, []byte("\r"), nil)), 4000))
	}
}

// awaken says hello to the hand until it answers: what is written before it listens is lost.
func (d *debian) awaken(t *testing.T, deadline time.Time) {
	t.Helper()
	for time.Now().Before(deadline) {
		if _, _, err := d.ask("true", time.Second); err == nil {
			return
		}
	}
	t.Fatal("nobody answers on the second serial port")
}

// ask has a line of shell run on the board, as root. Answers to what was asked before are passed over.
func (d *debian) ask(line string, limit time.Duration) (out string, code int, err error) {
	d.asked++
	if err := d.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", 0, err
	}
	if _, err := fmt.Fprintf(d.conn, "%d %s\n", d.asked, line); err != nil {
		return "", 0, err
	}
	var text strings.Builder
	for {
		said, err := d.lines.ReadString('\n')
		if err != nil {
			return text.String(), 0, err
		}
		var number int
		if n, _ := fmt.Sscanf(said, "done %d %d", &number, &code); n < 2 {
			text.WriteString(said)
			continue
		}
		if number == d.asked {
			return text.String(), code, nil
		}
		text.Reset()
	}
}

// run is ask for what must work: a code other than 0 fails the test.
func (d *debian) run(t *testing.T, line string) string {
	t.Helper()
	out, code, err := d.ask(line, 40*time.Second)
	if err != nil || code != 0 {
		t.Fatalf("%s: code %d, %v\n%s\nits journal:\n%s", line, code, err, out, d.journal())
	}
	return out
}

// journal is what the unit said last, for the log of a failed test.
func (d *debian) journal() string {
	out, _, _ := d.ask("journalctl -n 40 -o cat -u "+unit, 10*time.Second)
	return out
}

// property is what systemctl show says of the unit.
func (d *debian) property(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(d.run(t, fmt.Sprintf("systemctl show -P %s %s", name, unit)))
}

func (d *debian) wantActive(t *testing.T, restarts int) {
	t.Helper()
	until(t, 20*time.Second, "active", func() bool { return d.property(t, "ActiveState") == "active" })
	for name, want := range map[string]string{"SubState": "running", "Type": "notify", "NRestarts": strconv.Itoa(restarts)} {
		if got := d.property(t, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// wantUnprivileged looks at the process as the kernel sees it (proc_pid_status(5), proc_pid_mountinfo(5)).
func (d *debian) wantUnprivileged(t *testing.T) {
	t.Helper()
	pid := d.property(t, "MainPID")
	status := map[string]string{}
	for line := range strings.Lines(d.run(t, "cat /proc/"+pid+"/status")) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.Join(strings.Fields(value), " ")
	}
	for _, name := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if status[name] != "0000000000000000" {
			t.Errorf("%s %q, want no capability", name, status[name])
		}
	}
	if status["NoNewPrivs"] != "1" || status["Seccomp"] != "2" {
		t.Errorf("NoNewPrivs %q, Seccomp %q, want 1 and 2 (a filter)", status["NoNewPrivs"], status["Seccomp"])
	}
	uid, _, _ := strings.Cut(status["Uid"], " ")
	// systemd.exec(5): DynamicUser= takes 61184 to 65519
	if n, err := strconv.Atoi(uid); err != nil || n < 61184 || n > 65519 || status["Uid"] != strings.Repeat(uid+" ", 3)+uid {
		t.Errorf("Uid %q is not that of a dynamic user", status["Uid"])
	}
	if groups := " " + status["Groups"] + " "; !strings.Contains(groups, " 44 ") {
		t.Errorf("Groups %q, want 44 (video) among them", status["Groups"])
	}
	mounts := d.run(t, "cat /proc/"+pid+"/mountinfo")
	for place, want := range map[string]string{"/": "ro", "/var/lib/private/ocellus": "rw"} {
		if !regexp.MustCompile(`(?m)^\d+ \d+ \S+ \S+ ` + place + ` ` + want + `,`).MatchString(mounts) {
			t.Errorf("%s is not mounted %s for it:\n%s", place, want, mounts)
		}
	}
	exposure := d.run(t, "systemd-analyze security --no-pager "+unit)
	t.Log(strings.TrimSpace(exposure[strings.LastIndex(strings.TrimSpace(exposure), "\n")+1:]))
}

// url makes the test the owner, by the label that root is told, and is the address of the owner's stream. The label is
// in no journal.
func (d *debian) url(t *testing.T) string {
	t.Helper()
	label := strings.TrimSpace(d.run(t, "/usr/local/bin/ocellus-agent label --state /var/lib/ocellus"))
	if said := d.run(t, "journalctl -o cat -u "+unit); strings.Contains(said, label) ||
		!strings.Contains(said, "this camera has no owner yet") {
		t.Errorf("the journal has the label, or no word of the owner:\n%s", tail(said, 2000))
	}
	r := tool(t, time.Minute, program("camctl"), "pair", "--home", d.file("owner"), "--camera", d.door, "--label", label)
	u, err := url.Parse(regexp.MustCompile(`rtsp://\S+/main`).FindString(r.out))
	if err != nil || u.Host == "" {
		t.Fatalf("camctl pair: exit code %d, %v: %s%s", r.code, err, r.out, r.errs)
	}
	u.Host = d.host
	return u.String()
}

// wantStream watches from outside and decodes.
func (d *debian) wantStream(t *testing.T, stream string) {
	t.Helper()
	if s, r := watch(t, 3*time.Second, "--transport", "tcp", stream); r.code != 0 || !s.whole() {
		t.Errorf("camctl watch: code %d, %+v: %s\n%s", r.code, s, r.errs, d.journal())
	}
	r := tool(t, 30*time.Second, "ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", stream,
		"-frames:v", "10", "-f", "framecrc", "-")
	if n := len(framecrcTimes(t, r.out)); r.code != 0 || n != 10 {
		t.Errorf("ffmpeg decodes %d pictures of 10, code %d: %s", n, r.code, r.errs)
	}
}

// wantReset unbinds the camera: the agent starts anew in the process that systemd knows, and nothing is left but what the
// camera needs to be claimed again. It may have begun a log of its own by then; nothing of the one before is in it.
func (d *debian) wantReset(t *testing.T) {
	t.Helper()
	d.run(t, "cd /var/lib/ocellus/ && mkdir -p log && echo words >log/before && chown -R $(stat -c %u:%g .) log")
	pid, restarts := d.property(t, "MainPID"), d.property(t, "NRestarts")
	r := tool(t, time.Minute, program("camctl"), "unbind", "--home", d.file("owner"), "camera", "--yes")
	if r.code != 0 {
		t.Fatalf("camctl unbind: exit code %d: %s", r.code, r.errs)
	}
	until(t, 30*time.Second, "the agent starts anew", func() bool {
		_, after, ok := strings.Cut(d.run(t, "journalctl -o cat -u "+unit), "the camera is as it came from its box")
		return ok && strings.Contains(after, "agent runs")
	})
	if now := d.property(t, "MainPID"); now != pid || d.property(t, "NRestarts") != restarts ||
		d.property(t, "ActiveState") != "active" {
		t.Errorf("MainPID %s was %s, NRestarts %s, %s", now, pid, d.property(t, "NRestarts"), d.property(t, "ActiveState"))
	}
	d.run(t, "! [ -e /var/lib/ocellus/log/before ]")
	left := strings.Fields(d.run(t, "ls -A /var/lib/ocellus/"))
	left = slices.DeleteFunc(left, func(name string) bool { return name == "ports.json" || name == "log" })
	same(t, "left in the state directory", left, []string{"agent.lock", "agent.sock", "blackbox.sealed",
		"crash.raw", "keys.area", "log.tail", "persist.area"})
}

// wantStop stops the unit while somebody watches.
func (d *debian) wantStop(t *testing.T, stream string) {
	t.Helper()
	ended := make(chan ran, 1)
	go func() {
		_, r := watch(t, 60*time.Second, "--transport", "tcp", stream)
		ended <- r
	}()
	until(t, 20*time.Second, "a reader", func() bool {
		return strings.Contains(d.run(t, "wget -qO- http://127.0.0.1:9554/metrics || true"), ofStream("ocellus_stream_readers", "main")+" 1")
	})
	times := strings.Fields(d.run(t, "cut -d' ' -f1 /proc/uptime; systemctl stop "+unit+"; cut -d' ' -f1 /proc/uptime"))
	begin, err := strconv.ParseFloat(times[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	end, err := strconv.ParseFloat(times[len(times)-1], 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("systemctl stop took %.2f s", end-begin)
	if end-begin > 2 {
		t.Errorf("systemctl stop took %.2f s, want 2 at most", end-begin)
	}
	if state, result := d.property(t, "ActiveState"), d.property(t, "Result"); state != "inactive" || result != "success" {
		t.Errorf("stopped: %s, %s", state, result)
	}
	if r := <-ended; r.code != 8 {
		t.Errorf("the reader ended with code %d, want 8 (ended before its time): %s", r.code, r.errs)
	}
}
