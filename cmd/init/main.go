// Command init is the first process of a board, in two parts: as /init of the slot's initrd it opens the slot's root
// file system through dm-verity; then it goes on in that file system, which has no other: it mounts, loads modules, gives
// the device nodes to their users, keeps the services alive and takes the board down in order.
//
// What it does on a board is data: /etc/ocellus/init.conf (config.go), written by the image builder. It starts the
// agent as a user of its own with no_new_privs, an empty capability bounding set and only the device nodes that the
// configuration names; a service that needs a capability or two gets these and no other. Everything but /data, /run and
// /tmp is read-only.
//
// Every line that it says to the console begins with "init: " and the seconds since the kernel began.
//
// Exit is never: in the initrd a failure resets the board after a moment, so that the boot script can count a trial
// down; later, whatever fails is told and the rest goes on.
package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init: this is the first process of a board, nothing to run by hand")
		os.Exit(2)
	}
	if err := startSlot(); err != nil {
		tell("the slot does not start: %v", err)
		time.Sleep(time.Second) // the console drains
		reset(unix.LINUX_REBOOT_CMD_RESTART)
	}
	runBoard()
}

// tell says something on the console.
func tell(format string, words ...any) {
	uptime, _ := os.ReadFile("/proc/uptime")
	seconds, _, _ := strings.Cut(string(uptime), " ")
	fmt.Printf("init: [%s s] %s\n", seconds, fmt.Sprintf(format, words...))
}

// try tells what a step of the way that the rest can do without came to.
func try(what string, err error) {
	if err != nil {
		tell("%s: %v", what, err)
	}
}

// reset ends everything: LINUX_REBOOT_CMD_RESTART or LINUX_REBOOT_CMD_POWER_OFF.
func reset(command int) {
	unix.Sync()
	_ = unix.Reboot(command)
	for {
		time.Sleep(time.Hour) // the kernel is on its way down
	}
}

// bootWord returns the value of a word of the kernel's command line: ocellus.slot=a.
func bootWord(name string) string {
	line, _ := os.ReadFile("/proc/cmdline")
	for word := range strings.FieldsSeq(string(line)) {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value
		}
	}
	return ""
}

// mount makes the directory too where it can.
func mount(source, target, kind string, flags uintptr, options string) error {
	_ = os.MkdirAll(target, 0o755)
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return nil
}
