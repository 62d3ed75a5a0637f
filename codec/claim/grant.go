package claim

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/codec/pack"
)

const kindGrant = "grant 1"

// Bounds of a grant.
const (
	MaxName  = 64 // bytes
	MaxScope = 32 // entries, MaxName bytes each
)

// Grant is an owner's word that a key may do something with a camera.
type Grant struct {
	ID      [16]byte // random; by it the owner revokes
	Camera  [IDSize]byte
	Subject ed25519.PublicKey // whose grant it is
	Role    string            // a role of access
	Name    string            // for people: "grandma's phone"
	Scope   []string          // what of the role is meant, actions of access; empty: all of it
	Begins  time.Time         // in whole seconds; zero: at once
	Ends    time.Time         // zero: never
}

// Sign makes the wire form, signed by the owner.
func (g Grant) Sign(owner ed25519.PrivateKey) []byte {
	scope := make([]any, len(g.Scope))
	for i, s := range g.Scope {
		scope[i] = s
	}
	return pack.Sign(kindGrant, pack.Numbered(uint64(version), g.ID[:], g.Camera[:], []byte(g.Subject), g.Role, g.Name,
		scope, seconds(g.Begins), seconds(g.Ends)), owner).Marshal()
}

func seconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.Unix(), 0))
}

func instant(seconds uint64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// ParseGrant reads the wire form and checks that the owner signed it: pack.ErrMalformed or ErrSignature. Whether it is
// this camera's, and holds now, is the gate's question.
func ParseGrant(raw []byte, owner ed25519.PublicKey) (Grant, error) {
	g, err := parseGrant(raw, owner)
	if err != nil {
		return Grant{}, fmt.Errorf("grant: %w", err)
	}
	return g, nil
}

// GrantedCamera is the operational identity of the camera that a grant is for, as the grant says. Its holder, who does
// not know the owner's key, has no way to check it.
func GrantedCamera(raw []byte) (id [IDSize]byte, err error) {
	_, m, err := pack.ParseSigned(raw, 4*MaxSize, 1)
	if err != nil {
		return id, fmt.Errorf("grant: %w", err)
	}
	r := pack.Read(m)
	r.Is(1, version)
	r.Bytes(2, 16)
	id = [IDSize]byte(r.Bytes(3, IDSize))
	return id, r.Known()
}

func parseGrant(raw []byte, owner ed25519.PublicKey) (Grant, error) {
	const maxSeconds = 1<<38 - 1 // the year 10680
	signed, m, err := pack.ParseSigned(raw, 4*MaxSize, 1)
	if err != nil {
		return Grant{}, err
	}
	r := pack.Read(m)
	r.Is(1, version)
	g := Grant{
		ID: [16]byte(r.Bytes(2, 16)), Camera: [IDSize]byte(r.Bytes(3, IDSize)), Subject: r.Bytes(4, KeySize),
		Role: r.Text(5, MaxName), Name: r.Text(6, MaxName),
	}
	for _, item := range r.List(7, MaxScope) {
		action, ok := item.(string)
		if !ok || len(action) > MaxName {
			return Grant{}, fmt.Errorf("%w: scope", pack.ErrMalformed)
		}
		g.Scope = append(g.Scope, action)
	}
	g.Begins, g.Ends = instant(r.Uint(8, maxSeconds)), instant(r.Uint(9, maxSeconds))
	if err := r.Done(); err != nil {
		return Grant{}, err
	}
	if !signed.Verify(kindGrant, 0, owner) {
		return Grant{}, ErrSignature
	}
	return g, nil
}
