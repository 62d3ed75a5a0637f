package rtsp

import (
	"net/netip"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A receiver's buffer has 208 KiB by default, of which the kernel's bookkeeping takes half: some 90 packets. A burst up
// to paceBytes goes out at once. A larger one, such as a 400 kB IDR, goes in steps that leave a receiver some
// milliseconds to wake up; a long backlog, such as a GOP that is replayed, in larger ones, so that it is no delay.
const (
	paceBytes    = 64 << 10
	paceStep     = 24 << 10
	paceParts    = 64 // a step is a backlog's 64th at least
	paceInterval = time.Millisecond
)

// udpOutlet sends to one RTP address. The fan-out's goroutine owns it.
type udpOutlet struct {
	sender *udpSender
	pacer  *pacer
	rtcp   *udpSocket
	rtcpTo netip.AddrPort

	address unix.RawSockaddrInet6 // or a RawSockaddrInet4 in its place
	name    *byte                 // &address
	nameLen uint32
	plain   bool // the route takes no segments
	rewound bool // since the last add
	lagging bool // the pacer knows it

	queue  []*delivery // not sent yet
	packet int         // of queue[0], to go on from
	queued int         // bytes
	grace  int
}

// newUDPOutlet makes the way to an RTP address; RTCP goes to rtcpTo from another socket.
func newUDPOutlet(s *udpSender, p *pacer, to netip.AddrPort, rtcp *udpSocket, rtcpTo netip.AddrPort) *udpOutlet {
	o := &udpOutlet{sender: s, pacer: p, rtcp: rtcp, rtcpTo: rtcpTo}
	o.nameLen = putSockaddr(&o.address, to, s.socket.inet6)
	o.name = (*byte)(unsafe.Pointer(&o.address))
	return o
}

// send puts a small burst into the batch and lets a large one, or one behind others, wait for the pacer.
func (o *udpOutlet) send(d *delivery) bool {
	if len(o.queue) == 0 && d.size <= paceBytes {
		o.sender.add(o, d, 0, d.size)
		return true
	}
	if len(o.queue) > 0 && o.queued+d.size > d.limit+o.grace {
		o.discard()
		return false
	}
	o.queue = append(o.queue, d.retain())
	o.queued += d.size
	o.pacer.add(o)
	return true
}

// step sends the next part of what waits; false: nothing waits any more.
func (o *udpOutlet) step() bool {
	for budget := max(paceStep, o.queued/paceParts); len(o.queue) > 0 && budget > 0; {
		d, first := o.queue[0], o.packet
		next := o.sender.add(o, d, first, budget)
		if o.rewound {
			break
		}
		budget -= d.bytes(first, next-first)
		if o.packet = next; next >= d.burst.Len() {
			o.pop()
		}
	}
	if len(o.queue) == 0 {
		o.grace = 0
	}
	return len(o.queue) > 0
}

// pop takes the first of the queue off; it is released when the batch that holds it has gone.
func (o *udpOutlet) pop() {
	d := o.queue[0]
	o.queue = slices.Delete(o.queue, 0, 1)
	o.queued -= d.size
	o.packet = 0
	o.sender.spent = append(o.sender.spent, d)
}

// rewind lets the packets of d from first on be sent again, before everything else.
func (o *udpOutlet) rewind(d *delivery, first int) {
	if len(o.queue) > 0 && o.queue[0] == d {
		o.packet = min(o.packet, first)
	} else {
		o.queue = slices.Insert(o.queue, 0, d.retain())
		o.queued += d.size
		o.packet = first
	}
	o.rewound = true
	o.pacer.add(o)
}

func (o *udpOutlet) discard() {
	for _, d := range o.queue {
		d.release()
	}
	clear(o.queue)
	o.queue, o.queued, o.packet, o.grace = o.queue[:0], 0, 0, 0
}

func (o *udpOutlet) allow(grace int) { o.grace = grace }

func (o *udpOutlet) idle() bool { return len(o.queue) == 0 }

func (o *udpOutlet) report(b []byte) { o.rtcp.send(b, o.rtcpTo) }

// pacer holds the UDP readers of a fan-out for which something waits.
type pacer struct{ lagging, spare []*udpOutlet }

func (p *pacer) add(o *udpOutlet) {
	if !o.lagging {
		o.lagging = true
		p.lagging = append(p.lagging, o)
	}
}

func (p *pacer) remove(o *udpOutlet) {
	o.lagging = false
	p.lagging = slices.DeleteFunc(p.lagging, func(other *udpOutlet) bool { return other == o })
}

// step gives every reader that lags its next part. The caller flushes the senders.
func (p *pacer) step() {
	lagging := p.lagging
	p.lagging = p.spare[:0]
	for i, o := range lagging {
		lagging[i] = nil
		o.lagging = false
		if o.step() {
			p.add(o)
		}
	}
	p.spare = lagging[:0]
}

// putSockaddr writes an address for the kernel and returns its size. A socket of family AF_INET6 is given IPv4
// addresses in their mapped form.
func putSockaddr(sa *unix.RawSockaddrInet6, to netip.AddrPort, inet6 bool) uint32 {
	if !inet6 {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*v4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().Unmap().As4()}
		putPort(&v4.Port, to.Port())
		return unix.SizeofSockaddrInet4
	}
	*sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: to.Addr().As16(), Scope_id: scopeID(to.Addr().Zone())}
	putPort(&sa.Port, to.Port())
	return unix.SizeofSockaddrInet6
}

// putPort writes a port in network byte order.
func putPort(field *uint16, port uint16) {
	b := (*[2]byte)(unsafe.Pointer(field))
	b[0], b[1] = byte(port>>8), byte(port)
}
