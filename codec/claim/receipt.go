package claim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"github.com/ocellus/ocellus/codec/pack"
)

// Receipt says that a camera took a claim: it is its owner's now.
type Receipt struct {
	Claim       [sha256.Size]byte // Sum of the claim's wire form, in which both nonces, the owner and the epoch stand
	Hardware    ed25519.PublicKey
	ID          [IDSize]byte // of the operational identity, random
	Operational ed25519.PublicKey
}

// Sign makes the wire form: signed by the hardware key, then by the operational one.
func (r Receipt) Sign(hardware, operational ed25519.PrivateKey) []byte {
	m := pack.Numbered(uint64(version), r.Claim[:], []byte(r.Hardware), r.ID[:], []byte(r.Operational))
	return pack.Sign(kindReceipt, m, hardware, operational).Marshal()
}

// ParseReceipt reads the wire form of the answer to a claim, and checks that both keys signed it and that it is that
// claim's: pack.ErrMalformed, ErrSignature or ErrStale. Whether the hardware key is the one of the label is for the
// caller to know, who has sent its claim to that key.
func ParseReceipt(raw, claim []byte, hardware ed25519.PublicKey) (Receipt, error) {
	r, err := parseReceipt(raw)
	switch {
	case err != nil:
	case r.Claim != Sum(claim) || !r.Hardware.Equal(hardware):
		err = ErrStale
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	return r, nil
}

// ReadReceipt is ParseReceipt for an owner who lost his claim and has his key back: what it proves is that the camera with
// this hardware key has this operational key. Who shows that one now is the camera.
func ReadReceipt(raw []byte) (Receipt, error) {
	r, err := parseReceipt(raw)
	if err != nil {
		return Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	return r, nil
}

func parseReceipt(raw []byte) (Receipt, error) {
	signed, m, err := pack.ParseSigned(raw, MaxSize, 2)
	if err != nil {
		return Receipt{}, err
	}
	f := pack.Read(m)
	f.Is(1, version)
	r := Receipt{
		Claim: [sha256.Size]byte(f.Bytes(2, sha256.Size)), Hardware: f.Bytes(3, KeySize),
		ID: [IDSize]byte(f.Bytes(4, IDSize)), Operational: f.Bytes(5, KeySize),
	}
	if err := f.Done(); err != nil {
		return Receipt{}, err
	}
	if !signed.Verify(kindReceipt, 0, r.Hardware) || !signed.Verify(kindReceipt, 1, r.Operational) {
		return Receipt{}, ErrSignature
	}
	return r, nil
}
