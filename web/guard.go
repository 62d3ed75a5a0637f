package web

import (
	"net"
	"net/netip"
	"sync"
)

// guarded bounds the connections of a listener, in all and from one address, so that one host of the network can't keep
// the others out. What is too much is closed at once. An IPv6 host owns its /64.
type guarded struct {
	net.Listener

	mu   sync.Mutex // guards the rest
	all  int
	from map[netip.Prefix]int
	open sync.WaitGroup
}

func newGuarded(in net.Listener) *guarded {
	return &guarded{Listener: in, from: map[netip.Prefix]int{}}
}

// Accept returns the next connection for which there is room.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c, ok := g.admit(conn); ok {
			return c, nil
		}
		_ = conn.Close()
	}
}

func (g *guarded) admit(conn net.Conn) (net.Conn, bool) {
	address, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return nil, false
	}
	where := hostOf(address.Addr())
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= maxClients || g.from[where] >= maxAddress {
		return nil, false
	}
	g.all++
	g.from[where]++
	g.open.Add(1)
	return &counted{Conn: conn, leave: sync.OnceFunc(func() { g.leave(where) })}, true
}

func (g *guarded) leave(where netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.from[where]--; g.from[where] == 0 {
		delete(g.from, where)
	}
	g.open.Done()
}

// wait returns when every connection is closed.
func (g *guarded) wait() { g.open.Wait() }

func hostOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // these lengths fit
	return p
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	leave func()
}

// Close closes the connection and gives its place back.
func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
