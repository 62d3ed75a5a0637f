package claim

import (
	"crypto/ed25519"
	"fmt"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/pack"
)

// kindUnlock is signed for a camera's serial line and for nothing else.
const kindUnlock = "console unlock 1"

// Riddle is what a camera says on its serial line to whoever wants more than anybody may there. It says which camera
// this is as far as who asks may know: the label's fingerprint while there is no owner, the operational identity,
// which only the owner's people know, while there is one.
type Riddle struct {
	Nonce    [NonceSize]byte    // good for one answer, within a minute
	Hardware *label.Fingerprint // nil while the camera has an owner
	ID       *[IDSize]byte      // nil while it has none
}

// Marshal is the wire form.
func (r Riddle) Marshal() []byte {
	hardware, id := []byte{}, []byte{}
	if r.Hardware != nil {
		hardware = r.Hardware[:]
	}
	if r.ID != nil {
		id = r.ID[:]
	}
	return pack.Numbered(uint64(version), r.Nonce[:], hardware, id).Append(nil)
}

// ParseRiddle reads the wire form.
func ParseRiddle(raw []byte) (Riddle, error) {
	m, err := pack.Parse(raw, MaxSize)
	if err != nil {
		return Riddle{}, fmt.Errorf("riddle: %w", err)
	}
	in := pack.Read(m)
	in.Is(1, version)
	r := Riddle{Nonce: [NonceSize]byte(in.Bytes(2, NonceSize))}
	hardware, id := in.Blob(3, label.FingerprintSize), in.Blob(4, IDSize)
	if err := in.Done(); err != nil {
		return Riddle{}, fmt.Errorf("riddle: %w", err)
	}
	switch {
	case len(hardware) == label.FingerprintSize && len(id) == 0:
		r.Hardware = (*label.Fingerprint)(hardware)
	case len(id) == IDSize && len(hardware) == 0:
		r.ID = (*[IDSize]byte)(id)
	default:
		return Riddle{}, fmt.Errorf("riddle: %w: which camera it is", pack.ErrMalformed)
	}
	return r, nil
}

// Unlock answers a Riddle: the holder of a key wants in, at this camera, now.
type Unlock struct {
	Nonce [NonceSize]byte
	// Hardware is of the camera that is meant, so that no other one can pass the answer on; zero where only its ID is
	// known.
	Hardware label.Fingerprint
	ID       [IDSize]byte      // its operational identity; zero: it has no owner
	Signer   ed25519.PublicKey // who wants in
}

// Sign makes the wire form, with the key of the signer.
func (u Unlock) Sign(signer ed25519.PrivateKey) []byte {
	public := signer.Public().(ed25519.PublicKey)
	return pack.Sign(kindUnlock, pack.Numbered(uint64(version), u.Nonce[:], u.Hardware[:], u.ID[:], []byte(public)),
		signer).Marshal()
}

// ParseUnlock reads the wire form and checks that the signer signed it: pack.ErrMalformed or ErrSignature. Whether it
// answers this camera's riddle, and what the signer may, is the gate's question.
func ParseUnlock(raw []byte) (Unlock, error) {
	signed, m, err := pack.ParseSigned(raw, MaxSize, 1)
	if err != nil {
		return Unlock{}, fmt.Errorf("unlock: %w", err)
	}
	r := pack.Read(m)
	r.Is(1, version)
	u := Unlock{
		Nonce:    [NonceSize]byte(r.Bytes(2, NonceSize)),
		Hardware: label.Fingerprint(r.Bytes(3, label.FingerprintSize)),
		ID:       [IDSize]byte(r.Bytes(4, IDSize)), Signer: r.Bytes(5, KeySize),
	}
	err = r.Done()
	if err == nil && !signed.Verify(kindUnlock, 0, u.Signer) {
		err = ErrSignature
	}
	if err != nil {
		return Unlock{}, fmt.Errorf("unlock: %w", err)
	}
	return u, nil
}
