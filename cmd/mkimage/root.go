package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ocellus/ocellus/codec/squashfs"
)

// applets of busybox that have a name of their own on the board.
const applets = `sh ash awk basename cat chmod chown cp cut date dd df dirname dmesg du echo env false find free grep head
	hexdump hostname id ifconfig insmod ip kill killall ln ls lsmod md5sum mkdir mknod modprobe mount mv nc netstat
	nslookup pidof ping poweroff printf ps pwd readlink reboot rm rmdir rmmod route sed seq sha256sum sleep sort stat
	strings stty sync tail tar tee test time timeout top touch tr true tty udhcpc umount uname uniq uptime vi wc wget
	which xargs`

// dhcp is what udhcpc runs when it learns an address, as the network's user. A cable goes before Wi-Fi.
const dhcp = `#!/bin/sh
metric=10
[ "$interface" = eth0 ] || metric=20
case $1 in
deconfig)
	ip addr flush dev "$interface"
	;;
bound | renew)
	ip addr replace "$ip/${mask:-24}" dev "$interface"
	for r in $router; do ip route replace default via "$r" dev "$interface" metric $metric; break; done
	for d in $dns; do echo "nameserver $d"; done >/run/network/resolv.conf
	;;
esac
`

// tree collects the entries of a root file system; every directory above an entry comes by itself.
type tree struct {
	entries []squashfs.Entry
	seen    map[string]bool
}

func newTree() *tree {
	return &tree{[]squashfs.Entry{{Path: ".", Mode: fs.ModeDir | 0o755}}, map[string]bool{".": true}}
}

func (t *tree) add(e squashfs.Entry) {
	if dir := path.Dir(e.Path); !t.seen[dir] {
		t.dir(dir)
	}
	t.seen[e.Path] = true
	t.entries = append(t.entries, e)
}

func (t *tree) dir(names ...string) {
	for _, name := range names {
		if !t.seen[name] {
			t.add(squashfs.Entry{Path: name, Mode: fs.ModeDir | 0o755})
		}
	}
}

func (t *tree) text(name, text string) {
	t.add(squashfs.Entry{Path: name, Mode: 0o644, Data: []byte(text)})
}
func (t *tree) link(name, target string) {
	t.add(squashfs.Entry{Path: name, Mode: fs.ModeSymlink | 0o777, Target: target})
}

func (t *tree) file(name, from string, mode fs.FileMode, gid uint32) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	t.add(squashfs.Entry{Path: name, Mode: mode, GID: gid, Data: b})
	return nil
}

// rootEntries is the root file system of a board.
func rootEntries(b board, s source, k *kernelTree) ([]squashfs.Entry, error) {
	t := newTree()
	t.dir("data", "dev", "lab", "mnt", "proc", "run", "sys", "tmp")
	for _, f := range []struct {
		name, from string
		mode       fs.FileMode
		gid        uint32
	}{
		{"usr/bin/agent", s.agent, 0o755, 0},
		{"bin/busybox", s.busybox, 0o750, network}, // not for everybody: the agent has no shell
	} {
		if err := t.file(f.name, f.from, f.mode, f.gid); err != nil {
			return nil, err
		}
	}
	for _, a := range strings.Fields(applets) {
		t.link("bin/"+a, "busybox")
	}
	t.add(squashfs.Entry{Path: "usr/lib/ocellus/dhcp", Mode: 0o755, Data: []byte(dhcp)})
	t.text("etc/passwd", "root:x:0:0:root:/:/bin/sh\n"+
		fmt.Sprintf("ocellus:x:%d:%d:agent:/data/agent:/bin/false\n", uid, uid)+
		fmt.Sprintf("network:x:%d:%d:network:/:/bin/false\n", network, network)+
		fmt.Sprintf("ear:x:%d:%d:ear:/:/bin/false\n", ear, ear))
	t.text("etc/group", fmt.Sprintf("root:x:0:\nvideo:x:%d:ocellus\nocellus:x:%d:\nnetwork:x:%d:\nwifi:x:%d:ocellus\near:x:%d:\n",
		video, uid, network, wifi, ear))
	t.text("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
	t.text("etc/os-release", fmt.Sprintf("ID=ocellus\nNAME=Ocellus\nVERSION_ID=%s\nVARIANT_ID=%s\n", s.version, s.board))
	t.link("etc/resolv.conf", "../run/network/resolv.conf")
	t.link("var", "run")
	if s.root != "" {
		if err := t.file("etc/ocellus/update-root.json", s.root, 0o644, 0); err != nil {
			return nil, err
		}
	}
	if s.factory != "" {
		if err := t.file("etc/ocellus/factory.pub", s.factory, 0o644, 0); err != nil {
			return nil, err
		}
	}
	if s.mark() != "" {
		t.text("etc/ocellus/mark", "developer image: whoever has wires on it is let in; never for a customer\n")
	}
	if b.wifi {
		if err := t.wifi(s); err != nil {
			return nil, err
		}
	}
	if s.firmware != "" {
		if err := t.folder("lib/firmware", s.firmware); err != nil {
			return nil, err
		}
	}
	return t.entries, t.modules(b, k)
}

// folder takes the files of a folder of the host.
func (t *tree) folder(name, from string) error {
	entries, err := readFolder(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		e.Path = path.Join(name, e.Path)
		if !e.Mode.IsDir() {
			t.add(e)
		}
	}
	return nil
}

// wifi brings what joins networks, and which frequencies are whose in which country.
func (t *tree) wifi(s source) error {
	for _, f := range []struct {
		name string
		mode fs.FileMode
	}{
		{"usr/sbin/wpa_supplicant", 0o755}, {"lib/firmware/regulatory.db", 0o644}, {"lib/firmware/regulatory.db.p7s", 0o644},
	} {
		if err := t.file(f.name, filepath.Join(s.wifi, path.Base(f.name)), f.mode, 0); err != nil {
			return err
		}
	}
	// It names no network: passwords are the agent's to keep, and come through the control socket.
	t.text("etc/wpa_supplicant.conf", fmt.Sprintf("ctrl_interface=DIR=/run/wpa_supplicant GROUP=%d\n", wifi))
	return nil
}

// modules brings the board's modules, the list of them for init, and what modprobe needs to find them.
func (t *tree) modules(b board, k *kernelTree) error {
	list, err := k.resolve(b.modules)
	if err != nil {
		return err
	}
	var conf, dep bytes.Buffer
	base := "lib/modules/" + k.release + "/"
	for _, m := range list {
		t.add(squashfs.Entry{Path: base + m.file, Mode: 0o644, Data: m.data})
		fmt.Fprintf(&conf, "module /%s %s\n", base+m.file, m.params)
		fmt.Fprintf(&dep, "%s: %s\n", m.file, strings.Join(k.needs[m.file], " "))
	}
	t.text(base+"modules.dep", dep.String())
	own := commonConf + b.conf
	if b.wifi {
		own += wifiConf
	}
	t.text("etc/ocellus/init.conf", conf.String()+own)
	return nil
}

// readFolder takes a folder of the host as it is, owned by root.
func readFolder(dir string) ([]squashfs.Entry, error) {
	var entries []squashfs.Entry
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := squashfs.Entry{Path: filepath.ToSlash(relative), Mode: info.Mode().Type() | info.Mode().Perm()}
		switch e.Mode.Type() {
		case 0:
			e.Data, err = os.ReadFile(name)
		case fs.ModeSymlink:
			e.Target, err = os.Readlink(name)
		}
		entries = append(entries, e)
		return err
	})
	return slices.Clip(entries), err
}
