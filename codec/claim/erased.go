package claim

import (
	"crypto/ed25519"
	"fmt"
	"math"

	"github.com/ocellus/ocellus/codec/pack"
)

const kindErased = "erase receipt 1"

// Erased says that a camera destroyed the keys of what it kept for its owner, and with them the operational identity
// that signs this for the last time.
type Erased struct {
	ID          [IDSize]byte // the operational identity that is gone
	Operational ed25519.PublicKey
	Hardware    ed25519.PublicKey
	Epoch       uint32          // after the reset
	Request     [NonceSize]byte // a nonce of who asked; zero where nobody could (a button)
}

// Sign makes the wire form: signed by the hardware key, then by the operational one.
func (e Erased) Sign(hardware, operational ed25519.PrivateKey) []byte {
	return pack.Sign(kindErased, pack.Numbered(uint64(version), e.ID[:], []byte(e.Operational), []byte(e.Hardware),
		uint64(e.Epoch), e.Request[:]), hardware, operational).Marshal()
}

// ParseErased reads the wire form and checks that these keys, which the owner knows from the Receipt, signed it.
func ParseErased(raw []byte, hardware, operational ed25519.PublicKey) (Erased, error) {
	signed, m, err := pack.ParseSigned(raw, MaxSize, 2)
	if err != nil {
		return Erased{}, fmt.Errorf("erase receipt: %w", err)
	}
	r := pack.Read(m)
	r.Is(1, version)
	e := Erased{
		ID: [IDSize]byte(r.Bytes(2, IDSize)), Operational: r.Bytes(3, KeySize), Hardware: r.Bytes(4, KeySize),
		Epoch: uint32(r.Uint(5, math.MaxUint32)), Request: [NonceSize]byte(r.Bytes(6, NonceSize)),
	}
	err = r.Done()
	if err == nil && !(signed.Verify(kindErased, 0, hardware) && signed.Verify(kindErased, 1, operational) &&
		hardware.Equal(e.Hardware) && operational.Equal(e.Operational)) {
		err = ErrSignature
	}
	if err != nil {
		return Erased{}, fmt.Errorf("erase receipt: %w", err)
	}
	return e, nil
}
