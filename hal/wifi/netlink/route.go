package netlink

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Change is what rtnetlink tells of IPv4 on an interface: an address, a default route or a neighbour, one of them.
type Change struct {
	Index     int // of the interface
	Gone      bool
	Address   netip.Prefix // valid: the interface's own
	Gateway   netip.Addr   // valid: of a default route
	Neighbour netip.Addr   // valid: somebody on the interface's link
	State     uint16       // of the neighbour: NUD_ bits (linux/neighbour.h)
}

// Groups are those of what Change tells.
const Groups = unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_NEIGH

// Addresses, Routes and Neighbours are the requests that make the kernel tell all that there are, of IPv4.
func Addresses() Message { return dump(unix.RTM_GETADDR, unix.SizeofIfAddrmsg) }

// Routes: see Addresses.
func Routes() Message { return dump(unix.RTM_GETROUTE, unix.SizeofRtMsg) }

// Neighbours: see Addresses.
func Neighbours() Message { return dump(unix.RTM_GETNEIGH, unix.SizeofNdMsg) }

func dump(kind uint16, size int) Message {
	m := Message{Type: kind, Flags: unix.NLM_F_DUMP, Data: make([]byte, size)}
	m.Data[0] = unix.AF_INET
	return m
}

// ParseChange reads a message of rtnetlink. Others than IPv4 ones, and routes that are no default ones, are not ok.
func ParseChange(m Message) (c Change, ok bool) {
	if len(m.Data) < 1 || m.Data[0] != unix.AF_INET {
		return Change{}, false
	}
	switch m.Type {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		c, ok = parseAddress(m.Data)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		c, ok = parseRoute(m.Data)
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		c, ok = parseNeighbour(m.Data)
	}
	c.Gone = m.Type == unix.RTM_DELADDR || m.Type == unix.RTM_DELROUTE || m.Type == unix.RTM_DELNEIGH
	return c, ok
}

// parseAddress reads struct ifaddrmsg and its attributes.
func parseAddress(b []byte) (Change, bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return Change{}, false
	}
	c := Change{Index: int(int32(binary.NativeEndian.Uint32(b[4:])))}
	for kind, value := range Attributes(b[unix.SizeofIfAddrmsg:]) {
		if a, ok := netip.AddrFromSlice(value); ok && a.Is4() && kind == unix.IFA_LOCAL {
			c.Address = netip.PrefixFrom(a, int(b[1]))
		}
	}
	return c, c.Address.IsValid()
}

// parseRoute reads struct rtmsg of the main table and its attributes.
func parseRoute(b []byte) (Change, bool) {
	if len(b) < unix.SizeofRtMsg || b[1] != 0 || b[4] != unix.RT_TABLE_MAIN {
		return Change{}, false
	}
	var c Change
	for kind, value := range Attributes(b[unix.SizeofRtMsg:]) {
		a, isAddress := netip.AddrFromSlice(value)
		switch {
		case kind == unix.RTA_OIF:
			c.Index = int(int32(Uint32(value)))
		case kind == unix.RTA_GATEWAY && isAddress && a.Is4():
			c.Gateway = a
		}
	}
	return c, c.Gateway.IsValid() && c.Index > 0
}

// parseNeighbour reads struct ndmsg and its attributes.
func parseNeighbour(b []byte) (Change, bool) {
	if len(b) < unix.SizeofNdMsg {
		return Change{}, false
	}
	c := Change{Index: int(int32(binary.NativeEndian.Uint32(b[4:]))), State: binary.NativeEndian.Uint16(b[8:])}
	for kind, value := range Attributes(b[unix.SizeofNdMsg:]) {
		if a, ok := netip.AddrFromSlice(value); ok && a.Is4() && kind == unix.NDA_DST {
			c.Neighbour = a
		}
	}
	return c, c.Neighbour.IsValid()
}
