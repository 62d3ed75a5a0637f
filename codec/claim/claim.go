// Package claim is the messages by which a camera gets an owner, whatever carries them: the LAN door, a serial line.
//
//	camera -> phone   Challenge   who I am, a nonce of mine, how often I was reset
//	phone -> camera   Claim       who I am, a nonce of mine, yours; signed by the owner's key, and a proof that I hold
//	                              the label's setup secret or the one-time token of a sealed code
//	camera -> phone   Receipt     both nonces, the operational identity that I made for you; signed by the hardware key
//	                              and by the operational one
//
// Each side has signed both nonces, so nothing of it can be used twice or elsewhere; the proof is a MAC over the same
// bytes, so a secret that is right for one owner's claim is no use for another's. The messages need no secret channel:
// who listens learns public keys and nothing else.
//
// The same Claim again, because its Receipt was lost, has the same Receipt for an answer.
//
// Keys: the hardware key and the setup secret are the label's and survive a factory reset. The operational identity is
// made at each claim and destroyed at the reset, so that nothing links one owner's camera to the next one's.
//
// The bytes are those of codec/pack, pinned by golden vectors.
package claim

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"github.com/ocellus/ocellus/codec/pack"
)

// Sizes in bytes.
const (
	NonceSize = 32
	KeySize   = ed25519.PublicKeySize
	IDSize    = 16   // of an operational identity
	MaxSize   = 1024 // of any message
)

const version = 1

// The kinds of what is signed (codec/pack, Signed).
const (
	kindClaim   = "claim 1"
	kindReceipt = "claim receipt 1"
	kindProof   = "claim proof 1"
)

// Errors that callers branch on.
var (
	// ErrStale: the message answers another challenge, an earlier reset, or another camera.
	ErrStale = errors.New("stale claim")
	// ErrProof: the proof is not right; what was shown is not what the label, the token or the old owner says.
	ErrProof = errors.New("wrong proof")
	// ErrSignature: a signature is not its key's.
	ErrSignature = errors.New("wrong signature")
)

// Proof says what makes a Claim good.
type Proof uint8

// The proofs. The numbers are wire format.
const (
	BySecret Proof = 1 // the label's setup secret: its claim key
	ByToken  Proof = 2 // the one-time token that came with the network, bound to the owner's key there
	ByOwner  Proof = 3 // the present owner's signed command carries the claim (a hand-over); the MAC's key is empty
)

// Challenge is what a camera says to whoever wants to claim it.
type Challenge struct {
	Nonce    [NonceSize]byte
	Hardware ed25519.PublicKey
	Epoch    uint32 // how often this camera was reset
}

// Marshal is the wire form.
func (c Challenge) Marshal() []byte {
	return pack.Numbered(uint64(version), c.Nonce[:], []byte(c.Hardware), uint64(c.Epoch)).Append(nil)
}

// ParseChallenge reads the wire form.
func ParseChallenge(raw []byte) (Challenge, error) {
	m, err := pack.Parse(raw, MaxSize)
	if err != nil {
		return Challenge{}, fmt.Errorf("challenge: %w", err)
	}
	r := pack.Read(m)
	r.Is(1, version)
	c := readChallenge(r)
	if err := r.Done(); err != nil {
		return Challenge{}, fmt.Errorf("challenge: %w", err)
	}
	return c, nil
}

func readChallenge(r *pack.Reader) Challenge {
	return Challenge{
		Nonce: [NonceSize]byte(r.Bytes(2, NonceSize)), Hardware: r.Bytes(3, KeySize),
		Epoch: uint32(r.Uint(4, math.MaxUint32)),
	}
}

// Claim is what a phone says to a camera that it wants to own.
type Claim struct {
	Challenge                 // that it answers
	Own       [NonceSize]byte // the phone's nonce
	Owner     ed25519.PublicKey
	Proof     Proof
}

// Sign makes the wire form: signed by the owner, with the proof made by key, which is the claim key of the label or the
// token.
func (c Claim) Sign(owner ed25519.PrivateKey, key []byte) []byte {
	signed := pack.Sign(kindClaim, pack.Numbered(uint64(version), c.Nonce[:], []byte(c.Hardware), uint64(c.Epoch),
		c.Own[:], []byte(c.Owner), uint64(c.Proof)), owner)
	return pack.Numbered(signed.Marshal(), proofOf(key, signed.Bytes)).Append(nil)
}

func proofOf(key, message []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(pack.SignedBytes(kindProof, message))
	return mac.Sum(nil)
}

// Received is a Claim as it came, its signature verified and its proof not yet.
type Received struct {
	Claim
	raw     []byte
	message []byte
	proof   []byte
}

// ParseClaim reads the wire form and checks that the owner signed it: pack.ErrMalformed or ErrSignature.
func ParseClaim(raw []byte) (*Received, error) {
	c, err := parseClaim(raw)
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	return c, nil
}

func parseClaim(raw []byte) (*Received, error) {
	outer, err := pack.Parse(raw, MaxSize)
	if err != nil {
		return nil, err
	}
	o := pack.Read(outer)
	inner, proof := o.Blob(1, MaxSize), o.Bytes(2, sha256.Size)
	if err := o.Done(); err != nil {
		return nil, err
	}
	signed, m, err := pack.ParseSigned(inner, MaxSize, 1)
	if err != nil {
		return nil, err
	}
	r := pack.Read(m)
	r.Is(1, version)
	c := &Received{raw: bytes.Clone(raw), message: signed.Bytes, proof: proof}
	c.Challenge = readChallenge(r)
	c.Own, c.Owner = [NonceSize]byte(r.Bytes(5, NonceSize)), r.Bytes(6, KeySize)
	c.Proof = Proof(r.Uint(7, uint64(ByOwner)))
	if err := r.Done(); err != nil {
		return nil, err
	}
	if !signed.Verify(kindClaim, 0, c.Owner) {
		return nil, ErrSignature
	}
	return c, nil
}

// Answers reports by ErrStale when the claim does not answer this challenge.
func (c *Received) Answers(to Challenge) error {
	if c.Nonce != to.Nonce || !c.Hardware.Equal(to.Hardware) || c.Epoch != to.Epoch {
		return fmt.Errorf("claim: %w", ErrStale)
	}
	return nil
}

// Check reports by ErrProof when the proof was not made with this key. It takes the same time for every wrong proof.
func (c *Received) Check(key []byte) error {
	if !hmac.Equal(proofOf(key, c.message), c.proof) {
		return fmt.Errorf("claim: %w", ErrProof)
	}
	return nil
}

// Sum identifies the claim, byte for byte.
func (c *Received) Sum() [sha256.Size]byte { return sha256.Sum256(c.raw) }

// Sum identifies a claim by its wire form, as Receipt.Claim does.
func Sum(raw []byte) [sha256.Size]byte { return sha256.Sum256(raw) }
