package rawstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Partition returns the node of the partition of a GPT name, as the kernel under sysfs ("/sys") has it. disk, where it is
// not empty, is the name of the only disk that counts (mmcblk0). Two partitions of one name are an error, so that nobody
// brings a boot record of his own on a stick.
func Partition(sysfs, disk, name string) (string, error) {
	nodes, err := Partitions(sysfs, disk, name)
	if err != nil {
		return "", err
	}
	return nodes[0], nil
}

// Partitions is Partition for several names, in one look at the disks: a look costs a slow board tens of milliseconds.
func Partitions(sysfs, disk string, names ...string) ([]string, error) {
	named, err := partitions(sysfs, disk)
	if err != nil {
		return nil, fmt.Errorf("find partitions %s: %w", strings.Join(names, ", "), err)
	}
	nodes := make([]string, len(names))
	for i, name := range names {
		switch found := named[name]; len(found) {
		case 0:
			return nil, fmt.Errorf("find partition %s: %w", name, fs.ErrNotExist)
		case 1:
			nodes[i] = found[0]
		default:
			return nil, fmt.Errorf("find partition %s: there are %d: %s", name, len(found), strings.Join(found, ", "))
		}
	}
	return nodes, nil
}

// partitions lists the nodes of each name.
func partitions(sysfs, disk string) (map[string][]string, error) {
	class := filepath.Join(sysfs, "class/block")
	entries, err := os.ReadDir(class)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without disks has no such class
		return nil, err
	}
	named := map[string][]string{}
	for _, e := range entries {
		// A whole disk, block/loop0, has no name; a partition is below its disk, block/vda/vda1.
		to, err := os.Readlink(filepath.Join(class, e.Name()))
		if err == nil && filepath.Base(filepath.Dir(to)) == "block" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(class, e.Name(), "uevent"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // unplugged meanwhile
		}
		if err != nil {
			return nil, err
		}
		event := map[string]string{}
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			event[key] = value
		}
		name, node := event["PARTNAME"], event["DEVNAME"]
		if name != "" && (disk == "" || isPartOf(node, disk)) {
			named[name] = append(named[name], filepath.Join("/dev", node))
		}
	}
	return named, nil
}

// isPartOf reports whether a partition's node is one of a disk: sda1 of sda, mmcblk0p1 of mmcblk0.
func isPartOf(node, disk string) bool {
	rest, ok := strings.CutPrefix(node, disk)
	if last := disk[len(disk)-1]; ok && last >= '0' && last <= '9' {
		rest, ok = strings.CutPrefix(rest, "p")
	}
	return ok && rest != "" && strings.Trim(rest, "0123456789") == ""
}
