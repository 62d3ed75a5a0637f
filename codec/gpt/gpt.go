// Package gpt writes and reads the partition table of a disk image: a GPT (UEFI Specification 2.10, chapter 5) whose
// identifiers follow from names, so that the same layout gives the same bytes.
package gpt

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"unicode/utf16"
)

// Sector is the size of a logical block.
const Sector = 512

const (
	entries    = 128
	entrySize  = 128
	tableSize  = entries * entrySize
	headerSize = 92
	// Reserve is what the tables take at the start of a disk (protective MBR, header, table) and, less one sector, at
	// its end.
	Reserve = 2*Sector + tableSize
)

// Types of partitions, as they are stored: 0FC63DAF-8483-4772-8E79-3D69D8477DE4, C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
const (
	linuxData = "\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4"
	efiSystem = "\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b"
)

// Partition is one entry. Start and Size are bytes, both whole sectors.
type Partition struct {
	Name        string // at most 36 letters
	Start, Size int64
	Boot        bool // the one with the boot script: an EFI system partition that legacy loaders look into first
	MBR         byte // its type in the MBR too, for a boot ROM that reads nothing else (0x0c: FAT); 0 leaves it out
}

// Build returns what stands at the start and at the end of a disk of this size. The disk's identifier follows from
// its name.
func Build(name string, size int64, partitions []Partition) (head, tail []byte, err error) {
	if err := check(size, partitions); err != nil {
		return nil, nil, fmt.Errorf("gpt: %w", err)
	}
	le := binary.LittleEndian
	table := make([]byte, tableSize)
	for i, p := range partitions {
		e := table[i*entrySize:]
		kind, attributes := linuxData, uint64(0)
		if p.Boot {
			kind, attributes = efiSystem, 1<<2
		}
		copy(e, kind)
		id := guid(name + "/" + p.Name)
		copy(e[16:], id[:])
		le.PutUint64(e[32:], uint64(p.Start/Sector))
		le.PutUint64(e[40:], uint64((p.Start+p.Size)/Sector-1))
		le.PutUint64(e[48:], attributes)
		for j, u := range utf16.Encode([]rune(p.Name)) {
			le.PutUint16(e[56+2*j:], u)
		}
	}
	last := uint64(size/Sector - 1)
	head = append(mbr(last, partitions), header(name, table, 1, last, 2, last)...)
	head = append(head, table...)
	tail = append(table, header(name, table, last, 1, last-tableSize/Sector, last)...)
	return head, tail, nil
}

func check(size int64, partitions []Partition) error {
	if size%Sector != 0 || size < 2*Reserve || len(partitions) > entries {
		return errors.New("impossible disk")
	}
	end, hybrid := int64(Reserve), 0
	for _, p := range partitions {
		if p.Start < end || p.Start%Sector != 0 || p.Size <= 0 || p.Size%Sector != 0 ||
			len(utf16.Encode([]rune(p.Name))) > 36 {
			return fmt.Errorf("partition %q does not fit", p.Name)
		}
		end = p.Start + p.Size
		if p.MBR != 0 {
			hybrid++
		}
		if hybrid > inMBR || p.MBR != 0 && end/Sector > 1<<32 {
			return fmt.Errorf("partition %q does not fit into the MBR", p.Name)
		}
	}
	if end > size-Reserve+Sector {
		return errors.New("the partitions need a larger disk")
	}
	return nil
}

// inMBR is how many partitions an MBR has room for beside the entry that protects the GPT.
const inMBR = 3

// mbr protects the disk from those who know no GPT, and shows a boot ROM that is one of them its partitions (a hybrid
// MBR). The protective entry is then the last one: the Raspberry Pi's boot ROM wants the FAT partition to be the first,
// and its start.elf takes to the GPT, and finds nothing, where the second is protective (raspberrypi/firmware 1457,
// 1465). Linux and U-Boot take the GPT wherever that entry stands, as long as it begins at sector 1.
func mbr(last uint64, partitions []Partition) []byte {
	b := make([]byte, Sector)
	le := binary.LittleEndian
	protective, end, n := 0, last, 0
	for _, p := range partitions {
		if p.MBR == 0 {
			continue
		}
		if n == 0 {
			protective, end = inMBR, uint64(p.Start/Sector)-1
		}
		e := b[446+16*n:]
		copy(e, []byte{0, 0xfe, 0xff, 0xff, p.MBR, 0xfe, 0xff, 0xff})
		le.PutUint32(e[8:], uint32(p.Start/Sector))
		le.PutUint32(e[12:], uint32(p.Size/Sector))
		n++
	}
	e := b[446+16*protective:]
	copy(e, []byte{0, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff})
	le.PutUint32(e[8:], 1)
	le.PutUint32(e[12:], uint32(min(end, 0xffffffff)))
	b[510], b[511] = 0x55, 0xaa
	return b
}

func header(name string, table []byte, here, other, tableAt, last uint64) []byte {
	b := make([]byte, Sector)
	le := binary.LittleEndian
	copy(b, "EFI PART")
	le.PutUint32(b[8:], 0x00010000)
	le.PutUint32(b[12:], headerSize)
	le.PutUint64(b[24:], here)
	le.PutUint64(b[32:], other)
	le.PutUint64(b[40:], Reserve/Sector)
	le.PutUint64(b[48:], last-Reserve/Sector+1)
	id := guid(name)
	copy(b[56:], id[:])
	le.PutUint64(b[72:], tableAt)
	le.PutUint32(b[80:], entries)
	le.PutUint32(b[84:], entrySize)
	le.PutUint32(b[88:], crc32.ChecksumIEEE(table))
	le.PutUint32(b[16:], crc32.ChecksumIEEE(b[:headerSize]))
	return b
}

// guid is a UUID of version 8 (RFC 9562) out of a name.
func guid(name string) [16]byte {
	sum := sha256.Sum256([]byte("ocellus disk " + name))
	id := [16]byte(sum[:16])
	id[7], id[8] = id[7]&0x0f|0x80, id[8]&0x3f|0x80 // the version stands in byte 7 of the mixed order
	return id
}

// ErrTable: there is no partition table, or a damaged one.
var ErrTable = errors.New("partition table")

// Parse reads the table at the start of a disk, as Build writes it, but not the MBR in front of it. head is the disk's
// first Reserve bytes.
func Parse(head []byte) ([]Partition, error) {
	le := binary.LittleEndian
	if len(head) != Reserve {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrTable, len(head), Reserve)
	}
	h, table := bytes.Clone(head[Sector:][:headerSize]), head[2*Sector:]
	sum := le.Uint32(h[16:])
	clear(h[16:20])
	switch {
	case string(h[:8]) != "EFI PART":
		return nil, fmt.Errorf("%w: none there", ErrTable)
	case sum != crc32.ChecksumIEEE(h) || le.Uint32(h[88:]) != crc32.ChecksumIEEE(table):
		return nil, fmt.Errorf("%w: CRC does not match", ErrTable)
	case le.Uint32(h[80:]) != entries || le.Uint32(h[84:]) != entrySize || le.Uint64(h[72:]) != 2:
		return nil, fmt.Errorf("%w: not of the usual form", ErrTable)
	}
	last := le.Uint64(h[48:])
	if last > math.MaxInt64/Sector/2 {
		return nil, fmt.Errorf("%w: impossible disk", ErrTable)
	}
	var list []Partition
	for e := range slices.Chunk(table, entrySize) {
		if len(bytes.Trim(e[:16], "\x00")) == 0 {
			continue
		}
		first, end := le.Uint64(e[32:]), le.Uint64(e[40:])
		if first < Reserve/Sector || end < first || end > last {
			return nil, fmt.Errorf("%w: a partition from sector %d to %d", ErrTable, first, end)
		}
		list = append(list, Partition{Name: partitionName(e[56:]), Start: int64(first) * Sector,
			Size: int64(end-first+1) * Sector, Boot: string(e[:16]) == efiSystem})
	}
	return list, nil
}

func partitionName(b []byte) string {
	var units []uint16
	for unit := range slices.Chunk(b, 2) {
		u := binary.LittleEndian.Uint16(unit)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}
