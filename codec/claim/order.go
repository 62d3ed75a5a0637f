package claim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math"

	"github.com/ocellus/ocellus/codec/pack"
)

const kindOrder = "order 1"

// Deed is what an order asks for.
type Deed uint8

// The deeds. The numbers are wire format.
const (
	Unbind Deed = 1 // forget me: destroy the keys of all that is kept for me
	GiveTo Deed = 2 // belong to the sender of a claim from now on
)

// Order is an owner's word for what cannot be taken back. A session with his key is not enough for it: he asks for a
// nonce and signs it together with the deed, so that whoever borrows an open session, or replays an old order, gets
// nothing.
type Order struct {
	Nonce  [NonceSize]byte // the camera's, from its answer to the owner who asked
	Camera [IDSize]byte    // its operational identity
	Epoch  uint32          // of the present owner
	Own    [NonceSize]byte // the owner's nonce; an erase receipt repeats it
	Deed   Deed
	Claim  [sha256.Size]byte // GiveTo: Sum of the claim of the next owner; zero otherwise
}

// Sign makes the wire form, signed by the owner.
func (o Order) Sign(owner ed25519.PrivateKey) []byte {
	return pack.Sign(kindOrder, pack.Numbered(uint64(version), o.Nonce[:], o.Camera[:], uint64(o.Epoch), o.Own[:],
		uint64(o.Deed), o.Claim[:]), owner).Marshal()
}

// ParseOrder reads the wire form and checks that the owner signed it: pack.ErrMalformed or ErrSignature. Whether it is
// this camera's, and fresh, is the gate's question.
func ParseOrder(raw []byte, owner ed25519.PublicKey) (Order, error) {
	signed, m, err := pack.ParseSigned(raw, MaxSize, 1)
	if err != nil {
		return Order{}, fmt.Errorf("order: %w", err)
	}
	r := pack.Read(m)
	r.Is(1, version)
	o := Order{
		Nonce: [NonceSize]byte(r.Bytes(2, NonceSize)), Camera: [IDSize]byte(r.Bytes(3, IDSize)),
		Epoch: uint32(r.Uint(4, math.MaxUint32)), Own: [NonceSize]byte(r.Bytes(5, NonceSize)),
		Deed: Deed(r.Uint(6, uint64(GiveTo))), Claim: [sha256.Size]byte(r.Bytes(7, sha256.Size)),
	}
	err = r.Done()
	if err == nil && !signed.Verify(kindOrder, 0, owner) {
		err = ErrSignature
	}
	if err != nil {
		return Order{}, fmt.Errorf("order: %w", err)
	}
	return o, nil
}
