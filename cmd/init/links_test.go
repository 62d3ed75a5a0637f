package main

import (
	"os"
	"runtime"
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

// TestRaise: an interface that is raised stays what it was: one that takes multicast, by which a camera is found.
func TestRaise(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // for good: the thread, with its network namespace, ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace of its own: %v", err)
	}
	tun, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no interface to raise: %v", err)
	}
	defer unix.Close(tun)
	request, err := unix.NewIfreq("cable0")
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(tun, unix.TUNSETIFF, request); err != nil {
		t.Fatal(err)
	}
	if err := raise("cable0"); err != nil {
		t.Fatal(err)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, request); err != nil {
		t.Fatal(err)
	}
	const want = unix.IFF_UP | unix.IFF_MULTICAST | unix.IFF_BROADCAST
	if got := request.Uint16(); got&want != want {
		t.Errorf("its flags are %#x, want %#x among them", got, want)
	}
	if err := raise("nothing0"); err == nil {
		t.Error("an interface that is not there is raised")
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
