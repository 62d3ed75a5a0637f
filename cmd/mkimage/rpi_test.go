package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/fit"
)

// TestRaspberryPi: what its boot ROM and its U-Boot, which know neither GPT nor SHA-256, find in an image.
func TestRaspberryPi(t *testing.T) {
	t.Parallel()
	s := fakeParts(t, "rpi-zero2w")
	pack(t, s)
	if text := string(read(t, s, "image.txt")); !strings.Contains(text, "does not start on the hardware") {
		t.Errorf("without closed firmware the report says:\n%s", text)
	}
	s.bootFiles, s.firmware = filepath.Join(s.out, "boot-files"), filepath.Join(s.out, "firmware")
	for name, content := range map[string]string{"boot-files/u-boot.bin": "U-Boot", "firmware/brcm/chip.bin": "Wi-Fi"} {
		file := filepath.Join(s.out, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pack(t, s)
	if text := string(read(t, s, "image.txt")); !strings.Contains(text, "under their own licences") {
		t.Errorf("with closed firmware the report says:\n%s", text)
	}
	image := read(t, s, "disk.img")
	if len(image)&(len(image)-1) != 0 {
		t.Errorf("a card of %d bytes, want a power of two (QEMU)", len(image))
	}
	if first, last := image[446:], image[446+48:]; first[4] != fat32 || binary.LittleEndian.Uint32(first[8:]) != 2048 ||
		last[4] != 0xee {
		t.Errorf("MBR % x", image[446:510])
	}
	i, err := fit.Parse(read(t, s, "slot.img"))
	if err != nil || !i.CRC32 || string(i.DeviceTree.Data) != "device tree" {
		t.Errorf("FIT with CRC-32 %v, device tree %q: %v", i.CRC32, i.DeviceTree.Data, err)
	}
	if !bytes.Contains(image, []byte("chip.bin")) { // directories are not compressed
		t.Error("the root file system has no firmware")
	}
	judgeCard(t, filepath.Join(s.out, "disk.img"))
}

// judgeCard lets mtools read the boot partition.
func judgeCard(t *testing.T, disk string) {
	t.Helper()
	tool, err := exec.LookPath("mtype")
	if err != nil {
		t.Skip("mtype is not here (package mtools)")
	}
	file := func(name string) []byte {
		said, err := exec.CommandContext(t.Context(), tool, "-i", disk+"@@1M", "::"+name).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, said)
		}
		return said
	}
	if got := file("u-boot.bin"); string(got) != "U-Boot" {
		t.Errorf("u-boot.bin %q", got)
	}
	if got := file("boot.scr"); !bytes.HasSuffix(got, []byte("echo rpi.cmd\necho release.cmd\necho boot.cmd\n")) {
		t.Errorf("boot.scr %q", got)
	}
	env := file("uboot.env")
	if len(env) != cardEnv || binary.LittleEndian.Uint32(env) != crc32.ChecksumIEEE(env[4:]) ||
		!bytes.Contains(env, []byte("bootcmd=load mmc 0:1")) {
		t.Errorf("uboot.env of %d bytes", len(env))
	}
}
