package control

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ocellus/ocellus/control/broker"
	"github.com/ocellus/ocellus/internal/secret"
)

// Off is a broker that there is none of.
const Off = "off"

// Config is the section control of the configuration.
type Config struct {
	Broker        string              `yaml:"broker"` // mqtts://HOST:PORT, mqtt://ADDRESS:PORT, or off
	Username      string              `yaml:"username"`
	Password      secret.Secret       `yaml:"password"`
	CA            string              `yaml:"ca"`          // PEM; empty: the system's
	Certificate   string              `yaml:"certificate"` // PEM, of the camera; empty: none
	Key           secret.Secret       `yaml:"key"`         // PEM, to the certificate
	KeepAlive     time.Duration       `yaml:"keep_alive"`
	HomeAssistant HomeAssistantConfig `yaml:"home_assistant"`
	Embedded      string              `yaml:"embedded"`     // ADDRESS:PORT of the broker in the process, or off
	TimeServers   string              `yaml:"time_servers"` // with commas between them, or off
}

// HomeAssistantConfig is the bridge, which lets plain messages do a few things.
type HomeAssistantConfig struct {
	Enabled bool   `yaml:"enabled"`
	Prefix  string `yaml:"prefix"` // of Home Assistant's discovery topics
}

// DefaultConfig is what holds where nobody says otherwise.
func DefaultConfig() Config {
	return Config{Broker: Off, KeepAlive: 30 * time.Second, Embedded: broker.Off, TimeServers: Off,
		HomeAssistant: HomeAssistantConfig{Prefix: "homeassistant"}}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var faults []error
	fault := func(key, format string, words ...any) {
		faults = append(faults, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, words...)))
	}
	if _, err := c.server(); err != nil {
		fault("broker", "%v", err)
	}
	if c.KeepAlive < 5*time.Second || c.KeepAlive > time.Hour {
		fault("keep_alive", "%v: want 5s to 1h", c.KeepAlive)
	}
	if _, err := c.roots(); err != nil {
		fault("ca", "%v", err)
	}
	if _, err := c.certificates(); err != nil {
		fault("certificate", "%v", err)
	}
	if p := c.HomeAssistant.Prefix; p == "" || len(p) > 64 || strings.ContainsAny(p, "+#$ ") ||
		strings.ContainsFunc(p, unicode.IsControl) || !utf8.ValidString(p) {
		fault("home_assistant.prefix", "%.80q: want a topic, homeassistant if unsure", p)
	}
	if n := strings.Count(c.TimeServers, ","); c.TimeServers == "" || n > 7 || strings.ContainsAny(c.TimeServers, " \n") {
		fault("time_servers", "%.80q: want up to 8 servers with commas between them, or off", c.TimeServers)
	}
	if err := broker.Validate(c.Embedded); err != nil {
		fault("embedded", "%v", err)
	}
	return errors.Join(faults...)
}

var errBroker = errors.New("want mqtts://HOST:PORT, mqtt://ADDRESS:PORT on a private network, or off")

// server is where the broker is; nil for off.
func (c Config) server() (*url.URL, error) {
	if c.Broker == Off {
		return nil, nil
	}
	u, err := url.Parse(c.Broker)
	if err != nil || u.Hostname() == "" || u.Port() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" ||
		u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%.80q: %w", c.Broker, errBroker)
	}
	switch u.Scheme {
	case "mqtts":
		return u, nil
	case "mqtt":
		if private(u.Hostname()) {
			return u, nil
		}
		return nil, fmt.Errorf("%.80q: without TLS only to a loopback or private address: %w", c.Broker, errBroker)
	}
	return nil, fmt.Errorf("%.80q: %w", c.Broker, errBroker)
}

// private reports whether a host is an address of the home itself: a name could be anybody's.
func private(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast())
}

func (c Config) roots() (*x509.CertPool, error) {
	if c.CA == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(c.CA)) {
		return nil, errors.New("want a certificate in PEM")
	}
	return pool, nil
}

func (c Config) certificates() ([]tls.Certificate, error) {
	if c.Certificate == "" && c.Key == "" {
		return nil, nil
	}
	pair, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key.Reveal()))
	if err != nil {
		return nil, errors.New("want certificate and key in PEM, the one made for the other")
	}
	return []tls.Certificate{pair}, nil
}

// dial connects to the broker, with TLS where it is meant.
func (c Config) dial(u *url.URL, patience time.Duration, now func() time.Time) (net.Conn, error) {
	d := &net.Dialer{Timeout: patience}
	address := net.JoinHostPort(u.Hostname(), u.Port())
	if u.Scheme == "mqtt" {
		return d.Dial("tcp", address)
	}
	pool, err := c.roots()
	if err != nil {
		return nil, err
	}
	pairs, err := c.certificates()
	if err != nil {
		return nil, err
	}
	return tls.DialWithDialer(d, "tcp", address, &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: pairs, ServerName: u.Hostname(), Time: now,
	})
}
