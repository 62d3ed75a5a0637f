package rtsp

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"

	"github.com/ocellus/ocellus/access"
)

// authorize lets a request pass (nil), or returns the answer to it. It comes before anything that depends on what
// streams there are. A connection on which a right digest came once may leave it out afterwards, as some clients do
// with keep-alives: whoever could send on it could as well have repeated the digest.
func (c *conn) authorize(ctx context.Context, r *request) *base.Response {
	if _, sent := r.Header["Authorization"]; !sent {
		if c.known && c.s.gate.Still(c.identity) {
			return nil
		}
		return c.challenge()
	}
	d, ok := c.digest(r)
	if !ok {
		return c.challenge() // no guess: the nonce is not one of this connection
	}
	id, err := c.s.gate.AuthenticateDigest(d, c.remote.Addr())
	if err != nil {
		c.s.counts.denied.Add(1)
		c.known = false
		c.hold(ctx, c.s.gate.Penalty(d.Username, c.remote.Addr()))
		return c.challenge()
	}
	if !id.May(access.Watch) {
		return status(base.StatusForbidden)
	}
	c.identity, c.known = id, true
	return nil
}

// digest takes the Authorization field apart. False: it is no digest that answers the challenge of this connection.
func (c *conn) digest(r *request) (access.DigestResponse, bool) {
	var h headers.Authorization
	if err := h.Unmarshal(r.Header["Authorization"]); err != nil || h.Method != headers.AuthMethodDigest {
		return access.DigestResponse{}, false
	}
	if c.nonce == "" || h.Nonce != c.nonce || !c.covers(h.URI, r) {
		return access.DigestResponse{}, false
	}
	d := access.DigestResponse{
		Username: h.Username, Realm: h.Realm, Nonce: h.Nonce, URI: h.URI, Method: string(r.Method), Response: h.Response,
		Algorithm: access.MD5,
	}
	if h.Algorithm != nil && *h.Algorithm == headers.AuthAlgorithmSHA256 {
		d.Algorithm = access.SHA256
	}
	return d, true
}

// covers reports whether the URI of a digest is the request's, or another one of the same stream: some clients sign the
// stream's URL where they ask for its track.
func (c *conn) covers(uri string, r *request) bool {
	if uri == r.uri {
		return true
	}
	u, err := url.Parse(uri)
	if err != nil {
		return false
	}
	name := func(path string) string {
		first, _, _ := strings.Cut(strings.Trim(path, "/"), "/")
		return first
	}
	return name(u.Path) == name(r.path())
}

// challenge asks for a digest: SHA-256 first, then MD5, since clients that know only that take the last.
func (c *conn) challenge() *base.Response {
	if c.nonce == "" {
		c.nonce = strings.ToLower(rand.Text())
	}
	res := status(base.StatusUnauthorized)
	for _, algorithm := range []headers.AuthAlgorithm{headers.AuthAlgorithmSHA256, headers.AuthAlgorithmMD5} {
		h := headers.Authenticate{
			Method: headers.AuthMethodDigest, Realm: c.s.gate.Realm(), Nonce: c.nonce, Algorithm: &algorithm,
		}
		res.Header["WWW-Authenticate"] = append(res.Header["WWW-Authenticate"], h.Marshal()...)
	}
	return res
}

// hold keeps a refusal back. Only this connection waits.
func (c *conn) hold(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
