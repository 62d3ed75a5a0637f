package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/stream/rtp"
)

// source is the RTSP conversation that feeds a meter.
type source struct {
	url       *base.URL
	transport string // tcp, udp, multicast or auto
	tls       *tls.Config

	client   *gortsplib.Client
	meter    *meter
	tapped   atomic.Bool // packets are counted at the socket, before they are put in order
	switched atomic.Bool // from UDP to TCP, because nothing came
	facts    connection
}

// connection is what was learned while connecting.
type connection struct {
	Transport string        `json:"transport"`
	Server    string        `json:"server,omitempty"`
	Connect   time.Duration `json:"-"` // TCP
	Play      time.Duration `json:"-"` // until the answer to PLAY
	sameHost  bool
}

// requestTimeout bounds each request and answer.
const requestTimeout = 5 * time.Second

// open connects and plays; the meter is fed from then on until close.
func (s *source) open(ctx context.Context, begin time.Time) error {
	s.client = &gortsplib.Client{
		Scheme: s.url.Scheme, Host: s.url.Host, TLSConfig: s.tls,
		Protocol: protocol(s.transport, s.url.Scheme), AnyPortEnable: true,
		ReadTimeout: requestTimeout, InitialUDPReadTimeout: 2 * time.Second,
		UserAgent: "camctl",
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			return s.dial(ctx, begin, network, address)
		},
		ListenPacket:      s.listen,
		OnTransportSwitch: func(error) { s.switched.Store(true); s.tapped.Store(false) },
		OnPacketsLost:     func(uint64) {},
		OnDecodeError:     func(error) {},
		OnResponse:        s.learnServer,
	}
	if err := s.client.Start(); err != nil {
		return err
	}
	if err := s.play(begin); err != nil {
		s.client.Close()
		return err
	}
	return nil
}

func (s *source) play(begin time.Time) error {
	session, _, err := s.client.Describe(s.url)
	if err != nil {
		return err
	}
	var forma *format.H264
	media := session.FindFormat(&forma)
	if media == nil {
		return errNoH264
	}
	s.meter = newMeter(begin, s.facts.sameHost)
	s.meter.describe(h264.Params{SPS: forma.SPS, PPS: forma.PPS})
	if _, err := s.client.Setup(session.BaseURL, media, 0, 0); err != nil {
		return err
	}
	s.client.OnPacketRTP(media, forma, s.onPacket)
	s.client.OnPacketRTCP(media, s.onReport)
	if _, err := s.client.Play(nil); err != nil {
		return err
	}
	s.facts.Play = time.Since(begin)
	return nil
}

var errNoH264 = errors.New("the stream has no H.264 video")

func (s *source) close() {
	s.client.Close()
	s.facts.Transport = s.transportName()
}

func (s *source) transportName() string {
	t := s.client.Transport()
	switch {
	case t.Session == nil:
		return s.transport
	case t.Session.Protocol == gortsplib.ProtocolTCP:
		return "tcp"
	case t.Session.Protocol == gortsplib.ProtocolUDPMulticast:
		return "multicast"
	}
	return "udp"
}

// protocol translates the flag; nil lets the client try UDP and switch to TCP. RTSPS carries the media in its own
// connection unless told otherwise, since plain RTP beside it would undo it.
func protocol(transport, scheme string) *gortsplib.Protocol {
	choices := map[string]gortsplib.Protocol{
		"tcp": gortsplib.ProtocolTCP, "udp": gortsplib.ProtocolUDP, "multicast": gortsplib.ProtocolUDPMulticast,
	}
	if transport == "auto" && scheme == "rtsps" {
		transport = "tcp"
	}
	if p, ok := choices[transport]; ok {
		return &p
	}
	return nil
}

func (s *source) dial(ctx context.Context, begin time.Time, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: requestTimeout}
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if s.facts.Connect == 0 {
		s.facts.Connect = time.Since(begin)
		s.facts.sameHost = ownAddress(c.RemoteAddr())
	}
	return c, nil
}

// ownAddress reports whether an address belongs to this machine.
func ownAddress(a net.Addr) bool {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	if ip.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(own, func(o net.Addr) bool {
		n, ok := o.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}

// learnServer notes how the server names itself.
func (s *source) learnServer(r *base.Response) {
	if server := r.Header["Server"]; len(server) == 1 && s.facts.Server == "" {
		s.facts.Server = server[0]
	}
}

// readBuffer of a UDP socket takes a large IDR. The kernel gives at most net.core.rmem_max, 208 KiB where nobody raised
// it; the client library would look for a port for ever where it gets less than it asks for, so it does not ask.
const readBuffer = 1 << 20

// listen opens a UDP socket whose RTP packets are counted as they arrive.
func (s *source) listen(network, address string) (net.PacketConn, error) {
	c, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	udp, ok := c.(*net.UDPConn)
	if ok {
		_ = udp.SetReadBuffer(readBuffer)
	}
	if !ok || udp.LocalAddr().(*net.UDPAddr).Port%2 != 0 { // RTCP has the odd port (RFC 3550 11)
		return c, nil
	}
	s.tapped.Store(true)
	return &tap{udp, s}, nil
}

// tap looks on at the packets of a UDP socket.
type tap struct {
	*net.UDPConn
	source *source
}

// ReadFrom reads one datagram.
func (t *tap) ReadFrom(b []byte) (int, net.Addr, error) {
	n, addr, err := t.UDPConn.ReadFrom(b)
	if err == nil && t.source.meter != nil {
		if h, _, malformed := rtp.Parse(b[:n]); malformed == nil {
			t.source.meter.arrived(h.SequenceNumber, time.Now())
		}
	}
	return n, addr, err
}

func (s *source) onPacket(p *pionrtp.Packet) {
	now := time.Now()
	if !s.tapped.Load() {
		s.meter.arrived(p.SequenceNumber, now)
	}
	s.meter.packet(rtp.Header{
		PayloadType: p.PayloadType, Marker: p.Marker, SequenceNumber: p.SequenceNumber,
		Timestamp: p.Timestamp, SSRC: p.SSRC,
	}, p.Payload, now)
}

func (s *source) onReport(p rtcp.Packet) {
	if sr, ok := p.(*rtcp.SenderReport); ok {
		s.meter.report(rtp.NTPTime(sr.NTPTime), sr.RTPTime, time.Now())
	}
}

// tlsConfig makes the check of an RTSPS server's certificate: the system's roots, a pinned certificate, or none.
func tlsConfig(host string, insecure bool, pin string) (*tls.Config, error) {
	if pin == "" {
		return &tls.Config{ServerName: host, InsecureSkipVerify: insecure}, nil //nolint:gosec // asked for by --insecure
	}
	want, err := hex.DecodeString(strings.ReplaceAll(pin, ":", ""))
	if err != nil || len(want) != sha256.Size {
		return nil, &fault{exitUsage, errors.New("--pin takes a SHA-256 fingerprint: 64 hexadecimal digits")}
	}
	return &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // the pin below replaces the chain
		VerifyConnection: func(state tls.ConnectionState) error {
			return checkPin(state.PeerCertificates, want)
		},
	}, nil
}

func checkPin(chain []*x509.Certificate, want []byte) error {
	if len(chain) == 0 {
		return errors.New("the camera sent no certificate")
	}
	if got := sha256.Sum256(chain[0].Raw); string(got[:]) != string(want) {
		return errPin
	}
	return nil
}

var errPin = errors.New("the camera's certificate is not the pinned one")
