package wifi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/ocellus/ocellus/hal/wifi/netlink"
	"golang.org/x/sys/unix"
)

// ways is what the kernel knows of IPv4 on the radio's interface, which the board's own DHCP client put there.
type ways struct {
	address    netip.Prefix // invalid while there is none
	gateway    netip.Addr   // of the default route; invalid while there is none
	neighbours map[netip.Addr]uint16
}

// maxNeighbours bounds what a network full of strangers may make us remember.
const maxNeighbours = 64

// apply notes a change of the interface.
func (w *ways) apply(c netlink.Change) {
	switch {
	case c.Address.IsValid() && !c.Gone:
		w.address = c.Address
	case c.Address.IsValid() && c.Address == w.address:
		w.address = netip.Prefix{}
	case c.Gateway.IsValid() && !c.Gone:
		w.gateway = c.Gateway
	case c.Gateway.IsValid() && c.Gateway == w.gateway:
		w.gateway = netip.Addr{}
	case c.Neighbour.IsValid():
		if w.neighbours == nil || len(w.neighbours) >= maxNeighbours {
			w.neighbours = map[netip.Addr]uint16{}
		}
		w.neighbours[c.Neighbour] = c.State
		if c.Gone {
			delete(w.neighbours, c.Neighbour)
		}
	}
}

// gatewayAnswers reports whether the gateway spoke by ARP since the association: yes, no (known), or not yet known.
func (w *ways) gatewayAnswers() (yes, known bool) {
	const spoke = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT |
		unix.NUD_NOARP
	state := w.neighbours[w.gateway]
	return state&spoke != 0, state&(spoke|unix.NUD_FAILED) != 0
}

// look returns how things are now, neighbours too if they are asked for.
func look(index int, neighbours bool) (ways, error) {
	c, err := netlink.Open(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return ways{}, err
	}
	defer c.Close()
	var w ways
	requests := []netlink.Message{netlink.Addresses(), netlink.Routes()}
	if neighbours {
		requests = append(requests, netlink.Neighbours())
	}
	for _, request := range requests {
		err := c.Ask("dump", kernelPatience, request, func(m netlink.Message) error {
			if change, ok := netlink.ParseChange(m); ok && change.Index == index {
				w.apply(change)
			}
			return nil
		})
		if err != nil {
			return ways{}, err
		}
	}
	return w, nil
}

// watch follows the ways of one interface until close.
type watch struct {
	conn    *netlink.Conn
	index   int
	changed chan struct{} // capacity 1: something is new since it was received last
	end     chan struct{} // closed when follow has ended

	mu  sync.Mutex // guards now
	now ways
}

// newWatch begins to watch. Neighbours of before are of another network, and not looked at.
func newWatch(index int) (*watch, error) {
	c, err := netlink.Open(unix.NETLINK_ROUTE, netlink.Groups)
	if err != nil {
		return nil, err
	}
	w := &watch{conn: c, index: index, changed: make(chan struct{}, 1), end: make(chan struct{})}
	if w.now, err = look(index, false); err != nil {
		_ = c.Close()
		return nil, err
	}
	go w.follow()
	return w, nil
}

// follow reads what the kernel tells. Where the kernel lost something for us, everything is looked at again.
func (w *watch) follow() {
	defer close(w.end)
	for {
		list, err := w.conn.Receive()
		if errors.Is(err, unix.ENOBUFS) {
			if all, err := look(w.index, true); err == nil {
				w.set(func() { w.now = all })
			}
			continue
		}
		if err != nil {
			return
		}
		for _, m := range list {
			if c, ok := netlink.ParseChange(m); ok && c.Index == w.index {
				w.set(func() { w.now.apply(c) })
			}
		}
	}
}

func (w *watch) set(do func()) {
	w.mu.Lock()
	do()
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// ways returns how things are.
func (w *watch) ways() ways {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now
	now.neighbours = maps.Clone(now.neighbours)
	return now
}

func (w *watch) close() {
	_ = w.conn.Close()
	<-w.end
}

// indexOf returns the number of a network interface.
func indexOf(name string) (int, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	return i.Index, nil
}

// discard is the port of a datagram that nobody has to answer (RFC 863).
const discard = 9

// provoke sends a datagram to the gateway by this interface, so that the kernel has to find out by ARP whether it is
// there. That needs no right.
func provoke(index int, gateway netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	inNetworkOrder := int(int32(binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, uint32(index)))))
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_UNICAST_IF, inNetworkOrder); err != nil {
		return os.NewSyscallError("IP_UNICAST_IF", err)
	}
	return os.NewSyscallError("sendto", unix.Sendto(fd, nil, 0, &unix.SockaddrInet4{Port: discard, Addr: gateway.As4()}))
}

// Patience with what is behind the access point. They begin with the association, the address and the datagram.
const (
	addressSign     = 3 * time.Second // three questions of the board's DHCP client
	addressPatience = 9 * time.Second // all eight, and a second more
	routePatience   = time.Second     // between the address and the default route, which one script sets
	gatewaySign     = 1500 * time.Millisecond
	gatewayPatience = 5 * time.Second // the kernel gives up after three questions, in 3 s
)
