package httprepo_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/ota/httprepo"
	"github.com/ocellus/ocellus/ota/trust"
)

// quick is a camera without patience.
func quick() httprepo.Limits {
	return httprepo.Limits{Tries: 3, Wait: time.Millisecond, Window: 300 * time.Millisecond, Trickle: 2000}
}

// asked notes what a server is asked for.
type asked struct {
	mu  sync.Mutex
	all []string
}

func (a *asked) note(r *http.Request) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
	return len(a.all)
}

func (a *asked) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

// content is what targets hold.
var content = bytes.Repeat([]byte("0123456789"), 10_000)

// TestTarget: how a target comes over a good server and over bad ones.
func TestTarget(t *testing.T) {
	t.Parallel()
	whole := func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
	// breaks sends some bytes and hangs up, as often as it is told.
	breaks := func(times, after int) func(int, http.ResponseWriter, *http.Request) {
		return func(n int, w http.ResponseWriter, r *http.Request) {
			if n > times {
				whole(w, r)
				return
			}
			var from int
			_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			if from > 0 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
				w.WriteHeader(http.StatusPartialContent)
			}
			_, _ = w.Write(content[from : from+after])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	for _, c := range []struct {
		name  string
		from  int64
		serve func(n int, w http.ResponseWriter, r *http.Request)
		want  error
		asks  int
	}{
		{"good", 0, func(_ int, w http.ResponseWriter, r *http.Request) { whole(w, r) }, nil, 1},
		{"from the middle", 70_000, func(_ int, w http.ResponseWriter, r *http.Request) { whole(w, r) }, nil, 1},
		{"hangs up five times", 0, breaks(5, 10_000), nil, 6},
		{"hangs up without a byte", 0, breaks(100, 0), io.ErrUnexpectedEOF, 3},
		{"503 twice", 0, func(n int, w http.ResponseWriter, r *http.Request) {
			if n < 3 {
				http.Error(w, "busy", http.StatusServiceUnavailable)
				return
			}
			whole(w, r)
		}, nil, 3},
		{"503 for ever", 0, func(_ int, w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "busy", http.StatusServiceUnavailable)
		}, errAny, 3},
		{"404", 0, func(_ int, w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, fs.ErrNotExist, 1},
		{"range ignored", 60_000, func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }, nil, 1},
		{"another range", 60_000, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-9/100000")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(content[:10])
		}, errAny, 1},
		{"slow loris", 0, func(_ int, w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write([]byte("x")); err != nil || http.NewResponseController(w).Flush() != nil {
					return
				}
				select {
				case <-r.Context().Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		}, httprepo.ErrSlow, 3},
		{"says nothing", 0, func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			httprepo.ErrSlow, 3},
		{"another host", 0, func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}, httprepo.ErrElsewhere, 1},
		{"round and round", 0, func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}, httprepo.ErrElsewhere, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var a asked
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c.serve(a.note(r), w, r)
			}))
			defer server.Close()
			got, err := fetch(t, server.URL, c.from)
			if all := a.list(); len(all) != c.asks {
				t.Errorf("asked %q, want %d times", all, c.asks)
			}
			if c.want == nil && (err != nil || !bytes.Equal(got, content[c.from:])) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if c.want != nil && (err == nil || c.want != errAny && !errors.Is(err, c.want)) {
				t.Errorf("got %d bytes, %v, want %v", len(got), err, c.want)
			}
		})
	}
}

// errAny stands for an error that nobody branches on.
var errAny = errors.New("any")

func fetch(t *testing.T, base string, from int64) ([]byte, error) {
	t.Helper()
	r, err := httprepo.New(base+"/repo", nil, quick())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	body, err := r.Target(ctx, "a/b.img", from)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, int64(len(content))))
}

// TestMetadata: names, bounds, and what a bucket says of a file that it does not have.
func TestMetadata(t *testing.T) {
	t.Parallel()
	var a asked
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.note(r)
		if strings.HasSuffix(r.URL.Path, "root.json") {
			http.Error(w, "AccessDenied", http.StatusForbidden)
			return
		}
		_, _ = w.Write(content)
	}))
	defer server.Close()
	r, err := httprepo.New(server.URL+"/repo/", nil, quick())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Metadata(t.Context(), trust.File{Name: "2.root.json", Most: 10, Optional: true}); !errors.Is(err,
		fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if b, err := r.Metadata(t.Context(), trust.File{Name: "timestamp.json", Most: 100}); err != nil || len(b) != 101 {
		t.Errorf("got %d bytes, %v, want one more than asked for", len(b), err)
	}
	if want := []string{"/repo/2.root.json", "/repo/timestamp.json"}; !slices.Equal(a.list(), want) {
		t.Errorf("asked for %q, want %q", a.list(), want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Metadata(ctx, trust.File{Name: "timestamp.json", Most: 100}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestSecure: by https a server has to be who it says, for the authority that was named, at the time that it is.
func TestSecure(t *testing.T) {
	t.Parallel()
	var a asked
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.note(r)
		_, _ = w.Write(content)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	named := x509.NewCertPool()
	named.AddCert(server.Certificate())
	late := func() time.Time { return time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		name   string
		secure *tls.Config
		good   bool
	}{
		{"named", &tls.Config{RootCAs: named}, true},
		{"the system's", nil, false},
		{"in 2100", &tls.Config{RootCAs: named, Time: late}, false},
	} {
		r, err := httprepo.New(server.URL, c.secure, httprepo.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = r.Metadata(t.Context(), trust.File{Name: "timestamp.json", Most: 100})
		if (err == nil) != c.good || time.Since(begin) > time.Second {
			t.Errorf("%s: got %v after %v", c.name, err, time.Since(begin))
		}
	}
	if all := a.list(); len(all) != 1 {
		t.Errorf("asked %q", all)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "repo", "ftp://example.com/", "http://", "https://me:secret@example.com/",
		"https://example.com/?a=b", "https://example.com/#x", "http://%zz/"} {
		if _, err := httprepo.New(bad, nil, httprepo.Limits{}); err == nil {
			t.Errorf("%q: accepted", bad)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
