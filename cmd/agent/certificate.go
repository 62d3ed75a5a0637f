package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/internal/statefile"
)

// certificateName is the file with the certificate and key of RTSPS, sealed: made for an owner, and gone with him.
const certificateName = "rtsps" + sealedSuffix

// certificates are what RTSPS shows. A certificate is read, or made, when the first client needs it: the ports open
// before. Another owner, or none, means another one, so that nobody knows the camera again by it.
type certificates struct {
	place statefile.Place // nil: the camera does not know who it is, and keeps none
	whose func() string   // names the owner's camera; empty for no owner
	log   *slog.Logger

	mu    sync.Mutex // guards the rest
	shown *tls.Certificate
	of    string
}

// certificates are this camera's.
func (a *agent) certificates(log *slog.Logger) *certificates {
	c := &certificates{log: log, whose: func() string {
		if a.owner == nil {
			return ""
		}
		id, _, err := a.owner.Operational()
		if err != nil {
			return ""
		}
		return hex.EncodeToString(id[:])
	}}
	if a.safe != nil {
		c.place = a.safe.sealed(strings.TrimSuffix(certificateName, sealedSuffix))
	}
	return c
}

// tls is the TLS configuration of RTSPS.
func (c *certificates) tls() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.show() },
	}
}

func (c *certificates) show() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	whose := c.whose()
	if c.shown != nil && c.of == whose {
		return c.shown, nil
	}
	shown, err := c.open(whose)
	if err != nil {
		c.log.Error("no certificate, encrypted doors stay shut", "err", err)
		return nil, err
	}
	c.shown, c.of = shown, whose
	return shown, nil
}

// open reads the certificate of a camera, or makes a self-signed one. One that can't be read is replaced: it is worth
// nothing to anybody, and a camera without its door is worth less. Without an owner there is nothing to keep.
func (c *certificates) open(whose string) (*tls.Certificate, error) {
	name := certificateFor(whose)
	kept := whose != "" && c.place != nil
	if kept {
		raw, err := c.place.Load()
		if err == nil {
			var pair tls.Certificate
			if pair, err = tls.X509KeyPair(raw, raw); err == nil && pair.Leaf.Subject.CommonName == name {
				return &pair, nil
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.log.Error("certificate is damaged, making a new one", "err", err)
		}
	}
	raw, err := newCertificate(name)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	if kept {
		if err := c.place.Store(raw); err != nil {
			return nil, err
		}
		c.log.Info("certificate made", "path", c.place)
	}
	pair, err := tls.X509KeyPair(raw, raw)
	return &pair, err
}

// certificateFor is the name in a certificate: it tells owners apart, and nothing about them.
func certificateFor(whose string) string {
	sum := sha256.Sum256([]byte("ocellus rtsps " + whose))
	return "ocellus-" + hex.EncodeToString(sum[:4])
}

// newCertificate makes a P-256 key and a certificate without an end (RFC 5280 4.1.2.5: 99991231235959Z), since a
// camera's clock may be unset: clients pin it.
func newCertificate(name string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // a Buffer takes everything
	_ = pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return out.Bytes(), nil
}
