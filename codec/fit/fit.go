// Package fit writes and reads the head of a slot: a FIT (flattened image tree, U-Boot's doc/usage/fit), which is a
// devicetree blob that holds kernel, initrd and, where the board needs one, its device tree, each with a SHA-256 that
// U-Boot checks before it boots.
//
//	offset 0    FIT; its header tells its size, which is padded with zeros to 4 KiB
//	behind it   squashfs (codec/squashfs), then verity superblock and tree (codec/verity)
//
// The boot chain trusts what the hashes cover: the parts. So the root hash of the file system stands in the initrd. The
// node "slot" beside them is a note for tools: what the slot is, and how its parts were compressed, so that an update
// can compress them again bit for bit.
package fit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// ErrFIT: no FIT, or a damaged one.
var ErrFIT = errors.New("FIT")

// Align is what the size of a FIT is padded to in a slot: the file system behind it begins at a block of its own.
const Align = 4096

// MaxSize bounds a FIT: what boot scripts make room for.
const MaxSize = 32 << 20

// Part is one thing that U-Boot loads.
type Part struct {
	Data        []byte
	Compression string // that U-Boot undoes: none, gzip
	Load, Entry uint32 // address in memory; 0 where U-Boot chooses (initrd, device tree)
}

// Slot is what the note says.
type Slot struct {
	Compatible string // the board that the slot is for: qemu-virt-arm64
	Version    string // the release
	Payload    string // how a compressed kernel and initrd were made: Settings
	Filesystem string // how the blocks of the file system were made: squashfs.Settings
	Flavour    string // developer, or empty for what may be released
}

// Developer is the flavour of an image that is open to whoever has wires on it. No publisher's key signs one.
const Developer = "developer"

// Image is a FIT. A part whose Data is empty is left out.
type Image struct {
	Arch                       string // U-Boot's word: arm, arm64
	Time                       uint32 // Unix seconds
	Kernel, Initrd, DeviceTree Part
	Slot                       Slot
	CRC32                      bool // a second hash of each part, for a boot loader that knows no SHA-256
}

// Build returns the FIT, without padding.
func Build(i Image) ([]byte, error) {
	if len(i.Kernel.Data) == 0 || i.Arch == "" || i.Slot.Compatible == "" {
		return nil, fmt.Errorf("%w: no kernel, architecture or board", ErrFIT)
	}
	root := &node{}
	root.setCell("timestamp", i.Time)
	root.setText("description", i.Slot.Compatible+" "+i.Slot.Version)
	root.setCell("#address-cells", 1)
	images := root.add("images")
	configurations := root.add("configurations")
	configurations.setText("default", "slot")
	configuration := configurations.add("slot")
	configuration.setText("description", i.Slot.Compatible)
	for _, p := range i.parts() {
		if len(p.part.Data) == 0 {
			continue
		}
		i.put(images.add(p.name), p.kind, p.part)
		configuration.setText(p.name, p.name)
	}
	note := root.add("slot")
	note.setText("compatible", i.Slot.Compatible)
	note.setText("version", i.Slot.Version)
	note.setText("payload-settings", i.Slot.Payload)
	note.setText("filesystem-settings", i.Slot.Filesystem)
	if i.Slot.Flavour != "" {
		note.setText("flavour", i.Slot.Flavour)
	}
	b := root.blob()
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFIT, len(b), MaxSize)
	}
	return b, nil
}

type namedPart struct {
	name, kind string
	part       *Part
}

func (i *Image) parts() []namedPart {
	return []namedPart{
		{"kernel", "kernel", &i.Kernel}, {"ramdisk", "ramdisk", &i.Initrd}, {"fdt", "flat_dt", &i.DeviceTree},
	}
}

func (i *Image) put(n *node, kind string, p *Part) {
	n.setText("description", n.name)
	n.setText("type", kind)
	n.setText("arch", i.Arch)
	n.setText("os", "linux")
	compression := p.Compression
	if compression == "" {
		compression = "none"
	}
	n.setText("compression", compression)
	if p.Load != 0 {
		n.setCell("load", p.Load)
		n.setCell("entry", p.Entry)
	}
	n.set("data", p.Data)
	sum := sha256.Sum256(p.Data)
	h := n.add("hash-1")
	h.setText("algo", "sha256")
	h.set("value", sum[:])
	if i.CRC32 {
		h := n.add("hash-2")
		h.setText("algo", "crc32")
		h.setCell("value", crc32.ChecksumIEEE(p.Data))
	}
}

// Size reads from the first bytes of a slot how long its FIT is, without and with padding.
func Size(head []byte) (size, padded int64, err error) {
	if len(head) < 8 || binary.BigEndian.Uint32(head) != fdtMagic {
		return 0, 0, fmt.Errorf("%w: none there", ErrFIT)
	}
	size = int64(binary.BigEndian.Uint32(head[4:]))
	if size < fdtHeader || size > MaxSize {
		return 0, 0, fmt.Errorf("%w: impossible size %d", ErrFIT, size)
	}
	return size, (size + Align - 1) / Align * Align, nil
}

// Parse reads a FIT that Build wrote and checks its hashes. The parts are slices of b, not copies.
func Parse(b []byte) (Image, error) {
	if _, _, err := Size(b); err != nil {
		return Image{}, err
	}
	root, err := parseTree(b)
	if err != nil {
		return Image{}, fmt.Errorf("%w: %w", ErrFIT, err)
	}
	images, note := root.child("images"), root.child("slot")
	if images == nil || note == nil {
		return Image{}, fmt.Errorf("%w: not of a slot", ErrFIT)
	}
	i := Image{Time: root.cell("timestamp"), Slot: Slot{note.text("compatible"), note.text("version"),
		note.text("payload-settings"), note.text("filesystem-settings"), note.text("flavour")}}
	for _, p := range i.parts() {
		n := images.child(p.name)
		if n == nil {
			continue
		}
		if *p.part, err = readPart(n); err != nil {
			return Image{}, fmt.Errorf("%w: %s: %w", ErrFIT, p.name, err)
		}
		i.Arch, i.CRC32 = n.text("arch"), n.child("hash-2") != nil
	}
	return i, nil
}

func readPart(n *node) (Part, error) {
	data, _ := n.property("data")
	p := Part{Data: data.value, Compression: n.text("compression"), Load: n.cell("load"), Entry: n.cell("entry")}
	h := n.child("hash-1")
	if h == nil || h.text("algo") != "sha256" {
		return Part{}, errors.New("no hash")
	}
	want, _ := h.property("value")
	if sum := sha256.Sum256(p.Data); string(sum[:]) != string(want.value) {
		return Part{}, errors.New("hash does not match")
	}
	return p, nil
}
