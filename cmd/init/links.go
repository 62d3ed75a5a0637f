package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// link is what the kernel tells of a network interface (rtnetlink(7), struct ifinfomsg).
type link struct {
	name      string
	index     int32
	up        bool // somebody raised it
	connected bool // a cable with somebody at its end, or a Wi-Fi network whose keys are agreed
}

// followLinks raises the interfaces that services wait for, and tells services of each that is there, then of every
// change, as long as the board lives.
func followLinks(s *services) error {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	err = unix.Bind(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK})
	if err == nil {
		err = askForLinks(socket)
	}
	if err != nil {
		unix.Close(socket)
		return err
	}
	go func() {
		err := readLinks(socket, s)
		tell("services that wait for a network stay as they are: %v", err)
		unix.Close(socket)
	}()
	return nil
}

// askForLinks makes the kernel tell of all interfaces as if they had just come.
func askForLinks(socket int) error {
	request := binary.NativeEndian.AppendUint32(nil, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg)
	request = binary.NativeEndian.AppendUint16(request, unix.RTM_GETLINK)
	request = binary.NativeEndian.AppendUint16(request, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	request = append(request, make([]byte, 8+unix.SizeofIfInfomsg)...)
	return unix.Sendto(socket, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

func readLinks(socket int, s *services) error {
	b := make([]byte, 64<<10)
	raised := map[int32]bool{} // by index: an interface that is plugged in again is a new one
	for {
		n, _, err := unix.Recvfrom(socket, b, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.ENOBUFS) { // changes were lost
			n, err = 0, askForLinks(socket)
		}
		if err != nil {
			return err
		}
		list, err := parseLinks(b[:n])
		if err != nil {
			return err
		}
		for _, l := range list {
			if !l.up && !raised[l.index] && s.waitFor(l.name) {
				try(l.name, raise(l.name))
			}
			raised[l.index] = true
			s.linkChanged(l.name, l.connected)
		}
	}
}

// parseLinks reads the kernel's messages; an interface that has gone is one without a connection.
func parseLinks(b []byte) ([]link, error) {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	var list []link
	for i, m := range messages {
		kind := m.Header.Type
		if kind != unix.RTM_NEWLINK && kind != unix.RTM_DELLINK || len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&messages[i])
		if err != nil {
			return nil, fmt.Errorf("rtnetlink: %w", err)
		}
		flags := binary.NativeEndian.Uint32(m.Data[8:])
		l := link{index: int32(binary.NativeEndian.Uint32(m.Data[4:]))}
		if kind == unix.RTM_NEWLINK {
			const whole = unix.IFF_UP | unix.IFF_LOWER_UP | unix.IFF_RUNNING // which alone is true of a fresh interface, too
			l.up, l.connected = flags&unix.IFF_UP != 0, flags&whole == whole
		}
		for _, a := range attributes {
			if a.Attr.Type == unix.IFLA_IFNAME {
				l.name = unix.ByteSliceToString(a.Value)
			}
		}
		list = append(list, l)
	}
	return list, nil
}
