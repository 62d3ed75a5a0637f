package claim

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/ocellus/ocellus/codec/pack"
)

// What one person gives to another, as a text that fits a message or a QR code: a word that says what it is, a colon,
// and the bytes of the message in base64url without padding (RFC 4648 5).
const (
	wordInvitation = "OCELLUS-INVITATION:"
	wordOffer      = "OCELLUS-OFFER:"
	wordAnswer     = "OCELLUS-ANSWER:"
	// MaxText bounds such a text, in bytes.
	MaxText = 8 * MaxSize
)

// ErrNotText: this is no such text.
var ErrNotText = errors.New("no invitation, offer or answer")

// Invitation is what an owner gives to whom he granted something: where the camera is, by what it is known, and the
// grant. Whoever reads it can do nothing with it but its subject.
type Invitation struct {
	Address     string // of the LAN door, HOST:PORT
	Model       string
	Operational ed25519.PublicKey // what the door shows
	Grant       []byte            // Signed
}

// Offer is what an owner gives to whom he wants to hand the camera over: where it is, and what the next owner's claim
// has to answer.
type Offer struct {
	Address   string
	Model     string
	Challenge Challenge
}

// Text is the text form.
func (i Invitation) Text() string {
	return text(wordInvitation, pack.Numbered(uint64(version), i.Address, i.Model, []byte(i.Operational), i.Grant).Append(nil))
}

// Text is the text form.
func (o Offer) Text() string {
	return text(wordOffer, pack.Numbered(uint64(version), o.Address, o.Model, o.Challenge.Marshal()).Append(nil))
}

// AnswerText is the text form of the claim with which the next owner answers an offer.
func AnswerText(claim []byte) string { return text(wordAnswer, claim) }

func text(word string, message []byte) string {
	return word + base64.RawURLEncoding.EncodeToString(message)
}

// ParseInvitation reads the text form; whose grant it is has to be looked at. ErrNotText, pack.ErrMalformed.
func ParseInvitation(s string) (Invitation, error) {
	r, err := readText(wordInvitation, s)
	if err != nil {
		return Invitation{}, err
	}
	i := Invitation{Address: r.Text(2, MaxName), Model: r.Text(3, MaxName), Operational: r.Bytes(4, KeySize),
		Grant: r.Blob(5, 4*MaxSize)}
	if err := r.Done(); err != nil {
		return Invitation{}, fmt.Errorf("invitation: %w", err)
	}
	return i, nil
}

// ParseOffer reads the text form. ErrNotText, pack.ErrMalformed.
func ParseOffer(s string) (Offer, error) {
	r, err := readText(wordOffer, s)
	if err != nil {
		return Offer{}, err
	}
	o := Offer{Address: r.Text(2, MaxName), Model: r.Text(3, MaxName)}
	challenge := r.Blob(4, MaxSize)
	if err = r.Done(); err == nil {
		o.Challenge, err = ParseChallenge(challenge)
	}
	if err != nil {
		return Offer{}, fmt.Errorf("offer: %w", err)
	}
	return o, nil
}

// ParseAnswer reads the text form of an answer: the claim, which the camera looks at. ErrNotText.
func ParseAnswer(s string) ([]byte, error) { return untext(wordAnswer, s) }

func readText(word, s string) (*pack.Reader, error) {
	raw, err := untext(word, s)
	if err != nil {
		return nil, err
	}
	m, err := pack.Parse(raw, MaxText)
	if err != nil {
		return nil, fmt.Errorf("%s %w", strings.ToLower(word), err)
	}
	r := pack.Read(m)
	r.Is(1, version)
	return r, nil
}

func untext(word, s string) ([]byte, error) {
	if len(s) > MaxText {
		return nil, fmt.Errorf("%w: %d characters", ErrNotText, len(s))
	}
	body, ok := strings.CutPrefix(strings.TrimSpace(s), word)
	if !ok || strings.ContainsAny(body, "\r\n") { // the decoder would skip them
		return nil, ErrNotText
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not whole", ErrNotText)
	}
	return raw, nil
}
