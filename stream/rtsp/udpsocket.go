package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendBuffer is what the kernel may hold of the UDP packets of all readers, if its administrator allows that much.
const sendBuffer = 4 << 20

// udpSocket is a UDP socket that many readers are sent to from. What is sent goes past the runtime's poller, and a
// socket that is not read from is not known to it: it would be woken for each packet that a receiver takes.
type udpSocket struct {
	fd    int
	conn  *net.UDPConn // to read from; nil: nobody does
	port  int
	inet6 bool // family AF_INET6
	mode  atomic.Int32
}

// listenUDP opens a socket to read from and send. Options are set before it is bound.
func listenUDP(network, host string, port int, mode sendMode, options ...func(fd int) error) (*udpSocket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var errs []error
		err := c.Control(func(fd uintptr) {
			for _, set := range options {
				errs = append(errs, set(int(fd)))
			}
		})
		return errors.Join(append(errs, err)...)
	}}
	pc, err := lc.ListenPacket(context.Background(), network, net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	conn := pc.(*net.UDPConn)
	s := &udpSocket{fd: -1, conn: conn, port: conn.LocalAddr().(*net.UDPAddr).Port}
	s.mode.Store(int32(mode))
	raw, err := conn.SyscallConn()
	if err == nil {
		err = raw.Control(s.setUp)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up UDP port %d: %w", s.port, err), conn.Close())
	}
	return s, nil
}

// openUDP opens a socket to send from only.
func openUDP(network, host string, port int, mode sendMode, options ...func(fd int) error) (*udpSocket, error) {
	s, err := listenUDP(network, host, port, mode, options...)
	if err != nil {
		return nil, err
	}
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open UDP port %d: %w", s.port, err), s.close())
	}
	err = s.conn.Close() // takes it out of the poller
	s.fd, s.conn = fd, nil
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *udpSocket) setUp(fd uintptr) {
	s.fd = int(fd)
	if family, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil {
		s.inet6 = family == unix.AF_INET6
	}
	// A kernel that does not know the option (before 4.18) would send one huge datagram instead of an error.
	if _, err := unix.GetsockoptInt(s.fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT); err != nil {
		s.mode.CompareAndSwap(int32(sendSegments), int32(sendBatch))
	}
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer) // less will do
	}
}

// send sends one datagram if the kernel takes it at once. A report that is lost is followed by the next.
func (s *udpSocket) send(b []byte, to netip.AddrPort) {
	var sa unix.RawSockaddrInet6
	size := putSockaddr(&sa, to, s.inet6)
	_, _, _ = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&sa)), uintptr(size))
}

// close closes the socket. Nobody sends any more.
func (s *udpSocket) close() error {
	if s.conn != nil {
		return s.conn.Close()
	}
	return unix.Close(s.fd)
}

// udpPair is an even RTP port and the RTCP port above it (RFC 3550 11).
type udpPair struct{ rtp, rtcp *udpSocket }

func (p *udpPair) close() error { return errors.Join(p.rtp.close(), p.rtcp.close()) }

// listenPair opens the pair at port, or at a free one for 0.
func listenPair(network, host string, port int, mode sendMode) (*udpPair, error) {
	if port != 0 {
		return listenPairAt(network, host, port, mode)
	}
	var err error
	for range 64 {
		var probe *udpSocket
		if probe, err = openUDP(network, host, 0, mode); err != nil {
			return nil, err
		}
		port = probe.port &^ 1
		if err = probe.close(); err != nil {
			return nil, err
		}
		var p *udpPair
		if p, err = listenPairAt(network, host, port, mode); err == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("find a free pair of UDP ports: %w", err)
}

func listenPairAt(network, host string, port int, mode sendMode) (*udpPair, error) {
	a, err := openUDP(network, host, port, mode)
	if err != nil {
		return nil, err
	}
	b, err := listenUDP(network, host, port+1, mode)
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	return &udpPair{a, b}, nil
}

// scopeID returns the number of the interface that the zone of a link-local address names.
func scopeID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	n, _ := strconv.ParseUint(zone, 10, 32) // 0, no scope, for what is neither name nor number
	return uint32(n)
}
