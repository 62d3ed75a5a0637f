// Package label is what the label of a camera says, and every key that is derived from it. Claim, SmartConfig and the
// QR code for the lens derive from here and nowhere else.
//
// The label is one line in capitals, so that QR's alphanumeric mode packs it (version 4 at level M):
//
//	OCELLUS:L1:MODEL:FINGERPRINT:SECRET:CHECK
//
//	L1           label, version 1
//	MODEL        1 to 16 of A-Z 0-9 -
//	FINGERPRINT  32 characters: the first 160 bits of SHA-256 of the hardware key (Ed25519, 32 bytes)
//	SECRET       16 characters: the setup secret, 80 random bits. A person may type them; they are printed in fours
//	CHECK        4 characters: the first 20 bits of SHA-256 of all that stands before the last colon
//
// Characters carry 5 bits each in Crockford's base 32: no I, L, O, U, so that print cannot be misread.
//
// The keys, each useless for finding another or the secret:
//
//	ESP-Touch v2 AES key  the 16 printed characters as they stand (the stock Espressif app asks for 16 characters)
//	seal key              HKDF-SHA256(secret, salt fingerprint, info "ocellus label 1 seal"), AES-256-GCM: the QR code
//	claim key             HKDF-SHA256(secret, salt fingerprint, info "ocellus label 1 claim"), HMAC-SHA256: the claim
//
// A label for Wi-Fi Easy Connect is a QR code of its own, since its scanners want a text that begins with "DPP:" and
// has lower-case letters. Parse tells it apart.
package label

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ocellus/ocellus/internal/secret"
)

// Sizes in bytes, and of their printed forms in characters.
const (
	SecretSize      = 10
	SecretChars     = 16
	FingerprintSize = 20
	KeySize         = 32
	MaxModel        = 16
	MaxText         = 512 // a DPP URI may be handed to Parse, too
)

const (
	prefix      = "OCELLUS:"
	version     = "L1"
	checkChars  = 4
	fingerChars = 32
)

// Infos of the key schedule (RFC 5869). They are part of the format.
const (
	infoSeal  = "ocellus label 1 seal"
	infoClaim = "ocellus label 1 claim"
)

var (
	// ErrNotLabel: the text is no label of ours.
	ErrNotLabel = errors.New("label: not a label of this kind")
	// ErrVersion: a label of a version that this release does not know.
	ErrVersion = errors.New("label: unknown version")
	// ErrDamaged: it begins like a label and is misread or mistyped.
	ErrDamaged = errors.New("label: damaged")
	// ErrDPP: this is the Wi-Fi Easy Connect code; the camera's own stands beside it.
	ErrDPP = errors.New("label: this is the code for Wi-Fi Easy Connect")
)

// crockford is base 32 without letters that look like others. It is made once and never changes.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// Fingerprint names a hardware key.
type Fingerprint [FingerprintSize]byte

// FingerprintOf returns the fingerprint of a hardware key.
func FingerprintOf(key ed25519.PublicKey) (f Fingerprint) {
	sum := sha256.Sum256(key)
	copy(f[:], sum[:])
	return f
}

// String returns the printed form.
func (f Fingerprint) String() string { return crockford.EncodeToString(f[:]) }

// Secret is a setup secret in its printed form: 16 characters, 80 bits. It does not print itself.
type Secret struct{ printed secret.Secret }

// NewSecret draws one from a source of random bytes (crypto/rand.Reader).
func NewSecret(random io.Reader) (Secret, error) {
	var b [SecretSize]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return Secret{}, fmt.Errorf("draw setup secret: %w", err)
	}
	return Secret{secret.Secret(crockford.EncodeToString(b[:]))}, nil
}

// ParseSecret takes what a person typed: small letters, blanks and hyphens are as good, and so is O for 0, I or L for
// 1.
func ParseSecret(typed string) (Secret, error) {
	if len(typed) > 4*SecretChars {
		return Secret{}, fmt.Errorf("%w: setup secret of %d characters, want %d", ErrDamaged, len(typed), SecretChars)
	}
	s := strings.NewReplacer(" ", "", "-", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(typed))
	if b, err := crockford.DecodeString(s); err != nil || len(b) != SecretSize || len(s) != SecretChars {
		return Secret{}, fmt.Errorf("%w: setup secret, want %d characters", ErrDamaged, SecretChars)
	}
	return Secret{secret.Secret(s)}, nil
}

// Printed returns the 16 characters, which are also the AES key of ESP-Touch v2.
func (s Secret) Printed() secret.Secret { return s.printed }

// Format prints a mask (fmt.Formatter): a field that is not exported would be printed as it is.
func (s Secret) Format(f fmt.State, verb rune) { s.printed.Format(f, verb) }

// Empty reports whether there is none.
func (s Secret) Empty() bool { return s.printed == "" }

// Label is what a label says.
type Label struct {
	Model       string
	Fingerprint Fingerprint
	Secret      Secret
}

// Text returns the text of the QR code.
func (l Label) Text() (secret.Secret, error) {
	if !goodModel(l.Model) {
		return "", fmt.Errorf("label: model %q, want 1 to %d of A-Z 0-9 -", l.Model, MaxModel)
	}
	if l.Secret.Empty() {
		return "", errors.New("label: no setup secret")
	}
	body := prefix + version + ":" + l.Model + ":" + l.Fingerprint.String() + ":" + l.Secret.printed.Reveal()
	return secret.Secret(body + ":" + check(body)), nil
}

// Parse reads the text of a label's QR code. The error is ErrNotLabel, ErrDPP, ErrVersion or ErrDamaged; it never holds
// the text.
func Parse(text string) (Label, error) {
	switch {
	case len(text) > MaxText:
		return Label{}, fmt.Errorf("%w: %d characters", ErrNotLabel, len(text))
	case len(text) >= 4 && strings.EqualFold(text[:4], "DPP:"):
		return Label{}, ErrDPP
	case !strings.HasPrefix(text, prefix+"L"):
		return Label{}, ErrNotLabel
	}
	field := strings.Split(text[len(prefix):], ":")
	if field[0] != version {
		return Label{}, fmt.Errorf("%w %.4q, this release knows %s", ErrVersion, field[0], version)
	}
	if len(field) != 5 || check(text[:strings.LastIndexByte(text, ':')]) != field[4] {
		return Label{}, fmt.Errorf("%w: the check does not fit: read it again", ErrDamaged)
	}
	l := Label{Model: field[1]}
	print, err := crockford.DecodeString(field[2])
	if err != nil || len(print) != FingerprintSize || len(field[2]) != fingerChars || !goodModel(l.Model) {
		return Label{}, fmt.Errorf("%w: model or fingerprint", ErrDamaged)
	}
	copy(l.Fingerprint[:], print)
	if l.Secret, err = ParseSecret(field[3]); err != nil || l.Secret.printed.Reveal() != field[3] {
		return Label{}, fmt.Errorf("%w: setup secret", ErrDamaged)
	}
	return l, nil
}

func goodModel(s string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
	return s != "" && len(s) <= MaxModel && strings.Trim(s, letters) == "" &&
		!strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(letters, r) })
}

func check(body string) string {
	sum := sha256.Sum256([]byte(body))
	return crockford.EncodeToString(sum[:])[:checkChars]
}

// SealKey returns the key under which a QR code for this camera's lens is sealed (AES-256-GCM).
func (l Label) SealKey() ([KeySize]byte, error) { return l.derive(infoSeal) }

// ClaimKey returns the key of the proof that somebody has read the label (HMAC-SHA256).
func (l Label) ClaimKey() ([KeySize]byte, error) { return l.derive(infoClaim) }

// derive runs HKDF-SHA256 over the secret's ten bytes.
func (l Label) derive(info string) (key [KeySize]byte, err error) {
	b, err := crockford.DecodeString(l.Secret.printed.Reveal())
	if err != nil || len(b) != SecretSize {
		return key, errors.New("label: no setup secret to derive from")
	}
	k, err := hkdf.Key(sha256.New, b, l.Fingerprint[:], info, KeySize)
	if err != nil {
		return key, fmt.Errorf("label: derive: %w", err)
	}
	copy(key[:], k)
	return key, nil
}
