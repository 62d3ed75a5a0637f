package hal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Why a network could not be joined. Drivers wrap them, with the event that decided: "join HomeNet: wrong password:
// 4-way handshake failed twice".
var (
	ErrNoNetwork = errors.New("no such network")           // not on any channel that this radio may use
	ErrPassword  = errors.New("wrong password")            // the handshake failed, or the access point refused the key
	ErrNoAddress = errors.New("no address")                // joined, and no DHCP server answered
	ErrNoGateway = errors.New("gateway does not answer")   // an address, and nobody behind it
	ErrRefused   = errors.New("access point refused us")   // it is full, or filters by station
	ErrSecurity  = errors.New("security does not match")   // the network asks for what this radio or these credentials lack
	ErrCountry   = errors.New("no such regulatory domain") // the country code is unknown to the kernel
)

// SSID is the name of a network: 1 to 32 bytes of any value, not text (IEEE 802.11-2020, 9.4.2.2). %q prints it safely.
type SSID string

// Passphrase is a WPA passphrase of 8 to 63 printable characters, a raw key of 64 hexadecimal digits, or empty for an
// open network. It never prints.
type Passphrase string

// Format prints the mask, whatever the verb.
func (Passphrase) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// MarshalText gives the mask, so that no encoder writes it by accident.
func (Passphrase) MarshalText() ([]byte, error) { return []byte("***"), nil }

// Security is how a network lets stations in.
type Security string

// The kinds of security. A network in transition mode is WPA2 or WPA3 at the station's choice.
const (
	SecurityAny        Security = "" // in Credentials: whatever the network offers, the best first
	SecurityOpen       Security = "open"
	SecurityWPA2       Security = "wpa2"
	SecurityWPA3       Security = "wpa3"
	SecurityTransition Security = "wpa2+wpa3"

	// Seen by a scan and never joined.
	SecurityWEP        Security = "wep"
	SecurityWPA1       Security = "wpa1"       // WPA of the first kind, or WPA2 with its cipher alone (TKIP)
	SecurityOWE        Security = "owe"        // encrypted without a password (RFC 8110)
	SecurityEnterprise Security = "enterprise" // each user has a name (802.1X)
	SecurityOther      Security = "other"
)

// SecurityError is ErrSecurity of a radio that knows what the network has.
type SecurityError struct{ Network Security }

func (e *SecurityError) Error() string {
	return fmt.Sprintf("%v: the network has %s", ErrSecurity, e.Network)
}

// Is makes it an ErrSecurity.
func (e *SecurityError) Is(target error) bool { return target == ErrSecurity }

// Network is an access point as a scan saw it.
type Network struct {
	SSID      SSID // "" where the access point hides it
	BSSID     [6]byte
	Frequency int // MHz
	Signal    int // dBm
	Security  Security
}

// Credentials are what a radio needs to join a network.
type Credentials struct {
	SSID       SSID
	Passphrase Passphrase
	Security   Security
	Hidden     bool // the access point does not say its name: ask for it
}

// Check says what is wrong with credentials that no network can have: an SSID of 0 or more than 32 bytes or with a NUL
// (which the standard allows, and half the world's software cuts names at), a passphrase of another length or with
// other characters than IEEE 802.11-2020 J.4.1 allows, or security that the passphrase does not suit.
func (c Credentials) Check() error {
	switch n := len(c.Passphrase); {
	case len(c.SSID) < 1 || len(c.SSID) > 32:
		return fmt.Errorf("SSID of %d bytes, want 1 to 32", len(c.SSID))
	case strings.Contains(string(c.SSID), "\x00"):
		return errors.New("SSID with a NUL")
	case (n == 0) != (c.Security == SecurityOpen) && c.Security != SecurityAny:
		return fmt.Errorf("passphrase of %d characters for security %q", n, c.Security)
	case !slices.Contains([]Security{SecurityAny, SecurityOpen, SecurityWPA2, SecurityWPA3, SecurityTransition}, c.Security):
		return fmt.Errorf("security %q is never joined", c.Security)
	case n == 0, c.Passphrase.Raw():
		return nil
	case n < 8 || n > 63:
		return fmt.Errorf("passphrase of %d characters, want 8 to 63, or 64 hexadecimal digits", n)
	case strings.ContainsFunc(string(c.Passphrase), func(r rune) bool { return r < ' ' || r > '~' }):
		return errors.New("passphrase with other than printable ASCII characters")
	}
	return nil
}

// Raw reports whether p is a raw key. Only WPA2 takes one: WPA3 derives nothing from it.
func (p Passphrase) Raw() bool {
	_, err := hex.DecodeString(string(p))
	return len(p) == 64 && err == nil
}

// Suit reports whether a radio that has these credentials joins a network of this security. It never joins an open one
// if it has a passphrase: anybody can raise one under the same name.
func (c Credentials) Suit(network Security) bool {
	var all []Security
	switch {
	case c.Passphrase == "" && c.Security == SecurityAny:
		return network == SecurityOpen
	case c.Security == SecurityAny, c.Security == SecurityTransition:
		all = []Security{SecurityWPA2, SecurityWPA3, SecurityTransition}
	case c.Security == SecurityOpen:
		all = []Security{SecurityOpen}
	default:
		all = []Security{c.Security, SecurityTransition}
	}
	if c.Passphrase.Raw() && (network == SecurityWPA3 || c.Security == SecurityWPA3) {
		return false
	}
	return slices.Contains(all, network)
}

// Link is how a radio stands. The zero value is "not associated".
type Link struct {
	Network              // of the access point that it is associated with
	Address netip.Prefix // its own; invalid while there is none
	Gateway netip.Addr   // invalid while there is none
}

// Radio is the board's Wi-Fi station.
//
// Law (haltest.Radio): nothing is sent before Country was called: until then Scan and Join are ErrCountry. Join refuses
// credentials that fail their Check and changes nothing; else it leaves the network that was joined before; it
// returns the link once there is an address and the gateway answers (a network may name none: then Link.Gateway is
// invalid), or one of the errors above, at the latest when ctx ends (with the likely reason and ctx.Err()), and then
// the radio is associated with nothing. first, where not nil, is told the likely reason of a
// failure as soon as there is one sign of it, before Join is sure; it is not told twice. Join does not remember: after
// a power cut the radio is associated with nothing. A radio that lost its network goes on looking for it until Leave
// or the next Join; a driver may need Link for that, which whoever stays in a network calls every few seconds. Scan works
// while joined. Calls from several goroutines wait for one another; Close ends them with ErrClosed.
type Radio interface {
	Country(ctx context.Context, code string) error // ISO 3166-1 alpha-2; "00" is the world domain
	Scan(ctx context.Context) ([]Network, error)    // strongest first
	Join(ctx context.Context, c Credentials, first func(error)) (Link, error)
	Leave(ctx context.Context) error
	Link(ctx context.Context) (Link, error)
	Close() error
}

// EasyConnect is a radio that a phone gives a network to by Wi-Fi Easy Connect (Wi-Fi Alliance, DPP version 2): the
// phone has scanned the code on the label, in which the public half of a key stands, and encrypts the network for it.
//
// Law (haltest.EasyConnect): Enroll listens on a channel of 2.4 GHz until a phone that knows the key (P-256, DER of SEC 1,
// RFC 5915) has given a network, or ctx ends. It joins nothing. It is ErrCountry and ErrBusy as Join is, and ErrBusy
// while the radio is in a network; ErrUnsupported where the radio can't, and for another channel; ErrSecurity if the
// phone gave a network that asks for more than a passphrase. begun, where not nil, is told that a phone that knows the
// key has begun, so that it can be given the second or two that it needs.
type EasyConnect interface {
	Enroll(ctx context.Context, key []byte, channel int, begun func()) (Credentials, error)
}

// Monitor hears every frame on a channel, whoever it is for. Not every radio can: see Devices.
//
// Law (haltest.Monitor): the station of the same radio is not associated while an Air is open: Start is ErrBusy until
// the radio has left its network, and so are Scan, Join and another Start until Air.Close. Start tunes to the channel;
// Tune changes it, and after it Next returns nothing of the channel before. A channel that is none of Channels is
// ErrUnsupported. Packets come in the order in which they were heard; too slow a reader loses some.
type Monitor interface {
	Channels(ctx context.Context) ([]int, error) // IEEE 802.11 channel numbers of 2.4 GHz that the domain allows
	Start(ctx context.Context, channel int) (Air, error)
}

// Air is an open Monitor.
type Air interface {
	Tune(ctx context.Context, channel int) error
	// Next waits for the next packet. Its bytes are lent until the next call.
	Next(ctx context.Context) (Packet, error)
	Close() error
}

// Packet is one frame as a monitor captured it: a radiotap header and the start of an IEEE 802.11 frame
// (codec/dot11 reads both).
type Packet struct {
	At     time.Duration // monotonic clock
	Bytes  []byte
	Length int // of the packet before it was cut, radiotap header included, in bytes
}
