package trust

import (
	"crypto/ed25519"
	"encoding/hex"

	"github.com/ocellus/ocellus/codec/cjson"
)

// root is a root of trust, read: which keys speak for which role.
type root struct {
	envelope
	consistent bool                         // file names carry versions and hashes
	keys       map[string]ed25519.PublicKey // by key id; nil where it is no Ed25519 key
	roles      map[string]role
}

// role is how many of which keys speak for it.
type role struct {
	keyIDs    []string
	threshold int64
}

// openRoot reads a root. Only what can work is taken: a root with a role that nobody could ever sign for would lock the
// camera out.
func openRoot(data []byte) (root, error) {
	e, err := open(data, rootRole)
	if err != nil {
		return root{}, err
	}
	r := root{envelope: e, roles: map[string]role{}}
	consistent, _ := e.body.Member("consistent_snapshot")
	var told bool
	if r.consistent, told = consistent.Bool(); !told {
		return root{}, refuse(Malformed, "consistent_snapshot: want true or false")
	}
	if r.keys = keys(e.body); len(r.keys) > MaxKeys {
		return root{}, refuse(Malformed, "%d keys, at most %d", len(r.keys), MaxKeys)
	}
	all, _ := e.body.Member("roles")
	for _, name := range []string{rootRole, timestampRole, snapshotRole, targetsRole} {
		m, _ := all.Member(name)
		if r.roles[name], err = r.role(name, m); err != nil {
			return root{}, err
		}
	}
	return r, nil
}

// keys reads the keys of a root by their ids. What is no Ed25519 key is kept without its value: it speaks for nobody,
// and does not keep the others from doing so.
func keys(body cjson.Value) map[string]ed25519.PublicKey {
	list, _ := body.Member("keys")
	all := map[string]ed25519.PublicKey{}
	for _, id := range list.Names() {
		k, _ := list.Member(id)
		kind, _ := text(k, "keytype")
		scheme, _ := text(k, "scheme")
		value, _ := k.Member("keyval")
		digits, _ := text(value, "public")
		key, err := hex.DecodeString(digits)
		if all[id] = nil; kind == "ed25519" && scheme == "ed25519" && err == nil && len(key) == ed25519.PublicKeySize {
			all[id] = key
		}
	}
	return all
}

func (r root) role(name string, v cjson.Value) (role, error) {
	threshold, err := positive(v, "threshold")
	if err != nil {
		return role{}, refuse(Malformed, "role %s: no threshold above 0", name)
	}
	ids, _ := v.Member("keyids")
	if n := len(ids.Items()); n == 0 || n > MaxRoleKeys {
		return role{}, refuse(Malformed, "role %s: %d keys, want 1 to %d", name, n, MaxRoleKeys)
	}
	one := role{threshold: threshold}
	for _, item := range ids.Items() {
		id, _ := item.Text()
		if _, known := r.keys[id]; !known {
			return role{}, refuse(Malformed, "role %s: key %.16q is not in this root", name, id)
		}
		one.keyIDs = append(one.keyIDs, id)
	}
	return one, nil
}

// verify checks that enough keys of a role signed metadata, and returns those keys. A key counts once, however often it
// is listed and under however many ids.
func (r root) verify(name string, e envelope) (signers map[string]bool, err error) {
	message := e.body.AppendCanonical(make([]byte, 0, e.size))
	signers, forged := map[string]bool{}, false
	for _, id := range r.roles[name].keyIDs {
		key, sig := r.keys[id], e.signatures[id]
		if key == nil || sig == nil {
			continue
		}
		if ed25519.Verify(key, message, sig) {
			signers[string(key)] = true
		} else {
			forged = true
		}
	}
	switch want := r.roles[name].threshold; {
	case int64(len(signers)) >= want:
		return signers, nil
	case forged:
		return nil, refuse(BadSignature, "%d good signatures, want %d, and one is no signature of it", len(signers), want)
	default:
		return nil, refuse(Threshold, "%d good signatures, want %d", len(signers), want)
	}
}
