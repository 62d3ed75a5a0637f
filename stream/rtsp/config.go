package rtsp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// off in the place of an address closes a door.
const off = "off"

// Config is the part of the configuration that belongs to the RTSP server. Start from DefaultConfig.
type Config struct {
	// Address is host:port of RTSP; an empty host means every address, port 0 a free port, "off" no RTSP at all.
	Address string `yaml:"address"`
	// TLSAddress is the same for RTSPS.
	TLSAddress string `yaml:"tls_address"`
	// UDPPort is the even port that RTP is sent from; RTCP has the next one. 0 takes a free pair.
	UDPPort int `yaml:"udp_port"`
	// Multicast sets up the groups that are sent to when a client asks for multicast.
	Multicast Multicast `yaml:"multicast"`
	// MaxConnections and MaxConnectionsPerAddress bound the RTSP connections; whoever comes above gets 503.
	MaxConnections           int `yaml:"max_connections"`
	MaxConnectionsPerAddress int `yaml:"max_connections_per_address"`
	// MaxSessions bounds the sessions; SETUP above it gets 453.
	MaxSessions int `yaml:"max_sessions"`
	// SessionBytes is how much may wait for a slow reader before it is dropped forward to the next IDR. Two of the
	// largest IDRs always may.
	SessionBytes int `yaml:"session_bytes"`
	// GOPBytes bounds what is kept of the current GOP for readers that join; a larger GOP is not replayed.
	GOPBytes int `yaml:"gop_bytes"`
}

// Multicast says where multicast goes.
type Multicast struct {
	Enabled bool `yaml:"enabled"`
	// Address is the IPv4 group of the first stream, the next ones follow; "" takes random ones of 239.255.0.0/16.
	Address string `yaml:"address"`
	// Port is the even RTP port of the first stream, the next ones follow in steps of two; 0 takes random ones.
	Port int `yaml:"port"`
	// TTL is how many routers the packets may pass, 1: none.
	TTL int `yaml:"ttl"`
	// Interface names the network interface; "" is the one over which the first client came.
	Interface string `yaml:"interface"`
}

// DefaultConfig returns the configuration of a camera that was told nothing.
func DefaultConfig() Config {
	return Config{
		Address:                  ":8554",
		TLSAddress:               ":8322",
		Multicast:                Multicast{Enabled: true, TTL: 1},
		MaxConnections:           512,
		MaxConnectionsPerAddress: 256,
		MaxSessions:              256,
		SessionBytes:             512 << 10,
		GOPBytes:                 4 << 20,
	}
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	errs := []error{
		checkAddress("address", c.Address),
		checkAddress("tls_address", c.TLSAddress),
		checkPort("udp_port", c.UDPPort),
		c.Multicast.validate(),
	}
	for _, n := range []struct {
		key        string
		value, min int
	}{
		{"max_connections", c.MaxConnections, 1},
		{"max_connections_per_address", c.MaxConnectionsPerAddress, 1},
		{"max_sessions", c.MaxSessions, 1},
		{"session_bytes", c.SessionBytes, 64 << 10},
		{"gop_bytes", c.GOPBytes, 0},
	} {
		if n.value < n.min {
			errs = append(errs, fmt.Errorf("%s: want %d or more, got %d", n.key, n.min, n.value))
		}
	}
	return errors.Join(errs...)
}

func (m Multicast) validate() error {
	errs := []error{checkPort("multicast.port", m.Port)}
	if m.Address != "" {
		if a, err := netip.ParseAddr(m.Address); err != nil || !a.Is4() || !a.IsMulticast() {
			errs = append(errs, fmt.Errorf("multicast.address: want an IPv4 group such as 239.255.1.1, got %q", m.Address))
		}
	}
	if m.Enabled && (m.TTL < 1 || m.TTL > 255) {
		errs = append(errs, fmt.Errorf("multicast.ttl: want 1 to 255, got %d", m.TTL))
	}
	if n := m.Interface; len(n) > 15 || strings.ContainsAny(n, "/: \t\r\n\v\f") { // dev_valid_name(), net/core/dev.c
		errs = append(errs, fmt.Errorf("multicast.interface: want the name of a network interface, got %.40q", n))
	}
	return errors.Join(errs...)
}

func checkAddress(key, address string) error {
	if address == off {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s: want host:port, got %q", key, address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%s: want a port from 0 to 65535, got %q", key, port)
	}
	return nil
}

func checkPort(key string, port int) error {
	if port == 0 || port > 1 && port < 65535 && port%2 == 0 {
		return nil
	}
	return fmt.Errorf("%s: want 0 or an even port, got %d", key, port)
}
