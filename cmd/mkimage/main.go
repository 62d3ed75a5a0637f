// Command mkimage builds the disk image of a board out of parts that scripts/image has laid out: kernel, agent, init,
// busybox, boot scripts. It runs on the host, needs no privilege and no other tool, and gives the same bytes for the
// same parts.
//
//	mkimage disk -board qemu-virt-arm64 -kernel DIR -agent FILE ... -out DIR    disk.img, slot.img, image.txt
//	mkimage squashfs DIR FILE                                                   a file system out of a folder
//	mkimage sim -version 1.4.0 -out FILE                                        a slot of the simulated board
//
// It proves of each slot that every block of its file system, and its kernel and initrd, compress again to the bytes
// that are in it (ADR 0007), and ends with an error that names those that don't.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/squashfs"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) > 1 && args[0] == "disk":
		return disk(args[1:])
	case len(args) == 3 && args[0] == "squashfs":
		return folder(args[1], args[2])
	case len(args) > 1 && args[0] == "sim":
		return simulated(args[1:])
	}
	return fmt.Errorf("usage: mkimage disk FLAG... | mkimage squashfs DIR FILE | mkimage sim FLAG...; boards: %v", boardNames())
}

// source is what goes into a disk.
type source struct {
	board                                       string
	kernel, agent, init, busybox, boot, modules string
	bootFiles, firmware                         string
	wifi, data, root, version, out              string
	flavour, factory                            string
	console                                     bool
	time                                        int64
}

// mark is what sets the slot apart from a release.
func (s source) mark() string {
	if s.flavour == fit.Developer {
		return fit.Developer
	}
	return ""
}

func disk(args []string) error {
	var s source
	f := flag.NewFlagSet("mkimage disk", flag.ContinueOnError)
	f.StringVar(&s.board, "board", "", "the board's `name`")
	f.StringVar(&s.kernel, "kernel", "", "`folder` with Image, the kernel unpacked, and lib/modules")
	f.StringVar(&s.modules, "modules", "", "`folder` with modules beside the kernel's; may be empty")
	f.StringVar(&s.agent, "agent", "", "the agent's `file` for the board")
	f.StringVar(&s.init, "init", "", "cmd/init's `file` for the board")
	f.StringVar(&s.busybox, "busybox", "", "a static busybox, `file`")
	f.StringVar(&s.wifi, "wifi", "", "`folder` with wpa_supplicant and the regulatory database; boards with Wi-Fi need it")
	f.StringVar(&s.boot, "boot", "", "`folder` with the boot scripts")
	f.StringVar(&s.bootFiles, "boot-files", "", "`folder` with what else is on the boot partition; may be empty")
	f.StringVar(&s.firmware, "firmware", "", "`folder` that becomes /lib/firmware; without it the board has no closed one")
	f.StringVar(&s.data, "data", "", "the data partition's file system, `file`")
	f.StringVar(&s.root, "root", "", "the update root key's `file`; without it the image refuses updates")
	f.StringVar(&s.version, "version", "", "the release's `name`")
	f.StringVar(&s.flavour, "flavour", "release", "release, or developer: marked, the kernel speaks on the serial port")
	f.BoolVar(&s.console, "console", false, "the kernel speaks on the serial port of a release, too: for the lab")
	f.StringVar(&s.factory, "factory", "", "public key of who makes the cameras, `file`; without it there is none")
	f.Int64Var(&s.time, "time", 0, "the `time` of everything in it, Unix seconds")
	f.StringVar(&s.out, "out", "", "`folder` for the results")
	if err := f.Parse(args); err != nil {
		return err
	}
	b, ok := boards()[s.board]
	if !ok {
		return fmt.Errorf("board %q is not one of %v", s.board, boardNames())
	}
	if s.flavour != "release" && s.flavour != fit.Developer {
		return fmt.Errorf("-flavour: want release or %s", fit.Developer)
	}
	if s.version == "" || s.time <= 0 || s.time >= 1<<32 || s.out == "" {
		return fmt.Errorf("-version, -time and -out are needed")
	}
	slot, err := buildSlot(b, s)
	if err != nil {
		return err
	}
	return writeDisk(b, s, slot)
}

// folder makes a file system as a slot's, for the disks that the lab brings.
func folder(dir, out string) error {
	entries, err := readFolder(dir)
	if err != nil {
		return err
	}
	image, err := squashfs.Build(entries, squashfs.Options{})
	if err != nil {
		return err
	}
	return os.WriteFile(out, image, 0o644)
}
