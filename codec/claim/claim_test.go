package claim

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/pack"
)

// key is a key for tests, the same at each run.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("ocellus test key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

var claimKey = []byte("0123456789abcdef0123456789abcdef")

func nonce(b byte) (n [NonceSize]byte) {
	for i := range n {
		n[i] = b
	}
	return n
}

func challenge() Challenge {
	return Challenge{Nonce: nonce(1), Hardware: public(key("hardware")), Epoch: 3}
}

func aClaim() Claim {
	return Claim{Challenge: challenge(), Own: nonce(2), Owner: public(key("owner")), Proof: BySecret}
}

func signedClaim() []byte { return aClaim().Sign(key("owner"), claimKey) }

func aReceipt() Receipt {
	return Receipt{Claim: Sum(signedClaim()), Hardware: public(key("hardware")), ID: [16]byte{1, 2, 3},
		Operational: public(key("operational"))}
}

func aGrant() Grant {
	return Grant{
		ID: [16]byte{9}, Camera: [16]byte{1, 2, 3}, Subject: public(key("grandma")), Role: "viewer", Name: "Großmutter",
		Scope: []string{"watch"}, Begins: time.Unix(1_800_000_000, 0).UTC(), Ends: time.Unix(1_900_000_000, 0).UTC(),
	}
}

func anErased() Erased {
	return Erased{
		ID: [16]byte{1, 2, 3}, Operational: public(key("operational")), Hardware: public(key("hardware")), Epoch: 4,
		Request: nonce(5),
	}
}

func anOrder() Order {
	return Order{Nonce: nonce(6), Camera: [16]byte{1, 2, 3}, Epoch: 3, Own: nonce(5), Deed: GiveTo, Claim: Sum(signedClaim())}
}

func aRiddle() Riddle { return Riddle{Nonce: nonce(7), ID: &[16]byte{1, 2, 3}} }

func anUnlock() Unlock {
	return Unlock{Nonce: nonce(7), Hardware: label.FingerprintOf(public(key("hardware"))), ID: [16]byte{1, 2, 3},
		Signer: public(key("owner"))}
}

// TestGolden pins the wire form of every message: cameras and phones that are out there speak it.
func TestGolden(t *testing.T) {
	t.Parallel()
	messages := map[string][]byte{
		"challenge": challenge().Marshal(),
		"claim":     signedClaim(),
		"receipt":   aReceipt().Sign(key("hardware"), key("operational")),
		"grant":     aGrant().Sign(key("owner")),
		"erased":    anErased().Sign(key("hardware"), key("operational")),
		"order":     anOrder().Sign(key("owner")),
		"riddle":    aRiddle().Marshal(),
		"unlock":    anUnlock().Sign(key("owner")),
	}
	for name, raw := range messages {
		want, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(raw); got != strings.TrimSpace(string(want)) {
			t.Errorf("%s is written as\n%s", name, got)
		}
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	c, err := ParseClaim(signedClaim())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.Claim, aClaim()) {
		t.Errorf("got %+v, want %+v", c.Claim, aClaim())
	}
	if err := errors.Join(c.Answers(challenge()), c.Check(claimKey)); err != nil {
		t.Error(err)
	}
	if err := c.Check([]byte("another")); !errors.Is(err, ErrProof) {
		t.Errorf("another secret: %v", err)
	}
	for name, change := range map[string]func(*Challenge){
		"another nonce":  func(c *Challenge) { c.Nonce[31] ^= 1 },
		"another reset":  func(c *Challenge) { c.Epoch++ },
		"another camera": func(c *Challenge) { c.Hardware = public(key("clone")) },
	} {
		other := challenge()
		change(&other)
		if err := c.Answers(other); !errors.Is(err, ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProofIsBound: the proof of one owner's claim is worth nothing in another's, even whole.
func TestProofIsBound(t *testing.T) {
	t.Parallel()
	mine, err := pack.Parse(signedClaim(), MaxSize)
	if err != nil {
		t.Fatal(err)
	}
	thief := aClaim()
	thief.Owner = public(key("thief"))
	theirs, err := pack.Parse(thief.Sign(key("thief"), []byte("does not know")), MaxSize)
	if err != nil {
		t.Fatal(err)
	}
	theirs[1].Value = mine[1].Value
	c, err := ParseClaim(theirs.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(claimKey); !errors.Is(err, ErrProof) {
		t.Errorf("a proof that was overheard counts for another owner: %v", err)
	}
	forged := aClaim()
	if _, err := ParseClaim(forged.Sign(key("thief"), claimKey)); !errors.Is(err, ErrSignature) {
		t.Errorf("a claim in another's name: %v", err)
	}
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	raw := aReceipt().Sign(key("hardware"), key("operational"))
	r, err := ParseReceipt(raw, signedClaim(), public(key("hardware")))
	if err != nil || !reflect.DeepEqual(r, aReceipt()) {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := ParseReceipt(raw, []byte("another claim"), public(key("hardware"))); !errors.Is(err, ErrStale) {
		t.Errorf("of another claim: %v", err)
	}
	if _, err := ParseReceipt(raw, signedClaim(), public(key("clone"))); !errors.Is(err, ErrStale) {
		t.Errorf("of another camera: %v", err)
	}
	for _, keys := range [][2]string{{"clone", "operational"}, {"hardware", "clone"}, {"operational", "hardware"}} {
		forged := aReceipt().Sign(key(keys[0]), key(keys[1]))
		if _, err := ParseReceipt(forged, signedClaim(), public(key("hardware"))); !errors.Is(err, ErrSignature) {
			t.Errorf("signed by %v: %v", keys, err)
		}
	}
}

func TestGrant(t *testing.T) {
	t.Parallel()
	got, err := ParseGrant(aGrant().Sign(key("owner")), public(key("owner")))
	if err != nil || !reflect.DeepEqual(got, aGrant()) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := ParseGrant(aGrant().Sign(key("thief")), public(key("owner"))); !errors.Is(err, ErrSignature) {
		t.Errorf("not by the owner: %v", err)
	}
	for name, change := range map[string]func(*Grant){
		"name too long":   func(g *Grant) { g.Name = strings.Repeat("x", MaxName+1) },
		"scope too long":  func(g *Grant) { g.Scope = slices.Repeat([]string{"watch"}, MaxScope+1) },
		"action too long": func(g *Grant) { g.Scope = []string{strings.Repeat("x", MaxName+1)} },
		"end of all time": func(g *Grant) { g.Ends = time.Unix(1<<40, 0) },
	} {
		g := aGrant()
		change(&g)
		if _, err := ParseGrant(g.Sign(key("owner")), public(key("owner"))); !errors.Is(err, pack.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	always := aGrant()
	always.Begins, always.Ends, always.Scope = time.Time{}, time.Time{}, nil
	got, err = ParseGrant(always.Sign(key("owner")), public(key("owner")))
	if err != nil || !reflect.DeepEqual(got, always) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestErased(t *testing.T) {
	t.Parallel()
	raw := anErased().Sign(key("hardware"), key("operational"))
	got, err := ParseErased(raw, public(key("hardware")), public(key("operational")))
	if err != nil || !reflect.DeepEqual(got, anErased()) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, keys := range [][2]string{{"clone", "operational"}, {"hardware", "clone"}} {
		if _, err := ParseErased(raw, public(key(keys[0])), public(key(keys[1]))); !errors.Is(err, ErrSignature) {
			t.Errorf("expected of %v: %v", keys, err)
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	got, err := ParseOrder(anOrder().Sign(key("owner")), public(key("owner")))
	if err != nil || !reflect.DeepEqual(got, anOrder()) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := ParseOrder(anOrder().Sign(key("thief")), public(key("owner"))); !errors.Is(err, ErrSignature) {
		t.Errorf("not by the owner: %v", err)
	}
	later := anOrder()
	later.Deed = GiveTo + 1
	if _, err := ParseOrder(later.Sign(key("owner")), public(key("owner"))); !errors.Is(err, pack.ErrMalformed) {
		t.Errorf("a deed that nobody knows: %v", err)
	}
}

// TestEveryBitCounts: no message survives the change of any of its bits.
func TestEveryBitCounts(t *testing.T) {
	t.Parallel()
	parse := map[string]func([]byte) error{
		"claim": func(raw []byte) error {
			c, err := ParseClaim(raw)
			if err == nil {
				err = c.Check(claimKey)
			}
			return err
		},
		"receipt": func(raw []byte) error {
			_, err := ParseReceipt(raw, signedClaim(), public(key("hardware")))
			return err
		},
		"grant": func(raw []byte) error { _, err := ParseGrant(raw, public(key("owner"))); return err },
		"erased": func(raw []byte) error {
			_, err := ParseErased(raw, public(key("hardware")), public(key("operational")))
			return err
		},
		"order": func(raw []byte) error { _, err := ParseOrder(raw, public(key("owner"))); return err },
	}
	good := map[string][]byte{
		"claim": signedClaim(), "receipt": aReceipt().Sign(key("hardware"), key("operational")),
		"grant": aGrant().Sign(key("owner")), "erased": anErased().Sign(key("hardware"), key("operational")),
		"order": anOrder().Sign(key("owner")),
	}
	for name, raw := range good {
		if err := parse[name](raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i := range len(raw) * 8 {
			bad := bytes.Clone(raw)
			bad[i/8] ^= 1 << (i % 8)
			if parse[name](bad) == nil {
				t.Errorf("%s: bit %d does not count", name, i)
			}
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(challenge().Marshal())
	f.Add(signedClaim())
	f.Add(aReceipt().Sign(key("hardware"), key("operational")))
	f.Add(aGrant().Sign(key("owner")))
	f.Add(anErased().Sign(key("hardware"), key("operational")))
	f.Add(anOrder().Sign(key("owner")))
	f.Add(aRiddle().Marshal())
	f.Add(anUnlock().Sign(key("owner")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := ParseChallenge(raw); err == nil && !bytes.Equal(c.Marshal(), raw) {
			t.Errorf("challenge %x is written as %x", raw, c.Marshal())
		}
		_, _ = ParseClaim(raw)
		_, _ = ParseReceipt(raw, nil, public(key("hardware")))
		_, _ = ParseGrant(raw, public(key("owner")))
		_, _ = ParseErased(raw, public(key("hardware")), public(key("operational")))
		_, _ = ParseOrder(raw, public(key("owner")))
		_, _ = ParseUnlock(raw)
		if r, err := ParseRiddle(raw); err == nil && !bytes.Equal(r.Marshal(), raw) {
			t.Errorf("riddle %x is written as %x", raw, r.Marshal())
		}
	})
}
