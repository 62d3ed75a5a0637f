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
	events, err := filepath.Glob(filepath.Join(sysfs, "class/block/*/uevent"))
	if err != nil {
		return "", err
	}
	var found []string
	for _, path := range events {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // unplugged meanwhile
		}
		if err != nil {
			return "", fmt.Errorf("find partition %s: %w", name, err)
		}
		event := map[string]string{}
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			event[key] = value
		}
		node := event["DEVNAME"]
		if event["PARTNAME"] == name && (disk == "" || isPartOf(node, disk)) {
			found = append(found, filepath.Join("/dev", node))
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("find partition %s: %w", name, fs.ErrNotExist)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("find partition %s: there are %d: %s", name, len(found), strings.Join(found, ", "))
}

// isPartOf reports whether a partition's node is one of a disk: sda1 of sda, mmcblk0p1 of mmcblk0.
func isPartOf(node, disk string) bool {
	rest, ok := strings.CutPrefix(node, disk)
	if last := disk[len(disk)-1]; ok && last >= '0' && last <= '9' {
		rest, ok = strings.CutPrefix(rest, "p")
	}
	return ok && rest != "" && strings.Trim(rest, "0123456789") == ""
}
