package rtsp

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/internal/monotime"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/stream"
)

// TestMain fails the run when a test left a goroutine or a file descriptor behind.
func TestMain(m *testing.M) {
	before := openFiles()
	code := m.Run()
	if left := leaked(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines left behind:\n"+left)
		code = 1
	}
	// The runtime keeps two of its own for the network poller, and cgroup files.
	if after := openFiles(); code == 0 && after > before+6 {
		fmt.Fprintf(os.Stderr, "%d file descriptors left behind\n", after-before)
		code = 1
	}
	os.Exit(code)
}

func openFiles() int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(files)
}

// leaked returns the stacks of this package's goroutines, after it gave them a moment to end.
func leaked() string {
	buf := make([]byte, 4<<20)
	var left []string
	for range 200 {
		left = left[:0]
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "ocellus/stream/rtsp.") && !strings.Contains(g, "rtsp.TestMain") {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return ""
		}
		<-time.After(10 * time.Millisecond)
	}
	return strings.Join(left, "\n\n")
}

// Parameter sets of a 1920x1080 stream, Constrained Baseline 4.0.
func testSPS() []byte {
	return []byte{
		0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03,
		0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20,
	}
}

func testPPS() []byte { return []byte{0x68, 0xcb, 0x83, 0xcb, 0x20} }

// camera publishes made-up access units to a hub: each slice begins with its header byte and the frame number.
type camera struct {
	hub          *stream.Hub
	pool         h264.Pool
	gop          int // pictures
	idrSize      int
	size         int
	frame        uint32
	idrs         atomic.Uint32
	forced       atomic.Bool
	sinceIDR     int
	lastIDRFrame uint32
}

type cameraOptions struct {
	canForce      bool
	gop           int // 50
	idrSize, size int // 20000 and 5000
}

func newCamera(name string, o cameraOptions) *camera {
	c := &camera{gop: o.gop, idrSize: o.idrSize, size: o.size}
	if c.gop == 0 {
		c.gop = 50
	}
	if c.idrSize == 0 {
		c.idrSize, c.size = 20000, 5000
	}
	var force func() bool
	if o.canForce {
		force = func() bool { c.forced.Store(true); return true }
	}
	c.hub = stream.NewHub(name, stream.HubOptions{ForceIDR: force})
	return c
}

// shoot publishes the next picture.
func (c *camera) shoot() {
	idr := c.sinceIDR%c.gop == 0 || c.forced.Swap(false)
	size, header := c.size, byte(0x41)
	if idr {
		size, header, c.sinceIDR = c.idrSize, 0x65, 0
		c.idrs.Add(1)
	}
	c.sinceIDR++
	slice := make([]byte, size)
	for i := range slice {
		slice[i] = byte(i*7+int(c.frame)) | 1 // never a start code
	}
	slice[0] = header
	putFrame(slice[1:], c.frame)
	var au *h264.AccessUnit
	if idr {
		au = c.pool.Copy(testSPS(), testPPS(), slice)
	} else {
		au = c.pool.Copy(slice)
	}
	au.PTS, au.IDR, au.Frame = monotime.Now(), idr, c.frame
	c.frame++
	c.hub.Publish(au)
}

// putFrame writes a frame number of 28 bits without a zero byte.
func putFrame(b []byte, frame uint32) {
	for i := range 4 {
		b[i] = 0x80 | byte(frame>>(7*i))
	}
}

func frameOf(b []byte) (frame uint32) {
	for i := range 4 {
		frame |= uint32(b[i]&0x7f) << (7 * i)
	}
	return frame
}

// run shoots fps pictures a second while somebody wants them, until the test ends.
func (c *camera) run(t testing.TB, fps int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second / time.Duration(fps))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if c.hub.Stats().Demand > 0 {
					c.shoot()
				}
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// newGate returns the gate of a camera that has an owner, with one viewer, and his password.
func newGate(t testing.TB) (*access.Gate, string) {
	t.Helper()
	persist, log := statefile.Path(filepath.Join(t.TempDir(), "persist")), slog.New(slog.DiscardHandler)
	h, _, err := access.OpenHardware(persist, "TEST-1")
	if err != nil {
		t.Fatal(err)
	}
	o, err := access.OpenOwnership(h, persist, statefile.Path(filepath.Join(t.TempDir(), "owner")), log)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	owner, token := key.Public().(ed25519.PublicKey), [access.TokenSize]byte{1}
	o.Expect(token, label.FingerprintOf(owner))
	c := claim.Claim{Challenge: o.Challenge(), Owner: owner, Proof: claim.ByToken}
	if _, err := o.Claim(c.Sign(key, token[:])); err != nil {
		t.Fatal(err)
	}
	g := access.NewGate(o, log)
	password, err := g.AddViewer("viewer", access.Watcher)
	if err != nil {
		t.Fatal(err)
	}
	return g, password.Reveal()
}

// openDoor is a gate that lets everybody in, for tests that are about something else.
type openDoor struct{}

func (openDoor) AuthenticateDigest(access.DigestResponse, netip.Addr) (access.Identity, error) {
	return access.Identity{Name: "viewer", Role: access.Watcher}, nil
}
func (openDoor) Penalty(string, netip.Addr) time.Duration { return 0 }
func (openDoor) Still(access.Identity) bool               { return true }
func (openDoor) Realm() string                            { return "test" }

// testServer serves hubs on loopback until the test ends.
func testServer(t testing.TB, o Options, cameras ...*camera) *Server {
	t.Helper()
	if o.Config == (Config{}) {
		o.Config = DefaultConfig()
		o.Config.Address, o.Config.TLSAddress = "127.0.0.1:0", "127.0.0.1:0"
	}
	if o.Gate == nil {
		o.Gate = openDoor{}
	}
	o.Hubs = map[string]*stream.Hub{}
	for _, c := range cameras {
		o.Hubs[c.hub.Name()] = c.hub
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(10 * time.Second):
			buf := make([]byte, 1<<20)
			t.Errorf("server does not stop:\n%s", buf[:runtime.Stack(buf, true)])
		}
	})
	for s.context().Err() != nil { // until Run is under way
		runtime.Gosched()
	}
	return s
}

// testTLS returns a server's configuration with a certificate of its own.
func testTLS(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// raw is a client that sends what it is told.
type raw struct {
	t    testing.TB
	nc   net.Conn
	br   *bufio.Reader
	cseq int
	auth string // Authorization field of openDoor
}

func dialRaw(t testing.TB, s *Server) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return newRaw(t, nc)
}

func newRaw(t testing.TB, nc net.Conn) *raw {
	if err := nc.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &raw{t: t, nc: nc, br: bufio.NewReaderSize(nc, 4096)}
}

// login makes the connection pass an openDoor.
func (r *raw) login() *raw { return r.loginTo("test") }

// loginTo takes the nonce, and makes up responses from now on.
func (r *raw) loginTo(realm string) *raw {
	r.t.Helper()
	res := r.do("DESCRIBE", "main", nil)
	if res.StatusCode != base.StatusUnauthorized {
		r.t.Fatalf("first DESCRIBE: got %d, want 401", res.StatusCode)
	}
	_, rest, _ := strings.Cut(res.Header["WWW-Authenticate"][0], `nonce="`)
	nonce, _, _ := strings.Cut(rest, `"`)
	r.auth = fmt.Sprintf(`Digest username="viewer", realm="%s", nonce="%s", response="00"`, realm, nonce)
	return r
}

func (r *raw) url(path string) string { return "rtsp://" + r.nc.RemoteAddr().String() + "/" + path }

// send writes a request with fields that come in pairs.
func (r *raw) send(method, path string, fields map[string]string) {
	r.t.Helper()
	r.cseq++
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s RTSP/1.0\r\nCSeq: %d\r\n", method, r.url(path), r.cseq)
	if r.auth != "" {
		fmt.Fprintf(&b, "Authorization: %s, uri=\"%s\"\r\n", r.auth, r.url(path))
	}
	for k, v := range fields {
		fmt.Fprintf(&b, "%s: %s\r\n", k, v)
	}
	r.write(b.String() + "\r\n")
}

func (r *raw) write(s string) {
	r.t.Helper()
	if _, err := r.nc.Write([]byte(s)); err != nil {
		r.t.Fatalf("write: %v", err)
	}
}

// receive reads the next response, past interleaved frames.
func (r *raw) receive() *base.Response {
	r.t.Helper()
	for {
		first, err := r.br.Peek(1)
		if err != nil {
			r.t.Fatalf("no response: %v", err)
		}
		if first[0] != '$' {
			break
		}
		r.frame()
	}
	var res base.Response
	if err := res.Unmarshal(r.br); err != nil {
		r.t.Fatalf("response: %v", err)
	}
	return &res
}

// frame reads an interleaved frame.
func (r *raw) frame() base.InterleavedFrame {
	r.t.Helper()
	var f base.InterleavedFrame
	if err := f.Unmarshal(r.br); err != nil {
		r.t.Fatalf("interleaved frame: %v", err)
	}
	return f
}

func (r *raw) do(method, path string, fields map[string]string) *base.Response {
	r.t.Helper()
	r.send(method, path, fields)
	res := r.receive()
	if got, want := res.Header["CSeq"], fmt.Sprint(r.cseq); len(got) != 1 || got[0] != want {
		r.t.Fatalf("%s: CSeq %q, want %s", method, got, want)
	}
	return res
}

// must is do that wants 200.
func (r *raw) must(method, path string, fields map[string]string) *base.Response {
	r.t.Helper()
	res := r.do(method, path, fields)
	if res.StatusCode != base.StatusOK {
		r.t.Fatalf("%s %s: got %d %s, want 200", method, path, res.StatusCode, res.StatusMessage)
	}
	return res
}

// setup makes a session and returns its id.
func (r *raw) setup(path, transport string) string {
	r.t.Helper()
	res := r.must("SETUP", path+"/trackID=0", map[string]string{"Transport": transport})
	id, _, _ := strings.Cut(res.Header["Session"][0], ";")
	return id
}

const tcpSetup = "RTP/AVP/TCP;unicast;interleaved=0-1"
