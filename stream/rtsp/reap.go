package rtsp

import (
	"context"
	"slices"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

const reapInterval = time.Second

// lookup returns the session of that name on that connection, nil if there is none: a session is bound to the
// connection that made it.
func (s *Server) lookup(id string, c *conn) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.sessions[id]; x != nil && x.conn == c {
		return x
	}
	return nil
}

// sessionsOf returns the sessions of a connection.
func (s *Server) sessionsOf(c *conn) []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(c.sessions)
}

// add counts a session in, or notes its new transport; false: there are too many.
func (s *Server) add(x *session) bool {
	x.seen.Store(int64(s.now()))
	x.mu.Lock()
	rtcp := x.rtcp
	x.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[x.id] == nil {
		if len(s.sessions) >= s.config.MaxSessions || x.dead.Load() {
			return false
		}
		s.sessions[x.id] = x
		x.conn.sessions = append(x.conn.sessions, x)
	}
	s.forgetRTCP(x)
	if rtcp.IsValid() {
		s.byRTCP[rtcp] = x
		x.registered = rtcp
	}
	return true
}

// forgetRTCP drops the address that a session's reports came from. The caller holds the lock.
func (s *Server) forgetRTCP(x *session) {
	if s.byRTCP[x.registered] == x {
		delete(s.byRTCP, x.registered)
	}
}

// remove ends a session.
func (s *Server) remove(x *session) {
	s.mu.Lock()
	if s.sessions[x.id] == x {
		delete(s.sessions, x.id)
		x.conn.sessions = slices.DeleteFunc(x.conn.sessions, func(other *session) bool { return other == x })
	}
	s.forgetRTCP(x)
	s.mu.Unlock()
	x.dead.Store(true)
	x.leave()
}

// ended is told by the fan-out that the stream is over: so is the session, and its connection soon.
func (x *session) ended() {
	x.conn.s.remove(x)
	x.conn.doomed.Store(true)
}

// reap ends what has outlived its time, once a second.
func (s *Server) reap(ctx context.Context) {
	t := time.NewTicker(reapInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		s.reapSessions()
		s.reapConns()
		s.reapRefused()
	}
}

// reapRefused closes the refused connections that have had a second at least to read why.
func (s *Server) reapRefused() {
	s.mu.Lock()
	done := slices.Clone(s.leaving[:s.left])
	s.leaving = slices.Delete(s.leaving, 0, s.left)
	s.left = len(s.leaving)
	s.mu.Unlock()
	for _, c := range done {
		_ = c.w.close()
	}
}

func (s *Server) reapSessions() {
	s.mu.Lock()
	sessions := make([]*session, 0, len(s.sessions))
	for _, x := range s.sessions {
		sessions = append(sessions, x)
	}
	s.mu.Unlock()
	now := s.now()
	for _, x := range sessions {
		x.mu.Lock()
		id := x.identity
		x.mu.Unlock()
		switch {
		case x.expired(now):
			s.counts.expired.Add(1)
			s.log.Info("session timed out", "remote", x.conn.remote, "stream", x.fanout.name)
		case !s.gate.Still(id):
			s.log.Info("session ended, its viewer was removed", "remote", x.conn.remote, "viewer", id.Name)
		default:
			continue
		}
		s.remove(x)
		x.conn.doomed.Store(true)
	}
}

func (s *Server) reapConns() {
	s.mu.Lock()
	conns := make(map[*conn]int, len(s.conns))
	for c := range s.conns {
		conns[c] = len(c.sessions)
	}
	s.mu.Unlock()
	now := s.now()
	for c, sessions := range conns {
		c.reap(now, sessions)
	}
}

// reap closes a connection that has outlived its time.
func (c *conn) reap(now time.Duration, sessions int) {
	since := func(at int64) time.Duration { return now - time.Duration(at) }
	begun := c.begun.Load()
	switch {
	case begun != 0 && since(begun) > requestTimeout:
		c.send(status(base.StatusRequestTimeout), "")
	case !c.greeted.Load() && since(c.seen.Load()) > requestTimeout:
	case sessions == 0 && c.doomed.Load():
	case sessions == 0 && since(c.seen.Load()) > idleTimeout:
	default:
		return
	}
	_ = c.w.close()
}
