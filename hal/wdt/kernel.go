package wdt

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// node is an opened /dev/watchdog.
type node int

func openDevice(path string) (device, error) {
	for {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("open", err)
		}
		return node(fd), nil
	}
}

func (n node) integer(request uint, value int) (int, error) {
	if request == unix.WDIOC_GETTIMEOUT {
		return unix.IoctlGetInt(int(n), request)
	}
	err := unix.IoctlSetPointerInt(int(n), request, value)
	return value, err
}

func (n node) options() (uint32, error) {
	info, err := unix.IoctlGetWatchdogInfo(int(n))
	if err != nil {
		return 0, err
	}
	return info.Options, nil
}

func (n node) write(p []byte) error {
	_, err := unix.Write(int(n), p)
	return err
}

func (n node) close() error { return unix.Close(int(n)) }
