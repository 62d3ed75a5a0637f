package rtsp

import (
	"context"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

const (
	publicMethods = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
	// describePatience is how long DESCRIBE waits for the parameter sets of a camera that starts.
	describePatience = 5 * time.Second
	// control is the name of the one track.
	control = "trackID=0"
)

// handle answers a request; nil: the answer was sent, or there is none.
func (c *conn) handle(ctx context.Context, r *request) *base.Response {
	if v, ok := r.Header["Require"]; ok {
		res := status(base.StatusOptionNotSupported)
		res.Header["Unsupported"] = v
		return res
	}
	switch r.Method {
	case base.Options:
		c.keepAlive(r)
		res := status(base.StatusOK)
		res.Header["Public"] = base.HeaderValue{publicMethods}
		return res
	case base.Describe, base.Setup, base.Play, base.Pause, base.Teardown, base.GetParameter, base.SetParameter:
		if res := c.authorize(ctx, r); res != nil {
			return res
		}
		return c.handleAuthorized(ctx, r)
	case base.Announce, base.Record:
		res := status(base.StatusMethodNotAllowed)
		res.Header["Allow"] = base.HeaderValue{publicMethods}
		return res
	}
	return status(base.StatusNotImplemented)
}

func (c *conn) handleAuthorized(ctx context.Context, r *request) *base.Response {
	switch r.Method {
	case base.Describe:
		return c.describe(ctx, r)
	case base.Setup:
		return c.setup(r)
	case base.GetParameter, base.SetParameter:
		return c.parameter(r)
	}
	x := c.s.lookup(r.sessionID(), c)
	if x == nil {
		return status(base.StatusSessionNotFound)
	}
	x.seen.Store(int64(c.s.now()))
	switch r.Method {
	case base.Play:
		return c.play(ctx, r, x)
	case base.Pause:
		return c.pause(x)
	default:
		return c.teardown(x)
	}
}

// sessionID returns what the Session field names, without parameters.
func (r *request) sessionID() string {
	id, _, _ := strings.Cut(r.field("Session"), ";")
	return strings.TrimSpace(id)
}

// keepAlive takes any request of the connection as a sign of life of the session that it names, or of all.
func (c *conn) keepAlive(r *request) {
	now := int64(c.s.now())
	for _, x := range c.s.sessionsOf(c) {
		if id := r.sessionID(); id == "" || id == x.id {
			x.seen.Store(now)
		}
	}
}

// parameter answers GET_PARAMETER and SET_PARAMETER: there are none, but an empty request is a ping (RFC 2326 10.8).
func (c *conn) parameter(r *request) *base.Response {
	if id := r.sessionID(); id != "" && c.s.lookup(id, c) == nil {
		return status(base.StatusSessionNotFound)
	}
	c.keepAlive(r)
	if len(r.Body) > 0 {
		return status(base.StatusParameterNotUnderstood)
	}
	res := status(base.StatusOK)
	if id := r.sessionID(); id != "" {
		res.Header["Session"] = sessionField(id)
	}
	return res
}

// describe answers with the SDP of a stream.
func (c *conn) describe(ctx context.Context, r *request) *base.Response {
	f, track := c.s.streamOf(r.path())
	if f == nil || track != "" {
		return status(base.StatusNotFound)
	}
	if a := r.field("Accept"); a != "" && !strings.Contains(a, "application/sdp") && !strings.Contains(a, "*/*") {
		return status(base.StatusNotAcceptable)
	}
	f.touch()
	ctx, cancel := context.WithTimeout(ctx, describePatience)
	defer cancel()
	params, err := f.hub.Params(ctx)
	if err != nil {
		c.s.log.Warn("describe has no parameter sets", "stream", f.name, "err", err)
		return status(base.StatusServiceUnavailable)
	}
	res := status(base.StatusOK)
	res.Header["Content-Base"] = base.HeaderValue{r.baseURL() + "/"}
	res.Header["Content-Type"] = base.HeaderValue{"application/sdp"}
	res.Body = describeStream(f, params, c.local.Addr())
	return res
}

// baseURL returns the stream's URL as the client knows it, without credentials, query, track and slash at the end.
func (r *request) baseURL() string {
	u := r.URL.CloneWithoutCredentials()
	u.RawQuery, u.ForceQuery = "", false
	return strings.TrimSuffix(strings.TrimSuffix(u.String(), "/"), "/"+control)
}

func sessionField(id string) base.HeaderValue {
	timeout := uint(sessionTimeout / time.Second)
	return headers.Session{Session: id, Timeout: &timeout}.Marshal()
}

// play lets the session's reader in. The fan-out answers when it knows where the reader begins: the answer says so, and
// is in front of the first packet.
func (c *conn) play(ctx context.Context, r *request, x *session) *base.Response {
	if x.playing.Load() {
		res := status(base.StatusOK)
		res.Header["Session"] = sessionField(x.id)
		return res
	}
	x.mu.Lock()
	g, reader := x.group, x.reader
	x.mu.Unlock()
	answered := make(chan struct{})
	x.playing.Store(true)
	ok := x.fanout.do(func() {
		reader.answer = func(s start) {
			c.send(playing(x, s), r.cseq)
			close(answered)
		}
		x.fanout.admission(g, reader)
	})
	if !ok {
		return status(base.StatusServiceUnavailable)
	}
	select {
	case <-answered:
	case <-ctx.Done():
	}
	return nil
}

// playing is the answer to PLAY (RFC 2326 10.5, 12.33).
func playing(x *session, s start) *base.Response {
	res := status(base.StatusOK)
	res.Header["Session"] = sessionField(x.id)
	res.Header["Range"] = base.HeaderValue{"npt=now-"}
	if s.known {
		res.Header["RTP-Info"] = headers.RTPInfo{{
			URL: x.url + "/" + control, SequenceNumber: &s.seq, Timestamp: &s.timestamp,
		}}.Marshal()
	}
	return res
}

func (c *conn) pause(x *session) *base.Response {
	x.pause()
	res := status(base.StatusOK)
	res.Header["Session"] = sessionField(x.id)
	return res
}

func (c *conn) teardown(x *session) *base.Response {
	x.pause()
	c.s.remove(x)
	return status(base.StatusOK)
}
