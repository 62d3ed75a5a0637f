// Package web is the LAN door: HTTPS for the phone that claims the camera and for the people to whom its owner gave a
// key. It is TLS 1.3 alone; the camera's certificate chain shows the hardware key, whose fingerprint is on the label,
// while the camera has no owner, and the operational key, which is in the receipt, afterwards (codec/vouch). A client
// shows its own key in the same way.
//
//	GET  /v1/claim     the challenge (codec/claim); 409 claimed once there is an owner
//	POST /v1/claim     a claim; answered by the receipt
//	POST /v1/command   {"command": NAME, "args": {...}} as on the local socket, from a key that the gate knows
//	POST /v1/bundle    a bundle with an update (ota/bundle), from such a key; answered once it is installed. With ?now the
//	                   camera restarts at once, whoever watches
//	POST /v1/envelope  the same, sealed and signed as over a broker (codec/envelope), and so is the reply
//
// Envelopes and the claim's messages are application/msgpack, everything else is JSON: {"code": CODE, "text": WORDS}. A
// stranger learns whether the camera has an owner, which its network can see anyway, and nothing else: whatever he asks for is
// answered by 401, and so is a key that was revoked a moment ago.
package web

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
)

// Bounds of what comes from outside.
const (
	maxHead    = 8 << 10
	maxCommand = 64 << 10
	maxClients = 32 // connections at once
	maxAddress = 8  // of them from one address
	patience   = 10 * time.Second
	idle       = 60 * time.Second
	// longest is for an answer: a command's deadline, and a wrong proof that is held back.
	longest = 90 * time.Second
)

// Gate decides who may do what; *access.Ownership is one.
type Gate interface {
	Claimed() bool
	Challenge() claim.Challenge
	Claim(raw []byte) (receipt []byte, err error)
	Penalty() time.Duration
	ByKey(key ed25519.PublicKey, now time.Time) (access.Identity, error)
}

// Options are what the door needs.
type Options struct {
	Config Config
	Gate   Gate
	// Certificate is what the camera shows at this instant: Chain of the hardware key, or of the operational one.
	Certificate func() (*tls.Certificate, error)
	// Do runs a command, given as it came, on behalf of somebody, and returns the answer as JSON.
	Do func(ctx context.Context, who access.Identity, request []byte) []byte
	// Take installs an update out of a bundle on behalf of somebody, and returns the answer as JSON. Nil: none is taken.
	Take func(ctx context.Context, who access.Identity, bundle io.Reader, now bool) []byte
	// Envelope takes a sealed command of the holder of a key, and returns the sealed reply; nil for none.
	Envelope func(ctx context.Context, key ed25519.PublicKey, raw []byte) (reply []byte, err error)
	Log      *slog.Logger
}

// Door is the LAN door. New and Listen, then Run.
type Door struct {
	Options
	in *guarded // open for the next Run; nil: Run opens one
}

// New makes a door that is not open yet.
func New(o Options) *Door {
	o.Log = o.Log.With("part", "web")
	return &Door{Options: o}
}

// Listen opens the port.
func (d *Door) Listen() error {
	in, err := net.Listen("tcp", d.Config.Address)
	if err != nil {
		return fmt.Errorf("web: %w; choose another address with web.address", err)
	}
	d.in = newGuarded(in)
	return nil
}

// Addr is where it listens; nil before Listen.
func (d *Door) Addr() net.Addr {
	if d.in == nil {
		return nil
	}
	return d.in.Addr()
}

// Run serves until ctx ends.
func (d *Door) Run(ctx context.Context) error {
	if d.in == nil {
		if err := d.Listen(); err != nil {
			return err
		}
	}
	in := d.in
	d.in = nil
	s := &http.Server{
		Handler: d.handler(), ReadHeaderTimeout: patience, ReadTimeout: 2 * patience, WriteTimeout: longest,
		IdleTimeout: idle, MaxHeaderBytes: maxHead, ErrorLog: slog.NewLogLogger(d.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	err := s.Serve(tls.NewListener(in, d.tls()))
	in.wait()
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("web: %w", err)
}

// tls asks for a client's certificate and verifies none: codec/vouch and the gate do.
func (d *Door) tls() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return d.Certificate() },
	}
}
