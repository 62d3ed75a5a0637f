package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"syscall"
	"time"
)

// count is what a monitor interface heard.
type count struct {
	Frames    int `json:"frames"`
	Beacons   int `json:"beacons"`
	Data      int `json:"data"`      // those with data in them
	Protected int `json:"protected"` // data frames that are encrypted
}

// raw opens a socket for the frames of an interface, as they are (packet(7)).
func raw(on *net.Interface) (int, error) {
	const all = syscall.ETH_P_ALL
	networkOrder := binary.NativeEndian.Uint16([]byte{all >> 8, all & 0xff})
	s, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, int(networkOrder))
	if err != nil {
		return s, err
	}
	if err := syscall.Bind(s, &syscall.SockaddrLinklayer{Protocol: networkOrder, Ifindex: on.Index}); err != nil {
		return s, errors.Join(err, syscall.Close(s))
	}
	return s, nil
}

// send sends a frame.
func send(on *net.Interface, digits string) error {
	frame, err := hex.DecodeString(digits)
	if err != nil {
		return err
	}
	s, err := raw(on)
	if err != nil {
		return err
	}
	defer syscall.Close(s)
	_, err = syscall.Write(s, frame)
	return err
}

// frames listens until end.
func frames(on *net.Interface, end time.Time) (count, error) {
	var c count
	s, err := raw(on)
	if err != nil {
		return c, err
	}
	defer syscall.Close(s)
	wait := syscall.NsecToTimeval((100 * time.Millisecond).Nanoseconds())
	if err := syscall.SetsockoptTimeval(s, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait); err != nil {
		return c, err
	}
	b := make([]byte, 4096)
	for time.Now().Before(end) {
		n, _, err := syscall.Recvfrom(s, b, 0)
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return c, err
		}
		c.add(b[:n])
	}
	return c, nil
}

// add counts a frame behind its radiotap header (radiotap.org; IEEE 802.11 9.2.4.1, frame control).
func (c *count) add(b []byte) {
	const beacon, data, null = 0x80, 0x08, 0x40
	if len(b) < 4 || b[0] != 0 {
		return
	}
	header := int(binary.LittleEndian.Uint16(b[2:]))
	if header < 8 || len(b) < header+2 {
		return
	}
	control := b[header:]
	c.Frames++
	switch {
	case control[0] == beacon:
		c.Beacons++
	case control[0]&0x0c == data && control[0]&null == 0:
		c.Data++
		if control[1]&0x40 != 0 {
			c.Protected++
		}
	}
}
