package rtsp

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// group is the multicast group of a stream: one reader of the fan-out, whoever listens. It is made by the first SETUP
// that asks for it and closed with the server.
type group struct {
	sockets *udpPair // on the group's own ports: some receivers take nothing that comes from others
	sender  *udpSender
	rtp     netip.AddrPort // RTCP has the next port
	ttl     uint

	// owned by the fan-out's goroutine
	reader  *reader
	members map[*reader]bool // their outlets are not used
	wantIDR bool             // a member joined too soon after the last IDR to get one at once
}

// openGroup returns the group of the stream; the first call opens it, on the interface that has the address local.
func (f *fanout) openGroup(local netip.Addr) (*group, error) {
	f.groupMu.Lock()
	defer f.groupMu.Unlock()
	if f.opened != nil {
		return f.opened, nil
	}
	m := f.config.Multicast
	to := groupAddress(m, f.index)
	sockets, err := openGroupPair(int(to.Port()), sendMode(f.mode.Load()))
	if err != nil {
		return nil, fmt.Errorf("open multicast of %s: %w", f.name, err)
	}
	if err := sockets.routeMulticast(m, local, to); err != nil {
		return nil, errors.Join(fmt.Errorf("open multicast of %s: %w", f.name, err), sockets.close())
	}
	g := &group{sockets: sockets, rtp: to, ttl: uint(m.TTL), members: map[*reader]bool{}}
	g.sender = newUDPSender(sockets.rtp, &f.counts.udpFailures)
	f.opened = g
	return g, nil
}

// closeGroup closes the socket of the group. The fan-out has stopped.
func (f *fanout) closeGroup() error {
	f.groupMu.Lock()
	defer f.groupMu.Unlock()
	if f.opened == nil {
		return nil
	}
	return f.opened.sockets.close()
}

// groupAddress returns the group and RTP port of the stream with that index: configured, or random.
func groupAddress(m Multicast, index int) netip.AddrPort {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	ip := [4]byte{239, 255, random[0], 1 + random[1]%254}
	if a, err := netip.ParseAddr(m.Address); err == nil && a.Is4() {
		ip = a.As4()
		binary.BigEndian.PutUint32(ip[:], binary.BigEndian.Uint32(ip[:])+uint32(index))
	}
	port := 20000 + int(binary.BigEndian.Uint16(random[2:])%20000)*2
	if m.Port != 0 {
		port = m.Port + 2*index
	}
	return netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(port))
}

// openGroupPair opens the sockets of a group: on its ports, which receivers on this host share.
func openGroupPair(port int, mode sendMode) (*udpPair, error) {
	rtp, err := openUDP("udp4", "", port, mode, shared)
	if err != nil {
		return nil, err
	}
	rtcp, err := openUDP("udp4", "", port+1, mode, shared)
	if err != nil {
		return nil, errors.Join(err, rtp.close())
	}
	return &udpPair{rtp, rtcp}, nil
}

// shared lets others use the port too, and keeps what is sent to the groups that they joined away from this socket.
func shared(fd int) error {
	return errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0))
}

// routeMulticast sets TTL and interface of what the sockets send. A client on this host is on the interface that the
// routes give, where there is one: that is where it joins the group.
func (p *udpPair) routeMulticast(m Multicast, local netip.Addr, to netip.AddrPort) error {
	mreq := unix.IPMreqn{}
	if local = local.Unmap(); local.Is4() && !(local.IsLoopback() && routed(to)) {
		mreq.Address = local.As4()
	}
	if m.Interface != "" {
		i, err := net.InterfaceByName(m.Interface)
		if err != nil {
			return fmt.Errorf("interface %s: %w", m.Interface, err)
		}
		mreq = unix.IPMreqn{Ifindex: int32(i.Index), Address: firstIPv4(i)}
	}
	var errs []error
	for _, s := range []*udpSocket{p.rtp, p.rtcp} {
		errs = append(errs,
			unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, m.TTL),
			unix.SetsockoptIPMreqn(s.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &mreq))
	}
	return errors.Join(errs...)
}

// firstIPv4 returns the address that packets leave an interface with; zero lets the kernel choose.
func firstIPv4(i *net.Interface) (ip [4]byte) {
	addresses, err := i.Addrs()
	if err != nil {
		return ip
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			return p.Addr().As4()
		}
	}
	return ip
}

// routed reports whether the kernel knows an interface for an address.
func routed(to netip.AddrPort) bool {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return false
	}
	_ = c.Close() // it was never used
	return true
}

// joinGroup counts m among those who listen to the group, and answers its PLAY. The first makes the fan-out send.
func (f *fanout) joinGroup(g *group, m *reader) {
	if m.retired = false; g.members[m] {
		return
	}
	g.members[m] = true
	if f.group == nil || len(g.members) == 1 {
		f.group = g
		to := netip.AddrPortFrom(g.rtp.Addr(), g.rtp.Port()+1)
		outlet := newUDPOutlet(g.sender, &f.pacer, g.rtp, g.sockets.rtcp, to)
		g.reader = &reader{outlet: outlet, answer: m.answer, end: func() {}}
		m.answer = nil
		f.join(g.reader)
		return
	}
	g.wantIDR = !f.hub.RequestIDR() // the others see it too; a replay would confuse them
	f.begin(m, start{known: g.reader.phase == live, seq: f.packetizer.NextSeq(), timestamp: f.last.timestamp})
}

// remind asks again for the IDR that members wait for, until it comes.
func (g *group) remind(f *fanout, idr bool) {
	if g.wantIDR && !idr {
		g.wantIDR = !f.hub.RequestIDR()
	} else {
		g.wantIDR = false
	}
}

// leaveGroup counts m out. The last one stops the sending.
func (f *fanout) leaveGroup(g *group, m *reader) {
	if !g.members[m] {
		return
	}
	delete(g.members, m)
	if len(g.members) == 0 {
		f.leave(g.reader)
	}
}

// endGroup tells the members that the stream has ended.
func (f *fanout) endGroup() {
	if f.group == nil {
		return
	}
	for m := range f.group.members {
		m.end()
	}
	clear(f.group.members)
}
