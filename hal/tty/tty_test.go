package tty

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

// peer is the master's end of a pseudo terminal; closing it twice is no fault.
type peer struct{ *os.File }

func (p peer) Close() error {
	if err := p.File.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// pair makes a pseudo terminal (pty(7)) and names its other end.
func pair(t *testing.T) (peer, string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	p := peer{master}
	t.Cleanup(func() { _ = p.Close() })
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if e := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return p, fmt.Sprintf("/dev/pts/%d", n)
}

// TestLaw runs over pseudo terminals. Not parallel: the suite counts descriptors.
func TestLaw(t *testing.T) {
	haltest.Serial(t, func(t *testing.T) haltest.SerialBench {
		master, name := pair(t)
		return haltest.SerialBench{Port: New(name), Peer: master}
	}, haltest.SerialOptions{})
}

// TestStolenBytes: a program beside us takes what came, and Close ends the Read that waits for more.
func TestStolenBytes(t *testing.T) {
	master, name := pair(t)
	thief, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0) // before the port is ours alone
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	l, err := New(name).Open(115200)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1) // capacity 1: the last word of the goroutine below
	go func() {
		b := make([]byte, 1)
		for {
			if _, err := l.Read(b); err != nil {
				ended <- err
				return
			}
		}
	}()
	go func() { // it ends with the file
		b := make([]byte, 1)
		for _, err := thief.Read(b); err == nil; _, err = thief.Read(b) {
		}
	}()
	if _, err := master.Write(make([]byte, 3000)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, hal.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// TestTwoPrograms: the second one hears that it is the second, whoever runs it.
func TestTwoPrograms(t *testing.T) {
	_, name := pair(t)
	first, err := New(name).Open(115200)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if l, err := New(name).Open(115200); !errors.Is(err, hal.ErrBusy) {
			t.Errorf("got %v, %v", l, err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := New(name).Open(115200)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestNoPort(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		want error // nil: any
	}{
		{filepath.Join(dir, "none"), hal.ErrClosed},
		{file, nil},
		{dir, nil},
	} {
		for range 2 { // a port that could not be opened is not busy afterwards
			l, err := New(c.path).Open(115200)
			if err == nil {
				t.Fatalf("%s: opened as a serial port: %v", c.path, l.Close())
			}
			if c.want != nil && !errors.Is(err, c.want) || errors.Is(err, hal.ErrBusy) {
				t.Errorf("%s: got %v, want %v", c.path, err, c.want)
			}
		}
	}
}
