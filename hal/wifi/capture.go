package wifi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/internal/monotime"
	"golang.org/x/sys/unix"
)

// A heard packet is handed on as one datagram: a header of our own in the byte order of the machine, then the packet.
//
//	nanoseconds on CLOCK_MONOTONIC u64, length of the packet before it was cut u32, channel u32
const heardHeader = 16

// How much of a packet is handed on, in bytes. Of a data frame nothing but its headers: what an open network says to
// everybody is no business of ours.
const (
	maxHeard   = 512 // beacons, as far as a channel plan reads them
	maxHeaders = 36  // address 4, QoS and HT control among them
)

// capture is a packet socket (packet(7)) on a monitor interface, whose packets it hands on.
type capture struct {
	from   *os.File
	to     *os.File // one end of a pair: whoever reads the other may be slow, and then loses packets
	end    chan struct{}
	buffer [heardHeader + maxHeard]byte
}

// openCapture hears what hearFilter lets through on the interface, and hands it on to to.
func openCapture(index int, to *os.File) (*capture, error) {
	// No protocol yet: so nothing is heard before the filter is there.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	filter := hearFilter()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1)
	}
	if err == nil {
		all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("packet socket: %w", err), unix.Close(fd))
	}
	return &capture{from: os.NewFile(uintptr(fd), "capture"), to: to, end: make(chan struct{})}, nil
}

// relay hands packets on until close. channel is asked at each.
func (c *capture) relay(channel func() int) error {
	defer close(c.end)
	defer func() { _ = c.to.Close() }() // where the interface has gone, the reader is not left waiting
	raw, err := c.from.SyscallConn()
	if err != nil {
		return err
	}
	out, err := c.to.SyscallConn()
	if err != nil {
		return err
	}
	var length int
	var errno unix.Errno
	receive := func(fd uintptr) bool {
		length, errno = receiveTruncated(fd, c.buffer[heardHeader:])
		return errno != unix.EAGAIN
	}
	datagram := c.buffer[:]
	send := func(fd uintptr) bool {
		_, _ = unix.Write(int(fd), datagram) // full, or nobody there: then the packet is lost
		return true
	}
	for {
		if err := raw.Read(receive); err != nil {
			return err
		}
		if errno == unix.EINTR || errno == unix.ENETDOWN {
			continue
		}
		if errno != 0 {
			return errno
		}
		at := monotime.Now()
		n := cut(c.buffer[heardHeader:], length)
		putHeader(c.buffer[:], at, length, heardOn(c.buffer[heardHeader:heardHeader+n], channel()))
		datagram = c.buffer[:heardHeader+n]
		if err := out.Write(send); err != nil {
			return err
		}
	}
}

// heardOn returns the channel of a packet, which may have waited while the radio was tuned to another one: what the
// driver says, and where it says nothing the present one.
func heardOn(packet []byte, present int) int {
	if channel := dot11.Channel(dot11.TunedTo(packet)); channel != 0 {
		return channel
	}
	return present
}

// receiveTruncated reads a packet as far as b reaches and returns how long it was (recv(2), MSG_TRUNC). x/sys would
// allocate the sender's address for each.
func receiveTruncated(fd uintptr, b []byte) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_TRUNC,
		0, 0)
	return int(n), errno
}

// cut returns how much of a packet is handed on.
func cut(b []byte, length int) int {
	n := min(len(b), length)
	if n < 4 {
		return n
	}
	frame := int(binary.LittleEndian.Uint16(b[2:]))
	if frame < n && b[frame]&0x0c == 0x08 { // data
		n = min(n, frame+maxHeaders)
	}
	return n
}

func putHeader(b []byte, at time.Duration, length, channel int) {
	binary.NativeEndian.PutUint64(b, uint64(at))
	binary.NativeEndian.PutUint32(b[8:], uint32(length))
	binary.NativeEndian.PutUint32(b[12:], uint32(channel))
}

// readHeader takes a datagram apart. It is not ok where the datagram is none of ours.
func readHeader(b []byte) (at time.Duration, length, channel int, packet []byte, ok bool) {
	if len(b) < heardHeader || len(b) > heardHeader+maxHeard {
		return 0, 0, 0, nil, false
	}
	at = time.Duration(binary.NativeEndian.Uint64(b))
	length, channel = int(binary.NativeEndian.Uint32(b[8:])), int(binary.NativeEndian.Uint32(b[12:]))
	packet = b[heardHeader:]
	return at, length, channel, packet, at >= 0 && length >= len(packet)
}

// close ends relay and waits for it.
func (c *capture) close() {
	_ = c.from.Close()
	<-c.end
	_ = c.to.Close()
}
