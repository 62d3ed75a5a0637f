package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// cable joins a camera's serial port with a person's, as an adapter at the end of three wires does. Both are pseudo
// terminals. The adapter can be pulled out, and put in again under the same name.
type cable struct {
	t      *testing.T
	camera string // the camera's port
	port   string // the adapter's
	near   *os.File

	mu    sync.Mutex // guards the rest
	far   *os.File   // nil: it was pulled out
	sent  int        // bytes that went to the camera
	limit int        // it is pulled out after so many; 0: never
	spoil func(b []byte, toCamera bool) []byte
}

// newCable lays a cable.
func newCable(t *testing.T) *cable {
	t.Helper()
	c := &cable{t: t, port: filepath.Join(t.TempDir(), "ttyUSB0")}
	c.near, c.camera = newPTY(t)
	go c.carry(c.near, true)
	c.plug()
	t.Cleanup(func() {
		c.pull()
		_ = c.near.Close()
	})
	return c
}

// newPTY makes a pseudo terminal (pty(7)): its master, and the name of the other end, which is raw from the beginning.
func newPTY(t *testing.T) (*os.File, string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var fault error
	err = raw.Control(func(fd uintptr) {
		var how *unix.Termios
		n, fault = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		if fault == nil {
			fault = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		}
		if fault == nil {
			how, fault = unix.IoctlGetTermios(int(fd), unix.TCGETS)
		}
		if fault == nil {
			how.Iflag, how.Oflag, how.Lflag = 0, 0, 0
			fault = unix.IoctlSetTermios(int(fd), unix.TCSETS, how)
		}
	})
	if err := errors.Join(err, fault); err != nil {
		t.Fatal(err)
	}
	return master, fmt.Sprintf("/dev/pts/%d", n)
}

// plug puts the adapter in.
func (c *cable) plug() {
	c.t.Helper()
	far, name := newPTY(c.t)
	_ = os.Remove(c.port)
	if err := os.Symlink(name, c.port); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.far, c.sent = far, 0
	c.mu.Unlock()
	go c.carry(far, false)
}

// pull pulls the adapter out.
func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.far != nil {
		_ = os.Remove(c.port)
		_ = c.far.Close()
		c.far = nil
	}
}

func (c *cable) isOut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.far == nil
}

// carry brings what comes out of one end to the other one, until it is closed. EIO is an end that nobody has open.
func (c *cable) carry(from *os.File, fromCamera bool) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if errors.Is(err, unix.EIO) {
			if !c.wait(from) {
				return
			}
			continue
		}
		if err != nil {
			return
		}
		c.pass(b[:n], fromCamera)
	}
}

// wait waits until somebody has the other end open; false: this one was closed.
func (c *cable) wait(end *os.File) bool {
	raw, err := end.SyscallConn()
	if err != nil {
		return false
	}
	for {
		var hungUp bool
		err := raw.Control(func(fd uintptr) {
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			_, _ = unix.Poll(poll, 50)
			hungUp = poll[0].Revents&unix.POLLHUP != 0
		})
		if err != nil {
			return false
		}
		if !hungUp {
			return true
		}
		_, _ = unix.Poll(nil, 20) // POLLHUP is told at once
	}
}

func (c *cable) pass(b []byte, fromCamera bool) {
	c.mu.Lock()
	to, spoil := c.far, c.spoil
	if !fromCamera {
		to = c.near
		c.sent += len(b)
	}
	out := c.limit > 0 && c.sent > c.limit
	c.mu.Unlock()
	if out {
		c.pull()
		return
	}
	if spoil != nil {
		b = spoil(b, !fromCamera)
	}
	if to != nil {
		_, _ = to.Write(b)
	}
}
