package rtsp

import (
	"context"
	"net/netip"
	"time"

	"github.com/ocellus/ocellus/stream/rtp"
)

// control takes in an interleaved frame: only RTCP is expected (RFC 2326 10.12).
func (c *conn) control(m inMessage) {
	now := int64(c.s.now())
	for _, x := range c.s.sessionsOf(c) {
		t, channel := x.interleaving()
		if t != tcpTransport || int(m.channel) != channel+1 {
			continue
		}
		x.seen.Store(now)
		if rtp.ParseRTCP(m.frame, &c.rtcp) == nil {
			x.heard(&c.rtcp)
		}
	}
}

// readRTCP takes in what UDP readers report, until the socket is closed.
func (s *Server) readRTCP(ctx context.Context, socket *udpSocket) {
	buf := make([]byte, maxFrame)
	var r rtp.RTCP
	for ctx.Err() == nil {
		n, from, err := socket.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			continue // closed, or an ICMP error of some reader's host
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		s.mu.Lock()
		x := s.byRTCP[from]
		s.mu.Unlock()
		if x == nil || rtp.ParseRTCP(buf[:n], &r) != nil {
			continue
		}
		x.seen.Store(int64(s.now()))
		x.heard(&r)
	}
}

// heard keeps what the receiver says about our stream.
func (x *session) heard(r *rtp.RTCP) {
	for _, b := range r.Blocks {
		if b.SSRC != x.fanout.packetizer.SSRC() {
			continue
		}
		report := &receiverReport{
			fractionLost: b.FractionLost, lost: b.Lost, jitter: time.Duration(b.Jitter) * time.Second / rtp.ClockRate,
		}
		report.roundTrip, _ = b.RoundTrip(time.Now())
		x.report.Store(report)
	}
	if r.WantsIDR && x.playing.Load() {
		x.fanout.hub.RequestIDR()
	}
}
