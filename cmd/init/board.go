package main

import (
	"bufio"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	configFile = "/etc/ocellus/init.conf"
	updateRoot = "/etc/ocellus/update-root.json"
)

// patience with services when the board goes down.
const stopPatience = 3 * time.Second

// runBoard is the root file system's part. It never returns.
func runBoard() {
	signals := make(chan os.Signal, 8)
	// busybox reboot, ctrl-alt-del, halt, poweroff
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2)
	try("mount", mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=16m"))
	try("mount", mount("tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=16m"))
	try("mount", mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID, "mode=600"))
	try("loopback", raise("lo"))
	// The kernel loads nothing by itself: what a board needs is in the list.
	try("modules", os.WriteFile("/proc/sys/kernel/modprobe", []byte("/bin/false\n"), 0o644))
	c := readConfig(configFile)
	for _, m := range c.modules {
		try("modules", loadModule(m.file, m.params))
	}
	go readAhead(c.services) // beside the modules it disturbs the probes of some (docs/virtual-board.md)
	if c.lab != "" {
		c = withLab(c)
	}
	giveNodes(c.nodes)
	for _, d := range c.dirs {
		try("dir", makeDir(d))
	}
	if c.data.partition != "" {
		try("data", mountData(c.data))
		try("kernel", keepKernelNote(c.data.uid))
	}
	if _, err := os.Stat(updateRoot); err != nil {
		tell("no update root key in this image: updates are refused")
	}
	tell("user space is up")
	down := make(chan int, 2) // for an order and the end of a trial
	var tr *trial
	if bootWord("ocellus.boot") == "trial" {
		tr = newTrial(trialLimit, func(why string) {
			tell("trial: %s", why)
			down <- unix.LINUX_REBOOT_CMD_RESTART
		})
	}
	s := newServices(c.services, tr)
	go listenForReset(c.data, tr, down)
	go s.run()
	try("links", followLinks(s))
	select {
	case sig := <-signals:
		if sig == unix.SIGUSR1 || sig == unix.SIGUSR2 {
			takeDown(s, unix.LINUX_REBOOT_CMD_POWER_OFF)
		}
		takeDown(s, unix.LINUX_REBOOT_CMD_RESTART)
	case command := <-down:
		takeDown(s, command)
	}
}

func readConfig(name string) config {
	b, err := os.ReadFile(name)
	if err != nil {
		tell("%v", err)
	}
	c, faults := parseConfig(string(b))
	for _, f := range faults {
		tell("%s: %v", name, f)
	}
	return c
}

// withLab adds what the disk of the lab brings, if there is one: a virtual board is tested as it would be shipped, and
// the tests bring what they need on a disk of their own.
func withLab(c config) config {
	disk := diskWithSerial(c.lab)
	if disk == "" {
		return c
	}
	if err := mount(disk, "/lab", "squashfs", unix.MS_RDONLY, ""); err != nil {
		tell("lab: %v", err)
		return c
	}
	l := readConfig("/lab/init.conf")
	for _, m := range l.modules {
		try("lab", loadModule(m.file, m.params))
	}
	c.nodes = append(l.nodes, c.nodes...)
	c.dirs = append(c.dirs, l.dirs...)
	c.services = append(c.services, l.services...)
	tell("the lab's disk brings %d modules and %d services", len(l.modules), len(l.services))
	return c
}

// makeDir gives a folder to its user.
func makeDir(d dirRule) error {
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return err
	}
	if err := os.Chown(d.path, d.uid, d.gid); err != nil {
		return err
	}
	return os.Chmod(d.path, os.FileMode(d.mode))
}

// raise brings a network interface up.
func raise(name string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, request); err != nil {
		return err
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP) // the others stay: who takes multicast goes on taking it
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request)
}

// listenForReset serves /run/init: who may write there (the agent) asks for "reboot" or "poweroff" by a line, or says
// that the slot on trial is "confirmed".
func listenForReset(d dataDisk, tr *trial, down chan<- int) {
	const name = "/run/init"
	if err := unix.Mkfifo(name, 0o200); err != nil {
		tell("%s: %v", name, err)
		return
	}
	try(name, os.Chown(name, d.uid, d.gid))
	f, err := os.OpenFile(name, os.O_RDWR, 0) // for writing too, so that it never ends
	if err != nil {
		tell("%s: %v", name, err)
		return
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		switch lines.Text() {
		case "confirmed":
			tr.confirmed()
		case "reboot":
			down <- unix.LINUX_REBOOT_CMD_RESTART
			return
		case "poweroff":
			down <- unix.LINUX_REBOOT_CMD_POWER_OFF
			return
		}
	}
}

// takeDown ends services, then everything, then the board.
func takeDown(s *services, command int) {
	tell("going down")
	s.stop(stopPatience)
	_ = syscall.Kill(-1, syscall.SIGKILL)
	unix.Sync()
	if err := syscall.Unmount("/data", 0); err != nil {
		_ = syscall.Mount("", "/data", "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	reset(command)
}
