package main

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLinksOfThisKernel asks the kernel that runs the test: lo is always there.
func TestLinksOfThisKernel(t *testing.T) {
	t.Parallel()
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	if err := askForLinks(socket); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64<<10)
	n, _, err := unix.Recvfrom(socket, b, 0)
	if err != nil {
		t.Fatal(err)
	}
	list, err := parseLinks(b[:n])
	if err != nil || !slices.ContainsFunc(list, func(l link) bool { return l.name == "lo" && l.index == 1 }) {
		t.Errorf("got %+v, %v: no lo", list, err)
	}
	for cut := range n {
		_, _ = parseLinks(b[:cut]) // a short message is no reason to end
	}
}

// TestServiceFollowsItsLink: the program of a service runs while its interface is connected.
func TestServiceFollowsItsLink(t *testing.T) {
	t.Parallel()
	s := newServices([]service{{name: "dhcp", link: "wlan0", argv: []string{"/bin/sleep", "1000"}}}, nil)
	r := s.list[0]
	s.start(r)
	if r.pid != 0 {
		t.Fatal("it runs without its interface")
	}
	s.linkChanged("eth0", true)
	if r.pid != 0 {
		t.Fatal("it runs because of another's interface")
	}
	s.linkChanged("wlan0", true)
	if r.pid == 0 {
		t.Fatal("it does not run")
	}
	process, err := os.FindProcess(r.pid)
	if err != nil {
		t.Fatal(err)
	}
	s.linkChanged("wlan0", true)
	if r.pid != process.Pid {
		t.Error("it was started twice")
	}
	s.linkChanged("wlan0", false)
	ended := make(chan *os.ProcessState, 1)
	go func() {
		state, _ := process.Wait()
		ended <- state
	}()
	select {
	case state := <-ended:
		s.ended(process.Pid, state.Sys().(syscall.WaitStatus))
	case <-time.After(10 * time.Second):
		_ = process.Kill()
		t.Fatal("it goes on without its interface")
	}
	s.stop(0) // and with it the restart that ended() has planned
}
