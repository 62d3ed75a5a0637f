// Package broker is an MQTT 3.1.1 broker in the process, for a home without one and for trying things out: TLS on a
// loopback address, with a certificate of its own that is made at each start. It asks for no password: whoever is on
// the machine may connect, and gets nothing by it that a hostile broker would not get (codec/envelope). What a client
// may take is bounded.
package broker

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Off is an address where there is no broker.
const Off = "off"

// Validate reports what is wrong with an address: the broker is for the machine itself.
func Validate(address string) error {
	if address == Off {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	if err != nil || port == "" || ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%.80q: want a loopback address such as 127.0.0.1:8883, or off", address)
	}
	return nil
}

// Broker is the broker. Open is the only door.
type Broker struct {
	addr net.Addr
	in   net.Listener // open for the next Run; nil: Run opens one
	cert tls.Certificate
	root []byte
	log  *slog.Logger
}

// Open opens the port.
func Open(address string, log *slog.Logger) (*Broker, error) {
	if err := Validate(address); err != nil || address == Off {
		return nil, fmt.Errorf("embedded broker: %q: %w", address, errors.Join(err, errors.ErrUnsupported))
	}
	b := &Broker{log: log.With("part", "mqtt")}
	var err error
	if b.cert, b.root, err = certificate(); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	if b.in, err = net.Listen("tcp", address); err != nil {
		return nil, fmt.Errorf("embedded broker: %w; choose another address with control.embedded", err)
	}
	b.addr = b.in.Addr()
	return b, nil
}

// Addr is where it listens.
func (b *Broker) Addr() net.Addr { return b.addr }

// Root is its certificate in PEM, which clients have to trust.
func (b *Broker) Root() []byte { return b.root }

// Run serves until ctx ends.
func (b *Broker) Run(ctx context.Context) (err error) {
	in := b.in
	if b.in = nil; in == nil {
		if in, err = net.Listen("tcp", b.addr.String()); err != nil {
			return fmt.Errorf("embedded broker: %w", err)
		}
	}
	defer in.Close()
	limits := mqtt.NewDefaultServerCapabilities()
	limits.MaximumClients, limits.MaximumPacketSize, limits.MaximumInflight = 64, 600<<10, 64
	limits.MaximumMessageExpiryInterval = int64(time.Hour / time.Second)
	limits.MaximumSessionExpiryInterval = uint32(time.Hour / time.Second)
	s := mqtt.New(&mqtt.Options{Capabilities: limits, Logger: slog.New(slog.DiscardHandler)})
	if err := s.AddHook(new(everybody), nil); err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	secure := &tls.Config{Certificates: []tls.Certificate{b.cert}, MinVersion: tls.VersionTLS12}
	if err := s.AddListener(&door{Listener: in, secure: secure, in: map[net.Conn]struct{}{}}); err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	if err := s.Serve(); err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	b.log.Info("broker", "address", b.addr.String())
	<-ctx.Done()
	return s.Close()
}

// door lets connections in to the library, and ends with all of them gone. The library's own listener counts a
// connection that came in at the very end while the broker already waits for the count, and leaves alone those that
// have not said who they are.
type door struct {
	net.Listener
	secure *tls.Config
	mu     sync.Mutex
	in     map[net.Conn]struct{}
	closed bool
	gone   sync.WaitGroup // of those in; Add under mu while not closed
}

// Init implements listeners.Listener.
func (*door) Init(*slog.Logger) error { return nil }

// ID implements listeners.Listener.
func (*door) ID() string { return "tls" }

// Address implements listeners.Listener.
func (d *door) Address() string { return d.Addr().String() }

// Protocol implements listeners.Listener.
func (d *door) Protocol() string { return d.Addr().Network() }

// Serve implements listeners.Listener.
func (d *door) Serve(establish listeners.EstablishFn) {
	for {
		conn, err := d.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, as a rule
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if !d.enter(conn) {
			_ = conn.Close()
			return
		}
		go func() {
			defer d.leave(conn)
			_ = establish(d.ID(), tls.Server(conn, d.secure)) // why it ended is the client's matter
		}()
	}
}

// enter notes a connection, if the door is not closed.
func (d *door) enter(conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.gone.Add(1)
		d.in[conn] = struct{}{}
	}
	return !d.closed
}

func (d *door) leave(conn net.Conn) {
	_ = conn.Close()
	d.mu.Lock()
	delete(d.in, conn)
	d.mu.Unlock()
	d.gone.Done()
}

// Close implements listeners.Listener. It closes below TLS and before any farewell: nobody who does not read holds it up.
func (d *door) Close(forget listeners.CloseFn) {
	_ = d.Listener.Close()
	d.mu.Lock()
	d.closed = true
	for conn := range d.in {
		_ = conn.Close()
	}
	d.mu.Unlock()
	forget(d.ID())
	d.gone.Wait()
}

// everybody lets everybody in, to everything but the broker's own topics.
type everybody struct{ mqtt.HookBase }

// ID implements mqtt.Hook.
func (*everybody) ID() string { return "everybody" }

// Provides implements mqtt.Hook.
func (*everybody) Provides(what byte) bool {
	return bytes.Contains([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck}, []byte{what})
}

// OnConnectAuthenticate implements mqtt.Hook.
func (*everybody) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnACLCheck implements mqtt.Hook.
func (*everybody) OnACLCheck(_ *mqtt.Client, topic string, _ bool) bool {
	return len(topic) > 0 && topic[0] != '$'
}

// certificate makes a key and a certificate for loopback addresses. A client that was told it again after a restart has
// the one that holds.
func certificate() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "embedded broker"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, NotBefore: time.Unix(0, 0),
		NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // the clock may not be set: RFC 5280 4.1.2.5
		IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
