package rtsp

import (
	"crypto/rand"
	"net/netip"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

// maxSessionsPerConn is how many streams one connection may have at a time.
const maxSessionsPerConn = 4

// setup makes a session, or gives one that does not play another transport.
func (c *conn) setup(r *request) *base.Response {
	f, track := c.s.streamOf(r.path())
	if f == nil || track != "" && track != control {
		return status(base.StatusNotFound)
	}
	x, code := c.sessionFor(r, f)
	if code != 0 {
		return status(code)
	}
	answer, code := c.choose(r, x)
	if code != 0 {
		return status(code)
	}
	if !c.s.add(x) {
		return status(base.StatusNotEnoughBandwidth)
	}
	f.touch()
	res := status(base.StatusOK)
	res.Header["Session"] = sessionField(x.id)
	res.Header["Transport"] = answer.Marshal()
	return res
}

// sessionFor returns the session that the request names, or a new one.
func (c *conn) sessionFor(r *request, f *fanout) (*session, base.StatusCode) {
	if id := r.sessionID(); id != "" {
		x := c.s.lookup(id, c)
		switch {
		case x == nil:
			return nil, base.StatusSessionNotFound
		case x.playing.Load():
			return nil, base.StatusMethodNotValidInThisState
		case x.fanout != f:
			return nil, base.StatusAggregateOperationNotAllowed
		}
		return x, 0
	}
	if len(c.s.sessionsOf(c)) >= maxSessionsPerConn {
		return nil, base.StatusNotEnoughBandwidth
	}
	x := &session{id: strings.ToLower(rand.Text()), conn: c, fanout: f, url: r.baseURL()}
	x.identity = c.identity
	return x, 0
}

// choose takes the first transport of the request that can be had.
func (c *conn) choose(r *request, x *session) (headers.Transport, base.StatusCode) {
	var offers headers.Transports
	if err := offers.Unmarshal(r.Header["Transport"]); err != nil {
		return headers.Transport{}, base.StatusUnsupportedTransport
	}
	for _, o := range offers {
		if o.Profile != headers.TransportProfileAVP || o.Mode != nil && *o.Mode != headers.TransportModePlay {
			continue
		}
		multicast := o.Delivery != nil && *o.Delivery == headers.TransportDeliveryMulticast
		var answer headers.Transport
		var ok bool
		switch {
		case o.Protocol == headers.TransportProtocolTCP && !multicast:
			answer, ok = c.useTCP(x, o)
		case c.secure || o.Protocol == headers.TransportProtocolTCP:
		case multicast:
			answer, ok = c.useMulticast(x)
		default:
			answer, ok = c.useUDP(x, o)
		}
		if ok {
			return answer, 0
		}
	}
	return headers.Transport{}, base.StatusUnsupportedTransport
}

// useTCP gives the session the channels that the client wants, or others where those are taken.
func (c *conn) useTCP(x *session, o headers.Transport) (headers.Transport, bool) {
	taken := map[int]bool{}
	for _, other := range c.s.sessionsOf(c) {
		if t, channel := other.interleaving(); other != x && t == tcpTransport {
			taken[channel], taken[channel+1] = true, true
		}
	}
	channel := 0
	if ids := o.InterleavedIDs; ids != nil && ids[0] >= 0 && ids[0] < 255 && ids[1] == ids[0]+1 {
		channel = ids[0]
	}
	if taken[channel] || taken[channel+1] {
		for channel = 0; taken[channel]; channel += 2 {
		}
	}
	if taken[channel+1] {
		return headers.Transport{}, false
	}
	outlet := &tcpOutlet{w: c.w, channel: uint8(channel)}
	x.use(tcpTransport, &reader{outlet: outlet, tcp: true, end: x.ended}, nil, uint8(channel), netip.AddrPort{})
	unicast := headers.TransportDeliveryUnicast
	return headers.Transport{
		Protocol: headers.TransportProtocolTCP, Delivery: &unicast, InterleavedIDs: &[2]int{channel, channel + 1},
		SSRC: x.fanout.ssrc(),
	}, true
}

// useUDP sends to the ports that the client names, on the host that it is connected from, whatever it says.
func (c *conn) useUDP(x *session, o headers.Transport) (headers.Transport, bool) {
	p := o.ClientPorts
	pair := c.s.pair
	if p == nil || pair == nil || p[0] < 1 || p[0] > 65535 || p[1] < 1 || p[1] > 65535 || !c.remote.IsValid() {
		return headers.Transport{}, false
	}
	host := c.remote.Addr()
	if !pair.rtp.inet6 && !host.Is4() {
		return headers.Transport{}, false
	}
	rtp := netip.AddrPortFrom(host, uint16(p[0]))
	rtcp := netip.AddrPortFrom(host, uint16(p[1]))
	f := x.fanout
	outlet := newUDPOutlet(f.unicast, &f.pacer, rtp, pair.rtcp, rtcp)
	x.use(udpTransport, &reader{outlet: outlet, end: x.ended}, nil, 0, rtcp)
	unicast := headers.TransportDeliveryUnicast
	return headers.Transport{
		Protocol: headers.TransportProtocolUDP, Delivery: &unicast, ClientPorts: p,
		ServerPorts: &[2]int{pair.rtp.port, pair.rtcp.port}, SSRC: f.ssrc(),
	}, true
}

// useMulticast makes the session listen to the stream's group.
func (c *conn) useMulticast(x *session) (headers.Transport, bool) {
	if !c.s.config.Multicast.Enabled {
		return headers.Transport{}, false
	}
	g, err := x.fanout.openGroup(c.local.Addr())
	if err != nil {
		c.s.log.Warn("multicast is not to be had", "stream", x.fanout.name, "err", err)
		return headers.Transport{}, false
	}
	x.use(multicastTransport, &reader{end: x.ended}, g, 0, netip.AddrPort{})
	multicast := headers.TransportDeliveryMulticast
	host := g.rtp.Addr().String()
	port := int(g.rtp.Port())
	return headers.Transport{
		Protocol: headers.TransportProtocolUDP, Delivery: &multicast, Destination2: &host,
		Ports: &[2]int{port, port + 1}, TTL: &g.ttl, SSRC: x.fanout.ssrc(),
	}, true
}

func (f *fanout) ssrc() *uint32 {
	n := f.packetizer.SSRC()
	return &n
}

// use sets the session's transport.
func (x *session) use(t transport, r *reader, g *group, channel uint8, rtcp netip.AddrPort) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.transport, x.reader, x.group, x.channel, x.rtcp = t, r, g, channel, rtcp
}

// interleaving returns the transport and the RTP channel.
func (x *session) interleaving() (transport, int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.transport, int(x.channel)
}
