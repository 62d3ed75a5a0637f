package bootstate

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// The real boot script in the real U-Boot, beside its twin. Each case is a disk of 2 MiB: a GPT, the record, two slots
// with a FIT around a kernel that only switches the machine off.

const (
	sector      = 512
	envLBA      = 0x80
	slotLBA     = envLBA + Size/sector
	slotSectors = 0x100
	diskSectors = slotLBA + 2*slotSectors + 0x40
)

// architecture is one of the two virtual boards.
type architecture struct {
	name     string // U-Boot's word
	emulator []string
	uboot    string   // Debian's package u-boot-qemu
	off      []uint32 // code that calls PSCI SYSTEM_OFF (84000008) by hvc, and then waits
}

func arm64() architecture {
	return architecture{"arm64", []string{"qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53"},
		"/usr/lib/u-boot/qemu_arm64/u-boot.bin", []uint32{0x52800100, 0x72b08000, 0xd4000002, 0x14000000}}
}

func armv7() architecture {
	return architecture{"arm", []string{"qemu-system-arm", "-M", "virt", "-cpu", "cortex-a15"},
		"/usr/lib/u-boot/qemu_arm/u-boot.bin", []uint32{0xe3000008, 0xe3480400, 0xe1400070, 0xeafffffe}}
}

// machine is what all cases of an architecture share.
type machine struct {
	architecture
	dir string
	fit []byte
}

func newMachine(t *testing.T, a architecture) machine {
	t.Helper()
	for _, tool := range []string{a.emulator[0], "mkimage", "dtc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("no real U-Boot to compare with: ", err)
		}
	}
	if _, err := os.Stat(a.uboot); err != nil {
		t.Skip("no real U-Boot to compare with: ", err)
	}
	m := machine{architecture: a, dir: t.TempDir()}
	m.writeFIT(t)
	m.writeScript(t)
	m.writeFlash(t)
	return m
}

func (m machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m machine) file(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(m.path(name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (m machine) mkimage(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "mkimage", args...)
	cmd.Dir = m.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mkimage %v: %v\n%s", args, err, out)
	}
}

// writeFIT makes a FIT whose kernel switches the machine off: an Image (Documentation/arm64/booting.rst), whose first
// instruction jumps over its header, or bare code for 32 bit.
func (m *machine) writeFIT(t *testing.T) {
	t.Helper()
	image, at := make([]byte, 4096), 0
	le := binary.LittleEndian
	if m.name == "arm64" {
		at = 64
		le.PutUint32(image[0:], 0x14000010) // b 0x40
		le.PutUint64(image[16:], 4096)      // image_size
		copy(image[56:], "ARM\x64")
	}
	for i, code := range m.off {
		le.PutUint32(image[at+4*i:], code)
	}
	m.file(t, "Image", image)
	m.file(t, "initrd", bytes.Repeat([]byte("initrd "), 1000))
	m.file(t, "slot.its", []byte(strings.ReplaceAll(`/dts-v1/;
/ { description = "slot"; #address-cells = <1>;
	images {
		kernel { description = "kernel"; data = /incbin/("Image"); type = "kernel"; arch = "arm64"; os = "linux";
			compression = "none"; load = <0x40200000>; entry = <0x40200000>; hash-1 { algo = "sha256"; }; };
		initrd { description = "initrd"; data = /incbin/("initrd"); type = "ramdisk"; arch = "arm64"; os = "linux";
			compression = "none"; hash-1 { algo = "sha256"; }; };
	};
	configurations { default = "slot"; slot { kernel = "kernel"; ramdisk = "initrd"; }; };
};`, "arm64", m.name)))
	m.mkimage(t, "-f", "slot.its", "slot.fit")
	var err error
	if m.fit, err = os.ReadFile(m.path("slot.fit")); err != nil {
		t.Fatal(err)
	}
}

// writeScript makes boot.scr as the image builder does.
func (m machine) writeScript(t *testing.T) {
	t.Helper()
	var script []byte
	for _, part := range []string{"qemu-virt.cmd", "boot.cmd"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "board", "boot", part))
		if err != nil {
			t.Fatal(err)
		}
		script = append(script, b...)
	}
	m.file(t, "boot.cmd", script)
	m.mkimage(t, "-A", m.name, "-T", "script", "-C", "none", "-d", "boot.cmd", "boot.scr")
}

// writeFlash makes U-Boot's own environment: it sources the script that the machine's loader put into memory.
func (m machine) writeFlash(t *testing.T) {
	t.Helper()
	const envSize = 0x40000
	env := make([]byte, envSize)
	copy(env[4:], "bootdelay=0\x00bootcmd=source 4f000000; reset\x00fdt_high=ffffffffffffffff\x00")
	binary.LittleEndian.PutUint32(env, crc32.ChecksumIEEE(env[4:]))
	m.file(t, "flash.img", env)
	if err := os.Truncate(m.path("flash.img"), 64<<20); err != nil {
		t.Fatal(err)
	}
}

// gpt writes the partitions env, slot-a and slot-b (UEFI 5.3).
func gpt(disk []byte) {
	le := binary.LittleEndian
	entries := disk[2*sector:][: 128*128 : 128*128]
	add := func(i int, name string, first, sectors int) {
		e := entries[128*i:]
		copy(e, "\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4") // Linux filesystem data
		e[16] = byte(i + 1)                                                         // the partition's own GUID
		le.PutUint64(e[32:], uint64(first))
		le.PutUint64(e[40:], uint64(first+sectors-1))
		for j, c := range utf16.Encode([]rune(name)) {
			le.PutUint16(e[56+2*j:], c)
		}
	}
	add(0, "env", envLBA, Size/sector)
	add(1, "slot-a", slotLBA, slotSectors)
	add(2, "slot-b", slotLBA+slotSectors, slotSectors)
	mbr := disk[446:]
	mbr[4] = 0xee
	le.PutUint32(mbr[8:], 1)
	le.PutUint32(mbr[12:], diskSectors-1)
	copy(disk[510:], "\x55\xaa")
	h := disk[sector:][:92]
	copy(h, "EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")
	le.PutUint64(h[24:], 1)
	le.PutUint64(h[32:], diskSectors-1)
	le.PutUint64(h[40:], 34)
	le.PutUint64(h[48:], diskSectors-34)
	h[56] = 1
	le.PutUint64(h[72:], 2)
	le.PutUint32(h[80:], 128)
	le.PutUint32(h[84:], 128)
	le.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h))
}

// ubootCase is one disk.
type ubootCase struct {
	name   string
	copies [2][]byte
	slots  map[Slot]string // "good", "flipped", "torn" (without its first 64 KiB), "empty"
	locked bool            // the disk takes no writes
}

func (m machine) disk(c ubootCase) []byte {
	disk := make([]byte, diskSectors*sector)
	gpt(disk)
	for i, b := range c.copies {
		copy(disk[envLBA*sector+i*Stride:], b)
	}
	for i, s := range []Slot{A, B} {
		fit := bytes.Clone(m.fit)
		switch c.slots[s] {
		case "empty":
			fit = nil
		case "flipped":
			fit[len(fit)/2] ^= 0x10
		case "torn":
			clear(fit[:min(len(fit), 64<<10)])
		case "huge":
			copy(fit[4:], "\xff\xff\xff\xff")
		}
		copy(disk[(slotLBA+i*slotSectors)*sector:], fit)
	}
	return disk
}

// run boots the machine and returns what it said, and the disk afterwards.
func (m machine) run(t *testing.T, c ubootCase) (string, []byte) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(image, m.disk(c), 0o644); err != nil {
		t.Fatal(err)
	}
	drive := "if=none,id=d0,format=raw,file=" + image
	if c.locked {
		drive += ",readonly=on"
	}
	const limit = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	args := append(slices.Clone(m.emulator[1:]), "-m", "512", "-nodefaults",
		"-display", "none", "-monitor", "none", "-no-reboot", "-serial", "stdio", "-bios", m.uboot,
		"-drive", "if=pflash,unit=1,format=raw,readonly=on,file="+m.path("flash.img"),
		"-device", "loader,force-raw=on,addr=0x4f000000,file="+m.path("boot.scr"),
		"-drive", drive, "-device", "virtio-blk-device,drive=d0")
	out, err := exec.CommandContext(ctx, m.emulator[0], args...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	after, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), after
}

// compare runs a case in U-Boot and says where it differs from the twin.
func (m machine) compare(t *testing.T, c ubootCase) {
	t.Helper()
	want := Next(Board{c.copies, func(s Slot) bool { return c.slots[s] == "good" }, c.locked})
	out, after := m.run(t, c)
	wantLine := "boot: no slot verifies"
	if want.Slot != "" {
		wantLine = fmt.Sprintf("boot: slot %s, %s", want.Slot, want.How)
	}
	got := "nothing"
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "boot: no slot") || strings.HasPrefix(line, "boot: slot") && strings.Contains(line, ",") {
			got = line
		}
	}
	if got != wantLine || want.Slot != "" && !strings.Contains(out, "Starting kernel") {
		t.Errorf("got %q, want %q\n%s", got, wantLine, out)
	}
	for i := range c.copies {
		written := make([]byte, CopySize)
		copy(written, c.copies[i])
		if i == want.Write {
			written = want.Data
		}
		if b := after[envLBA*sector+i*Stride:][:CopySize]; !bytes.Equal(b, written) {
			t.Errorf("copy %d: got %q, want %q\n%s", i, bytes.TrimRight(b, "\x00"), bytes.TrimRight(written, "\x00"), out)
		}
	}
}

func TestUBoot(t *testing.T) {
	t.Parallel()
	m := newMachine(t, arm64())
	for _, c := range ubootCases(t) {
		t.Run(c.name, func(t *testing.T) { m.compare(t, c) })
	}
}

// TestUBoot32 looks at what numbers of 32 bit could spoil.
func TestUBoot32(t *testing.T) {
	t.Parallel()
	m := newMachine(t, armv7())
	for _, c := range ubootCases(t) {
		switch c.name {
		case "confirmed b", "trial", "torn write", "tries used up", "trial of a huge size", "high sequence":
			t.Run(c.name, func(t *testing.T) { m.compare(t, c) })
		}
	}
}

// ubootCases lists one disk of each class.
func ubootCases(t *testing.T) []ubootCase {
	both := map[Slot]string{A: "good", B: "good"}
	fresh, later := Record{Confirmed: A, Floor: 0x10}, Env{"st_later": "kept"}
	trial := Record{Confirmed: A, Trial: B, Tries: 2, Floor: 0x10}
	used := Record{Confirmed: B, Trial: A, Floor: 0x10}
	rec := func(seq uint32, r Record) []byte { return copyOf(t, seq, r, later) }
	odd := func(e Env) []byte {
		b, err := Format(Copy{3, e})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	torn := append(bytes.Clone(rec(9, trial)[:64]), bytes.Repeat([]byte{0xff}, CopySize-64)...)
	return []ubootCase{
		{"confirmed a", [2][]byte{rec(1, fresh), nil}, both, false},
		{"confirmed b", [2][]byte{rec(0xfe, fresh), rec(0xff, Record{Confirmed: B})}, both, false},
		{"equal sequences", [2][]byte{rec(7, fresh), rec(7, Record{Confirmed: B})}, both, false},
		{"trial", [2][]byte{rec(0x9, fresh), rec(0xa, trial)}, both, false},
		{"trial in copy 0", [2][]byte{rec(0x10, trial), rec(0xf, fresh)}, both, false},
		{"high sequence", [2][]byte{rec(MaxSeq-1, trial), rec(0xfffff, fresh)}, both, false},
		{"torn write", [2][]byte{rec(8, fresh), torn}, both, false},
		{"trial beside a torn copy", [2][]byte{torn, rec(8, trial)}, both, false},
		{"tries used up", [2][]byte{rec(2, used), rec(1, fresh)}, both, false},
		{"trial does not verify", [2][]byte{rec(2, trial), nil}, map[Slot]string{A: "good", B: "flipped"}, false},
		{"trial never written", [2][]byte{rec(2, trial), nil}, map[Slot]string{A: "good", B: "empty"}, false},
		{"trial cut short", [2][]byte{rec(2, trial), nil}, map[Slot]string{A: "good", B: "torn"}, false},
		{"trial of a huge size", [2][]byte{rec(2, trial), nil}, map[Slot]string{A: "good", B: "huge"}, false},
		{"confirmed does not verify", [2][]byte{rec(2, fresh), nil}, map[Slot]string{A: "flipped", B: "good"}, false},
		{"neither verifies", [2][]byte{rec(2, trial), nil}, map[Slot]string{A: "flipped", B: "empty"}, false},
		{"both copies damaged", [2][]byte{torn, make([]byte, CopySize)}, both, false},
		{"both copies and a damaged", [2][]byte{torn, nil}, map[Slot]string{A: "torn", B: "good"}, false},
		{"nothing is whole", [2][]byte{torn, nil}, map[Slot]string{A: "torn", B: "flipped"}, false},
		{"no write", [2][]byte{rec(2, trial), nil}, both, true},
		{"odd slot", [2][]byte{odd(Env{"st_slot": "c", "st_try": "b", "st_left": "1", "st_fail": "none", "st_why": "none"}), nil}, both, false},
		{"odd tries", [2][]byte{odd(Env{"st_slot": "b", "st_try": "a", "st_left": "03", "st_fail": "x", "st_why": "none"}), nil}, both, false},
		{"confirmed on trial", [2][]byte{odd(Env{"st_slot": "b", "st_try": "b", "st_left": "3"}), nil}, both, false},
		{"few variables", [2][]byte{odd(Env{"st_try": "b", "st_left": "3"}), nil}, both, false},
	}
}
