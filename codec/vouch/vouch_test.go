package vouch

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
)

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func chain(t *testing.T, key ed25519.PrivateKey) []*x509.Certificate {
	t.Helper()
	c, err := Chain(key)
	if err != nil {
		t.Fatal(err)
	}
	var list []*x509.Certificate
	for _, der := range c.Certificate {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, one)
	}
	return list
}

func TestKey(t *testing.T) {
	t.Parallel()
	key, thief := newKey(t), newKey(t)
	mine, theirs := chain(t, key), chain(t, thief)
	if got, err := Key(mine); err != nil || !got.Equal(key.Public()) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := Key(mine[1:]); err != nil || !got.Equal(key.Public()) {
		t.Errorf("one certificate: got %v, %v", got, err)
	}
	forged := *mine[0]
	forged.RawTBSCertificate = append([]byte{0}, forged.RawTBSCertificate...)
	for name, c := range map[string][]*x509.Certificate{
		"none":              nil,
		"the first alone":   mine[:1],
		"another's name":    {theirs[0], mine[1]},
		"no Ed25519 issuer": {mine[0], mine[0]},
		"three":             {mine[0], mine[1], theirs[1]},
		"changed":           {&forged, mine[1]},
	} {
		if _, err := Key(c); !errors.Is(err, ErrChain) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSignedByAnother: a P-256 key that signs in the issuer's place does not pass for it.
func TestSignedByAnother(t *testing.T) {
	t.Parallel()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template("a"), template("b"), other.Public(), other)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Key([]*x509.Certificate{leaf, chain(t, newKey(t))[1]}); !errors.Is(err, ErrChain) {
		t.Errorf("got %v", err)
	}
}

// TestHandshake: both sides of a real TLS 1.3 connection learn the key of the other.
func TestHandshake(t *testing.T) {
	t.Parallel()
	server, client := newKey(t), newKey(t)
	a, b := net.Pipe()
	defer a.Close()
	config := func(key ed25519.PrivateKey) *tls.Config {
		c, err := Chain(key)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c}, ClientAuth: tls.RequestClientCert,
			InsecureSkipVerify: true, // Key is what verifies
		}
	}
	done := make(chan error, 1)
	in := tls.Server(b, config(server))
	go func() { done <- in.HandshakeContext(t.Context()) }()
	out := tls.Client(a, config(client))
	if err := errors.Join(out.HandshakeContext(t.Context()), <-done); err != nil {
		t.Fatal(err)
	}
	for name, side := range map[string]struct {
		conn *tls.Conn
		want ed25519.PrivateKey
	}{"client": {out, server}, "server": {in, client}} {
		if got, err := Key(side.conn.ConnectionState().PeerCertificates); err != nil || !got.Equal(side.want.Public()) {
			t.Errorf("what the %s sees: %v, %v", name, got, err)
		}
	}
}
