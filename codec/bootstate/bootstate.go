// Package bootstate is the boot record: which slot is confirmed, which one is on trial, how many tries it has left, and
// the version floor. Boot loader and agent share it, so it has the one format that both know: the text environment of
// U-Boot (CRC-32 in the first four bytes, then NAME=VALUE strings, each ended by NUL, and NUL to the end).
//
// The record lies twice on the partition "env", at offset 0 and at 512 KiB, so that the copies never share an erase
// block. The copy that is whole and has the higher st_seq counts; a write goes to the other one, always all of it. A
// power cut in a write leaves the copy that counted before.
//
//	offset  0x00000  copy 0: 16 KiB    offset  0x80000  copy 1: 16 KiB
//
// Numbers are hexadecimal without a prefix, as U-Boot's setexpr and itest read them. The variables:
//
//	st_seq    1 to 7fffffff: how often the record was written. U-Boot compares it as a signed number
//	st_vars   the names of all variables of the record, itself among them. U-Boot exports by name: it carries on what
//	          a later release added by reading its names from here
//	st_slot   a, b: the confirmed slot. Only a confirmation changes it, and no number of tries is spent by it
//	st_try    a, b, none: the slot on trial
//	st_left   0 to 7: how many more boots of the slot on trial there may be. The boot loader counts down before it boots
//	st_fail   a, b, none: the slot whose trial failed last
//	st_why    none, tries (it used them up), image (its FIT does not verify)
//	st_floor  0 to ffffffff: no release below this one is installed
//
// Next is the twin of the boot script board/boot/boot.cmd: whoever changes one changes both, and the test that boots
// U-Boot with both.
package bootstate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Where the copies lie on the partition, in bytes.
const (
	CopySize = 0x4000
	Stride   = 0x80000 // from one copy to the next
	Size     = 2 * Stride
)

// MaxSeq is the highest sequence: a signed number of 32 bit, for U-Boot on such machines. No disk lives to see it.
const MaxSeq = math.MaxInt32

// ErrDamaged: this is no record, or neither copy is one.
var ErrDamaged = errors.New("boot record damaged")

// Names of the two variables that every environment of this kind has.
const (
	seqName  = "st_seq"
	varsName = "st_vars"
)

// Env is the variables of a record without st_seq and st_vars, which stand beside it or follow from it.
type Env map[string]string

// Copy is one of the two copies, read.
type Copy struct {
	Seq uint32
	Env Env
}

// Parse reads a copy. What is not one, or is not whole, is ErrDamaged.
func Parse(b []byte) (Copy, error) {
	if len(b) != CopySize {
		return Copy{}, fmt.Errorf("%w: %d bytes, want %d", ErrDamaged, len(b), CopySize)
	}
	if got, want := crc32.ChecksumIEEE(b[4:]), binary.LittleEndian.Uint32(b); got != want {
		return Copy{}, fmt.Errorf("%w: CRC %08x, want %08x", ErrDamaged, got, want)
	}
	text, rest, ended := bytes.Cut(b[4:], []byte{0, 0})
	if !ended || len(bytes.Trim(rest, "\x00")) > 0 {
		return Copy{}, fmt.Errorf("%w: the text has no end", ErrDamaged)
	}
	c := Copy{Env: Env{}}
	for line := range strings.SplitSeq(string(text), "\x00") {
		name, value, ok := strings.Cut(line, "=")
		if _, twice := c.Env[name]; !ok || twice || checkVariable(name, value) != nil {
			return Copy{}, fmt.Errorf("%w: variable %q", ErrDamaged, name)
		}
		c.Env[name] = value
	}
	seq, err := parseHex(c.Env[seqName])
	if err != nil || seq == 0 || seq > MaxSeq {
		return Copy{}, fmt.Errorf("%w: %s is %q", ErrDamaged, seqName, c.Env[seqName])
	}
	names := slices.Sorted(strings.FieldsSeq(c.Env[varsName]))
	if !slices.Equal(names, slices.Sorted(maps.Keys(c.Env))) {
		return Copy{}, fmt.Errorf("%w: %s does not name its variables", ErrDamaged, varsName)
	}
	c.Seq = seq
	delete(c.Env, seqName)
	delete(c.Env, varsName)
	return c, nil
}

// Format writes a copy byte for byte as U-Boot's "env export -c -s 4000" does. It refuses what U-Boot could not carry.
func Format(c Copy) ([]byte, error) {
	if c.Seq == 0 || c.Seq > MaxSeq {
		return nil, fmt.Errorf("boot record: sequence %x, want 1 to %x", c.Seq, MaxSeq)
	}
	for _, name := range []string{seqName, varsName} {
		if _, ok := c.Env[name]; ok {
			return nil, fmt.Errorf("boot record: %s follows from the others", name)
		}
	}
	all := maps.Clone(c.Env)
	if all == nil {
		all = Env{}
	}
	all[seqName], all[varsName] = formatHex(c.Seq), ""
	names := slices.Sorted(maps.Keys(all))
	all[varsName] = strings.Join(names, " ")
	var text bytes.Buffer
	for _, name := range names {
		if err := checkVariable(name, all[name]); err != nil {
			return nil, err
		}
		text.WriteString(name + "=" + all[name] + "\x00")
	}
	if most := CopySize - 5; text.Len() > most {
		return nil, fmt.Errorf("boot record: %d bytes of text, at most %d", text.Len(), most)
	}
	if most := 48; len(names) > most { // U-Boot's CONFIG_SYS_MAXARGS is 64
		return nil, fmt.Errorf("boot record: %d variables, at most %d", len(names), most)
	}
	b := make([]byte, CopySize)
	copy(b[4:], text.Bytes())
	binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return b, nil
}

// checkVariable keeps out what a shell or U-Boot's import could take for something else. Only st_vars may have spaces.
func checkVariable(name, value string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	others := ".:,/+@-"
	if name == varsName {
		others = " "
	}
	switch {
	case !strings.HasPrefix(name, "st_") || len(name) > 32 || !only(name, letters):
		return fmt.Errorf("boot record: variable name %q, want st_ and letters, digits, _", name)
	case value == "" || len(value) > 2048 || !only(value, letters+others):
		return fmt.Errorf("boot record: %s is %q, want letters, digits and .:,/+@-_", name, value)
	}
	return nil
}

// only reports whether s is made of letters alone.
func only(s, letters string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(letters, r) })
}

// Current returns which of the two copies counts: the whole one with the higher sequence, the first if they are equal.
// A copy that could not be read is nil. Where neither is whole the error is ErrDamaged.
func Current(copies [2][]byte) (Copy, int, error) {
	first, err0 := Parse(copies[0])
	second, err1 := Parse(copies[1])
	switch {
	case err0 != nil && err1 != nil:
		return Copy{}, -1, fmt.Errorf("copy 0: %w; copy 1: %w", err0, err1)
	case err0 != nil, err1 == nil && second.Seq > first.Seq:
		return second, 1, nil
	}
	return first, 0, nil
}

func parseHex(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 16, 32)
	return uint32(n), err
}

func formatHex(n uint32) string { return strconv.FormatUint(uint64(n), 16) }
