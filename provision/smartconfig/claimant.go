package smartconfig

import (
	"encoding/base32"
	"strings"

	"github.com/ocellus/ocellus/internal/secret"
)

// Claimant is what our own sender tells beside the network, in the reserved data of ESP-Touch v2 under the label's key:
// who will claim the camera, and with which one-time token. It is 60 characters of Crockford's base 32: a version byte
// 1, the token, and the first 160 bits of SHA-256 of the owner's key.
//
// AES-CBC without a MAC can be bent: whoever does can spoil a token or name another owner, and learns no token.
type Claimant struct {
	Token [16]byte
	Owner [20]byte
}

const (
	claimantVersion = 1
	claimantSize    = 1 + 16 + 20
	claimantChars   = 60
)

func crockford() *base32.Encoding {
	return base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)
}

// Text returns the reserved data.
func (c Claimant) Text() secret.Secret {
	b := append([]byte{claimantVersion}, c.Token[:]...)
	return secret.Secret(crockford().EncodeToString(append(b, c.Owner[:]...)))
}

// ParseClaimant reads reserved data; false where it is anybody else's.
func ParseClaimant(reserved secret.Secret) (c Claimant, ok bool) {
	text := reserved.Reveal()
	if len(text) != claimantChars || strings.ContainsAny(text, "\r\n") { // which base32 would skip
		return c, false
	}
	b, err := crockford().DecodeString(text)
	if err != nil || len(b) != claimantSize || b[0] != claimantVersion {
		return c, false
	}
	copy(c.Token[:], b[1:])
	copy(c.Owner[:], b[17:])
	return c, c.Text() == reserved // the last character has bits of nothing
}
