// Package vouch lets an Ed25519 key stand for a TLS connection whose client or server can't use such a key itself:
// browsers and phones take P-256 in a handshake, and hardly any takes Ed25519.
//
// A chain has two certificates (RFC 5280): the key's own, self-signed, and in front of it one for a P-256 key that it
// issued. Whoever checks looks at the issuer's key alone, and at its signature on the first certificate. A chain of one
// certificate with an Ed25519 key is as good. Names, times and extensions mean nothing: a camera's clock may be unset,
// and keys are known by claim and label, never by a name.
package vouch

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// MaxCertificates bounds a chain that comes from outside.
const MaxCertificates = 2

// ErrChain: the certificates do not show that an Ed25519 key stands for the connection.
var ErrChain = errors.New("no key stands for this connection")

// Chain makes a P-256 key and the two certificates with which key stands for it.
func Chain(key ed25519.PrivateKey) (tls.Certificate, error) {
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make TLS key: %w", err)
	}
	issuer := template("ocellus key")
	issuer.IsCA, issuer.BasicConstraintsValid, issuer.KeyUsage = true, true, x509.KeyUsageCertSign
	above, err := x509.CreateCertificate(rand.Reader, issuer, issuer, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make TLS certificate: %w", err)
	}
	leaf := template("ocellus")
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	first, err := x509.CreateCertificate(rand.Reader, leaf, issuer, leafKey.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make TLS certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{first, above}, PrivateKey: leafKey}, nil
}

// template has no beginning and no end that a clock could miss (RFC 5280 4.1.2.5), and nothing that tells cameras
// apart.
func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
}

// Key returns the key that stands for a connection, by the certificates of its other side, the first one first. That
// the other side holds the first certificate's key is what the TLS handshake has proved. The error is ErrChain.
func Key(chain []*x509.Certificate) (ed25519.PublicKey, error) {
	if len(chain) == 0 || len(chain) > MaxCertificates {
		return nil, fmt.Errorf("%w: %d certificates", ErrChain, len(chain))
	}
	if key, ok := chain[0].PublicKey.(ed25519.PublicKey); ok {
		return key, nil
	}
	if len(chain) < 2 {
		return nil, fmt.Errorf("%w: one certificate, whose key is not Ed25519", ErrChain)
	}
	key, ok := chain[1].PublicKey.(ed25519.PublicKey)
	if !ok || chain[0].SignatureAlgorithm != x509.PureEd25519 ||
		!ed25519.Verify(key, chain[0].RawTBSCertificate, chain[0].Signature) {
		return nil, fmt.Errorf("%w: the second certificate's key did not sign the first", ErrChain)
	}
	return key, nil
}
