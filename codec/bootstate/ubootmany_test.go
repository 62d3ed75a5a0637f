package bootstate

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/bootstate/enumerated"
)

// The real boot script in the real U-Boot, many states a boot: a driver lays one state after another on the disk, runs the
// script, notes what it boots instead of booting it, and puts what became of the record aside. The states are those that
// boot loaders met in the crash test of the update engine (ota, TestCrash), at least one of each class.

// Where the states lie on the disk, in sectors behind everything else: FITs, then a header, both copies and room for what
// becomes of them, a state.
const (
	fitSectors   = 0x40
	poolLBA      = diskSectors
	copySectors  = CopySize / sector
	stateSectors = 1 + 4*copySectors
	statesLBA    = poolLBA + 3*fitSectors
)

// met reads the states.
func met(t *testing.T) []ubootCase {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "enumerated.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	states, err := enumerated.Read(f, CopySize)
	if err != nil {
		t.Fatal(err)
	}
	var all []ubootCase
	for n, s := range states {
		all = append(all, ubootCase{name: fmt.Sprint(n), slots: map[Slot]string{A: s.Slots[0], B: s.Slots[1]}, copies: s.Copies})
	}
	return all
}

// manyDisk is a disk with all states.
func (m machine) manyDisk(t *testing.T, all []ubootCase) []byte {
	t.Helper()
	disk := make([]byte, (statesLBA+len(all)*stateSectors)*sector)
	gpt(disk)
	if len(m.fit) > fitSectors*sector {
		t.Fatalf("the FIT has %d bytes", len(m.fit))
	}
	variants := []string{"good", "flipped", "empty"}
	for i, name := range variants {
		copy(disk[(poolLBA+i*fitSectors)*sector:], m.variant(name))
	}
	for n, c := range all {
		at := disk[(statesLBA+n*stateSectors)*sector:]
		header := ""
		for _, s := range []Slot{A, B} { // the address in memory of the slot's FIT
			header += fmt.Sprintf("jd_%s=%x\x00", s, 0x51000000+slices.Index(variants, c.slots[s])*fitSectors*sector)
		}
		copy(at, header)
		copy(at[sector:], c.copies[0])
		copy(at[sector+CopySize:], c.copies[1])
	}
	return disk
}

// variant is the FIT of a slot.
func (m machine) variant(name string) []byte {
	fit := bytes.Clone(m.fit)
	switch name {
	case "empty":
		return nil
	case "flipped":
		fit[len(fit)/2] ^= 0x10
	}
	return fit
}

// writeJudge makes judge.scr, the boot script as it is shipped but for its two ends: where it would boot it notes what,
// and where it would reset it goes on; and boot.scr, the driver.
func (m machine) writeJudge(t *testing.T, states int, spoil func(string) string) {
	t.Helper()
	script, err := os.ReadFile(m.path("boot.cmd"))
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^setenv oc_boot .*$`).ReplaceAllLiteralString(spoil(string(script)),
		`setenv oc_boot 'echo "judged: ${oc_s} ${oc_how}"; run jd_next'`)
	text = strings.ReplaceAll(text, "; reset'", "'")
	text = regexp.MustCompile(`(?m)^reset$`).ReplaceAllString(text, `echo "judged: none"; run jd_next`)
	if strings.Contains(text, "reset") || strings.Count(text, "run jd_next") != 2 {
		t.Fatal("the boot script has other ends than this test knows")
	}
	m.file(t, "judge.cmd", []byte(text))
	m.mkimage(t, "-A", m.name, "-T", "script", "-C", "none", "-d", "judge.cmd", "judge.scr")
	env, slots := envLBA, []int{slotLBA, slotLBA + slotSectors}
	names := regexp.MustCompile(`\b(?:oc|st)_[a-z0-9]+\b`).FindAllString(text+" st_later", -1)
	slices.Sort(names)
	clear := ""
	for _, n := range slices.Compact(names) {
		clear += "setenv " + n + "; "
	}
	driver := fmt.Sprintf(`virtio scan
virtio dev 0
virtio read 51000000 %[1]x %[2]x
setenv jd_clear '%[3]s'
setenv jd_load 'virtio read 50000000 ${jd_lba} %[4]x; env import -b 50000000 200; virtio write 50000200 %[5]x %[6]x; virtio write 50004200 %[7]x %[6]x; virtio write ${jd_a} %[8]x %[9]x; virtio write ${jd_b} %[10]x %[9]x'
setenv jd_keep 'setexpr jd_lba ${jd_lba} + %[4]x; virtio read 50000000 %[5]x %[6]x; virtio write 50000000 ${jd_lba} %[6]x; setexpr jd_lba ${jd_lba} + %[6]x; virtio read 50000000 %[7]x %[6]x; virtio write 50000000 ${jd_lba} %[6]x; setexpr jd_lba ${jd_lba} + %[6]x'
setenv jd_end 'virtio read 52000000 %[11]x %[9]x; bootm 52000000#slot 52000000#slot ${fdtcontroladdr}'
setenv jd_next 'run jd_keep; setexpr jd_n ${jd_n} + 1; if itest ${jd_n} -lt %[12]x; then run jd_begin; else run jd_end; fi'
setenv jd_begin 'run jd_clear; run jd_load; echo "state: ${jd_n}"; source 4e000000'
setenv jd_n 0
setenv jd_lba %[13]x
run jd_begin
`, poolLBA, 3*fitSectors, clear, 1+2*copySectors, env, copySectors, env+Stride/sector, slots[0], fitSectors, slots[1],
		poolLBA, states, statesLBA)
	m.file(t, "driver.cmd", []byte(driver))
	m.mkimage(t, "-A", m.name, "-T", "script", "-C", "none", "-d", "driver.cmd", "driver.scr")
}

// perBoot is how many states a boot judges: each is a call deeper than the one before, and U-Boot's memory ends.
const perBoot = 200

// judgeAll has U-Boot judge states and returns where it differs from the twin.
func (m machine) judgeAll(t *testing.T, all []ubootCase, spoil func(string) string) []string {
	t.Helper()
	begin := time.Now()
	var differences []string
	for some := range slices.Chunk(all, perBoot) {
		differences = append(differences, m.judge(t, some, spoil)...)
	}
	t.Logf("%s: %d states judged, %d a boot, in %.0f s, %d differences", m.name, len(all), perBoot,
		time.Since(begin).Seconds(), len(differences))
	return differences
}

// judge is judgeAll in one boot.
func (m machine) judge(t *testing.T, all []ubootCase, spoil func(string) string) (differences []string) {
	t.Helper()
	m.writeJudge(t, len(all), spoil)
	m.file(t, "many.img", m.manyDisk(t, all))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	args := append(slices.Clone(m.emulator[1:]), "-m", "512", "-nodefaults",
		"-display", "none", "-monitor", "none", "-no-reboot", "-serial", "stdio", "-bios", m.uboot,
		"-drive", "if=pflash,unit=1,format=raw,readonly=on,file="+m.path("flash.img"),
		"-device", "loader,force-raw=on,addr=0x4f000000,file="+m.path("driver.scr"),
		"-device", "loader,force-raw=on,addr=0x4e000000,file="+m.path("judge.scr"),
		"-drive", "if=none,id=d0,format=raw,cache=unsafe,file="+m.path("many.img"), "-device", "virtio-blk-device,drive=d0")
	out, err := exec.CommandContext(ctx, m.emulator[0], args...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, tail(out))
	}
	verdicts := regexp.MustCompile(`(?m)^judged: ([a-z ]+)\r?$`).FindAllSubmatch(out, -1)
	if len(verdicts) != len(all) {
		t.Fatalf("%d verdicts of %d\n%s", len(verdicts), len(all), tail(out))
	}
	after, err := os.ReadFile(m.path("many.img"))
	if err != nil {
		t.Fatal(err)
	}
	for n, c := range all {
		left := after[(statesLBA+n*stateSectors+1+2*copySectors)*sector:]
		differences = append(differences, c.compare(string(verdicts[n][1]), left)...)
	}
	return differences
}

func tail(b []byte) []byte { return b[max(0, len(b)-3000):] }

// compare compares what U-Boot boots and what it left of the record with the twin.
func (c ubootCase) compare(verdict string, left []byte) (differences []string) {
	want := Next(Board{c.copies, func(s Slot) bool { return c.slots[s] == "good" }, false})
	boots := "none"
	if want.Slot != "" {
		boots = fmt.Sprintf("%s %s", want.Slot, want.How)
	}
	if verdict != boots {
		differences = append(differences, fmt.Sprintf("state %s, %v: boots %q, want %q", c.name, c.slots, verdict, boots))
	}
	for i := range c.copies {
		written := c.copies[i]
		if i == want.Write {
			written = want.Data
		}
		if got := left[i*CopySize:][:CopySize]; !bytes.Equal(got, written) {
			differences = append(differences, fmt.Sprintf("state %s: copy %d: got %.200q, want %.200q", c.name, i, got,
				written))
		}
	}
	return differences
}

func asShipped(script string) string { return script }

// TestUBootMany: the script agrees with its twin on every state that the crash test found; one that chooses the older copy
// of the record, or boots what does not verify, does not.
func TestUBootMany(t *testing.T) {
	t.Parallel()
	all := met(t)
	if len(all) < 500 {
		t.Fatalf("%d states, want 500", len(all))
	}
	m := newMachine(t, arm64())
	for _, d := range m.judgeAll(t, all, asShipped) {
		t.Error(d)
	}
	var some []ubootCase
	for i := 0; i < len(all); i += len(all) / perBoot {
		some = append(some, all[i])
	}
	for old, spoiled := range map[string]string{"itest ${st_seq} -gt ${oc_seq0}": "itest ${st_seq} -lt ${oc_seq0}",
		"'run oc_load && run oc_check'": "'run oc_load'"} {
		spoil := func(s string) string { return strings.Replace(s, old, spoiled, 1) }
		if len(m.judgeAll(t, some, spoil)) == 0 {
			t.Errorf("%s: not noticed", spoiled)
		}
	}
}

// TestUBootMany32 is the same with numbers of 32 bit.
func TestUBootMany32(t *testing.T) {
	t.Parallel()
	for _, d := range newMachine(t, armv7()).judgeAll(t, met(t), asShipped) {
		t.Error(d)
	}
}
