package main

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// giveNodes applies the rules to the nodes that are there, then to those that come: the kernel tells of each in a
// uevent. Open the socket first so that none falls between.
func giveNodes(rules []nodeRule) {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err == nil {
		err = unix.Bind(s, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1})
	}
	if err != nil {
		tell("device nodes that come later stay root's: %v", err)
	}
	// Devices that have a node, and no others (Documentation/ABI/testing/sysfs-dev): a slow board needs a second for all.
	events, _ := filepath.Glob("/sys/dev/*/*/uevent")
	for _, event := range events {
		b, _ := os.ReadFile(event)
		giveNode(rules, eventWords(strings.Split(string(b), "\n")))
	}
	if err == nil {
		go followNodes(s, rules)
	}
}

// followNodes lives as long as the board.
func followNodes(s int, rules []nodeRule) {
	b := make([]byte, 16<<10)
	for {
		n, err := unix.Read(s, b)
		if err != nil {
			if err == unix.EINTR || err == unix.ENOBUFS {
				continue
			}
			tell("device nodes that come later stay root's: %v", err)
			return
		}
		words := eventWords(strings.Split(string(b[:n]), "\x00"))
		if words["ACTION"] == "add" {
			giveNode(rules, words)
		}
	}
}

// giveNode gives the node of a uevent to whom the first rule that matches names.
func giveNode(rules []nodeRule, words map[string]string) {
	name := words["DEVNAME"]
	if name == "" {
		return
	}
	for _, r := range rules {
		subject := strings.TrimPrefix(name, "/dev/")
		pattern, byPartition := strings.CutPrefix(r.pattern, "part:")
		if byPartition {
			subject = words["PARTNAME"]
		}
		if ok, _ := path.Match(pattern, subject); !ok || subject == "" {
			continue
		}
		if byPartition && subject == "slot-"+bootWord("ocellus.slot") {
			r.uid, r.mode = 0, 0o440 // what runs is read, for a delta, and never written
		}
		node := filepath.Join("/dev", name)
		try(node, os.Chown(node, r.uid, r.gid))
		try(node, os.Chmod(node, os.FileMode(r.mode)))
		return
	}
}
