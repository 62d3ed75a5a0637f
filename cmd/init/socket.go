package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// bell is the socket that a service is started for: it rings when somebody has come, and the service, which is given the
// socket, lets him in. When the service has ended it rings for the next one.
type bell struct {
	socket *os.File
	raw    syscall.RawConn
	fd     uintptr
}

// hangBell makes the socket, of whole messages (unix(7), SOCK_SEQPACKET). Who may come is who may enter its folder.
func hangBell(path string) (*bell, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	b := &bell{socket: os.NewFile(uintptr(fd), path), fd: uintptr(fd)}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err == nil {
		err = errors.Join(os.Chmod(path, 0o666), unix.Listen(fd, 4))
	}
	if err == nil {
		b.raw, err = b.socket.SyscallConn()
	}
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, errors.Join(err, b.socket.Close()))
	}
	return b, nil
}

// await returns when somebody waits to be let in.
func (b *bell) await() error {
	return b.raw.Read(func(fd uintptr) bool {
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0
	})
}
