package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// reach tries everything in the file system and prints what whoever runs it may do, a line each:
//
//	node r /dev/urandom     open this device: r, w or rw
//	file /run/init          write to this file
//	socket /run/x/y         speak to whoever listens here
//	folder /tmp             make files here
//
// /proc and /sys are the kernel's own and left out.
func reach() error {
	return filepath.WalkDir("/", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return skipUnreadable(d)
		}
		switch mode := d.Type(); {
		case name == "/proc" || name == "/sys":
			return fs.SkipDir
		case mode.IsDir():
			if f, err := os.CreateTemp(name, ".reach-"); err == nil {
				fmt.Println("folder", name)
				return errors.Join(f.Close(), os.Remove(f.Name()))
			}
		case mode&fs.ModeDevice != 0:
			if how := opens(name, unix.O_RDONLY, "r") + opens(name, unix.O_WRONLY, "w"); how != "" {
				fmt.Println("node", how, name)
			}
		case mode&fs.ModeSocket != 0:
			if unix.Access(name, unix.W_OK) == nil {
				fmt.Println("socket", name)
			}
		case mode.IsRegular() || mode&fs.ModeNamedPipe != 0:
			if opens(name, unix.O_WRONLY, "w") != "" {
				fmt.Println("file", name)
			}
		}
		return nil
	})
}

// skipUnreadable passes over what may not even be listed.
func skipUnreadable(d fs.DirEntry) error {
	if d != nil && d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// opens returns word if the file opens, or would but for its own state: a busy device is one that may be opened.
func opens(name string, flags int, word string) string {
	fd, err := unix.Open(name, flags|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd)
		return word
	}
	for _, refused := range []error{unix.EACCES, unix.EPERM, unix.EROFS, unix.ETXTBSY} {
		if errors.Is(err, refused) {
			return ""
		}
	}
	if strings.HasPrefix(name, "/dev/") {
		return word
	}
	return ""
}
