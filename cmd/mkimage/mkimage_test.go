package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/squashfs"
)

const fakeRelease = "6.1.0-test"

// fakeParts lays out a kernel, its modules and programs, all small.
func fakeParts(t *testing.T, name string) source {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	b := boards()[name]
	var dep strings.Builder
	for _, m := range append(b.early, b.modules...) {
		m, _, _ = strings.Cut(m, " ")
		write("kernel/lib/modules/"+fakeRelease+"/kernel/"+m+".ko", strings.Repeat(m, 1000))
		fmt.Fprintf(&dep, "kernel/%s.ko: kernel/deep.ko\n", m)
	}
	write("kernel/lib/modules/"+fakeRelease+"/kernel/deep.ko", "deep")
	dep.WriteString("kernel/deep.ko:\n")
	write("kernel/lib/modules/"+fakeRelease+"/modules.dep", dep.String())
	write("kernel/lib/modules/"+fakeRelease+"/modules.builtin", "kernel/builtin.ko\n")
	write("kernel/Image", strings.Repeat("kernel", 100_000))
	if b.deviceTree != "" {
		write("kernel/"+strings.ReplaceAll(b.deviceTree, "RELEASE", fakeRelease), "device tree")
	}
	for _, file := range []string{"wpa_supplicant", "regulatory.db", "regulatory.db.p7s"} {
		write("wifi/"+file, file)
	}
	for _, script := range b.scripts {
		write("boot/"+script, "echo "+script+"\n")
	}
	write("boot/release.cmd", "echo release.cmd\n")
	return source{
		board: name, kernel: filepath.Join(dir, "kernel"), boot: filepath.Join(dir, "boot"), wifi: filepath.Join(dir, "wifi"),
		agent: write("agent", strings.Repeat("agent", 100_000)), init: write("init", strings.Repeat("init", 10_000)),
		busybox: write("busybox", "busybox"), data: write("data", "data"), root: write("root.json", "{}"),
		version: "v1", time: 1700000000, out: filepath.Join(dir, "out"),
	}
}

// pack builds a disk as the command does.
func pack(t *testing.T, s source, more ...string) {
	t.Helper()
	if err := disk(append([]string{"-board", s.board, "-kernel", s.kernel, "-boot", s.boot, "-agent", s.agent,
		"-init", s.init,
		"-busybox", s.busybox, "-wifi", s.wifi, "-data", s.data, "-root", s.root, "-version", s.version,
		"-boot-files", s.bootFiles, "-firmware", s.firmware,
		"-time", fmt.Sprint(s.time), "-out", s.out}, more...)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s source, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.out, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTwoBuildsAreTheSame(t *testing.T) {
	t.Parallel()
	for _, name := range boardNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, other := fakeParts(t, name), fakeParts(t, name)
			pack(t, one)
			pack(t, other)
			for _, file := range []string{"slot.img", "image.txt"} { // which has the sum of disk.img
				if !bytes.Equal(read(t, one, file), read(t, other, file)) {
					t.Errorf("%s differs from build to build", file)
				}
			}
		})
	}
}

func TestSlotHoldsItsParts(t *testing.T) {
	t.Parallel()
	s := fakeParts(t, "qemu-virt-arm64")
	pack(t, s)
	slot := read(t, s, "slot.img")
	i, err := fit.Parse(slot)
	if err != nil {
		t.Fatal(err)
	}
	want := fit.Slot{Compatible: s.board, Version: "v1", Payload: fit.Settings, Filesystem: squashfs.Settings}
	if i.Slot != want {
		t.Errorf("note %+v, want %+v", i.Slot, want)
	}
	initrd := expand(t, i.Initrd.Data)
	for _, want := range []string{"TRAILER!!!", "/lib/modules/deep.ko", "root ", "salt ", "blocks "} {
		if !bytes.Contains(initrd, []byte(want)) {
			t.Errorf("the initrd has no %q", want)
		}
	}
	if kernel := expand(t, i.Kernel.Data); len(kernel) != 600_000 {
		t.Errorf("a kernel of %d bytes", len(kernel))
	}
	judge(t, s, slot)
}

func expand(t *testing.T, b []byte) []byte {
	t.Helper()
	r, err := fit.NewExpander(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// judge lets unsquashfs and veritysetup look at the file system.
func judge(t *testing.T, s source, slot []byte) {
	t.Helper()
	_, padded, err := fit.Size(slot)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(s.out, "filesystem")
	if err := os.WriteFile(name, slot[padded:], 0o600); err != nil {
		t.Fatal(err)
	}
	if tool, err := exec.LookPath("unsquashfs"); err != nil {
		t.Log("unsquashfs is not here")
	} else {
		said, err := exec.CommandContext(t.Context(), tool, "-ll", name).CombinedOutput()
		for _, want := range []string{"/usr/bin/agent", "/etc/ocellus/update-root.json", "/bin/sh -> busybox",
			"/kernel/vivid.ko", "/usr/sbin/wpa_supplicant", "/lib/firmware/regulatory.db"} {
			if err != nil || !strings.Contains(string(said), want) {
				t.Errorf("unsquashfs lists no %s: %v\n%s", want, err, said)
			}
		}
	}
	tool, err := exec.LookPath("veritysetup")
	if err != nil {
		t.Skip("veritysetup is not here")
	}
	b := bytes.NewReader(slot[padded:])
	filesystem, err := squashfs.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	offset := (filesystem.Size() + 4095) / 4096 * 4096
	text := string(read(t, s, "image.txt"))
	_, root, _ := strings.Cut(text, "root hash: ")
	root, _, _ = strings.Cut(root, "\n")
	said, err := exec.CommandContext(t.Context(), tool, "verify", name, name, root,
		fmt.Sprintf("--hash-offset=%d", offset)).CombinedOutput()
	if err != nil {
		t.Errorf("veritysetup: %v\n%s", err, said)
	}
}

func TestDiskHoldsItsPartitions(t *testing.T) {
	t.Parallel()
	s := fakeParts(t, "qemu-virt-armv7")
	pack(t, s)
	image, slot := read(t, s, "disk.img"), read(t, s, "slot.img")
	at := func(m int) []byte { return image[m*mib:] }
	env := at(5)
	current, _, err := bootstate.Current([2][]byte{env[:bootstate.CopySize], env[bootstate.Stride:][:bootstate.CopySize]})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := bootstate.Read(current.Env); err != nil || r.Confirmed != bootstate.A || r.Trial != "" {
		t.Errorf("boot record %+v, %v", r, err)
	}
	if !bytes.HasPrefix(at(6), slot) || !bytes.Equal(at(30)[:24*mib], make([]byte, 24*mib)) {
		t.Error("slot A is not the slot, or slot B is not empty")
	}
	if !bytes.HasPrefix(at(56), []byte("data")) {
		t.Error("no data")
	}
	if tool, err := exec.LookPath("mtype"); err == nil {
		where := filepath.Join(s.out, "disk.img") + "@@1M"
		said, err := exec.CommandContext(t.Context(), tool, "-i", where, "::boot.scr").CombinedOutput()
		if err != nil || !bytes.HasSuffix(said, []byte("echo qemu-virt.cmd\necho release.cmd\necho boot.cmd\n")) {
			t.Errorf("boot.scr: %v, %q", err, said)
		}
	}
}

// TestFlavours: in a release the serial port is the console's, and nothing says developer; a developer's image is
// marked where a person, the agent and camctl look.
func TestFlavours(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more           []string
		spoken, marked bool
	}{
		"release":           {nil, false, false},
		"developer":         {[]string{"-flavour", "developer"}, true, true},
		"the lab's release": {[]string{"-console"}, true, false},
	} {
		s := fakeParts(t, "qemu-virt-arm64")
		pack(t, s, c.more...)
		i, err := fit.Parse(read(t, s, "slot.img"))
		if err != nil || (i.Slot.Flavour == fit.Developer) != c.marked {
			t.Errorf("%s: the note says %q, %v", name, i.Slot.Flavour, err)
		}
		if got := bytes.Contains(read(t, s, "disk.img"), []byte("echo release.cmd")); got == c.spoken {
			t.Errorf("%s: the boot script takes the port from the kernel: %v", name, got)
		}
		if got := bytes.Contains(read(t, s, "flash.img")[:flashEnv], []byte("bootdelay=-2")); got == c.spoken {
			t.Errorf("%s: the boot loader looks for no key: %v", name, got)
		}
		if got := strings.Contains(string(read(t, s, "image.txt")), "the kernel's"); got != c.spoken {
			t.Errorf("%s: the report says so: %v", name, got)
		}
	}
}

// TestBrought: the developer's mark and the factory's key are in the root file system of the image that is given them.
func TestBrought(t *testing.T) {
	t.Parallel()
	s := fakeParts(t, "qemu-virt-arm64")
	k, err := openKernel(s.kernel, s.modules)
	if err != nil {
		t.Fatal(err)
	}
	files := func() (mark, factory bool) {
		entries, err := rootEntries(boards()[s.board], s, k)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			mark = mark || e.Path == "etc/ocellus/mark"
			factory = factory || e.Path == "etc/ocellus/factory.pub" && string(e.Data) == "agent"+strings.Repeat("agent", 99_999)
		}
		return mark, factory
	}
	if mark, factory := files(); mark || factory {
		t.Errorf("a release has a mark (%v), or a factory (%v)", mark, factory)
	}
	s.flavour, s.factory = fit.Developer, s.agent // any file
	if mark, factory := files(); !mark || !factory {
		t.Errorf("mark %v, factory %v", mark, factory)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	s := fakeParts(t, "qemu-virt-arm64")
	for name, args := range map[string][]string{
		"no command":    {},
		"unknown board": {"disk", "-board", "x"},
		"no version":    {"disk", "-board", s.board},
		"no flavour": {"disk", "-board", s.board, "-version", "v", "-time", "1", "-out", t.TempDir(),
			"-flavour", "vanilla"},
		"no kernel": {"disk", "-board", s.board, "-version", "v", "-time", "1", "-out", t.TempDir(),
			"-kernel", t.TempDir()},
	} {
		if err := run(args); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
