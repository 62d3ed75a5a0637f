package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/verity"
)

const diskPatience = 10 * time.Second

// startSlot is the initrd's part. U-Boot has checked the initrd's hash, so /slot can be trusted, and with it the root
// hash; the rest of the slot is checked by dm-verity as it is read.
func startSlot() error {
	for _, m := range []struct{ kind, target string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := mount(m.kind, m.target, m.kind, unix.MS_NOSUID, ""); err != nil {
			return err
		}
	}
	slot := bootWord("ocellus.slot")
	tell("slot %s (%s), kernel %s", slot, bootWord("ocellus.boot"), release())
	if err := loadAll("/modules"); err != nil {
		return err
	}
	seal, err := readSeal("/slot")
	if err != nil {
		return err
	}
	device, err := waitForPartition("slot-"+slot, diskPatience)
	if err != nil {
		return err
	}
	root, err := openSlot(device, seal, bootWord("ocellus.boot") == "trial")
	if err != nil {
		return err
	}
	if err := mount(root, "/root", "squashfs", unix.MS_RDONLY, ""); err != nil {
		return err
	}
	return enter("/root")
}

// seal is what the initrd knows of the file system behind the FIT: /slot has it in three words a line.
type seal struct {
	root  verity.Hash
	super verity.Superblock
}

func readSeal(name string) (seal, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return seal{}, err
	}
	words := map[string]string{}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		words[key] = value
	}
	var s seal
	var errs [3]error
	s.root, errs[0] = verity.ParseHash(words["root"])
	s.super.Salt, errs[1] = hex.DecodeString(words["salt"])
	s.super.DataBlocks, errs[2] = strconv.ParseUint(words["blocks"], 10, 32)
	if err := errors.Join(errs[:]...); err != nil {
		return seal{}, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// openSlot puts two device-mapper devices over the partition: what lies behind the FIT, and that through dm-verity. A
// damaged block is an error for who reads it; on trial it resets the board.
func openSlot(device string, s seal, trial bool) (string, error) {
	f, err := os.Open(device)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 8)
	if _, err := io.ReadFull(f, head); err != nil {
		return "", err
	}
	_, offset, err := fit.Size(head)
	if err != nil {
		return "", err
	}
	const sector = 512
	data := s.super.DataBlocks * verity.BlockSize
	whole := data + verity.BlockSize + uint64(verity.TreeSize(s.super.DataBlocks))
	behind, err := mapDevice("behind", "linear", whole/sector, fmt.Sprintf("%s %d", device, offset/sector))
	if err != nil {
		return "", err
	}
	params := s.super.Params(behind, s.root)
	if trial {
		params += " 1 restart_on_corruption"
	}
	return mapDevice("root", "verity", data/sector, params)
}

// enter makes root the root of everything. What the initrd held is freed, but for the program that runs.
func enter(root string) error {
	for _, dir := range []string{"/dev", "/proc", "/sys"} {
		if err := syscall.Mount(dir, root+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", dir, err)
		}
	}
	for _, gone := range []string{"/lib", "/modules", "/slot", "/init"} {
		_ = os.RemoveAll(gone)
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := syscall.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := syscall.Chroot("."); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	return os.Setenv("PATH", "/sbin:/bin:/usr/bin")
}

// release is what uname -r says.
func release() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return unix.ByteSliceToString(u.Release[:])
}
