package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestBell: it rings for each who comes, not before, and leaves him to whoever is given the socket.
func TestBell(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ear")
	b, err := hangBell(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.socket.Close()
	for range 3 {
		rung := make(chan error, 1) // capacity 1: for the one call
		go func() { rung <- b.await() }()
		select {
		case err := <-rung:
			t.Fatal("it rings for nobody: ", err)
		case <-time.After(20 * time.Millisecond):
		}
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := <-rung; err != nil {
			t.Fatal(err)
		}
		given, err := unix.FcntlInt(b.fd, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(given), path)
		l, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		if err := l.Close(); err != nil { // the service ends
			t.Error(err)
		}
		_ = f.Close()
	}
	if _, err := hangBell(filepath.Join(t.TempDir(), "no", "ear")); err == nil {
		t.Error("a socket in no folder")
	}
}
