package rtsp

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendMode says how datagrams reach the kernel. A socket begins with the fastest that the kernel knows; a reader whose
// route refuses segments gets datagrams.
type sendMode int32

const (
	sendSegments sendMode = iota // sendmmsg of messages that the kernel cuts into datagrams (udp(7), UDP_SEGMENT)
	sendBatch                    // sendmmsg of datagrams
	sendSingle                   // sendmsg of a datagram
)

const (
	batchSize      = 32                            // some hundred microseconds' work
	segmentControl = (unix.SizeofCmsghdr+7)&^7 + 8 // CMSG_SPACE(sizeof(uint16)), on 64 bit; a little more on 32
)

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// putSegmentControl writes the control message that sets UDP_SEGMENT to size.
func putSegmentControl(b *[segmentControl]byte, size int) {
	*b = [segmentControl]byte{}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	*(*uint16)(unsafe.Pointer(&b[unix.CmsgLen(0)])) = uint16(size)
}

// message is what one entry of the batch carries: packets of d from first on, to a reader.
type message struct {
	to    *udpOutlet
	d     *delivery
	first int
}

// udpSender sends for one fan-out through a socket that it shares with others. One goroutine uses it.
type udpSender struct {
	socket   *udpSocket
	call     func() (sent int, errno syscall.Errno) // send, but for tests
	failures *atomic.Uint64

	hdrs     [batchSize]mmsghdr
	messages [batchSize]message
	n        int         // entries filled
	at       int         // entries done with
	spent    []*delivery // to be released after the flush
}

func newUDPSender(socket *udpSocket, failures *atomic.Uint64) *udpSender {
	s := &udpSender{socket: socket, failures: failures}
	s.call = s.send
	return s
}

// add puts packets of d into the batch, from first on to the one with which they are limit bytes or more, and returns
// the packet to go on from. The delivery has to live until the next flush. Where the batch is full on the way it is
// sent, and add stops if that made the reader go back (to.rewound).
func (s *udpSender) add(to *udpOutlet, d *delivery, first, limit int) (next int) {
	d.prepare()
	to.rewound = false
	segments := sendMode(s.socket.mode.Load()) == sendSegments && !to.plain
	total := d.burst.Len()
	for next = first; next < total && limit > 0; {
		n := 1
		var r *run
		if segments {
			r = d.runAt(next)
			n = min(r.first+r.n-next, (limit+r.size-1)/r.size)
		}
		if s.n == batchSize {
			if s.flush(); to.rewound {
				return next
			}
		}
		s.put(to, d, next, n, r)
		limit -= d.bytes(next, n)
		next += n
	}
	return next
}

// bytes returns the bytes of n packets from first on.
func (d *delivery) bytes(first, n int) int {
	sum := 0
	for i := range n {
		sum += int(d.iovecs[first+i].Len)
	}
	return sum
}

func (s *udpSender) put(to *udpOutlet, d *delivery, first, n int, r *run) {
	s.messages[s.n] = message{to, d, first}
	h := &s.hdrs[s.n].hdr
	h.Name, h.Namelen = to.name, to.nameLen
	h.Iov = &d.iovecs[first]
	h.SetIovlen(n)
	h.Control = nil
	h.SetControllen(0)
	if r != nil && n > 1 {
		h.Control = &r.control[0]
		h.SetControllen(unix.CmsgSpace(2))
	}
	s.n++
}

// flush sends the batch. What the socket does not take now goes back to its readers; what fails is counted and gone.
func (s *udpSender) flush() {
	for s.at < s.n {
		sent, errno := s.call()
		if s.at += sent; sent == 0 && !s.recover(errno) {
			break
		}
	}
	clear(s.messages[:s.n])
	clear(s.hdrs[:s.n]) // no pointer into a burst outlives it
	s.n, s.at = 0, 0
	for i, d := range s.spent {
		d.release()
		s.spent[i] = nil
	}
	s.spent = s.spent[:0]
}

// recover decides what becomes of a batch whose next message was refused; false: the rest is dealt with.
func (s *udpSender) recover(errno syscall.Errno) bool {
	switch errno {
	case 0, syscall.EINTR:
		return true
	case syscall.EAGAIN, syscall.ENOBUFS:
		s.rewind()
		return false
	case syscall.EINVAL, syscall.EIO, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP, syscall.EMSGSIZE:
		if s.hdrs[s.at].hdr.Control != nil {
			s.messages[s.at].to.plain = true // this reader's route can't: its packets go again one by one
			s.rewind()
			return false
		}
	case syscall.ENOSYS:
		s.socket.mode.Store(int32(sendSingle))
		return true
	}
	s.failures.Add(1)
	s.at++
	return true
}

// rewind gives what is left back to the readers: backwards, so that each ends at its first packet.
func (s *udpSender) rewind() {
	for i := s.n - 1; i >= s.at; i-- {
		m := s.messages[i]
		m.to.rewind(m.d, m.first)
	}
}

// send makes one system call for the entries from at on. It does not tell the scheduler, which would take a call of
// this length for one that blocks, and wake a thread to go on in its place: none blocks here.
func (s *udpSender) send() (int, syscall.Errno) {
	fd, first := uintptr(s.socket.fd), &s.hdrs[s.at]
	if sendMode(s.socket.mode.Load()) == sendSingle {
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&first.hdr)), unix.MSG_DONTWAIT)
		if errno != 0 {
			return 0, errno
		}
		return 1, 0
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(first)), uintptr(s.n-s.at),
		unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
