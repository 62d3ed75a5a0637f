package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// partition returns the node of the partition with this name in the GPT, "" if there is none.
func partition(name string) string {
	events, _ := filepath.Glob("/sys/class/block/*/uevent")
	for _, event := range events {
		b, _ := os.ReadFile(event)
		words := eventWords(strings.Split(string(b), "\n"))
		if words["PARTNAME"] == name {
			return "/dev/" + words["DEVNAME"]
		}
	}
	return ""
}

// waitForPartition: disks come up by themselves some time after their driver was loaded.
func waitForPartition(name string, patience time.Duration) (string, error) {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if node := partition(name); node != "" {
			return node, nil
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("partition %s: not there after %v", name, patience)
		}
	}
}

// diskWithSerial returns the node of the whole disk with this serial number, "" if there is none.
func diskWithSerial(serial string) string {
	files, _ := filepath.Glob("/sys/block/*/serial")
	for _, file := range files {
		if b, _ := os.ReadFile(file); strings.TrimSpace(string(b)) == serial {
			return "/dev/" + filepath.Base(filepath.Dir(file))
		}
	}
	return ""
}

// eventWords splits the NAME=VALUE lines of a uevent.
func eventWords(lines []string) map[string]string {
	words := map[string]string{}
	for _, line := range lines {
		if name, value, ok := strings.Cut(line, "="); ok {
			words[name] = value
		}
	}
	return words
}
