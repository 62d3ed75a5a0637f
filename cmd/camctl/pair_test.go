package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/vouch"
)

// standIn is a camera written from docs/provisioning.md alone: it knows the messages, and nothing of the agent's.
type standIn struct {
	*httptest.Server
	hardware, operational ed25519.PrivateKey
	label                 label.Label
	owner                 ed25519.PublicKey
	viewers               int
	look                  func() bool                                       // looks for a code before the lens; nil: it has no lens
	token                 []byte                                            // that a code brought
	proofs                [4]int                                            // claims that were taken, by their proof
	refuse                func(w http.ResponseWriter, r *http.Request) bool // says no by itself
}

func newCamera(t *testing.T) *standIn {
	t.Helper()
	c := &standIn{}
	_, c.hardware, _ = ed25519.GenerateKey(rand.Reader)
	_, c.operational, _ = ed25519.GenerateKey(rand.Reader)
	secret, err := label.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.label = label.Label{Model: "TEST-1", Fingerprint: label.FingerprintOf(c.challenge().Hardware), Secret: secret}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(c.serve))
	c.Listener = tls.NewListener(c.Listener, &tls.Config{
		ClientAuth:     tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.shown() },
	})
	c.Start()
	t.Cleanup(c.Close)
	return c
}

func (c *standIn) shown() (*tls.Certificate, error) {
	key := c.hardware
	if c.owner != nil {
		key = c.operational
	}
	chain, err := vouch.Chain(key)
	return &chain, err
}

func (c *standIn) challenge() claim.Challenge {
	return claim.Challenge{Nonce: [32]byte{1}, Hardware: c.hardware.Public().(ed25519.PublicKey)}
}

func (c *standIn) serve(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	_, _ = body.ReadFrom(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body.Bytes()))
	switch {
	case c.refuse != nil && c.refuse(w, r):
	case r.Method == http.MethodGet:
		_, _ = w.Write(c.challenge().Marshal())
	case r.URL.Path == "/v1/claim":
		m, err := claim.ParseClaim(body.Bytes())
		key, _ := c.label.ClaimKey()
		proof := key[:]
		if err == nil && m.Proof == claim.ByToken {
			if c.look != nil {
				c.look()
			}
			if proof = c.token; proof == nil {
				proof = []byte("none yet")
			}
		}
		if err == nil {
			err = errors.Join(m.Answers(c.challenge()), m.Check(proof))
		}
		if err != nil {
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(map[string]string{"code": "wrong_proof", "text": err.Error()})
			return
		}
		c.owner = m.Owner
		c.proofs[m.Proof]++
		_, _ = w.Write(claim.Receipt{
			Claim: m.Sum(), Hardware: c.challenge().Hardware, ID: [16]byte{5},
			Operational: c.operational.Public().(ed25519.PublicKey),
		}.Sign(c.hardware, c.operational))
	default:
		key, err := vouch.Key(r.TLS.PeerCertificates)
		if err != nil || !key.Equal(c.owner) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.Contains(body.String(), "viewer.add") {
			c.viewers++
		}
		_, _ = w.Write([]byte(`{"code":"ok","result":{"name":"viewer","password":"p","places":["192.0.2.7:8554/main"]}}`))
	}
}

func (c *standIn) text(t *testing.T) string {
	t.Helper()
	s, err := c.label.Text()
	if err != nil {
		t.Fatal(err)
	}
	return s.Reveal()
}

// ctl runs a command line and returns its exit code and what it printed.
func ctl(stdin string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(context.Background(), args, streams{strings.NewReader(stdin), &o, &e})
	return code, o.String(), e.String()
}

func (c *standIn) address() string { return strings.TrimPrefix(c.URL, "http://") }

func TestPair(t *testing.T) {
	t.Parallel()
	c, home := newCamera(t), t.TempDir()
	const url = "watch: rtsp://viewer:p@127.0.0.1:8554/main\n"
	code, out, errs := ctl(c.text(t), "pair", "--home", home, "--label", "-", "--camera", c.address())
	if code != 0 || out != url || !strings.Contains(errs, "backup phrase") || !strings.Contains(errs, "is yours") {
		t.Fatalf("pair: %d %q %q", code, out, errs)
	}
	for _, more := range [][]string{{"--label", c.text(t)}, nil} {
		code, out, errs = ctl("", append([]string{"pair", "--home", home, "--camera", c.address()}, more...)...)
		if code != 0 || out != url {
			t.Errorf("paired already, %v: %d %q %q", more, code, out, errs)
		}
	}
	code, _, errs = ctl("", "pair", "--home", home, "--name", "other", "--camera", c.address())
	if code != exitUsage || !strings.Contains(errs, "give its label") {
		t.Errorf("no label of a camera that is not known: %d %q", code, errs)
	}
	if c.viewers != 1 {
		t.Errorf("%d viewers were made, want one", c.viewers)
	}
	c.owner = nil
	code, out, errs = ctl("", "pair", "--home", home, "--label", c.text(t), "--camera", c.address())
	if code != 0 || out != url || !strings.Contains(errs, "forgot its owner") || c.owner == nil {
		t.Errorf("after a reset: %d %q %q", code, out, errs)
	}
	raw, err := os.ReadFile(filepath.Join(home, "owner.json"))
	if err != nil || bytes.Contains(raw, []byte(c.label.Secret.Printed().Reveal())) {
		t.Errorf("the setup secret is kept: %v", err)
	}
	info, err := os.Stat(filepath.Join(home, "owner.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	code, out, _ = ctl("", "owner", "--home", home)
	if code != 0 || !strings.Contains(out, "camera: TEST-1 "+c.label.Fingerprint.String()) {
		t.Errorf("owner: %d %q", code, out)
	}
}

// TestClaimAnswerLost: a camera took the claim, and its answer is lost on the way.
func TestClaimAnswerLost(t *testing.T) {
	t.Parallel()
	c := newCamera(t)
	var lost atomic.Bool
	c.refuse = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && lost.CompareAndSwap(false, true) {
			c.serve(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		return false
	}
	code, out, errs := ctl("", "pair", "--home", t.TempDir(), "--label", c.text(t), "--camera", c.address())
	if code != 0 || !strings.HasPrefix(out, "watch: ") || c.owner == nil {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

// TestExplain: what keeps a phone from a camera is said so that a person knows what to look at.
func TestExplain(t *testing.T) {
	t.Parallel()
	d := &door{base: "https://192.0.2.7:8443"}
	for says, err := range map[string]error{
		"is the agent running":    syscall.ECONNREFUSED,
		"in the same network":     syscall.EHOSTUNREACH,
		"camera switched on":      context.DeadlineExceeded,
		"camctl discover":         os.ErrDeadlineExceeded,
		"there is no camera here": &net.DNSError{Name: "camera", IsNotFound: true},
		"was the camera reset":    errOther,
	} {
		got := d.explain(&url.Error{Op: "Get", URL: d.base, Err: err})
		var f *fault
		if !errors.As(got, &f) || !strings.Contains(got.Error(), says) {
			t.Errorf("%v: got %q, want %q", err, got, says)
		}
	}
}

// TestPairFails: what goes wrong is said in words, and leaves nobody half an owner.
func TestPairFails(t *testing.T) {
	t.Parallel()
	c, other := newCamera(t), newCamera(t)
	guessed := c.label
	guessed.Secret = other.label.Secret
	guess, err := guessed.Text()
	if err != nil {
		t.Fatal(err)
	}
	damaged := c.text(t)[:20] + "0" + c.text(t)[21:]
	if damaged == c.text(t) {
		damaged = c.text(t)[:20] + "1" + c.text(t)[21:]
	}
	plain := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	website := strings.TrimPrefix(plain.URL, "https://")
	for name, tt := range map[string]struct {
		label, camera string
		code          int
		says          string
	}{
		"another camera's label": {other.text(t), c.address(), exitCredential, "not the camera of this label"},
		"a guessed secret":       {guess.Reveal(), c.address(), exitOther, "wrong proof"},
		"a damaged label":        {damaged, c.address(), exitUsage, "read it again"},
		"no label":               {"WIFI:S:x;;", c.address(), exitUsage, "not a label"},
		"nobody there":           {c.text(t), "127.0.0.1:1", exitUnreachable, "is the agent running"},
		"no such name":           {c.text(t), "camera.invalid:8443", exitUnreachable, "give an address"},
		"no camera":              {c.text(t), website, exitUnreachable, "no Ocellus camera"},
	} {
		home := t.TempDir()
		code, out, errs := ctl("", "pair", "--home", home, "--label", tt.label, "--camera", tt.camera)
		if code != tt.code || out != "" || !strings.Contains(errs, tt.says) {
			t.Errorf("%s: %d %q %q, want %d and %q", name, code, out, errs, tt.code, tt.says)
		}
		if _, h, err := (homeFlag{home}).open(); err != nil || len(h.Cameras) > 0 {
			t.Errorf("%s: %v is kept, %v", name, h.Cameras, err)
		}
	}
	if c.owner != nil {
		t.Error("somebody became the owner")
	}
	c.refuse = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"code":"claimed","text":"the camera has an owner"}`))
		return true
	}
	code, _, errs := ctl("", "pair", "--home", t.TempDir(), "--label", c.text(t), "--camera", c.address())
	if code != exitOther || !strings.Contains(errs, "the camera has an owner") {
		t.Errorf("claimed: %d %q", code, errs)
	}
}

func TestBackupPhrase(t *testing.T) {
	t.Parallel()
	old, next := t.TempDir(), t.TempDir()
	code, _, errs := ctl("", "owner", "phrase", "--home", old)
	if code != exitOther || !strings.Contains(errs, "no owner's key") {
		t.Errorf("no key: %d %q", code, errs)
	}
	file, _, err := homeFlag{old}.open()
	if err != nil {
		t.Fatal(err)
	}
	key, fresh, err := ownerKey(file)
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	var phrase string
	code, phrase, errs = ctl("", "owner", "phrase", "--home", old)
	if n := len(strings.Fields(phrase)); code != 0 || n != seedWords {
		t.Fatalf("phrase: %d, %d words, %q", code, n, errs)
	}
	for name, typed := range map[string]string{
		"as it is": phrase, "in capitals, with many blanks": "  " + strings.ToUpper(strings.ReplaceAll(phrase, " ", "   ")),
	} {
		home := t.TempDir()
		if code, _, errs := ctl(typed, "owner", "restore", "--home", home); code != 0 {
			t.Errorf("%s: %d %q", name, code, errs)
		}
		file, _, _ := homeFlag{home}.open()
		if again, fresh, err := ownerKey(file); err != nil || fresh || !again.Equal(key) {
			t.Errorf("%s: another key: %v %v", name, fresh, err)
		}
	}
	words := strings.Fields(phrase)
	for name, typed := range map[string]string{
		"nothing": "\n", "junk": "a b c", "too few": strings.Join(words[2:], " "),
	} {
		if code, _, errs := ctl(typed, "owner", "restore", "--home", next); code != exitOther || errs == "" {
			t.Errorf("%s: %d %q", name, code, errs)
		}
	}
	file, _, _ = homeFlag{next}.open()
	if _, _, err := ownerKey(file); err != nil {
		t.Fatal(err)
	}
	code, _, errs = ctl(phrase, "owner", "restore", "--home", next)
	if code != exitOther || !strings.Contains(errs, "another owner's key") {
		t.Errorf("over another key: %d %q", code, errs)
	}
}
