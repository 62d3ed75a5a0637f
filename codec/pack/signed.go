package pack

import (
	"crypto/ed25519"
	"fmt"
)

// Signed is a message with the signatures of those who stand for it, in the order that its kind defines. On the wire it
// is a map itself: 1 is the message's bytes, 2 the list of signatures. A signature is Ed25519 (RFC 8032) over
//
//	"ocellus " KIND 00 BYTES
//
// so that what was signed as one kind can never be taken for another, and nobody has to encode anything again to check.
type Signed struct {
	Bytes      []byte
	Signatures [][]byte
}

// Sign signs a message of this kind with each key in turn.
func Sign(kind string, m Map, keys ...ed25519.PrivateKey) Signed {
	s := Signed{Bytes: m.Append(nil)}
	for _, key := range keys {
		s.Signatures = append(s.Signatures, ed25519.Sign(key, SignedBytes(kind, s.Bytes)))
	}
	return s
}

// SignedBytes is what a signature of a message of this kind covers.
func SignedBytes(kind string, message []byte) []byte {
	b := make([]byte, 0, len("ocellus ")+len(kind)+1+len(message))
	b = append(append(append(b, "ocellus "...), kind...), 0)
	return append(b, message...)
}

// Verify reports whether the signature at index i is the key's.
func (s Signed) Verify(kind string, i int, key ed25519.PublicKey) bool {
	return i < len(s.Signatures) && len(key) == ed25519.PublicKeySize &&
		ed25519.Verify(key, SignedBytes(kind, s.Bytes), s.Signatures[i])
}

// Marshal is the wire form.
func (s Signed) Marshal() []byte {
	list := make([]any, len(s.Signatures))
	for i, one := range s.Signatures {
		list[i] = one
	}
	return Numbered(s.Bytes, list).Append(nil)
}

// ParseSigned reads the wire form of at most max bytes with this many signatures, and the message in it. Nothing is
// verified yet: whose signatures they must be often stands in the message.
func ParseSigned(raw []byte, max, signatures int) (Signed, Map, error) {
	outer, err := Parse(raw, max)
	if err != nil {
		return Signed{}, nil, err
	}
	r := Read(outer)
	s := Signed{Bytes: r.Blob(1, max)}
	list := r.List(2, signatures)
	if err := r.Done(); err != nil {
		return Signed{}, nil, err
	}
	if len(list) != signatures {
		return Signed{}, nil, fmt.Errorf("%w: %d signatures, want %d", ErrMalformed, len(list), signatures)
	}
	for _, item := range list {
		one, ok := item.([]byte)
		if !ok || len(one) != ed25519.SignatureSize {
			return Signed{}, nil, fmt.Errorf("%w: a signature that is none", ErrMalformed)
		}
		s.Signatures = append(s.Signatures, one)
	}
	m, err := Parse(s.Bytes, max)
	return s, m, err
}
