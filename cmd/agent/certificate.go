package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/internal/statefile"
)

// certificateName is the file with the device's own certificate and key, made at the first start.
const certificateName = "rtsps.pem"

// deviceTLS is the TLS configuration of the camera's doors. The certificate is read, or made, when the first client
// needs it: the ports open before.
func deviceTLS(state string, log *slog.Logger) *tls.Config {
	load := sync.OnceValues(func() (*tls.Certificate, error) {
		c, err := deviceCertificate(filepath.Join(state, certificateName), log)
		if err != nil {
			log.Error("no certificate, encrypted doors stay shut", "err", err)
		}
		return c, err
	})
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() },
	}
}

// deviceCertificate reads the certificate, or makes a self-signed one. One that can't be read is replaced: it is worth
// nothing to anybody, and a camera without its door is worth less.
func deviceCertificate(path string, log *slog.Logger) (*tls.Certificate, error) {
	raw, err := statefile.ReadBytes(path)
	if err == nil {
		c, bad := tls.X509KeyPair(raw, raw)
		if bad == nil {
			return &c, nil
		}
		err = fmt.Errorf("read %s: %w", path, bad)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		log.Error("certificate is damaged, making a new one", "err", err)
	}
	if raw, err = newCertificate(); err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	if err := statefile.WriteBytes(path, raw, 0o600); err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(raw, raw)
	log.Info("certificate made", "path", path)
	return &c, err
}

// newCertificate makes a P-256 key and a certificate without an end (RFC 5280 4.1.2.5: 99991231235959Z), since a
// camera's clock may be unset: clients pin it.
func newCertificate() ([]byte, error) {
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
		Subject:      pkix.Name{CommonName: "ocellus-" + strings.ToLower(rand.Text()[:8])},
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

// usableCertificate reports what is wrong with the content of a certificate file.
func usableCertificate(raw []byte) error {
	_, err := tls.X509KeyPair(raw, raw)
	return err
}
