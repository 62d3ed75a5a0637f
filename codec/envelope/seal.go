package envelope

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Sealing is HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305; the info is
// "ocellus " KIND 1 TOPIC, the additional data are empty. The recipient's X25519 key is that of its Ed25519 key
// (RFC 7748 4.1: the same curve in other coordinates), so that who knows whose signature to expect knows whom to seal
// to, and a grant names one key. ADR 13 says why that is sound.

// block is what a sealed message is padded to.
const block = 256

// Opener opens what was sealed to a key. NewOpener is the only door.
type Opener struct{ key hpke.PrivateKey }

// NewOpener makes one of an Ed25519 key (RFC 8032 5.1.5: the scalar is the first half of the SHA-512 of the seed).
func NewOpener(key ed25519.PrivateKey) (*Opener, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("opener: a key of %d bytes", len(key))
	}
	h := sha512.Sum512(key.Seed())
	scalar, err := ecdh.X25519().NewPrivateKey(h[:32])
	if err != nil {
		return nil, fmt.Errorf("opener: %w", err)
	}
	k, err := hpke.NewDHKEMPrivateKey(scalar)
	if err != nil {
		return nil, fmt.Errorf("opener: %w", err)
	}
	return &Opener{k}, nil
}

// open returns the message without its padding, or ErrSealed.
func (o *Opener) open(kind string, sealed []byte) ([]byte, error) {
	padded, err := hpke.Open(o.key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info(kind), sealed)
	if err != nil {
		return nil, ErrSealed
	}
	return unpad(padded)
}

// sealTo seals a message to the holder of an Ed25519 key.
func sealTo(to ed25519.PublicKey, kind string, message []byte) ([]byte, error) {
	x, err := montgomery(to)
	if err != nil {
		return nil, err
	}
	k, err := hpke.NewDHKEMPublicKey(x)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return hpke.Seal(k, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info(kind), pad(message))
}

func info(kind string) []byte { return []byte("ocellus " + kind) }

// pad puts 0x80 and zeros behind a message, up to a multiple of block (ISO/IEC 7816-4).
func pad(message []byte) []byte {
	size := (len(message)/block + 1) * block
	padded := make([]byte, size)
	copy(padded, message)
	padded[len(message)] = 0x80
	return padded
}

func unpad(padded []byte) ([]byte, error) {
	for i := len(padded) - 1; i >= max(0, len(padded)-block); i-- {
		if padded[i] == 0x80 {
			return padded[:i], nil
		}
		if padded[i] != 0 {
			break
		}
	}
	return nil, ErrSealed
}

var errPoint = errors.New("seal: the key is no point of the curve")

// montgomery turns an Ed25519 public key into the X25519 key of the same point: u = (1+y)/(1-y), RFC 7748 4.1. Nothing
// here is secret, so it need not take the same time for every key.
func montgomery(key ed25519.PublicKey) (*ecdh.PublicKey, error) {
	if len(key) != ed25519.PublicKeySize {
		return nil, errPoint
	}
	one := big.NewInt(1)
	p := new(big.Int).Lsh(one, 255)
	p.Sub(p, big.NewInt(19))
	little := slices.Clone([]byte(key))
	little[31] &= 0x7f // the sign of x
	slices.Reverse(little)
	y := new(big.Int).SetBytes(little)
	below := new(big.Int).Sub(one, y)
	inverse := new(big.Int).ModInverse(below.Mod(below, p), p)
	if y.Cmp(p) >= 0 || inverse == nil {
		return nil, errPoint
	}
	u := y.Add(y, one)
	u.Mul(u, inverse).Mod(u, p)
	out := u.FillBytes(make([]byte, 32))
	slices.Reverse(out)
	return ecdh.X25519().NewPublicKey(out)
}
