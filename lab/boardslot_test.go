package lab

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// TestBoardSlots tells the whole story of two slots on the whole board, through the real boot loader: record, slots and
// persist are read and written by the board's own drivers, driven by the hand.
func TestBoardSlots(t *testing.T) {
	need(t, "dumpimage")
	atOnce(t, func(t *testing.T, arch string) {
		image, err := os.ReadFile(virt.Image(t, arch, "slot.img"))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		bring := map[string]string{}
		for name, content := range map[string][]byte{"good": image, "panics": panicking(t, image)} {
			bring[name] = filepath.Join(dir, name)
			if err := os.WriteFile(bring[name], content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b := virt.Boot(t, virt.Options{Arch: arch, Lab: virt.Lab{Files: bring}})
		s := slotStory{b, arch, image}
		b.Test("confirmed spends no tries", s.confirmed)
		b.Test("trial of a slot that was never written", s.neverWritten)
		b.Test("trial with a damaged FIT", s.damagedFIT)
		b.Test("trial with a damaged root", s.damagedRoot)
		b.Test("trial that panics", s.panics)
		b.Test("trial that is good", s.good)
		b.Test("both copies of the record damaged", s.noRecord)
		b.Test("nor does slot a verify", s.noRecordNoA)
	})
}

// slotStory is the board and the image in its slots.
type slotStory struct {
	b     *virt.Board
	arch  string
	image []byte
}

// record are the variables of the boot record.
func (s slotStory) record() map[string]string {
	record := map[string]string{}
	for line := range strings.Lines(s.b.Hand("bootstate", "get")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		record[name] = value
	}
	return record
}

// wants compares variables of the record.
func (s slotStory) wants(t *testing.T, want map[string]string) {
	t.Helper()
	got := s.record()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: got %q, want %q", name, got[name], value)
		}
	}
}

// runs wants a slot to run, for a reason.
func (s slotStory) runs(t *testing.T, want string) {
	t.Helper()
	if got := strings.TrimSpace(s.b.Hand("boot")); got != want {
		t.Fatalf("slot %q runs, want %q", got, want)
	}
}

// boots counts the boots of a slot for a reason since the story began.
func (s slotStory) boots(slot, how string) int {
	return len(s.b.Lines("^boot: slot " + slot + ", " + how))
}

// tries puts slot B on trial and lets the board boot it until a slot stays up.
func (s slotStory) tries(t *testing.T, n int) {
	t.Helper()
	before := s.boots("b", "trial")
	s.b.Hand("bootstate", "try", "b", strconv.Itoa(n))
	s.b.Reboot()
	t.Logf("%d of %d tries taken", s.boots("b", "trial")-before, n)
}

// write fills slot B.
func (s slotStory) write(t *testing.T, name string) {
	t.Helper()
	begin := time.Now()
	s.b.Hand("slot", "write", "b", "/lab/"+name)
	t.Logf("slot b written in %.1f s", time.Since(begin).Seconds())
}

// damage overwrites a block of slot B on the running board.
func (s slotStory) damage(t *testing.T, offset int) {
	t.Helper()
	const block = 4096
	s.b.Sh(fmt.Sprintf("node=$(grep -lx PARTNAME=slot-b /sys/class/block/*/uevent) && node=${node%%/uevent} && "+
		"dd if=/dev/urandom of=/dev/${node##*/} bs=%d seek=%d count=1 2>/dev/null && sync", block, offset/block))
}

// rootOffset is where the file system begins in a slot: behind the FIT, whose header tells its size (devicetree
// specification 5.2), at a whole block.
func (s slotStory) rootOffset(t *testing.T) int {
	t.Helper()
	const block = 4096
	at := (int(binary.BigEndian.Uint32(s.image[4:])) + block - 1) / block * block
	if string(s.image[at:at+4]) != "hsqs" {
		t.Fatalf("no squashfs at %d", at)
	}
	return at
}

// panicking is a slot whose FIT verifies and whose initrd the kernel can't use.
func panicking(t *testing.T, image []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	slot, initrd := filepath.Join(dir, "slot"), filepath.Join(dir, "initrd")
	if err := os.WriteFile(slot, image, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := tool(t, time.Minute, "dumpimage", "-T", "flat_dt", "-p", "1", "-o", initrd, slot); r.code != 0 {
		t.Fatal(r.errs)
	}
	old, err := os.ReadFile(initrd)
	if err != nil {
		t.Fatal(err)
	}
	useless := make([]byte, len(old))
	was, is := sha256.Sum256(old), sha256.Sum256(useless)
	if bytes.Count(image, old) != 1 || bytes.Count(image, was[:]) != 1 {
		t.Fatal("the slot holds its initrd and the hash of it more than once")
	}
	return bytes.Replace(bytes.Replace(image, old, useless, 1), was[:], is[:], 1)
}

// confirmed: the boot of a confirmed slot leaves the record as it was built, byte for byte.
func (s slotStory) confirmed(t *testing.T) {
	s.runs(t, "a confirmed")
	offset, size := s.b.Partition("env")
	built := partition(t, virt.Image(t, s.arch, "disk.img"), offset, size)
	if !bytes.Equal(partition(t, s.b.Disk(), offset, size), built) {
		t.Error("the boot of a confirmed slot writes to the record")
	}
	answers(t, s.b) // the area persist is the agent's, too, which writes there as it starts for the first time
	s.b.Hand("bootstate", "floor", "7")
	s.wants(t, map[string]string{"st_slot": "a", "st_try": "none", "st_left": "0", "st_floor": "7"})
}

// partition reads what a disk itself holds.
func partition(t *testing.T, disk string, offset, size int64) []byte {
	t.Helper()
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw := make([]byte, size)
	if _, err := f.ReadAt(raw, offset); err != nil {
		t.Fatal(err)
	}
	return raw
}

// neverWritten: a record that arms a slot with nothing in it, whoever wrote it, gains nothing.
func (s slotStory) neverWritten(t *testing.T) {
	s.tries(t, 3)
	s.runs(t, "a confirmed")
	s.wants(t, map[string]string{"st_slot": "a", "st_try": "none", "st_left": "0", "st_fail": "b", "st_why": "image"})
	if n := s.boots("b", "trial"); n != 0 {
		t.Errorf("the empty slot was booted %d times", n)
	}
}

// damagedFIT: U-Boot finds it out and takes no try.
func (s slotStory) damagedFIT(t *testing.T) {
	s.write(t, "good")
	s.damage(t, 1<<20)
	s.tries(t, 3)
	s.runs(t, "a confirmed")
	s.wants(t, map[string]string{"st_slot": "a", "st_try": "none", "st_left": "0", "st_fail": "b", "st_why": "image"})
	if n := s.boots("b", "trial"); n != 0 {
		t.Errorf("the damaged slot was booted %d times", n)
	}
}

// damagedRoot: dm-verity finds it out and resets the board until the tries are used up.
func (s slotStory) damagedRoot(t *testing.T) {
	s.write(t, "good")
	s.damage(t, s.rootOffset(t))
	s.tries(t, 2)
	s.runs(t, "a confirmed")
	s.wants(t, map[string]string{"st_slot": "a", "st_try": "none", "st_left": "0", "st_fail": "b", "st_why": "tries"})
	if n := s.boots("b", "trial"); n != 2 {
		t.Errorf("the slot was tried %d times, want 2", n)
	}
}

// panics: the kernel resets the board.
func (s slotStory) panics(t *testing.T) {
	s.b.AllowTrouble(`Kernel panic - not syncing: VFS`)
	s.b.AllowTrouble(`Call [Tt]race`)
	s.write(t, "panics")
	s.tries(t, 1)
	s.runs(t, "a confirmed")
	s.wants(t, map[string]string{"st_slot": "a", "st_fail": "b", "st_why": "tries"})
	if n := len(s.b.Lines(`Kernel panic - not syncing: VFS`)); n != 1 {
		t.Errorf("the kernel panicked %d times, want once", n)
	}
}

// good: the trial counts down, is confirmed, and is what boots from then on.
func (s slotStory) good(t *testing.T) {
	s.write(t, "good")
	want := fmt.Sprintf("%x\n", sha256.Sum256(s.image))
	if got := s.b.Hand("slot", "sum", "b", strconv.Itoa(len(s.image))); got != want {
		t.Errorf("slot b holds %s, want %s", got, want)
	}
	s.tries(t, 3)
	s.runs(t, "b trial")
	s.wants(t, map[string]string{"st_slot": "a", "st_try": "b", "st_left": "2"})
	plays(t, s.b)
	s.b.Hand("bootstate", "confirm")
	s.wants(t, map[string]string{"st_slot": "b", "st_try": "none", "st_left": "0", "st_floor": "7"})
	offset, size := s.b.Partition("env")
	before := partition(t, s.b.Disk(), offset, size)
	s.b.Cut()
	s.b.Start()
	s.runs(t, "b confirmed")
	if !bytes.Equal(partition(t, s.b.Disk(), offset, size), before) {
		t.Error("the boot of a confirmed slot writes to the record")
	}
}

// noRecord: the first slot that verifies boots, and the record is written anew with the floor that persist kept.
func (s slotStory) noRecord(t *testing.T) {
	record, _ := s.b.Partition("env")
	s.b.Cut()
	s.loseRecord(record)
	s.b.Start()
	s.runs(t, "a unrecorded")
	if r := s.b.Run("/lab/hand", "bootstate", "get"); r.Code == 0 || !strings.Contains(r.Errs, "damaged") {
		t.Errorf("the record: exit code %d: %s%s", r.Code, r.Out, r.Errs)
	}
	s.b.Hand("bootstate", "restore")
	s.wants(t, map[string]string{"st_slot": "a", "st_try": "none", "st_left": "0", "st_floor": "7"})
}

// loseRecord damages both copies while the power is off.
func (s slotStory) loseRecord(offset int64) {
	const second = 512 << 10
	for _, copy := range []int64{0, second} {
		s.b.Damage(offset+copy+64, []byte("neither one nor the other"))
	}
}

// noRecordNoA: slot A does not verify either, so B boots; what runs is what is confirmed then.
func (s slotStory) noRecordNoA(t *testing.T) {
	record, _ := s.b.Partition("env")
	slot, _ := s.b.Partition("slot-a")
	s.b.Cut()
	s.loseRecord(record)
	s.b.Damage(slot+1<<20, static(4096))
	s.b.Start()
	s.runs(t, "b unrecorded")
	s.b.Hand("bootstate", "restore")
	s.wants(t, map[string]string{"st_slot": "b", "st_try": "none", "st_floor": "7"})
	plays(t, s.b)
	how := []string{}
	for _, line := range s.b.Lines(`^boot: slot [ab], `) {
		how = append(how, strings.TrimPrefix(line, "boot: slot "))
	}
	want := []string{
		"a, confirmed",                         // confirmed
		"a, confirmed",                         // neverWritten
		"a, confirmed",                         // damagedFIT
		"b, trial", "b, trial", "a, confirmed", // damagedRoot
		"b, trial", "a, confirmed", // panics
		"b, trial", "b, confirmed", // good
		"a, unrecorded", // noRecord
		"b, unrecorded", // noRecordNoA
	}
	if !slices.Equal(how, want) {
		t.Errorf("the boots: got %q, want %q", how, want)
	}
}
