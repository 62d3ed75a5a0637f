package virt

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Network is a network of the board's own: a namespace of the kernel with nothing in it but the board's cable, this
// side of which is a tap, and a DHCP server. What the host does with the board runs inside (Command), so that UDP,
// multicast and the board's true address are there, and the board reaches nothing else.
//
// The namespace has no name: it lives as long as a process in it, and the first one ends with the test's process,
// however that ends. It needs root, or a kernel that gives users namespaces of their own.
type Network struct {
	t      testing.TB
	dir    string // of the DHCP server
	holder *exec.Cmd
	user   bool // in a user namespace, where the test is root
}

// The addresses of a Network (TEST-NET-1, RFC 5737).
const (
	HostAddress  = "192.0.2.1"
	BoardAddress = "192.0.2.2"
)

// NewNetwork makes a network. Where the machine gives no right to, the test is skipped and says why; but root and CI
// have to be able to.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	n := &Network{t: t, dir: t.TempDir(), user: os.Geteuid() != 0}
	for _, tool := range []string{"ip", "nsenter", "busybox"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing: scripts/setup test", tool)
		}
	}
	if err := n.lay(); err != nil {
		const cure = "root has the right; for others, user namespaces (sysctl user.max_user_namespaces) and " +
			"chmod a+rw /dev/net/tun"
		if n.user && os.Getenv("CI") != "true" {
			t.Skipf("no network of the board's own: %v (%s)", err, cure)
		}
		t.Fatalf("no network of the board's own: %v (%s)", err, cure)
	}
	return n
}

// lay makes the namespace and the cable's end in it.
func (n *Network) lay() error {
	if err := n.hold(); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"tuntap", "add", "tap0", "mode", "tap"},
		{"addr", "add", HostAddress + "/24", "dev", "tap0"},
		{"link", "set", "tap0", "up"},
		{"route", "add", "224.0.0.0/4", "dev", "tap0"},
	} {
		if out, err := n.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	return nil
}

// hold starts the process that the namespace lives by. It reads from a pipe that nobody writes to, and ends when the
// test's process has closed it or is gone.
func (n *Network) hold() error {
	n.holder = exec.Command("cat")
	n.holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if n.user {
		n.holder.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		n.holder.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		n.holder.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	in, err := n.holder.StdinPipe()
	if err != nil {
		return err
	}
	if err := n.holder.Start(); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	n.t.Cleanup(func() {
		_ = in.Close()
		_ = n.holder.Wait()
	})
	return nil
}

// Wrap turns a command into one that runs inside.
func (n *Network) Wrap(argv ...string) []string {
	enter := []string{"nsenter", "-t", strconv.Itoa(n.holder.Process.Pid), "-n"}
	if n.user { // who becomes root there forgets whose death ends it (prctl(2), PR_SET_PDEATHSIG)
		enter = append(enter, "-U", "--preserve-credentials", "--", "setpriv", "--pdeathsig", "KILL")
	}
	return append(append(enter, "--"), argv...)
}

// Command is a command that runs inside.
func (n *Network) Command(name string, args ...string) *exec.Cmd {
	argv := n.Wrap(append([]string{name}, args...)...)
	return exec.CommandContext(n.t.Context(), argv[0], argv[1:]...)
}

// Serve starts the DHCP server, which gives the board BoardAddress. It returns when the server listens.
func (n *Network) Serve() {
	n.t.Helper()
	leases := filepath.Join(n.dir, "leases")
	conf := fmt.Sprintf("interface tap0\nstart %s\nend %[1]s\nmax_leases 1\nlease_file %s\npidfile %s\n"+
		"option subnet 255.255.255.0\noption router %s\noption lease 60\n", BoardAddress, leases,
		filepath.Join(n.dir, "pid"), HostAddress)
	if err := os.WriteFile(leases, nil, 0o600); err != nil {
		n.t.Fatal(err)
	}
	file := filepath.Join(n.dir, "udhcpd.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		n.t.Fatal(err)
	}
	server := n.Command("busybox", "udhcpd", "-f", "-a", "0", file)
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	said, err := server.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	first := make(chan error, 1)
	go func() {
		_, err := said.Read(make([]byte, 1)) // "udhcpd: started"
		first <- err
		_, _ = io.Copy(io.Discard, said)
	}()
	select {
	case err := <-first:
		if err != nil {
			n.t.Fatalf("busybox udhcpd: %v", err)
		}
	case <-time.After(10 * time.Second):
		n.t.Fatal("busybox udhcpd says nothing")
	}
}

// cable is what the emulator calls it; net is its name in QMP.
func (n *Network) cable() string {
	if n == nil {
		return "user,id=net"
	}
	return "tap,id=net,ifname=tap0,script=no,downscript=no"
}

// Plug puts the board's cable in or pulls it, whatever network is at its end.
func (b *Board) Plug(in bool) {
	b.t.Helper()
	if _, err := b.machine.monitor.do("set_link", map[string]any{"name": "net", "up": in}); err != nil {
		b.t.Fatal(err)
	}
}
