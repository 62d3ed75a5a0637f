package lab

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
)

// publisher makes releases with camctl, with keys of its own, and serves them.
type publisher struct {
	t   *testing.T
	dir string
	url string

	serve http.HandlerFunc

	mu   sync.Mutex                                    // guards the rest
	sent map[string]int64                              // bytes of files by the end of their names: .img, .delta
	bad  func(http.ResponseWriter, *http.Request) bool // answers a request in place of the repository; nil: none
}

const publishLimit = 2 * time.Minute

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{t: t, dir: t.TempDir(), sent: map[string]int64{}}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.path("identity"), []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.camctl("init", "--keys", p.path("keys"), "--repo", p.path("repo"), "--recipient", id.Recipient().String())
	files := http.FileServer(http.Dir(p.path("repo")))
	p.serve = func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		bad := p.bad
		p.mu.Unlock()
		if bad == nil || !bad(w, r) {
			files.ServeHTTP(&countedWriter{w, p, filepath.Ext(r.URL.Path)}, r)
		}
	}
	server := httptest.NewServer(p.serve)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// private serves the repository by https, too, and returns its URL and the authority that vouches for it, in PEM.
func (p *publisher) private() (address, ca string) {
	p.t.Helper()
	server := httptest.NewTLSServer(p.serve)
	p.t.Cleanup(server.Close)
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	return server.URL, string(pem.EncodeToMemory(block))
}

func (p *publisher) path(name string) string { return filepath.Join(p.dir, name) }

func (p *publisher) root() string { return p.path("repo/1.root.json") }

// newestRoot is the one that cameras have which looked at the repository as it is now.
func (p *publisher) newestRoot() string {
	for n := 1; ; n++ {
		if _, err := os.Stat(p.path(fmt.Sprintf("repo/%d.root.json", n+1))); err != nil {
			return p.path(fmt.Sprintf("repo/%d.root.json", n))
		}
	}
}

// spoil lets somebody answer requests in place of the repository.
func (p *publisher) spoil(bad func(http.ResponseWriter, *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bad = bad
}

// camctl runs camctl ota, which has to go well.
func (p *publisher) camctl(args ...string) string {
	p.t.Helper()
	r := tool(p.t, publishLimit, program("camctl"), append([]string{"ota"}, args...)...)
	if r.code != 0 {
		p.t.Fatalf("camctl ota %q: exit code %d: %s%s", args, r.code, r.out, r.errs)
	}
	return r.out
}

// signs runs a verb that needs keys.
func (p *publisher) signs(verb string, args ...string) string {
	p.t.Helper()
	return p.camctl(append([]string{verb, "--repo", p.path("repo"), "--keys", p.path("keys"), "--identity",
		p.path("identity")}, args...)...)
}

// publish publishes a slot's image, and returns the name of its target. more goes to camctl ota build.
func (p *publisher) publish(board, slot, version string, more ...string) string {
	p.t.Helper()
	p.camctl(append([]string{"build", "--board", board, "--slot", slot, "--version", version, "-o",
		p.path("new.bundle")}, more...)...)
	p.signs("publish", p.path("new.bundle"))
	return board + "/ocellus-" + version + ".img"
}

// bundle puts a release into one file.
func (p *publisher) bundle(target string) string {
	p.t.Helper()
	out := p.path(strings.ReplaceAll(target, "/", "-") + ".bundle")
	p.camctl("bundle", "--repo", p.path("repo"), "-o", out, target)
	return out
}

// simSlot makes a slot of the simulated board.
func (p *publisher) simSlot(out, version string, more ...string) string {
	p.t.Helper()
	r := tool(p.t, time.Minute, program("mkimage"), append([]string{"sim", "-version", version, "-root", p.root(), "-out",
		out}, more...)...)
	if r.code != 0 {
		p.t.Fatal(r.errs)
	}
	return out
}

// countedWriter counts what is sent.
type countedWriter struct {
	http.ResponseWriter
	p    *publisher
	kind string
}

func (c *countedWriter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.sent[c.kind] += int64(n)
	return n, err
}

// fetched is how many bytes of files of a kind were sent since it was asked last.
func (p *publisher) fetched(kind string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.sent[kind]
	p.sent[kind] = 0
	return n
}
