package provision

import (
	"errors"
	"fmt"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

// Carrier is the way on which an offer came.
type Carrier string

// The carriers.
const (
	ByLens        Carrier = "lens"
	ByAir         Carrier = "smartconfig"
	ByEasyConnect Carrier = "easy_connect" // Wi-Fi Easy Connect
	ByOwner       Carrier = "owner"        // his word, through a door that knows his key
)

// Offer is a network that somebody wants the camera to join, and perhaps who will own it.
type Offer struct {
	By Carrier
	// Networks: one, or two readings of a code that can be read in two ways, the likelier one first.
	Networks []qrtext.Network
	Country  string // ISO 3166-1 alpha-2; empty: the camera's own
	// Owner may claim the camera with Token; nil: the code said nothing of it.
	Owner *label.Fingerprint
	Token [access.TokenSize]byte

	told *smartconfig.Credentials // by air: what the ACK answers
}

// OfferOf makes an offer of one network.
func OfferOf(by Carrier, n qrtext.Network, country string) (Offer, error) {
	o := Offer{By: by, Networks: []qrtext.Network{n}, Country: country}
	return o, o.check()
}

// check says what keeps a radio from joining any network of an offer, and shows neither name nor password.
func (o Offer) check() error {
	if len(o.Networks) == 0 {
		return fmt.Errorf("%w: no network", qrtext.ErrDamaged)
	}
	for _, n := range o.Networks {
		if err := n.Check(); err != nil {
			return err
		}
		if n.PasswordID != "" {
			return fmt.Errorf("%w: a network with a password identifier", qrtext.ErrRefused)
		}
		if err := stored(n, "").credentials().Check(); err != nil {
			return fmt.Errorf("%w: %w", qrtext.ErrRefused, err)
		}
	}
	return nil
}

var (
	errOtherCamera = errors.New("code of another camera")
	errPart        = errors.New("part of a longer code")
)

// reader makes offers of the codes that are held before the lens. It is for one goroutine.
type reader struct {
	label label.Label
	parts qrtext.Parts
}

// read makes an offer of a code's text. errPart: the rest is still to come.
func (r *reader) read(text string) (Offer, error) {
	m, err := qrtext.Parse(text)
	if err != nil {
		return Offer{}, err
	}
	if m.Kind == qrtext.Part {
		whole, complete, err := r.parts.Add(text)
		switch {
		case err != nil:
			return Offer{}, err
		case !complete:
			return Offer{}, errPart
		}
		if m, err = qrtext.Parse(whole); err != nil {
			return Offer{}, err
		}
		text = whole
	}
	switch m.Kind {
	case qrtext.Sealed:
		return r.open(text)
	case qrtext.Part: // of parts
		return Offer{}, fmt.Errorf("%w: a part of parts", qrtext.ErrDamaged)
	}
	o := Offer{By: ByLens, Networks: m.Networks}
	return o, o.check()
}

// open opens a code of ours. One that is sealed for another camera can't be told from a damaged one.
func (r *reader) open(text string) (Offer, error) {
	s, err := qrtext.OpenSealed(r.label, text)
	if errors.Is(err, qrtext.ErrDamaged) {
		return Offer{}, fmt.Errorf("%w: %w", errOtherCamera, err)
	}
	if err != nil {
		return Offer{}, err
	}
	owner := label.FingerprintOf(s.Owner)
	o := Offer{By: ByLens, Networks: []qrtext.Network{s.Network}, Country: s.Country, Owner: &owner, Token: s.Token}
	return o, o.check()
}

// heard makes an offer of what a phone told by the lengths of its packets. Only what was told under the label's key may
// say who will claim the camera.
func heard(c *smartconfig.Credentials) (Offer, error) {
	n := qrtext.Network{SSID: string(c.SSID), Password: c.Password, Security: qrtext.WPA}
	if c.Password == "" {
		n.Security = qrtext.Open
	}
	o, err := OfferOf(ByAir, n, "")
	if err != nil {
		return o, err
	}
	o.told = c
	if who, ok := smartconfig.ParseClaimant(c.Reserved); ok && c.Protocol == smartconfig.ESPTouch2 {
		owner := label.Fingerprint(who.Owner)
		o.Owner, o.Token = &owner, who.Token
	}
	return o, nil
}

// network is a network as it is stored. Fields are only added.
type network struct {
	SSID     []byte          `json:"ssid"`
	Password []byte          `json:"password,omitempty"`
	Security qrtext.Security `json:"security"`
	Hidden   bool            `json:"hidden,omitempty"`
	Country  string          `json:"country,omitempty"`
}

func stored(n qrtext.Network, country string) *network {
	return &network{[]byte(n.SSID), []byte(n.Password.Reveal()), n.Security, n.Hidden, country}
}

func (n *network) equal(o *network) bool {
	return n != nil && o != nil && string(n.SSID) == string(o.SSID) && string(n.Password) == string(o.Password) &&
		n.Security == o.Security && n.Hidden == o.Hidden && n.Country == o.Country
}

// credentials are what the radio joins by. A password never goes to a network without one: whoever puts up an open
// network of the same name gets nothing.
func (n *network) credentials() hal.Credentials {
	c := hal.Credentials{SSID: hal.SSID(n.SSID), Passphrase: hal.Passphrase(n.Password), Hidden: n.Hidden}
	switch n.Security {
	case qrtext.Open:
		c.Security, c.Passphrase = hal.SecurityOpen, ""
	case qrtext.SAE:
		c.Security = hal.SecurityWPA3
	default:
		c.Security = hal.SecurityTransition
	}
	return c
}
