package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/stream"
)

// Gate decides who may watch; access.Gate is one.
type Gate interface {
	// AuthenticateDigest returns who sent a digest, or an error. The nonce was made by this server.
	AuthenticateDigest(d access.DigestResponse, from netip.Addr) (access.Identity, error)
	// Penalty tells how long a refusal is held back.
	Penalty(name string, from netip.Addr) time.Duration
	// Still reports whether an identity would be let in now.
	Still(id access.Identity) bool
	// Realm is the protection space.
	Realm() string
}

// Options are what a Server is made of.
type Options struct {
	Config Config
	Hubs   map[string]*stream.Hub // by the name in the URL
	Gate   Gate
	TLS    *tls.Config    // for Config.TLSAddress; nil: no RTSPS
	Extra  []net.Listener // served besides the configured addresses; TLS listeners count as RTSPS
	Log    *slog.Logger   // nil: silent

	// For tests.
	mode  sendMode      // to begin with
	stall time.Duration // stallLimit if 0
}

// Server serves the hubs.
type Server struct {
	config    Config
	gate      Gate
	log       *slog.Logger
	streams   map[string]*fanout
	tlsConfig *tls.Config
	epoch     time.Time
	stall     time.Duration // how long a reader's connection may take nothing at all
	mode      atomic.Int32
	counts    counters
	parsers   parsers
	wg        sync.WaitGroup // of everything that Run starts
	refusals  chan struct{}  // capacity maxRefusals: a token for each connection that is being told 503; full: see dismiss
	running   atomic.Pointer[context.Context]

	listeners []net.Listener // of Listen; Run closes them
	rtsp      net.Listener
	rtsps     net.Listener
	pair      *udpPair

	mu       sync.Mutex // guards what follows
	conns    map[*conn]struct{}
	byHost   map[netip.Addr]int
	sessions map[string]*session
	byRTCP   map[netip.AddrPort]*session
	leaving  []*conn // refused; the reaper closes them at its next but one turn
	closing  bool    // nobody is let in any more
	left     int     // how many of leaving were there at its last
}

// New makes a server. Nothing is opened before Listen.
func New(o Options) (*Server, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("rtsp configuration: %w", err)
	}
	s := &Server{
		config: o.Config, gate: o.Gate, log: o.Log, tlsConfig: o.TLS, epoch: time.Now(), listeners: o.Extra,
		refusals: make(chan struct{}, maxRefusals), streams: map[string]*fanout{},
		conns: map[*conn]struct{}{}, byHost: map[netip.Addr]int{},
		sessions: map[string]*session{}, byRTCP: map[netip.AddrPort]*session{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("part", "rtsp")
	s.mode.Store(int32(o.mode))
	if s.stall = o.stall; s.stall == 0 {
		s.stall = stallLimit
	}
	names := make([]string, 0, len(o.Hubs))
	for name := range o.Hubs {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		s.streams[name] = newFanout(s, i, o.Hubs[name])
	}
	return s, nil
}

// Listen opens the addresses and the UDP ports, so that Addr can tell them. Run does it where nobody did before.
func (s *Server) Listen() (err error) {
	if s.pair != nil {
		return nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("rtsp listen: %w", err), s.close())
		}
	}()
	if s.config.Address != off {
		if s.rtsp, err = net.Listen("tcp", s.config.Address); err != nil {
			return err
		}
		s.listeners = append(s.listeners, s.rtsp)
	}
	if s.config.TLSAddress != off && s.tlsConfig != nil {
		if s.rtsps, err = tls.Listen("tcp", s.config.TLSAddress, s.tlsConfig); err != nil {
			return err
		}
		s.listeners = append(s.listeners, s.rtsps)
	}
	if s.pair, err = s.listenUDP(); err != nil {
		return err
	}
	for _, f := range s.streams {
		f.unicast = newUDPSender(s.pair.rtp, &s.counts.udpFailures)
	}
	return nil
}

// listenUDP opens the UDP ports on the host that RTSP listens on.
func (s *Server) listenUDP() (*udpPair, error) {
	host, _, _ := net.SplitHostPort(s.config.Address) // "" where there is no RTSP
	network := "udp"
	if ip := net.ParseIP(host); ip != nil && ip.To4() != nil {
		network = "udp4"
	}
	return listenPair(network, host, s.config.UDPPort, sendMode(s.mode.Load()))
}

// Addr returns the address of RTSP, and TLSAddr that of RTSPS; nil where there is none.
func (s *Server) Addr() net.Addr { return addrOf(s.rtsp) }

// TLSAddr returns the address of RTSPS, nil where there is none.
func (s *Server) TLSAddr() net.Addr { return addrOf(s.rtsps) }

func addrOf(l net.Listener) net.Addr {
	if l == nil {
		return nil
	}
	return l.Addr()
}

// Run serves until ctx ends, and returns when everything that it started has ended.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.running.Store(&ctx)
	pair := s.pair
	for _, l := range s.listeners {
		s.wg.Go(func() { s.accept(ctx, l) })
	}
	s.wg.Go(func() { s.readRTCP(ctx, pair.rtcp) })
	s.wg.Go(func() { s.reap(ctx) })
	s.log.Info("serving", "rtsp", s.Addr(), "rtsps", s.TLSAddr(), "rtp_port", s.pair.rtp.port)
	<-ctx.Done()
	err := s.close()
	s.wg.Wait()
	for _, f := range s.streams {
		err = errors.Join(err, f.closeGroup())
	}
	s.listeners, s.pair, s.closing = nil, nil, false
	return err
}

// context is that of Run; an ended one before Run.
func (s *Server) context() context.Context {
	if c := s.running.Load(); c != nil {
		return *c
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// close closes every socket, so that whoever reads from one returns: the connections last, when the fan-outs, whose
// context has ended, have said BYE.
func (s *Server) close() error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	for _, f := range s.streams {
		f.wait()
	}
	if s.pair != nil {
		errs = append(errs, s.pair.close())
	}
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	conns = append(conns, s.leaving...)
	s.leaving, s.left, s.closing = nil, 0, true
	s.mu.Unlock()
	for _, c := range conns {
		_ = c.w.close()
	}
	return errors.Join(errs...)
}

// accept takes connections in until ctx ends.
func (s *Server) accept(ctx context.Context, l net.Listener) {
	for {
		nc, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = nc.Close() // came too late
			}
			return
		}
		if err != nil {
			s.log.Warn("accept failed", "err", err)
			select { // out of file descriptors, as a rule
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		s.welcome(ctx, nc)
	}
}

// welcome serves a connection, or refuses it where there are too many.
func (s *Server) welcome(ctx context.Context, nc net.Conn) {
	c := newConn(s, nc)
	s.counts.connections.Add(1)
	if s.enter(c) {
		s.wg.Go(func() { c.serve(ctx) })
		return
	}
	s.counts.refused.Add(1)
	select {
	case s.refusals <- struct{}{}:
		s.wg.Go(func() {
			c.refuse(ctx)
			<-s.refusals
		})
	default:
		if !c.dismiss() || !s.farewell(c) {
			_ = c.w.close()
		}
	}
}

// farewell lets the reaper close a refused connection; false: too many wait for that already.
func (s *Server) farewell(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || len(s.leaving) >= maxFarewells {
		return false
	}
	s.leaving = append(s.leaving, c)
	return true
}

// enter counts a connection in; false: there are too many.
func (s *Server) enter(c *conn) bool {
	host := hostOf(c.remote.Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || len(s.conns) >= s.config.MaxConnections || s.byHost[host] >= s.config.MaxConnectionsPerAddress {
		return false
	}
	s.conns[c] = struct{}{}
	s.byHost[host]++
	return true
}

// exit counts a connection out and ends its sessions.
func (s *Server) exit(c *conn) {
	host := hostOf(c.remote.Addr())
	s.mu.Lock()
	delete(s.conns, c)
	if s.byHost[host]--; s.byHost[host] <= 0 {
		delete(s.byHost, host)
	}
	orphans := slices.Clone(c.sessions)
	s.mu.Unlock()
	for _, x := range orphans {
		s.remove(x)
	}
}

// hostOf is what counts as one address: an IPv6 host owns its /64.
func hostOf(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// streamOf finds the stream and the control path ("" or "trackID=0") of a URL path.
func (s *Server) streamOf(path string) (*fanout, string) {
	name, control, _ := strings.Cut(strings.Trim(path, "/"), "/")
	return s.streams[name], control
}

// now is the time on the server's clock.
func (s *Server) now() time.Duration { return time.Since(s.epoch) }
