// Package httprepo brings updates from a repository on the web: a static directory that any server, bucket or CDN
// serves. It is an ota.Source. Nothing of what comes is believed here; this package bounds how long it may take, how
// often a server is asked, and where the camera lets itself be sent.
//
//   - A connection that fails, a 429 and a 5xx are tried again, a few times in a row, with growing waits. What has
//     come of a target is not asked for again (RFC 9110, 14.2, Range); a server that ignores Range costs the way there.
//   - A line on which less than a trickle comes is given up (slow loris), and so is one on which nothing does.
//   - A server by https whose certificate nobody vouches for is asked once.
//   - A redirect leads to the same scheme, host and port, or nowhere.
package httprepo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ocellus/ocellus/ota/trust"
)

// Limits are how patient a camera is. The zero value of each is the default.
type Limits struct {
	Tries   int           // in a row, with less than a trickle in between; 5
	Wait    time.Duration // before the second try; it doubles; 2 s
	Window  time.Duration // how long a trickle is looked at; 30 s
	Trickle int64         // bytes in a window, at least; 16 KiB. What ends earlier may be shorter
}

// ErrSlow: the line trickles.
var ErrSlow = errors.New("too slow")

// ErrElsewhere: a redirect to another place.
var ErrElsewhere = errors.New("redirect to another place")

// Repository is a repository on the web.
type Repository struct {
	base   *url.URL
	client *http.Client
	limits Limits
}

// maxRedirects within one host.
const maxRedirects = 3

// New names a repository: the URL of its metadata's directory. secure says whose certificates count for https, and what
// time it is; nil: the system's, and its clock.
func New(base string, secure *tls.Config, limits Limits) (*Repository, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("update repository: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("update repository %q: want http://HOST/PATH or https://HOST/PATH", u.Redacted())
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	transport.MaxIdleConnsPerHost = 1
	transport.TLSClientConfig = secure.Clone()
	limits.fill()
	r := &Repository{base: u, limits: limits}
	r.client = &http.Client{Transport: transport, CheckRedirect: r.follow}
	return r, nil
}

func (l *Limits) fill() {
	if l.Tries == 0 {
		l.Tries = 5
	}
	if l.Wait == 0 {
		l.Wait = 2 * time.Second
	}
	if l.Window == 0 {
		l.Window = 30 * time.Second
	}
	if l.Trickle == 0 {
		l.Trickle = 16 << 10
	}
}

// follow keeps redirects in one place.
func (r *Repository) follow(to *http.Request, via []*http.Request) error {
	if to.URL.Scheme != r.base.Scheme || !strings.EqualFold(to.URL.Host, r.base.Host) {
		return fmt.Errorf("%w: %s", ErrElsewhere, to.URL.Host)
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d", ErrElsewhere, maxRedirects)
	}
	return nil
}

// Metadata implements ota.Source.
func (r *Repository) Metadata(ctx context.Context, f trust.File) ([]byte, error) {
	body := r.reader(ctx, f.Name, 0, f.Optional)
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, int64(f.Most)+1))
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Target implements ota.Source.
func (r *Repository) Target(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	body := r.reader(ctx, "targets/"+path, offset, false)
	if err := body.open(); err != nil {
		_ = body.Close()
		return nil, err
	}
	return body, nil
}

func (r *Repository) reader(ctx context.Context, name string, at int64, optional bool) *reader {
	ctx, cancel := context.WithCancelCause(ctx)
	return &reader{r: r, ctx: ctx, cancel: cancel, url: r.base.JoinPath(name).String(), at: at, optional: optional}
}

// reader is one file, over as many connections as it takes.
type reader struct {
	r        *Repository
	ctx      context.Context
	cancel   context.CancelCauseFunc
	url      string
	at       int64 // of the next byte
	optional bool

	body  io.ReadCloser
	watch *watch
	fails int   // in a row
	came  int64 // bytes since the last one
}

// Read implements io.Reader.
func (d *reader) Read(p []byte) (int, error) {
	for {
		if d.body == nil {
			if err := d.open(); err != nil {
				return 0, err
			}
		}
		n, err := d.body.Read(p)
		d.at += int64(n)
		d.watch.came(n)
		if d.came += int64(n); d.came >= d.r.limits.Trickle {
			d.fails = 0
		}
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return n, err
		}
		if n > 0 {
			return n, d.again(err)
		}
		if err := d.again(err); err != nil {
			return 0, err
		}
	}
}

// Close implements io.Closer.
func (d *reader) Close() error {
	d.hangUp()
	d.cancel(nil)
	return nil
}

func (d *reader) hangUp() {
	if d.body != nil {
		_ = d.body.Close()
		d.watch.stop()
	}
	d.body = nil
}

// again waits before another try, or returns the error that ended it all.
func (d *reader) again(err error) error {
	slow := d.watch != nil && d.watch.gaveUp()
	d.hangUp()
	d.came = 0
	if slow {
		err = ErrSlow
	}
	if d.fails++; d.fails >= d.r.limits.Tries || d.ctx.Err() != nil {
		return fmt.Errorf("fetch %s: %w", d.url, err)
	}
	wait := d.r.limits.Wait << (d.fails - 1)
	select {
	case <-time.After(wait + time.Duration(rand.Int64N(int64(wait)/2+1))):
		return nil
	case <-d.ctx.Done():
		return fmt.Errorf("fetch %s: %w", d.url, context.Cause(d.ctx))
	}
}

// errFinal is an answer that asking again does not better.
var errFinal = errors.New("refused")

// open asks for the file from at on, until there is an answer worth having.
func (d *reader) open() error {
	for {
		err := d.ask()
		if err == nil || errors.Is(err, errFinal) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrElsewhere) {
			return err
		}
		if err := d.again(err); err != nil {
			return err
		}
	}
}

// ask asks once.
func (d *reader) ask() error {
	w := newWatch(d.ctx, d.r.limits)
	request, err := http.NewRequestWithContext(w.ctx, http.MethodGet, d.url, nil)
	if err != nil {
		w.stop()
		return fmt.Errorf("fetch %s: %w: %w", d.url, errFinal, err)
	}
	request.Header.Set("Accept-Encoding", "identity")
	if d.at > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.at))
	}
	d.watch = w
	answer, err := d.r.client.Do(request)
	if err != nil {
		w.stop()
		if _, stranger := errors.AsType[*tls.CertificateVerificationError](err); stranger {
			return fmt.Errorf("fetch: %w: %w", errFinal, err)
		}
		return fmt.Errorf("fetch: %w", err)
	}
	if err := d.judge(answer); err != nil {
		_ = answer.Body.Close()
		w.stop()
		return err
	}
	d.body = answer.Body
	return nil
}

// judge looks at the answer's head, and brings its body to where the reader is.
func (d *reader) judge(a *http.Response) error {
	switch code := a.StatusCode; {
	case code == http.StatusPartialContent && d.at > 0:
		if from := fmt.Sprintf("bytes %d-", d.at); !strings.HasPrefix(a.Header.Get("Content-Range"), from) {
			return fmt.Errorf("fetch %s: %w: range %q, want %s", d.url, errFinal, a.Header.Get("Content-Range"), from)
		}
		return nil
	case code == http.StatusOK:
		return d.pass(a.Body)
	case code == http.StatusNotFound, code == http.StatusGone,
		code == http.StatusForbidden && d.optional: // a bucket that doesn't let itself be listed
		return fmt.Errorf("fetch %s: %s: %w", d.url, a.Status, fs.ErrNotExist)
	case code == http.StatusTooManyRequests, code >= 500:
		return fmt.Errorf("fetch %s: %s", d.url, a.Status)
	}
	return fmt.Errorf("fetch %s: %w: %s", d.url, errFinal, a.Status)
}

// pass reads over what is there already: the server ignored the range.
func (d *reader) pass(body io.Reader) error {
	buf := make([]byte, 32<<10)
	for left := d.at; left > 0; {
		n, err := body.Read(buf[:min(int64(len(buf)), left)])
		left -= int64(n)
		d.watch.came(n)
		if err != nil && left > 0 {
			return fmt.Errorf("fetch %s: %w", d.url, err)
		}
	}
	return nil
}
