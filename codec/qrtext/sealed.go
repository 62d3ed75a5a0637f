package qrtext

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"fmt"
	"io"
	"strings"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/internal/secret"
)

// Our own code: "OC1:" and, in base 45 (RFC 9285, the characters of QR's alphanumeric mode), nonce (12 bytes),
// ciphertext and tag (16) of AES-256-GCM under the label's seal key, with "OC1:" as additional data. The plaintext:
//
//	 0  flags: bit 0 hidden, bits 1-2 security (0 WPA, 1 SAE, 2 open); the others 0
//	 1  country, two capital letters (ISO 3166-1), or two zeros
//	 3  owner key (Ed25519)
//	35  one-time token
//	51  length of the name, name, length of the password, password
//	    zeros up to a multiple of 24 bytes, so that the code's size says little about the password
const (
	sealedPrefix = "OC1:"
	nonceSize    = 12
	tagSize      = 16
	fixedSize    = 51
	bucket       = 24
	flagsHidden  = 1
)

// Token is a one-time token. It prints as a mask.
type Token [16]byte

// Format prints a mask (fmt.Formatter).
func (Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, secret.Mask) }

// MarshalText returns a mask.
func (Token) MarshalText() ([]byte, error) { return []byte(secret.Mask), nil }

// Setup is what our own code says.
type Setup struct {
	Network Network
	Country string // two letters, or none
	Owner   ed25519.PublicKey
	Token   Token
}

// String shows nothing of it.
func (Setup) String() string { return secret.Mask }

// securities in the order of the format's numbers.
func securities() [3]Security { return [3]Security{WPA, SAE, Open} }

// Seal makes the text of a QR code that only the camera with this label can read. random gives the nonce
// (crypto/rand.Reader): the same key never seals two texts with the same one.
func Seal(random io.Reader, l label.Label, s Setup) (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	aead, err := sealer(l)
	if err != nil {
		return "", err
	}
	out := make([]byte, nonceSize, 256)
	if _, err := io.ReadFull(random, out); err != nil {
		return "", fmt.Errorf("qr text: nonce: %w", err)
	}
	return sealedPrefix + encode45(aead.Seal(out, out, s.plaintext(), []byte(sealedPrefix))), nil
}

// OpenSealed reads a text that was sealed to the camera with this label. ErrVersion is a newer format; ErrDamaged is
// all else: a code that is for another camera cannot be told from one that somebody changed.
func OpenSealed(l label.Label, text string) (Setup, error) {
	body, ok := strings.CutPrefix(text, sealedPrefix)
	switch {
	case !ok && newer(text, sealedPrefix):
		return Setup{}, ErrVersion
	case !ok || len(text) > MaxText:
		return Setup{}, ErrUnknown
	}
	b, err := decode45(body)
	if err != nil {
		return Setup{}, err
	}
	if len(b) < nonceSize+tagSize {
		return Setup{}, fmt.Errorf("%w: %d bytes", ErrDamaged, len(b))
	}
	aead, err := sealer(l)
	if err != nil {
		return Setup{}, err
	}
	plaintext, err := aead.Open(nil, b[:nonceSize], b[nonceSize:], []byte(sealedPrefix))
	if err != nil {
		return Setup{}, fmt.Errorf("%w: not sealed for this camera", ErrDamaged)
	}
	return parseSetup(plaintext)
}

func sealer(l label.Label) (cipher.AEAD, error) {
	key, err := l.SealKey()
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("qr text: %w", err)
	}
	return cipher.NewGCM(block)
}

func (s Setup) check() error {
	if err := s.Network.Check(); err != nil {
		return err
	}
	if len(s.Owner) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: owner key of %d bytes, want %d", ErrDamaged, len(s.Owner), ed25519.PublicKeySize)
	}
	if s.Country != "" && !goodCountry(s.Country) {
		return fmt.Errorf("%w: country, want two capital letters", ErrDamaged)
	}
	if s.Network.PasswordID != "" {
		return fmt.Errorf("%w: this code has no room for a password identifier", ErrRefused)
	}
	return nil
}

func goodCountry(c string) bool {
	return len(c) == 2 && c[0] >= 'A' && c[0] <= 'Z' && c[1] >= 'A' && c[1] <= 'Z'
}

func (s Setup) plaintext() []byte {
	flags := byte(0)
	if s.Network.Hidden {
		flags |= flagsHidden
	}
	for i, k := range securities() {
		if k == s.Network.Security {
			flags |= byte(i) << 1
		}
	}
	country := s.Country
	if country == "" {
		country = "\x00\x00"
	}
	password := s.Network.Password.Reveal()
	var b bytes.Buffer
	b.WriteByte(flags)
	b.WriteString(country)
	b.Write(s.Owner)
	b.Write(s.Token[:])
	b.WriteByte(byte(len(s.Network.SSID)))
	b.WriteString(s.Network.SSID)
	b.WriteByte(byte(len(password)))
	b.WriteString(password)
	b.Write(make([]byte, (bucket-b.Len()%bucket)%bucket))
	return b.Bytes()
}

// parseSetup reads a plaintext. Whoever sealed it has the label; it is checked all the same.
func parseSetup(b []byte) (Setup, error) {
	damaged := fmt.Errorf("%w: sealed text", ErrDamaged)
	if len(b) < fixedSize || len(b)%bucket != 0 || b[0]&^7 != 0 || int(b[0]>>1) >= len(securities()) {
		return Setup{}, damaged
	}
	s := Setup{Owner: ed25519.PublicKey(bytes.Clone(b[3:35]))}
	copy(s.Token[:], b[35:fixedSize])
	s.Network.Hidden = b[0]&flagsHidden != 0
	s.Network.Security = securities()[b[0]>>1]
	if b[1] != 0 || b[2] != 0 {
		s.Country = string(b[1:3])
	}
	ssid, rest, ok1 := field(b[fixedSize:])
	password, rest, ok2 := field(rest)
	if !ok1 || !ok2 || len(bytes.Trim(rest, "\x00")) > 0 || len(rest) >= bucket {
		return Setup{}, damaged
	}
	s.Network.SSID, s.Network.Password = string(ssid), secret.Secret(password)
	return s, s.check()
}

// field takes a byte of length and so many bytes.
func field(b []byte) (value, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return nil, nil, false
	}
	return b[1 : 1+b[0]], b[1+b[0]:], true
}
