package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/codec/fat"
	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/gpt"
)

const mib = 1 << 20

// flashSize and flashEnv are those of QEMU's virt machine and of Debian's U-Boot for it (CONFIG_ENV_SIZE).
const (
	flashSize = 64 * mib
	flashEnv  = 0x40000
)

// cardEnv is CONFIG_ENV_SIZE of Debian's U-Boot for the Raspberry Pi.
const cardEnv = 0x4000

// fat32 is what partitions with a FAT are called in an MBR, a FAT16 too: a boot ROM looks into the file system itself.
const fat32 = 0x0c

// writeDisk writes slot.img (what updates carry), disk.img (what a board is flashed with) and image.txt (what is in
// it).
func writeDisk(b board, s source, sl slot) error {
	contents, err := partitionContents(b, s, sl)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.out, "slot.img"), sl.image, 0o644); err != nil {
		return err
	}
	if b.flash {
		if err := sparse(filepath.Join(s.out, "flash.img"), flashSize, []chunk{{0, s.flash()}}); err != nil {
			return err
		}
	}
	chunks, size, err := layOut(b, s, contents)
	if err != nil {
		return err
	}
	name := filepath.Join(s.out, "disk.img")
	if err := sparse(name, size, chunks); err != nil {
		return err
	}
	return report(b, s, sl, contents, name)
}

// partitionContents: slot B, persist and keys of a fresh board are empty.
func partitionContents(b board, s source, sl slot) (map[string][]byte, error) {
	files, err := bootPartition(b, s)
	if err != nil {
		return nil, err
	}
	c := map[string][]byte{"slot-a": sl.image}
	for _, p := range b.partitions {
		if p.name == "boot" {
			if c["boot"], err = fat.Build("BOOT", int(p.mib)*mib, files); err != nil {
				return nil, err
			}
		}
	}
	if c["env"], err = bootRecord(); err != nil {
		return nil, err
	}
	if s.data != "" {
		if c["data"], err = os.ReadFile(s.data); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// bootPartition lists what the boot loader reads from its FAT: the script, and what the board has beside it.
func bootPartition(b board, s source) ([]fat.File, error) {
	script, err := bootScript(b, s)
	if err != nil || s.bootFiles == "" {
		return []fat.File{{Name: "boot.scr", Data: script}}, err
	}
	list := []fat.File{{Name: "boot.scr", Data: script}, {Name: "uboot.env", Data: s.cardEnvironment()}}
	entries, err := os.ReadDir(s.bootFiles) // sorted
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(s.bootFiles, e.Name()))
		if err != nil {
			return nil, err
		}
		list = append(list, fat.File{Name: e.Name(), Data: data})
	}
	return list, nil
}

// bootRecord is both copies of a fresh record: slot A is confirmed, nothing is on trial.
func bootRecord() ([]byte, error) {
	env, err := bootstate.Record{Confirmed: bootstate.A}.Apply(nil)
	if err != nil {
		return nil, err
	}
	record, err := bootstate.Format(bootstate.Copy{Seq: 1, Env: env})
	if err != nil {
		return nil, err
	}
	b := make([]byte, bootstate.Size)
	copy(b, record)
	copy(b[bootstate.Stride:], record)
	return b, nil
}

// bootScript is boot.scr: the board's own words, then the A/B scheme, as U-Boot's legacy image of type script
// (include/image.h).
func bootScript(b board, s source) ([]byte, error) {
	var text []byte
	for _, name := range s.scripts(b) {
		part, err := os.ReadFile(filepath.Join(s.boot, name))
		if err != nil {
			return nil, err
		}
		text = append(text, part...)
	}
	be := binary.BigEndian
	body := be.AppendUint32(nil, uint32(len(text)))
	body = append(be.AppendUint32(body, 0), text...)
	const osLinux, archARM, typeScript, compressionNone = 5, 2, 6, 0
	var head []byte
	for _, v := range []uint32{0x27051956, 0, uint32(s.time), uint32(len(body)), 0, 0, crc32.ChecksumIEEE(body)} {
		head = be.AppendUint32(head, v)
	}
	head = append(head, osLinux, archARM, typeScript, compressionNone)
	head = append(head, "boot"...)
	head = append(head, make([]byte, 28)...) // the name has 32 bytes
	be.PutUint32(head[4:], crc32.ChecksumIEEE(head))
	return append(head, body...), nil
}

// scripts are the board's, and in a release, in front of the last one, what takes the serial port from the kernel.
func (s source) scripts(b board) []string {
	if s.spoken() {
		return b.scripts
	}
	last := len(b.scripts) - 1
	return append(append(slices.Clone(b.scripts[:last]), "release.cmd"), b.scripts[last])
}

// spoken reports whether boot loader and kernel have the serial port.
func (s source) spoken() bool { return s.console || s.flavour == fit.Developer }

// bootDelay lets a person at the serial port of an image that is no release stop the boot loader by a key; -2 does not
// even look for one (U-Boot's README, CONFIG_BOOTDELAY).
func (s source) bootDelay() string {
	if s.spoken() {
		return "bootdelay=0"
	}
	return "bootdelay=-2"
}

// flash is U-Boot's environment on the virtual board: no countdown, no search, the boot partition's script.
func (s source) flash() []byte {
	return environment(flashEnv, "bootcmd=virtio scan; load virtio 0:1 0x47000000 boot.scr && source 0x47000000; reset",
		s.bootDelay(), "fdt_high=ffffffffffffffff", "initrd_high=ffffffffffffffff")
}

// cardEnvironment is the same for a U-Boot that reads it from the card's FAT as uboot.env. Without the variables that
// it was built with it does not wait for USB either.
func (s source) cardEnvironment() []byte {
	return environment(cardEnv, "bootcmd=load mmc 0:1 0x6000000 boot.scr && source 0x6000000; reset", s.bootDelay())
}

// environment is one in a single copy (include/env_internal.h): checksum, then NAME=VALUE, each ended by a zero.
func environment(size int, variables ...string) []byte {
	b := make([]byte, size)
	copy(b[4:], strings.Join(variables, "\x00")+"\x00")
	binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return b
}

// chunk is bytes at a place.
type chunk struct {
	at   int64
	data []byte
}

// layOut places the partitions at whole MiBs.
func layOut(b board, s source, contents map[string][]byte) ([]chunk, int64, error) {
	var list []gpt.Partition
	var chunks []chunk
	at := int64(mib)
	for _, p := range b.partitions {
		size := p.mib * mib
		if int64(len(contents[p.name])) > size {
			return nil, 0, fmt.Errorf("%s has %d bytes, its partition %d", p.name, len(contents[p.name]), size)
		}
		entry := gpt.Partition{Name: p.name, Start: at, Size: size, Boot: p.name == "boot"}
		if entry.Boot && b.hybrid {
			entry.MBR = fat32
		}
		list = append(list, entry)
		chunks = append(chunks, chunk{at, contents[p.name]})
		at += size
	}
	size := at + mib
	head, tail, err := gpt.Build(s.board, size, list)
	if err != nil {
		return nil, 0, err
	}
	return append(chunks, chunk{0, head}, chunk{size - int64(len(tail)), tail}), size, nil
}

// sparse writes a file that takes no room on the host where it holds zeros.
func sparse(name string, size int64, chunks []chunk) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if err := f.Truncate(size); err != nil {
		return err
	}
	const piece = 4096
	zeros := make([]byte, piece)
	for _, c := range chunks {
		for at := 0; at < len(c.data); at += piece {
			p := c.data[at:min(at+piece, len(c.data))]
			if bytes.Equal(p, zeros[:len(p)]) {
				continue
			}
			if _, err := f.WriteAt(p, c.at+int64(at)); err != nil {
				return err
			}
		}
	}
	return nil
}

// report says what is in the image, on standard output and in image.txt.
func report(b board, s source, sl slot, contents map[string][]byte, disk string) error {
	f, err := os.Open(disk)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return err
	}
	var t bytes.Buffer
	fmt.Fprintf(&t, "%s %s\n", s.board, s.version)
	for _, p := range b.partitions {
		fmt.Fprintf(&t, "  %-18s %9d of %9d bytes\n", p.name, used(contents[p.name]), p.mib*mib)
		if p.name != "slot-a" {
			continue
		}
		for _, w := range sl.parts {
			if w.bytes > 0 {
				fmt.Fprintf(&t, "    %-16s %9d\n", w.name, w.bytes)
			}
		}
	}
	fmt.Fprintf(&t, "proof: %s\n", sl.proof)
	fmt.Fprintf(&t, "root hash: %s\n", sl.root)
	fmt.Fprintf(&t, "slot.img: %d bytes, sha256 %x\n", len(sl.image), sha256.Sum256(sl.image))
	fmt.Fprintf(&t, "disk.img: %d bytes, sha256 %x\n", size, sum.Sum(nil))
	if s.spoken() {
		fmt.Fprintln(&t, "serial port: the kernel's, a key stops the boot loader")
	} else {
		fmt.Fprintln(&t, "serial port: the console's alone")
	}
	if s.root == "" {
		fmt.Fprintln(&t, "update root key: none, this image refuses updates (ROOT=FILE gives it one)")
	} else {
		fmt.Fprintf(&t, "update root key: %s\n", filepath.Base(s.root))
	}
	switch {
	case b.closed != "" && s.firmware == "":
		fmt.Fprintf(&t, "closed firmware: none, so this image does not start on the hardware. It needs %s\n", b.closed)
	case b.closed != "":
		fmt.Fprintf(&t, "closed firmware: %s, under their own licences\n", b.closed)
	}
	fmt.Print(t.String())
	return os.WriteFile(filepath.Join(s.out, "image.txt"), t.Bytes(), 0o644)
}

// used is how much of a partition is not zero.
func used(b []byte) int {
	n := 0
	for at := 0; at < len(b); at += 512 {
		if len(bytes.Trim(b[at:min(at+512, len(b))], "\x00")) > 0 {
			n += 512
		}
	}
	return n
}
