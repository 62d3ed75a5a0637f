package virt

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/lab/hand/wire"
)

// errEnded: the emulator is not there any more.
var errEnded = errors.New("the emulator has ended")

// machine is a running emulator.
type machine struct {
	cmd     *exec.Cmd
	began   time.Time // when the power came on
	said    bytes.Buffer
	ended   chan struct{} // closed when the process has ended
	monitor *monitor
	hand    *hand
	serial  *serial
	readers sync.WaitGroup
	ends    []net.Conn
}

// wires of a machine, in the order of the emulator's file descriptors from 3 on.
var wireNames = [...]string{"console", "monitor", wire.Port, "serial"}

// powerOn starts the emulator with its processor held, ties its wires, and lets it go, so that no word is lost.
func (b *Board) powerOn() (*machine, error) {
	args, err := b.arguments()
	if err != nil {
		return nil, err
	}
	m := &machine{ended: make(chan struct{})}
	var theirs []*os.File
	for range wireNames {
		end, file, err := socketPair()
		if err != nil {
			return nil, err
		}
		m.ends, theirs = append(m.ends, end), append(theirs, file)
	}
	if n := b.options.Network; n != nil {
		args = n.Wrap(args...)
	}
	m.cmd = exec.Command(args[0], args[1:]...)
	m.cmd.Dir = b.image
	m.cmd.ExtraFiles = theirs
	m.cmd.Stdout, m.cmd.Stderr = &m.said, &m.said
	m.cmd.SysProcAttr = withUs()
	err = m.start()
	for _, f := range theirs {
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return nil, err
	}
	m.hand = newHand(m.ends[2])
	m.readers.Go(func() { b.console.read(m.ends[0]) })
	m.readers.Go(m.hand.read)
	m.serial = &serial{board: m.ends[3]}
	m.readers.Go(m.serial.read)
	if m.monitor, err = openMonitor(m.ends[1]); err == nil {
		m.began = time.Now()
		_, err = m.monitor.do("cont", nil)
	}
	if err != nil {
		m.kill()
		return nil, fmt.Errorf("emulator: %w\n%s", err, &m.said)
	}
	return m, nil
}

// withUs lets the kernel kill a child when the thread that started it ends (PR_SET_PDEATHSIG, prctl(2)).
func withUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// start runs the emulator from a thread of its own that lives as long.
func (m *machine) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this function
		err := m.cmd.Start()
		started <- err
		if err == nil {
			_ = m.cmd.Wait()
			close(m.ended)
		}
	}()
	return <-started
}

// kill ends the emulator as a power cut does, and waits for what listened to it.
func (m *machine) kill() {
	_ = m.cmd.Process.Kill()
	<-m.ended
	for _, end := range m.ends {
		_ = end.Close()
	}
	m.readers.Wait()
}

// arguments are the machine as the image's builder wrote it down, its disks, its network and its wires.
func (b *Board) arguments() ([]string, error) {
	written, err := os.ReadFile(filepath.Join(b.image, "emulator"))
	if err != nil {
		return nil, err
	}
	args := strings.Split(strings.TrimSpace(string(written)), "\n")
	disk, err := b.diskArguments()
	if err != nil {
		return nil, err
	}
	args = append(args, disk...)
	args = append(args, "-S",
		"-chardev", "socket,id=console,fd=3", "-serial", "chardev:console",
		"-chardev", "socket,id=monitor,fd=4", "-mon", "chardev=monitor,mode=control",
		"-chardev", "socket,id=hand,fd=5", "-device", "virtio-serial-pci",
		"-device", "virtserialport,chardev=hand,name="+wire.Port,
		"-chardev", "socket,id=serial,fd=6", "-device", "pci-serial,chardev=serial",
		"-netdev", b.options.Network.cable(), "-device", "virtio-net-device,netdev=net")
	if b.options.CardSlot {
		args = append(args, b.cardArguments()...)
	}
	return append(args, b.options.Args...), nil
}

// diskArguments are the board's disk and the lab's. The machine is only ever killed, so what the emulator handed to
// this machine's kernel is safe without a flush.
func (b *Board) diskArguments() ([]string, error) {
	disk, err := filepath.Abs(b.options.Disk)
	if err != nil {
		return nil, err
	}
	args := []string{"-blockdev", "driver=file,node-name=file,cache.no-flush=on,filename=" + disk}
	if b.options.Record == "" {
		args = append(args, "-blockdev", "driver=raw,node-name=disk,file=file")
	} else {
		log, err := filepath.Abs(b.options.Record)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(log, nil, 0o644); err != nil {
			return nil, err
		}
		args = append(args, "-blockdev", "driver=raw,node-name=raw,file=file",
			"-blockdev", "driver=file,node-name=log,filename="+log,
			"-blockdev", "driver=blklogwrites,node-name=disk,file=raw,log=log,log-sector-size=512")
	}
	return append(args, "-device", "virtio-blk-device,drive=disk",
		"-blockdev", "driver=raw,node-name=lab,read-only=on,file.driver=file,file.filename="+b.lab,
		"-device", "virtio-blk-pci,drive=lab,serial=lab"), nil
}

// reach forwards a free port of the loopback to a TCP port of the board.
func (m *machine) reach(port int) (string, error) {
	for range 5 {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		addr := free.Addr().String()
		if err := free.Close(); err != nil {
			return "", err
		}
		said, err := m.monitor.human(fmt.Sprintf("hostfwd_add net tcp:%s-:%d", addr, port))
		if err != nil {
			return "", err
		}
		if said == "" {
			return addr, nil
		} // somebody else took it meanwhile
	}
	return "", fmt.Errorf("port %d of the board: no free port here", port)
}

// socketPair returns both ends of a stream: one for us, one for the emulator.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "board"), os.NewFile(uintptr(fds[1]), "emulator")
	conn, err := net.FileConn(ours)
	return conn, theirs, errors.Join(err, ours.Close())
}
