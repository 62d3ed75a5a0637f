package smartconfig

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/internal/secret"
)

// Protocol is a language of lengths. The values are bits, so that a set of them is a sum.
type Protocol uint8

// Protocols.
const (
	ESPTouch2      Protocol = 1 << iota // version 2, encrypted with the key
	ESPTouch2Plain                      // version 2 without encryption
	ESPTouch1
	AirKiss
	TuyaEZ
)

// Legacy returns the protocols that anybody in radio range can read.
func Legacy() Protocol { return ESPTouch2Plain | ESPTouch1 | AirKiss | TuyaEZ }

// String names the protocols of a set.
func (p Protocol) String() string {
	var names []string
	for i, name := range []string{"ESP-Touch v2", "ESP-Touch v2 plain", "ESP-Touch v1", "AirKiss", "Tuya EZ"} {
		if p>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// KeySize is the length of the AES key in bytes: the 16 printed characters of the label.
const KeySize = 16

// Limits of what can be told, in bytes.
const (
	MaxSSID     = 32
	MaxPassword = 64 // 63 characters or 64 hex digits of a WPA key
	MaxReserved = 64
)

// Options say what a receiver listens for.
type Options struct {
	Key secret.Secret // of ESPTouch2: KeySize bytes. Empty: ESPTouch2 is off
	// Also are protocols of Legacy that are on beside it. None is by default: whoever is in radio range reads them.
	Also Protocol
	// Networks are those of a scan. They help with senders that leave the SSID out, and with the BSSID hint.
	Networks []Network
}

// Network is one access point of a scan.
type Network struct {
	SSID    []byte
	BSSID   dot11.Addr
	Channel int
	Signal  int // dBm
}

// Credentials are what a sender told. Nothing in them is proven.
type Credentials struct {
	Protocol Protocol
	SSID     []byte // 1 to 32 bytes, any but NUL
	Password secret.Secret
	// BSSID is the sender's hint at its access point; zero if it gave none. It may be of a band that the camera
	// doesn't have: join by name.
	BSSID    dot11.Addr
	Heard    dot11.Addr    // the access point over which it was heard
	Phone    netip.Addr    // as an ESP-Touch v1 sender gives it; invalid of the others
	Reserved secret.Secret // ESP-Touch v2: reserved data; Tuya EZ: region, token and secret
	Mark     uint8         // what the ACK returns: the port mark of ESP-Touch v2, the random byte of AirKiss
}

// errCredentials: they hold what no network can have.
var errCredentials = errors.New("smartconfig: no valid credentials")

// check refuses what no network can have. Every sender and every decoder passes it.
func (c *Credentials) check() error {
	switch {
	case len(c.SSID) == 0 || len(c.SSID) > MaxSSID:
		return fmt.Errorf("%w: SSID of %d bytes, want 1 to %d", errCredentials, len(c.SSID), MaxSSID)
	case len(c.Password) > MaxPassword:
		return fmt.Errorf("%w: password of %d bytes, want at most %d", errCredentials, len(c.Password), MaxPassword)
	case len(c.Reserved) > MaxReserved:
		return fmt.Errorf("%w: reserved data of %d bytes, want at most %d", errCredentials, len(c.Reserved), MaxReserved)
	case bytes.IndexByte(c.SSID, 0) >= 0 || strings.IndexByte(c.Password.Reveal(), 0) >= 0:
		return fmt.Errorf("%w: NUL in SSID or password", errCredentials)
	}
	return nil
}

// crc8 is CRC-8/MAXIM (polynomial 0x31 reflected, no start value): all four protocols use it.
func crc8(data ...byte) byte {
	var crc byte
	for _, b := range data {
		crc = crc8Byte(crc ^ b)
	}
	return crc
}

// crc8Byte is the CRC of one byte, bit by bit: no table, since a byte costs nothing beside a frame.
func crc8Byte(b byte) byte {
	for range 8 {
		b = b>>1 ^ 0x8c&-(b&1)
	}
	return b
}
