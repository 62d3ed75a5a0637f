package rtsp

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/access"
)

// How long what may last without a sign of life.
const (
	sessionTimeout = 60 * time.Second // as told in the Session header
	timeoutGrace   = 5 * time.Second  // for a keep-alive on its way
	requestTimeout = 10 * time.Second // a request that began, and the first one of a connection
	idleTimeout    = sessionTimeout   // a connection without a session
)

// transport is how a session gets its packets.
type transport string

// The transports. They are in metrics: never renamed.
const (
	tcpTransport       transport = "tcp"
	udpTransport       transport = "udp"
	multicastTransport transport = "multicast"
)

// session is what SETUP makes and TEARDOWN, silence or the end of its connection ends.
//
//	        SETUP          PLAY
//	(none) ------> ready --------> playing
//	                 ^ --SETUP (again)--> ready
//	                 `----- PAUSE ---'
type session struct {
	id     string
	conn   *conn
	fanout *fanout
	url    string // of the stream, as the client knows it, without a slash at the end

	seen    atomic.Int64 // time of the last sign of life, on the server's clock
	playing atomic.Bool
	dead    atomic.Bool
	report  atomic.Pointer[receiverReport]

	registered netip.AddrPort // under which byRTCP has it; guarded by the server's mutex

	mu        sync.Mutex // guards what follows; only the connection's goroutine changes it
	transport transport
	reader    *reader
	group     *group         // for multicast
	channel   uint8          // for TCP
	rtcp      netip.AddrPort // for UDP: where its receiver reports come from
	identity  access.Identity
}

// receiverReport is what the receiver said last.
type receiverReport struct {
	fractionLost uint8
	lost         int32
	jitter       time.Duration
	roundTrip    time.Duration
}

// leave stops the packets. It does not wait for that.
func (s *session) leave() {
	s.mu.Lock()
	r, g := s.reader, s.group
	s.mu.Unlock()
	if r != nil && s.playing.Swap(false) {
		s.fanout.do(func() { s.fanout.dismiss(g, r) })
	}
}

// pause stops the packets; none comes after its return.
func (s *session) pause() {
	s.mu.Lock()
	r, g := s.reader, s.group
	s.mu.Unlock()
	if r != nil && s.playing.Swap(false) {
		s.fanout.call(func() { s.fanout.dismiss(g, r) })
	}
}

// dismiss lets a reader of any transport out.
func (f *fanout) dismiss(g *group, r *reader) {
	if g != nil {
		f.leaveGroup(g, r)
		return
	}
	f.leave(r)
}

// admission lets a reader of any transport in.
func (f *fanout) admission(g *group, r *reader) {
	if g != nil {
		f.joinGroup(g, r)
		return
	}
	f.join(r)
}

// expired reports whether the client gave no sign of life for too long. One that plays over TCP needs to give none:
// that it takes the packets is enough.
func (s *session) expired(now time.Duration) bool {
	s.mu.Lock()
	t := s.transport
	s.mu.Unlock()
	if t == tcpTransport && s.playing.Load() {
		return false
	}
	return now-time.Duration(s.seen.Load()) > sessionTimeout+timeoutGrace
}
