package mdns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lookEvery = 2 * time.Second // for links that came, went, or have another address
	again     = time.Second     // from an announcement to its repetition: it is said twice (RFC 6762 8.3)
	quiet     = time.Second     // between two multicast answers to the same question on one link
	maxRecent = 64              // questions remembered for quiet
)

// Responder answers on every link of the camera. New, then Run.
type Responder struct {
	advert func() Advert // what holds now
	log    *slog.Logger
}

// New makes a responder; advert is asked for each answer.
func New(advert func() Advert, log *slog.Logger) *Responder {
	return &Responder{advert: advert, log: log.With("part", "mdns")}
}

// link is an interface that the responder has joined.
type link struct {
	index     int
	addresses []netip.Prefix
	repeat    time.Time            // when what was announced is to be said once more; zero: never
	recent    map[string]time.Time // when a question was answered by multicast
}

// Run answers until ctx ends, then takes back what it said.
func (r *Responder) Run(ctx context.Context) error {
	conn, err := listen()
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	links := map[int]*link{}
	said := r.advert()
	buffer, control := make([]byte, maxQuestion+1), make([]byte, 128)
	var next time.Time
	for {
		if now := time.Now(); !now.Before(next) {
			said = r.look(conn, links, said)
			next = now.Add(lookEvery)
		}
		for _, l := range links {
			if l.repeats(time.Now()) {
				r.announce(conn, l, said, ttlOther)
			}
		}
		_ = conn.SetReadDeadline(wake(next, links))
		if ctx.Err() != nil { // looked at behind the deadline, which its end sets for good
			break
		}
		n, c, _, from, err := conn.ReadMsgUDPAddrPort(buffer, control)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("mdns: %w", err)
		case err == nil:
			if l := links[linkOf(control[:c])]; l != nil {
				r.serve(conn, l, buffer[:n], from)
			}
		}
	}
	for _, l := range links {
		r.announce(conn, l, said, 0)
	}
	return nil
}

// listen opens the port of multicast DNS beside others on this machine that have it (a desktop's own responder).
func listen() (*net.UDPConn, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var fault error
		err := c.Control(func(fd uintptr) {
			fault = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 255),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 1),
			)
		})
		return errors.Join(err, fault)
	}}
	conn, err := config.ListenPacket(context.Background(), "udp4", fmt.Sprintf("0.0.0.0:%d", Port))
	if err != nil {
		return nil, fmt.Errorf("mdns: %w", err)
	}
	return conn.(*net.UDPConn), nil
}

// look joins links that came and forgets those that went. Where something changed it says so (RFC 6762 8.3, 8.4, 10.1),
// and returns what it said.
func (r *Responder) look(conn *net.UDPConn, links map[int]*link, said Advert) Advert {
	now := r.advert()
	there := map[int]bool{}
	for _, i := range multicastInterfaces() {
		there[i.Index] = true
		addresses := addressesOf(i)
		l := links[i.Index]
		fresh := l == nil
		if fresh {
			if err := join(conn, i.Index); err != nil {
				r.log.Debug("link not joined", "interface", i.Name, "err", err)
				continue
			}
			l = &link{index: i.Index, recent: map[string]time.Time{}}
			links[i.Index] = l
		}
		if !sameAdvert(said, now) && !fresh {
			r.announce(conn, l, said, 0)
		}
		if !sameAdvert(said, now) || !slices.Equal(l.addresses, addresses) {
			l.addresses, l.repeat = addresses, time.Now().Add(again)
			r.announce(conn, l, now, ttlOther)
		}
	}
	for index := range links {
		if !there[index] {
			delete(links, index)
		}
	}
	return now
}

// repeats reports, once, that it is time to say again what was announced.
func (l *link) repeats(now time.Time) bool {
	if l.repeat.IsZero() || now.Before(l.repeat) {
		return false
	}
	l.repeat = time.Time{}
	return true
}

// wake is when there is something to do, should nobody ask: to look at the links, or to repeat an announcement.
func wake(next time.Time, links map[int]*link) time.Time {
	for _, l := range links {
		if !l.repeat.IsZero() && l.repeat.Before(next) {
			next = l.repeat
		}
	}
	return next
}

func sameAdvert(a, b Advert) bool {
	return a.Instance == b.Instance && a.Host == b.Host && slices.EqualFunc(a.Services, b.Services,
		func(x, y Service) bool { return x.Type == y.Type && x.Port == y.Port && slices.Equal(x.Text, y.Text) })
}

func multicastInterfaces() []net.Interface {
	all, _ := net.Interfaces()
	return slices.DeleteFunc(all, func(i net.Interface) bool {
		return i.Flags&(net.FlagUp|net.FlagMulticast) != net.FlagUp|net.FlagMulticast
	})
}

func addressesOf(i net.Interface) []netip.Prefix {
	var list []netip.Prefix
	addresses, _ := i.Addrs()
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// join asks for what is sent to the group on a link.
func join(conn *net.UDPConn, index int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var fault error
	err = raw.Control(func(fd uintptr) {
		request := &unix.IPMreqn{Multiaddr: Group().As4(), Ifindex: int32(index)}
		fault = unix.SetsockoptIPMreqn(int(fd), unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, request)
	})
	if errors.Is(fault, unix.EADDRINUSE) { // joined before, by a link of the same number
		fault = nil
	}
	return errors.Join(err, fault)
}

// announce says everything, unasked; a ttl of 0 takes it back.
func (r *Responder) announce(conn *net.UDPConn, l *link, a Advert, ttl uint32) {
	all, err := a.records(l.hosts())
	if err != nil || len(a.Services) == 0 {
		return
	}
	for i := range all {
		all[i].ttl = min(all[i].ttl, ttl)
	}
	if raw, err := (question{}).pack(all, nil); err == nil {
		r.send(conn, l, raw, netip.AddrPortFrom(Group(), Port))
	}
}

// hosts are the addresses of the camera on a link.
func (l *link) hosts() []netip.Addr {
	var list []netip.Addr
	for _, p := range l.addresses {
		list = append(list, p.Addr().Unmap().WithZone(""))
	}
	return list
}

// local reports whether an address is one of the link (RFC 6762 11).
func (l *link) local(a netip.Addr) bool {
	return slices.ContainsFunc(l.addresses, func(p netip.Prefix) bool { return p.Masked().Contains(a.Unmap()) })
}

// serve answers one message.
func (r *Responder) serve(conn *net.UDPConn, l *link, raw []byte, from netip.AddrPort) {
	if !l.local(from.Addr()) {
		return
	}
	q, err := parse(raw, from.Port())
	if err != nil {
		return
	}
	all, err := r.advert().records(l.hosts())
	if err != nil {
		r.log.Warn("not advertised", "err", err)
		return
	}
	answers, further := q.answers(all)
	to := netip.AddrPortFrom(Group(), Port)
	switch {
	case len(answers) == 0:
		return
	case q.unicast:
		to = from
	case !l.due(string(raw[2:]), time.Now()):
		return
	}
	if out, err := q.message(answers, further); err == nil {
		r.send(conn, l, out, to)
	}
}

// due reports whether a question may be answered by multicast again.
func (l *link) due(question string, now time.Time) bool {
	if now.Sub(l.recent[question]) < quiet {
		return false
	}
	for old, at := range l.recent {
		if now.Sub(at) >= quiet || len(l.recent) >= maxRecent {
			delete(l.recent, old)
		}
	}
	l.recent[question] = now
	return true
}

func (r *Responder) send(conn *net.UDPConn, l *link, raw []byte, to netip.AddrPort) {
	info := unix.Inet4Pktinfo{Ifindex: int32(l.index)}
	if _, _, err := conn.WriteMsgUDPAddrPort(raw, unix.PktInfo4(&info), to); err != nil {
		r.log.Debug("not sent", "to", to, "err", err)
	}
}

// linkOf returns the number of the interface on which a packet came (IP_PKTINFO, ip(7)); 0 where it is not told.
func linkOf(control []byte) int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo {
			return int(binary.NativeEndian.Uint32(m.Data)) // ipi_ifindex comes first
		}
	}
	return 0
}
