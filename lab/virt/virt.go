// Package virt boots the virtual camera board for the tests of the lab: the disk image that a board is flashed with, in
// an emulator, through the real boot loader, on a disk that is thrown away. A test looks at it as a person would, by
// its serial console, its network and its power plug, and reaches into it with the lab's hand (lab/hand), which a
// second disk brings and which talks over a wire of its own, so that a test may break everything else.
//
// It knows built things alone: dist/qemu-virt-ARCH (make image), dist/lab-ARCH (make lab) and bin/camctl (make build).
// OCELLUS_DIST names another place than dist/, OCELLUS_BIN than bin/. The serial console of each board is kept in
// var/lab/TEST/console.log; its end is shown when the test fails.
//
// The emulator is killed by its process id when the test ends, and by the kernel when the test binary does. Methods
// call t.Fatal, so they belong into the test's own goroutine.
package virt

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Patience of the library. An emulated board on a busy machine is slow; one that hangs is found all the same.
const (
	bootLimit = 3 * time.Minute // from power-on to the hand's first word
	runLimit  = time.Minute     // for a program in the board
)

// Options say what is booted.
type Options struct {
	Arch     string   // arm64 or armv7
	Disk     string   // a raw disk image to boot and to write to; empty: a copy of the built one, which is thrown away
	Lab      Lab      // what the lab's disk brings beside the hand
	CardSlot bool     // a slot for SD cards, empty (Insert)
	Network  *Network // what its cable leads to; nil: the emulator's own network, where the board is reached by TCP alone
	Record   string   // file for QEMU's blklogwrites, which lab/disklog reads; empty: nothing is recorded
	Args     []string // more arguments of the emulator
	Name     string   // of the console's log, where a test has two boards; empty: console
}

// Lab is what the lab's disk brings into the board, on /lab.
type Lab struct {
	Files map[string]string // path below /lab: file of this machine
	Conf  []string          // lines of init.conf (cmd/init/config.go)
	Late  time.Duration     // the hand starts so long behind the services, in whole seconds: for who takes their times
}

// Arches returns the architectures that ARCH asks for, both where it says nothing.
func Arches(t testing.TB) []string {
	t.Helper()
	both := []string{"arm64", "armv7"}
	wanted := strings.Fields(os.Getenv("ARCH"))
	for _, arch := range wanted {
		if !slices.Contains(both, arch) {
			t.Fatalf("ARCH=%s: the virtual board is arm64 or armv7", arch)
		}
	}
	if len(wanted) == 0 {
		return both
	}
	return wanted
}

// Board is a virtual board and its disk.
type Board struct {
	t       testing.TB
	options Options
	image   string // folder of the built image
	lab     string // image of the lab's disk
	home    string // where camctl keeps the key of the board's owner
	card    string // in its slot for cards; empty: none
	console *console
	machine *machine // nil while the power is off
	boots   int      // how many boots of this machine the test has waited for
	kernel  []string // what the kernel said in each boot before the hand was there
	allowed []*regexp.Regexp
	forward map[int]string // TCP port of the board: where it is reached, while the power is on
}

// Boot switches a board on and waits until its hand answers. It is switched off and thrown away when the test ends, and
// the test fails if its kernel complained (Trouble).
func Boot(t testing.TB, o Options) *Board {
	t.Helper()
	dist := distFolder(t)
	b := &Board{t: t, options: o, image: filepath.Join(dist, "qemu-virt-"+o.Arch)}
	brought := filepath.Join(dist, "lab-"+o.Arch)
	needFiles(t, o.Arch, filepath.Join(b.image, "disk.img"), filepath.Join(b.image, "emulator"),
		filepath.Join(brought, "hand"))
	scratch := t.TempDir()
	b.lab, b.home = filepath.Join(scratch, "lab.img"), filepath.Join(scratch, "owner")
	if o.CardSlot {
		o.Lab.Conf = append(cardModules(), o.Lab.Conf...)
	}
	if err := buildLab(t.Context(), filepath.Join(scratch, "lab"), b.lab, brought, o.Lab); err != nil {
		t.Fatal(err)
	}
	if o.Disk == "" {
		b.options.Disk = filepath.Join(scratch, "disk.img")
		if err := copySparse(filepath.Join(b.image, "disk.img"), b.options.Disk); err != nil {
			t.Fatal(err)
		}
	}
	b.console = openConsole(t, filepath.Join(filepath.Dir(dist), "var", "lab", logFolder(t.Name())), o.Name)
	t.Cleanup(b.cleanUp)
	b.Start()
	return b
}

// Image is a file of the built image: disk.img, slot.img (cmd/mkimage).
func Image(t testing.TB, arch, name string) string {
	t.Helper()
	file := filepath.Join(distFolder(t), "qemu-virt-"+arch, name)
	needFiles(t, arch, file)
	return file
}

// Brought is a file that make lab built for the lab's disk; a folder where name is one.
func Brought(t testing.TB, arch, name string) string {
	t.Helper()
	file := filepath.Join(distFolder(t), "lab-"+arch, name)
	needFiles(t, arch, file)
	return file
}

// distFolder is OCELLUS_DIST, or dist/ of the project.
func distFolder(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("OCELLUS_DIST"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return filepath.Join(dir, "dist")
		}
		if dir == filepath.Dir(dir) {
			err = fmt.Errorf("no go.mod above the test: OCELLUS_DIST=DIR names the images' folder")
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal(err)
	return ""
}

// needFiles fails the test with the verb that builds what is missing, and with the one that installs it.
func needFiles(t testing.TB, arch string, files ...string) {
	t.Helper()
	for _, f := range files {
		if _, err := os.Stat(f); err != nil {
			t.Fatalf("%v: make lab ARCH=%s builds it", err, arch)
		}
	}
	emulator := map[string]string{"arm64": "qemu-system-aarch64", "armv7": "qemu-system-arm"}[arch]
	for _, tool := range []string{emulator, "mksquashfs"} {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv("NO_INSTALL") == "1" {
			t.Skipf("%s is not installed and NO_INSTALL=1 forbids to install it", tool)
		}
		t.Fatalf("%s is not installed: make setup-test", tool)
	}
}

// logFolder makes a folder's name of a test's.
func logFolder(test string) string {
	return regexp.MustCompile(`[^A-Za-z0-9_/.-]`).ReplaceAllString(test, "_")
}

// copySparse copies a disk image; its holes stay holes.
func copySparse(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() {
		if e := out.Close(); err == nil {
			err = e
		}
	}()
	piece := make([]byte, 64<<10)
	zeros := make([]byte, len(piece))
	for at := int64(0); at < info.Size(); {
		n, err := in.ReadAt(piece, at)
		if n == 0 {
			return err
		}
		if string(piece[:n]) != string(zeros[:n]) {
			if _, err := out.WriteAt(piece[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
	}
	return out.Truncate(info.Size())
}

// Disk is the file that is the board's disk. It may be changed while the power is off.
func (b *Board) Disk() string { return b.options.Disk }

// Partition tells where a partition lies on the disk, in bytes, by its name in the GPT. The board has to be on.
func (b *Board) Partition(name string) (offset, size int64) {
	b.t.Helper()
	const sector = 512 // of sysfs, whatever the disk's are
	out := b.Sh("for d in $(grep -lx PARTNAME=" + name + " /sys/class/block/*/uevent); do " +
		"cat ${d%uevent}start ${d%uevent}size; done")
	if _, err := fmt.Sscan(out, &offset, &size); err != nil {
		b.t.Fatalf("partition %s: %v: %q", name, err, out)
	}
	return offset * sector, size * sector
}

// Damage writes over the disk while the power is off.
func (b *Board) Damage(offset int64, bytes []byte) {
	b.t.Helper()
	if b.machine != nil {
		b.t.Fatal("the disk of a board that is on belongs to the board")
	}
	f, err := os.OpenFile(b.options.Disk, os.O_WRONLY, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = f.WriteAt(bytes, offset)
	if e := f.Close(); err != nil || e != nil {
		b.t.Fatal(err, e)
	}
}

// Start switches the board on again after Cut, and waits until its hand answers.
func (b *Board) Start() {
	b.t.Helper()
	b.switchOn()
	b.Await(bootLimit)
}

// switchOn switches a board on that is off.
func (b *Board) switchOn() {
	b.t.Helper()
	if b.machine != nil {
		b.t.Fatal("start: the board is on")
	}
	b.console.forget()
	m, err := b.powerOn()
	if err != nil {
		b.t.Fatal(err)
	}
	b.machine, b.boots, b.forward = m, 0, map[int]string{}
}

// Await waits until the hand answers in a boot that the test has not waited for yet: after whatever resets the board.
func (b *Board) Await(limit time.Duration) {
	b.t.Helper()
	n, err := b.machine.hand.await(b.boots, limit, b.machine.ended)
	if err != nil {
		b.t.Fatalf("the board does not come up: %v", err)
	}
	b.boots = n
	b.kernel = append(b.kernel, b.Run("/bin/busybox", "dmesg").Out)
}

// Reset presses the reset button and waits until the hand answers again.
func (b *Board) Reset() {
	b.t.Helper()
	b.console.forget()
	if _, err := b.machine.monitor.do("system_reset", nil); err != nil {
		b.t.Fatal(err)
	}
	b.Await(bootLimit)
}

// Reboot takes the board down in order and waits until its hand answers again.
func (b *Board) Reboot() {
	b.t.Helper()
	b.goDown("reboot")
	b.Await(bootLimit)
}

// PowerOff takes the board down in order and waits until the power is off.
func (b *Board) PowerOff() {
	b.t.Helper()
	b.goDown("poweroff")
	select {
	case <-b.machine.ended:
		b.Cut()
	case <-time.After(runLimit):
		b.t.Fatalf("the power is not off after %v", runLimit)
	}
}

// goDown tells init, once the hand has answered.
func (b *Board) goDown(how string) {
	b.t.Helper()
	b.Sh("(sleep 0.2; echo " + how + " >/run/init) >/dev/null 2>&1 &")
}

// Cut pulls the power plug. What the board had handed to its disk is there, flushed or not; lab/disklog is for the
// rest.
func (b *Board) Cut() {
	if b.machine != nil {
		b.machine.kill()
		b.machine = nil
	}
}

// cleanUp ends a board with its test.
func (b *Board) cleanUp() {
	b.Cut()
	if trouble := b.Trouble(); len(trouble) > 0 {
		b.t.Errorf("the kernel complains:\n%s", strings.Join(trouble, "\n"))
	}
	if b.t.Failed() {
		b.t.Logf("the end of the board's console (all of it: %s):\n%s", b.console.name, b.console.tail(60))
	}
	if err := b.console.file.Close(); err != nil {
		b.t.Error(err)
	}
}

// AllowTrouble keeps a line of Trouble from failing the test: for what the test itself brings about.
func (b *Board) AllowTrouble(pattern string) {
	b.allowed = append(b.allowed, regexp.MustCompile(pattern))
}

// Trouble lists what the kernel complained of since the board was made: oops, BUG, call trace, warning, panic.
func (b *Board) Trouble() []string {
	return complaints(strings.Join(append(b.kernel, b.Console()), "\n"), b.allowed)
}

// complaints picks the kernel's complaints that are not allowed. One call trace is none: vivid's thread asks for an
// impossible wait where the emulated clock stood still for long, on a busy host, and the kernel shows who asked
// (schedule_timeout, kernel/time/timer.c).
func complaints(log string, allowed []*regexp.Regexp) []string {
	signs := regexp.MustCompile(`Oops|BUG: |Call [Tt]race|WARNING: CPU|Kernel panic|Unable to handle kernel|` +
		`blocked for more than|Out of memory: `)
	var found []string
	late := false // the next call trace is vivid's
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		late = late || strings.Contains(line, "schedule_timeout: wrong timeout value")
		switch {
		case !signs.MatchString(line):
		case late && strings.Contains(line, "Call trace"):
			late = false
		case !slices.ContainsFunc(allowed, func(r *regexp.Regexp) bool { return r.MatchString(line) }):
			found = append(found, line)
		}
	}
	return found
}

// Console is all that the serial console said since the board was made.
func (b *Board) Console() string { return strings.Join(b.console.all(), "\n") }

// Lines returns the console's lines that match, since the board was made.
func (b *Board) Lines(pattern string) []string {
	r := regexp.MustCompile(pattern)
	return slices.DeleteFunc(b.console.all(), func(line string) bool { return !r.MatchString(line) })
}

// Expect waits for a line of the console, and returns it. It looks behind the last line that was expected, and not
// before the last Start or Reset.
func (b *Board) Expect(pattern string, limit time.Duration) string {
	b.t.Helper()
	line, err := b.console.expect(regexp.MustCompile(pattern), limit, b.machine.ended)
	if err != nil {
		b.t.Fatal(err)
	}
	return line
}

// On tells how long the power has been on.
func (b *Board) On() time.Duration { return time.Since(b.machine.began) }

// Test runs a subtest on the board: what its methods find wrong is the subtest's.
func (b *Board) Test(name string, test func(t *testing.T)) {
	whole := b.t.(*testing.T)
	whole.Run(name, func(t *testing.T) {
		b.t = t
		defer func() { b.t = whole }()
		test(t)
	})
}

// Since tells how long after power-on the console said a line that matches; ok is false where it did not yet.
func (b *Board) Since(pattern string) (after time.Duration, ok bool) {
	return b.console.since(regexp.MustCompile(pattern), b.machine.began)
}

// Addr is where a TCP port of the board is reached from here, or from inside its Network. It accepts before the board
// listens: only an answer of the protocol tells that somebody is there.
func (b *Board) Addr(port int) string {
	b.t.Helper()
	if b.options.Network != nil {
		return net.JoinHostPort(BoardAddress, strconv.Itoa(port))
	}
	if b.forward[port] == "" {
		addr, err := b.machine.reach(port)
		if err != nil {
			b.t.Fatal(err)
		}
		b.forward[port] = addr
	}
	return b.forward[port]
}
