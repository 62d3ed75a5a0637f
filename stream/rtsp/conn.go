package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/stream/rtp"
)

const (
	// maxRefusals bounds the connections that are told 503 in answer to their request; maxFarewells those that are
	// told it before they say anything, since there are too many of those too. What comes above is closed.
	maxRefusals  = 64
	maxFarewells = 512
	// refuseTimeout is how long a refused connection may take to say what it wanted.
	refuseTimeout = time.Second
	// lingerTime and lingerBytes bound what is read and thrown away after a last answer, which would be lost with a
	// reset otherwise.
	lingerTime  = time.Second
	lingerBytes = 2 << 20
	// mediaSendBuffer is how much the kernel may hold for a reader: enough for a large IDR, and less than the 4 MiB
	// that a stalled one could make it pin otherwise.
	mediaSendBuffer = 256 << 10
)

// conn is one RTSP connection. Its goroutine reads and answers.
type conn struct {
	s             *Server
	nc            net.Conn
	w             *writer
	remote, local netip.AddrPort
	secure        bool // RTSPS
	in            inbox
	sessions      []*session // guarded by the server's mutex

	begun   atomic.Int64 // when the request began that is not complete; 0: none, on the server's clock
	seen    atomic.Int64 // when the last request came, or the connection
	greeted atomic.Bool  // a request came
	doomed  atomic.Bool  // the reaper closes it

	// owned by the goroutine of serve
	nonce    string
	identity access.Identity
	known    bool // identity is somebody
	rtcp     rtp.RTCP
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{s: s, nc: nc, remote: addrPort(nc.RemoteAddr()), local: addrPort(nc.LocalAddr())}
	_, c.secure = nc.(*tls.Conn)
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(mediaSendBuffer) // the kernel's own choice would do
	}
	c.w = newWriter(nc, &s.wg, s.stall)
	c.seen.Store(int64(s.now()))
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// serve reads and answers until the connection ends.
func (c *conn) serve(ctx context.Context) {
	err := c.read(ctx)
	if why := c.w.close(); why != nil {
		err = why
	}
	defer c.s.exit(c) // when the figures have it
	switch {
	case errors.Is(err, errStalled), errors.Is(err, errReplies):
		c.s.counts.stalled.Add(1)
		c.s.log.Warn("reader cut off", "remote", c.remote, "err", err)
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && ctx.Err() == nil:
		c.s.log.Debug("connection ended", "remote", c.remote, "err", err)
	}
}

func (c *conn) read(ctx context.Context) error {
	for {
		m, ok, err := c.in.next()
		switch {
		case err != nil:
			c.reject(statusOf(err), cseqOf(c.in.buf[c.in.from:c.in.to]))
			return err
		case ok && m.request != nil:
			c.begun.Store(0)
			if !c.aside(func() bool { return c.answer(ctx, m.request) }) {
				return nil
			}
			continue
		case ok:
			c.control(m)
			continue
		}
		c.note()
		if err := c.in.fill(c.nc); err != nil {
			return err
		}
	}
}

// note tells the reaper whether the rest of a request is awaited.
func (c *conn) note() {
	switch {
	case !c.in.partial():
		c.begun.Store(0)
	case c.begun.Load() == 0:
		c.begun.Store(max(int64(c.s.now()), 1))
	}
}

// aside runs fn on another goroutine and waits for it: what answering a request needs of stack is given back, and this
// goroutine, of which there is one a reader, keeps the smallest.
func (c *conn) aside(fn func() bool) bool {
	done := make(chan bool, 1)
	go func() { done <- fn() }()
	return <-done
}

// answer answers one request; false: the connection is to end.
func (c *conn) answer(ctx context.Context, b []byte) bool {
	r, code := c.s.parsers.parse(b)
	if code != 0 {
		c.s.counts.malformed.Add(1)
		c.reject(code, r.cseq)
		return false
	}
	c.greeted.Store(true)
	c.seen.Store(int64(c.s.now()))
	if res := c.handle(ctx, r); res != nil {
		c.send(res, r.cseq)
	}
	return ctx.Err() == nil
}

// send sends a response.
func (c *conn) send(res *base.Response, cseq string) {
	if cseq != "" {
		res.Header["CSeq"] = base.HeaderValue{cseq}
	}
	if b, err := res.Marshal(); err == nil { // always: it goes to memory
		c.w.reply(b)
	}
}

// reject sends a last response, and sees to it that the client has a chance to read it.
func (c *conn) reject(code base.StatusCode, cseq string) {
	res := status(code)
	res.Header["Connection"] = base.HeaderValue{"close"}
	c.send(res, cseq)
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || !c.w.idle() || half.CloseWrite() != nil || c.nc.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	c.in = inbox{}
	trash := make([]byte, 4<<10)
	for left := lingerBytes; left > 0; {
		n, err := c.nc.Read(trash)
		if err != nil {
			return
		}
		left -= n
	}
}

// dismiss tells a connection 503 at once, without a goroutine. True: it is to be closed a little later, so that the
// client can read that.
func (c *conn) dismiss() bool {
	half, ok := c.nc.(*net.TCPConn)
	if !ok {
		return false
	}
	c.send(status(base.StatusServiceUnavailable), "")
	return c.w.idle() && half.CloseWrite() == nil
}

// refuse tells a connection that there are too many: 503 to its first request.
func (c *conn) refuse(ctx context.Context) {
	defer func() { _ = c.w.close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.w.close() })
	defer stop()
	if c.nc.SetReadDeadline(time.Now().Add(refuseTimeout)) != nil {
		return
	}
	for {
		m, ok, err := c.in.next()
		if err == nil && !ok {
			err = c.in.fill(c.nc)
		}
		if m.request != nil || err != nil {
			c.reject(base.StatusServiceUnavailable, cseqOf(m.request))
			return
		}
	}
}
