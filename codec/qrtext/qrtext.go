// Package qrtext is the grammar of the QR codes that a person holds before the camera: which network, its password, and
// with our own code who the owner is. docs/provisioning-qr.md has the formats and golden texts.
//
//	WIFI:...      what phones and routers show: the ZXing dialect and the URI of the WPA3 specification 3.0, section 7
//	{"s":...}     Tuya's JSON
//	wlanssid=...  OpenIPC's words
//	OC1:...       ours, sealed to one camera: network, country, owner key, one-time token
//	OCP1:...      one part of a longer text of ours
//
// The first three are plain: they give a network and never an owner. Everything that a code says is hostile until
// proved: sizes are bounded first, a network name is bytes and nothing more, errors never hold a name or a password.
package qrtext

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ocellus/ocellus/internal/secret"
)

// MaxText is the longest text that Parse looks at, in bytes: a QR code of version 40 holds 4296 characters, and no
// network needs a sixth of that.
const MaxText = 700

var (
	// ErrUnknown: no text of a kind that is known here.
	ErrUnknown = errors.New("qr text: not a code for a camera")
	// ErrVersion: ours, of a version that this release does not know.
	ErrVersion = errors.New("qr text: made for a newer release")
	// ErrDamaged: of a known kind, and not well formed.
	ErrDamaged = errors.New("qr text: damaged")
	// ErrRefused: well formed, and a kind of network that we do not join: WEP, or one that asks for a user.
	ErrRefused = errors.New("qr text: refused")
)

// Kind is the format of a text.
type Kind string

// The kinds.
const (
	WiFi    Kind = "wifi"
	Tuya    Kind = "tuya"
	OpenIPC Kind = "openipc"
	Sealed  Kind = "sealed" // Open has the rest
	Part    Kind = "part"   // Parts puts them together
)

// Security is how a network keeps strangers out.
type Security string

// The securities.
const (
	Open Security = "open"
	WPA  Security = "wpa" // WPA2-PSK or WPA3-SAE, whichever the network has
	SAE  Security = "sae" // WPA3 alone
)

// Network is one network to join.
type Network struct {
	SSID       string // 1 to 32 bytes, none of them NUL; not necessarily text
	Password   secret.Secret
	PasswordID string // of SAE, rarely used
	Security   Security
	Hidden     bool
}

// Message is what a text says.
type Message struct {
	Kind Kind
	// Networks of a plain text: one, or two where the text can be read in two ways. The likelier stands first; the other
	// is for the case that the first is not there or refuses the password.
	Networks []Network
}

// Parse reads a text. Of those of our own kinds it says only the kind.
func Parse(text string) (Message, error) {
	if len(text) > MaxText {
		return Message{}, fmt.Errorf("%w: %d bytes, at most %d", ErrUnknown, len(text), MaxText)
	}
	switch {
	case hasFold(text, "WIFI:"):
		return plain(WiFi)(parseWiFi(text[len("WIFI:"):]))
	case strings.HasPrefix(text, "{"):
		return plain(Tuya)(parseTuya(text))
	case strings.HasPrefix(text, "wlanssid=") || strings.HasPrefix(text, "wlanpass="):
		return plain(OpenIPC)(parseOpenIPC(text))
	case strings.HasPrefix(text, sealedPrefix):
		return Message{Kind: Sealed}, nil
	case strings.HasPrefix(text, partPrefix):
		return Message{Kind: Part}, nil
	case newer(text, sealedPrefix), newer(text, partPrefix):
		return Message{}, ErrVersion
	}
	return Message{}, ErrUnknown
}

// newer reports whether a text begins as one of ours with this prefix does, with another version.
func newer(text, prefix string) bool {
	rest, ok := strings.CutPrefix(text, strings.TrimRight(prefix, "0123456789:"))
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	return ok && digits > 0 && strings.HasPrefix(rest[digits:], ":")
}

func hasFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

func plain(kind Kind) func([]Network, error) (Message, error) {
	return func(n []Network, err error) (Message, error) {
		if err != nil {
			return Message{}, fmt.Errorf("%w (%s)", err, kind)
		}
		return Message{Kind: kind, Networks: n}, nil
	}
}

// Check reports what is wrong with a network, without showing any of it.
func (n Network) Check() error {
	if n.SSID == "" || len(n.SSID) > 32 {
		return fmt.Errorf("%w: network name of %d bytes, want 1 to 32", ErrDamaged, len(n.SSID))
	}
	if strings.ContainsRune(n.SSID, 0) {
		return fmt.Errorf("%w: network name with a NUL", ErrDamaged)
	}
	password := n.Password.Reveal()
	if strings.ContainsFunc(password+n.PasswordID, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		return fmt.Errorf("%w: password with a control character", ErrDamaged)
	}
	least, most := 0, 0
	switch n.Security {
	case Open:
	case WPA:
		least, most = 8, 63
		if len(password) == 64 && isHex(password) {
			most = 64 // the key itself
		}
	case SAE:
		least, most = 1, 128
	default:
		return fmt.Errorf("%w: security %q", ErrDamaged, n.Security)
	}
	if len(password) < least || len(password) > most {
		return fmt.Errorf("%w: password of %d bytes, want %d to %d", ErrDamaged, len(password), least, most)
	}
	if len(n.PasswordID) > 128 {
		return fmt.Errorf("%w: password identifier of %d bytes, want at most 128", ErrDamaged, len(n.PasswordID))
	}
	return nil
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
