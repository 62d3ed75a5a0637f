// Package fat writes a small FAT16 file system with some files in its root: the partition that a boot loader reads its
// script from (Microsoft's FAT specification, fatgen103). The same files give the same bytes.
package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

const (
	sector      = 512
	rootEntries = 512
	rootSectors = rootEntries * 32 / sector
	minClusters = 4085 // with less it is FAT12
	maxClusters = 65525
)

// File is a file in the root directory, with a name of the form 8.3.
type File struct {
	Name string
	Data []byte
}

// Build returns a file system of size bytes. Clusters are single sectors, so it is between 2.1 and 32 MiB large.
func Build(label string, size int, files []File) ([]byte, error) {
	sectors := size / sector
	fatSectors := (sectors*2 + sector - 1) / sector
	first := 1 + 2*fatSectors + rootSectors // of the data
	clusters := sectors - first
	if size%sector != 0 || clusters < minClusters || clusters >= maxClusters || sectors > 0xffff {
		return nil, fmt.Errorf("fat: impossible size %d", size)
	}
	if len(files) >= rootEntries {
		return nil, errors.New("fat: too many files")
	}
	b := make([]byte, size)
	bootSector(b, label, sectors, fatSectors)
	table := make([]byte, fatSectors*sector)
	le := binary.LittleEndian
	le.PutUint16(table, 0xfff8)
	le.PutUint16(table[2:], 0xffff)
	root := b[(1+2*fatSectors)*sector:]
	copy(root, fmt.Sprintf("%-11.11s\x08", label))
	next := 2 // the first free cluster
	for i, f := range files {
		short, err := shortName(f.Name)
		if err != nil {
			return nil, err
		}
		count := (len(f.Data) + sector - 1) / sector
		if next+count > clusters+2 {
			return nil, fmt.Errorf("fat: no room for %s", f.Name)
		}
		e := root[(i+1)*32:]
		copy(e, short+"\x20")
		le.PutUint16(e[24:], 1<<5|1) // 1 January 1980
		le.PutUint32(e[28:], uint32(len(f.Data)))
		if count > 0 {
			le.PutUint16(e[26:], uint16(next))
		}
		copy(b[(first+next-2)*sector:], f.Data)
		for c := range count {
			le.PutUint16(table[2*(next+c):], uint16(next+c+1))
			if c == count-1 {
				le.PutUint16(table[2*(next+c):], 0xffff)
			}
		}
		next += count
	}
	copy(b[sector:], table)
	copy(b[(1+fatSectors)*sector:], table)
	return b, nil
}

func bootSector(b []byte, label string, sectors, fatSectors int) {
	le := binary.LittleEndian
	copy(b, "\xeb\x3c\x90OCELLUS ")
	le.PutUint16(b[11:], sector)
	b[13] = 1               // sectors a cluster
	le.PutUint16(b[14:], 1) // reserved
	b[16] = 2               // tables
	le.PutUint16(b[17:], rootEntries)
	le.PutUint16(b[19:], uint16(sectors))
	b[21] = 0xf8 // a hard disk
	le.PutUint16(b[22:], uint16(fatSectors))
	le.PutUint16(b[24:], 32)
	le.PutUint16(b[26:], 2)
	b[36], b[38] = 0x80, 0x29
	copy(b[39:], "OCEL") // the volume's number
	copy(b[43:], fmt.Sprintf("%-11.11sFAT16   ", label))
	b[510], b[511] = 0x55, 0xaa
}

// shortName turns boot.scr into "BOOT    SCR".
func shortName(name string) (string, error) {
	base, extension, _ := strings.Cut(strings.ToUpper(name), ".")
	if base == "" || len(base) > 8 || len(extension) > 3 ||
		strings.Trim(base+extension, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return "", fmt.Errorf("fat: name %q is not of the form 8.3", name)
	}
	return fmt.Sprintf("%-8s%-3s", base, extension), nil
}
