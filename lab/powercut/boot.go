package powercut

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/verity"
	"github.com/ocellus/ocellus/lab/disklog"
)

// bootJudge looks at boot record and slots.
type bootJudge struct {
	layout layout
	mu     sync.Mutex // guards slots
	slots  map[slotContent]slotLook
}

type slotContent struct {
	slot bootstate.Slot
	sum  disklog.Sum
}

func newBootJudge(l layout) *bootJudge {
	return &bootJudge{layout: l, slots: map[slotContent]slotLook{}}
}

// slotLook is what a slot holds.
type slotLook struct {
	class string // blank: no head; half: what it says of itself does not verify; whole
	image bool   // the FIT verifies: the boot script boots it
	root  error  // what is wrong with the root file system behind it
}

// slot looks at a slot, once for each content.
func (j *bootJudge) slot(d *disklog.Disk, s bootstate.Slot) (slotLook, error) {
	p := j.layout["slot-"+string(s)]
	sum, err := d.Sum(p.Start, p.Size)
	if err != nil {
		return slotLook{}, err
	}
	key := slotContent{s, sum}
	j.mu.Lock()
	v, ok := j.slots[key]
	j.mu.Unlock()
	if ok {
		return v, nil
	}
	if v, err = lookAtSlot(j.layout.section(d, p.Name)); err != nil {
		return slotLook{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.slots[key] = v
	return v, nil
}

// lookAtSlot checks what the boot chain checks: U-Boot the hashes of the FIT, the kernel the root file system.
func lookAtSlot(slot io.ReaderAt) (slotLook, error) {
	head := make([]byte, 64)
	if _, err := slot.ReadAt(head, 0); err != nil {
		return slotLook{}, err
	}
	size, padded, err := fit.Size(head)
	if err != nil {
		return slotLook{class: "blank"}, nil
	}
	b := make([]byte, size)
	if _, err := slot.ReadAt(b, 0); err != nil {
		return slotLook{class: "half"}, nil // it says that it leaves the slot
	}
	image, err := fit.Parse(b)
	if err != nil {
		return slotLook{class: "half"}, nil
	}
	if err := verifyRoot(slot, padded, image); err != nil {
		return slotLook{class: "half", image: true, root: err}, nil
	}
	return slotLook{class: "whole", image: true}, nil
}

// verifyRoot reads the root file system against the hash that is in the initrd, as dm-verity does.
func verifyRoot(slot io.ReaderAt, offset int64, image fit.Image) error {
	seal, err := readSeal(image.Initrd.Data)
	if err != nil {
		return err
	}
	salt, err := hex.DecodeString(seal["salt"])
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	blocks, err := strconv.ParseInt(seal["blocks"], 10, 32)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	tree, err := verity.New(salt)
	if err != nil {
		return err
	}
	if _, err := io.Copy(tree, io.NewSectionReader(slot, offset, blocks*verity.BlockSize)); err != nil {
		return err
	}
	want, root, err := tree.Finish()
	if err != nil {
		return err
	}
	if root.String() != seal["root"] {
		return fmt.Errorf("the root file system has root hash %s, its initrd wants %s", root, seal["root"])
	}
	got := make([]byte, len(want))
	if _, err := slot.ReadAt(got, offset+blocks*verity.BlockSize); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("the root file system's hash tree is another one")
	}
	return nil
}

// readSeal finds /slot in an initrd, a compressed cpio archive of the form "newc"
// (Documentation/driver-api/early-userspace/buffer-format.rst): lines of a name and a value.
func readSeal(initrd []byte) (map[string]string, error) {
	r, err := fit.NewExpander(bytes.NewReader(initrd))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	const header, most = 110, 64 << 20
	archive, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil {
		return nil, fmt.Errorf("initrd: %w", err)
	}
	for at := 0; at+header <= len(archive); {
		size, err1 := strconv.ParseUint(string(archive[at+54:at+62]), 16, 31)
		nameSize, err2 := strconv.ParseUint(string(archive[at+94:at+102]), 16, 16)
		data := (at + header + int(nameSize) + 3) / 4 * 4
		if err := errors.Join(err1, err2); err != nil || nameSize == 0 || data+int(size) > len(archive) {
			return nil, fmt.Errorf("initrd: no archive at %d", at)
		}
		if string(archive[at+header:][:nameSize-1]) == "slot" {
			return sealWords(string(archive[data:][:size])), nil
		}
		at = (data + int(size) + 3) / 4 * 4
	}
	return nil, errors.New("initrd: no /slot in it")
}

func sealWords(text string) map[string]string {
	words := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		words[name] = value
	}
	return words
}

// look reads the record, and boots as often as it takes to come to rest.
func (j *bootJudge) look(_ context.Context, d *disklog.Disk) (*look, error) {
	slots := map[bootstate.Slot]slotLook{}
	for _, s := range []bootstate.Slot{bootstate.A, bootstate.B} {
		v, err := j.slot(d, s)
		if err != nil {
			return nil, err
		}
		slots[s] = v
	}
	board := bootstate.Board{Verifies: func(s bootstate.Slot) bool { return slots[s].image }}
	env := j.layout.section(d, "env")
	for i := range board.Copies {
		board.Copies[i] = make([]byte, bootstate.CopySize)
		if _, err := env.ReadAt(board.Copies[i], int64(i)*bootstate.Stride); err != nil {
			return nil, err
		}
	}
	k := &look{found: map[string]string{Record: Absent}}
	current, _, err := bootstate.Current(board.Copies)
	if err != nil {
		k.faults = append(k.faults, err.Error())
	} else {
		k.found[Record] = RecordText(current.Env)
		k.faults = append(k.faults, recordFaults(current, slots)...)
	}
	first := bootstate.Next(board)
	k.class = fmt.Sprintf("boots %s, %s; a %s, b %s", first.Slot, first.How, slots[bootstate.A].class,
		slots[bootstate.B].class)
	k.faults = append(k.faults, bootUntilRest(board, slots)...)
	return k, nil
}

// RecordText spells the variables of a record as the histories of a Story have them, sorted by name: "st_fail=none
// st_floor=0 ...". The sequence is not among them: it is the driver's own.
func RecordText(variables map[string]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		words = append(words, name+"="+variables[name])
	}
	return strings.Join(words, " ")
}

// recordFaults: a slot is armed when it is whole, and not before.
func recordFaults(c bootstate.Copy, slots map[bootstate.Slot]slotLook) []string {
	r, err := bootstate.Read(c.Env)
	if err != nil {
		return []string{err.Error()}
	}
	if r.Trial != "" && r.Tries > 0 && slots[r.Trial].class != "whole" {
		return []string{fmt.Sprintf("slot %s is on trial and %s", r.Trial, slots[r.Trial].class)}
	}
	return nil
}

// bootUntilRest boots again and again, while nobody confirms: something boots each time, verified, and after the tries
// of a trial it is the confirmed slot.
func bootUntilRest(board bootstate.Board, slots map[bootstate.Slot]slotLook) []string {
	var faults []string
	var how bootstate.How
	for range bootstate.MaxTries + 2 {
		boot := bootstate.Next(board)
		switch {
		case boot.Slot == "":
			return append(faults, "no slot boots")
		case slots[boot.Slot].root != nil:
			return append(faults, fmt.Sprintf("slot %s boots: %v", boot.Slot, slots[boot.Slot].root))
		case how == bootstate.Confirmed && (boot.How != how || boot.Write >= 0):
			return append(faults, "the confirmed slot spends tries")
		}
		if how = boot.How; boot.Write >= 0 {
			board.Copies[boot.Write] = boot.Data
		}
	}
	if how != bootstate.Confirmed {
		faults = append(faults, fmt.Sprintf("the board does not come to rest: %s", how))
	}
	return faults
}
