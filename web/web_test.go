package web

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/vouch"
	"github.com/ocellus/ocellus/internal/statefile"
)

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newOwnership(t *testing.T) *access.Ownership {
	t.Helper()
	dir := t.TempDir()
	persist := statefile.Path(filepath.Join(dir, "persist"))
	h, _, err := access.OpenHardware(persist, "TEST-1")
	if err != nil {
		t.Fatal(err)
	}
	o, err := access.OpenOwnership(h, persist, statefile.Path(filepath.Join(dir, "owner")), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// rig is an open door and whose camera it is.
type rig struct {
	*access.Ownership
	base string
}

func open(t *testing.T, o *access.Ownership) rig {
	t.Helper()
	d := New(Options{
		Config: Config{Address: "127.0.0.1:0"}, Gate: o, Log: slog.New(slog.DiscardHandler),
		Certificate: func() (*tls.Certificate, error) {
			key := o.Hardware().Private()
			if _, operational, err := o.Operational(); err == nil {
				key = operational
			}
			c, err := vouch.Chain(key)
			return &c, err
		},
		Envelope: func(_ context.Context, key ed25519.PublicKey, raw []byte) ([]byte, error) {
			if len(raw) == 0 || len(raw) > maxCommand {
				return nil, errors.New("no envelope")
			}
			return append(key[:4:4], raw...), nil
		},
		Do: func(_ context.Context, who access.Identity, request []byte) []byte {
			out, _ := json.Marshal(map[string]string{"who": who.Name, "request": string(request)})
			return out
		},
	})
	d.Take = func(_ context.Context, who access.Identity, bundle io.Reader, now bool) []byte {
		raw, err := io.ReadAll(bundle)
		out, _ := json.Marshal(map[string]any{"who": who.Name, "bytes": len(raw), "now": now, "fault": err != nil})
		return out
	}
	if err := d.Listen(); err != nil {
		t.Fatal(err)
	}
	r := rig{o, "https://" + d.Addr().String()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// client is a phone: its key, nil for none, and the key that it expects of the camera.
func (r rig) client(t *testing.T, own ed25519.PrivateKey, camera ed25519.PublicKey) *http.Client {
	t.Helper()
	config := &tls.Config{
		InsecureSkipVerify: true, // the key is what counts
		VerifyConnection: func(s tls.ConnectionState) error {
			if key, err := vouch.Key(s.PeerCertificates); err != nil || !key.Equal(camera) {
				return errors.New("another camera")
			}
			return nil
		},
	}
	if own != nil {
		c, err := vouch.Chain(own)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{c}
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func (r rig) do(t *testing.T, c *http.Client, method, path string, body []byte) (int, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.base+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, raw
}

// claim makes the holder of key the owner, by the label.
func (r rig) claim(t *testing.T, key ed25519.PrivateKey) claim.Receipt {
	t.Helper()
	hardware := r.Hardware().Public()
	c := r.client(t, nil, hardware)
	status, raw := r.do(t, c, "GET", "/v1/claim", nil)
	challenge, err := claim.ParseChallenge(raw)
	if status != http.StatusOK || err != nil {
		t.Fatalf("challenge: %d %s %v", status, raw, err)
	}
	secret, err := r.Hardware().Label().ClaimKey()
	if err != nil {
		t.Fatal(err)
	}
	own := key.Public().(ed25519.PublicKey)
	m := claim.Claim{Challenge: challenge, Owner: own, Proof: claim.BySecret}.Sign(key, secret[:])
	status, raw = r.do(t, c, "POST", "/v1/claim", m)
	receipt, err := claim.ParseReceipt(raw, m, hardware)
	if status != http.StatusOK || err != nil {
		t.Fatalf("claim: %d %s %v", status, raw, err)
	}
	return receipt
}

func TestClaimThenCommand(t *testing.T) {
	t.Parallel()
	r := open(t, newOwnership(t))
	owner := newKey(t)
	receipt := r.claim(t, owner)
	c := r.client(t, owner, receipt.Operational)
	status, raw := r.do(t, c, "POST", "/v1/command", []byte(`{"command":"status"}`))
	if want := `{"request":"{\"command\":\"status\"}","who":"owner"}`; status != http.StatusOK || string(raw) != want {
		t.Errorf("%d %s, want %s", status, raw, want)
	}
	status, raw = r.do(t, c, "POST", "/v1/command", make([]byte, maxCommand+1))
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("a command that is too long: %d %s", status, raw)
	}
}

// TestEnvelope: the door carries an envelope, and says whose key opened it.
func TestEnvelope(t *testing.T) {
	t.Parallel()
	r := open(t, newOwnership(t))
	owner := newKey(t)
	c := r.client(t, owner, r.claim(t, owner).Operational)
	status, raw := r.do(t, c, "POST", "/v1/envelope", []byte("sealed"))
	if want := string(owner.Public().(ed25519.PublicKey)[:4]) + "sealed"; status != http.StatusOK || string(raw) != want {
		t.Errorf("%d %q", status, raw)
	}
	for name, bad := range map[string][]byte{"nothing": nil, "too long": make([]byte, maxCommand+1)} {
		if status, raw := r.do(t, c, "POST", "/v1/envelope", bad); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, raw)
		}
	}
}

// TestStranger: what somebody without a key of this camera gets, before and after it has an owner.
func TestStranger(t *testing.T) {
	t.Parallel()
	r := open(t, newOwnership(t))
	paths := []struct{ method, path string }{
		{"GET", "/"}, {"GET", "/index.html"}, {"GET", "/v1/status"}, {"POST", "/v1/command"}, {"GET", "/v1/command"},
		{"POST", "/v1/envelope"}, {"GET", "/v1/envelope"},
		{"PUT", "/v1/claim"}, {"GET", "/v1/../etc/passwd"}, {"GET", "/.well-known/security.txt"}, {"OPTIONS", "/"},
	}
	look := func(when string, camera ed25519.PublicKey) {
		for _, key := range []ed25519.PrivateKey{nil, newKey(t)} {
			c := r.client(t, key, camera)
			for _, p := range paths {
				status, raw := r.do(t, c, p.method, p.path, []byte(`{"command":"status"}`))
				if status != http.StatusUnauthorized || strings.TrimSpace(string(raw)) != `{"code":"denied"}` {
					t.Errorf("%s, key %v, %s %s: %d %s", when, key != nil, p.method, p.path, status, raw)
				}
			}
		}
	}
	look("unclaimed", r.Hardware().Public())
	receipt := r.claim(t, newKey(t))
	look("claimed", receipt.Operational)
	c := r.client(t, nil, receipt.Operational)
	for _, method := range []string{"GET", "POST"} {
		if status, raw := r.do(t, c, method, "/v1/claim", []byte("junk")); status != http.StatusConflict ||
			!strings.Contains(string(raw), codeClaimed) {
			t.Errorf("claimed, %s: %d %s", method, status, raw)
		}
	}
}

// TestRevoked: a key that loses its grant loses it on the connection that it has open.
func TestRevoked(t *testing.T) {
	t.Parallel()
	r := open(t, newOwnership(t))
	owner, anna := newKey(t), newKey(t)
	receipt := r.claim(t, owner)
	g := claim.Grant{
		ID: [16]byte{1}, Camera: receipt.ID, Subject: anna.Public().(ed25519.PublicKey), Role: "member", Name: "anna",
	}
	if _, err := r.Grant(g.Sign(owner)); err != nil {
		t.Fatal(err)
	}
	c := r.client(t, anna, receipt.Operational)
	status, raw := r.do(t, c, "POST", "/v1/command", nil)
	if status != http.StatusOK || !strings.Contains(string(raw), "anna") {
		t.Errorf("granted: %d %s", status, raw)
	}
	if err := r.Revoke(g.ID); err != nil {
		t.Fatal(err)
	}
	if status, _ := r.do(t, c, "POST", "/v1/command", nil); status != http.StatusUnauthorized {
		t.Errorf("revoked: %d", status)
	}
}

func TestBadClaims(t *testing.T) {
	t.Parallel()
	r := open(t, newOwnership(t))
	c := r.client(t, nil, r.Hardware().Public())
	thief := newKey(t)
	own := thief.Public().(ed25519.PublicKey)
	wrong := claim.Claim{Challenge: r.Challenge(), Owner: own, Proof: claim.BySecret}.Sign(thief, []byte("guess"))
	stale := claim.Claim{Challenge: claim.Challenge{Hardware: own}, Owner: own, Proof: claim.BySecret}.Sign(thief, nil)
	for name, tt := range map[string]struct {
		body   []byte
		status int
		code   string
	}{
		"nothing":     {nil, http.StatusBadRequest, codeBad},
		"junk":        {[]byte("junk"), http.StatusBadRequest, codeBad},
		"too long":    {make([]byte, claim.MaxSize+1), http.StatusBadRequest, codeBad},
		"wrong proof": {wrong, http.StatusForbidden, codeProof},
		"stale":       {stale, http.StatusConflict, codeStale},
	} {
		status, raw := r.do(t, c, "POST", "/v1/claim", tt.body)
		if status != tt.status || !strings.Contains(string(raw), `"`+tt.code+`"`) {
			t.Errorf("%s: %d %s, want %d %s", name, status, raw, tt.status, tt.code)
		}
	}
	if r.Claimed() {
		t.Error("a bad claim made an owner")
	}
}

// held is a gate whose answers to wrong proofs are held back for an hour.
type held struct{ Gate }

func (held) Penalty() time.Duration { return time.Hour }

// TestHeldBack: a wrong proof has no answer before its time.
func TestHeldBack(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	thief := newKey(t)
	wrong := claim.Claim{
		Challenge: o.Challenge(), Owner: thief.Public().(ed25519.PublicKey), Proof: claim.BySecret,
	}.Sign(thief, []byte("guess"))
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Gate: held{o}, Log: slog.New(slog.DiscardHandler)})
		request, err := http.NewRequestWithContext(t.Context(), "POST", "/v1/claim", bytes.NewReader(wrong))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		d.handler().ServeHTTP(&recorder{header: http.Header{}}, request)
		if took := time.Since(began); took != time.Hour {
			t.Errorf("answered after %v", took)
		}
	})
}

type recorder struct{ header http.Header }

func (r *recorder) Header() http.Header       { return r.header }
func (*recorder) Write(p []byte) (int, error) { return len(p), nil }
func (*recorder) WriteHeader(int)             {}

// TestGuard: connections from one address are bounded, and a place that was given back is taken again.
func TestGuard(t *testing.T) {
	t.Parallel()
	g := newGuarded(nil)
	from := func(ip string) net.Conn { return &stub{address: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}} }
	var open []net.Conn
	admit := func(ip string, want bool) {
		t.Helper()
		c, ok := g.admit(from(ip))
		if ok != want {
			t.Errorf("%s with %d open: admitted %v", ip, len(open), ok)
		}
		if ok {
			open = append(open, c)
		}
	}
	for range maxAddress {
		admit("192.0.2.1", true)
	}
	admit("192.0.2.1", false)
	admit("::ffff:192.0.2.1", false)
	for i := range maxAddress {
		admit("2001:db8::"+string(rune('1'+i)), true)
	}
	admit("2001:db8::ff", false) // the same /64
	admit("2001:db8:0:1::1", true)
	for _, c := range open {
		_ = c.Close()
		_ = c.Close() // gives one place back, not two
	}
	open = nil
	for i := range maxClients {
		admit("192.0.2."+string(rune('1'+i/maxAddress)), true)
	}
	admit("198.51.100.1", false)
	for _, c := range open {
		_ = c.Close()
	}
	g.wait()
}

type stub struct {
	net.Conn
	address net.Addr
}

func (s *stub) RemoteAddr() net.Addr { return s.address }
func (*stub) Close() error           { return nil }

func TestConfig(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		":8443": true, "0.0.0.0:0": true, "[::1]:1": true, Off: true, DefaultConfig().Address: true,
		"": false, "8443": false, "camera:8443": false, ":x": false, ":70000": false,
	} {
		if err := (Config{Address: address}).Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestBundle: a bundle is taken from whoever has a key that counts, however large it is, and no byte of it from anybody
// else.
func TestBundle(t *testing.T) {
	t.Parallel()
	r := open(t, newOwnership(t))
	owner := newKey(t)
	receipt := r.claim(t, owner)
	bundle := make([]byte, 3<<20)
	if status, raw := r.do(t, r.client(t, newKey(t), receipt.Operational), "POST", "/v1/bundle", bundle); status != 401 {
		t.Errorf("a stranger: got %d %s", status, raw)
	}
	status, raw := r.do(t, r.client(t, owner, receipt.Operational), "POST", "/v1/bundle?now", bundle)
	var got struct {
		Bytes int
		Now   bool
		Fault bool
	}
	if err := json.Unmarshal(raw, &got); err != nil || status != 200 || got.Bytes != len(bundle) || !got.Now || got.Fault {
		t.Errorf("the owner: got %d %s, %v", status, raw, err)
	}
}
