package access

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/pack"
	"github.com/ocellus/ocellus/internal/statefile"
)

// memory is a place whose power can be cut: what is stored then is lost, whole.
type memory struct {
	sync.Mutex
	content []byte
	power   *int // stores until the power fails; nil: it does not
}

var errPower = errors.New("power failed")

func (m *memory) Load() ([]byte, error) {
	if m.content == nil {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(m.content), nil
}

func (m *memory) Store(content []byte) error {
	if m.power != nil {
		if *m.power == 0 {
			return errPower
		}
		*m.power--
	}
	m.content = bytes.Clone(content)
	return nil
}

func (*memory) String() string { return "memory" }

// camera is what survives a power cut: two places.
type camera struct{ persist, owner memory }

// start ends a reset that was begun, and opens the rest, as every start does.
func (c *camera) start(t *testing.T) *Ownership {
	t.Helper()
	if _, err := EndReset(&c.persist, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	h, _, err := OpenHardware(&c.persist, "TEST-1")
	if err != nil {
		t.Fatal(err)
	}
	o, err := OpenOwnership(h, &c.persist, &c.owner, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// phone is the other side: a key, and what it read on the label.
type phone struct {
	key   ed25519.PrivateKey
	label label.Label
}

func newPhone(o *Ownership) phone {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return phone{key, o.Hardware().Label()}
}

func (p phone) public() ed25519.PublicKey { return p.key.Public().(ed25519.PublicKey) }

func (p phone) claim(c claim.Challenge, proof claim.Proof, key []byte) []byte {
	m := claim.Claim{Challenge: c, Owner: p.public(), Proof: proof}
	_, _ = rand.Read(m.Own[:])
	return m.Sign(p.key, key)
}

// bySecret is the claim of somebody who has the label.
func (p phone) bySecret(c claim.Challenge) []byte {
	key, err := p.label.ClaimKey()
	if err != nil {
		panic(err)
	}
	return p.claim(c, claim.BySecret, key[:])
}

func TestHardware(t *testing.T) {
	t.Parallel()
	var place memory
	first, fresh, err := OpenHardware(&place, "TEST-1")
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	again, fresh, err := OpenHardware(&place, "OTHER-2")
	if err != nil || fresh || !reflect.DeepEqual(first.Label(), again.Label()) || !first.Public().Equal(again.Public()) {
		t.Errorf("the identity changed: %v %v %v, %v", fresh, first.Label(), again.Label(), err)
	}
	before := memory{content: regexp.MustCompile(` *"public": "[^"]+",\n`).ReplaceAll(place.content, nil)}
	old, fresh, err := OpenHardware(&before, "TEST-1")
	if err != nil || fresh || len(before.content) == len(place.content) || !old.Private().Equal(first.Private()) ||
		!again.Private().Equal(first.Private()) {
		t.Errorf("an identity that was stored without its public half is another one: %v, %v", fresh, err)
	}
	var other memory
	second, _, err := OpenHardware(&other, "TEST-1")
	if err != nil || second.Label().Secret == first.Label().Secret || second.Public().Equal(first.Public()) {
		t.Errorf("two cameras are alike: %v", err)
	}
	if _, _, err := OpenHardware(&memory{}, "no model"); err == nil {
		t.Error("a model that no label can show was taken")
	}
	for _, content := range []string{
		"damaged", `{"version":1,"hardware":{"key":"AAAA","setup_secret":"","model":"TEST-1"}}`,
		`{"version":1,"hardware":{"key":"` + strings.Repeat("A", 43) + `=","setup_secret":"0123","model":"TEST-1"}}`,
	} {
		place := memory{content: []byte(content)}
		if _, _, err := OpenHardware(&place, "TEST-1"); err == nil || string(place.content) != content {
			t.Errorf("%s: %v, then %s", content, err, place.content)
		}
	}
}

// TestEasyConnectKey pins what follows from a hardware key: it is on labels.
func TestEasyConnectKey(t *testing.T) {
	t.Parallel()
	h := &Hardware{key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))}
	key, err := h.EasyConnect()
	if err != nil {
		t.Fatal(err)
	}
	text, err := label.EasyConnectText(&key.PublicKey)
	if want := "DPP:C:81/6;V:2;K:MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADt6c7bHwtGD87CDfmVbJq8wT6Nh5c4blHgeMTjZ9Mz4E=;;"; err != nil || text != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
	again, err := h.EasyConnect()
	if err != nil || !again.Equal(key) {
		t.Errorf("another key, %v", err)
	}
}

func TestClaimBySecret(t *testing.T) {
	t.Parallel()
	var c camera
	o := c.start(t)
	if o.Claimed() {
		t.Fatal("a new camera has an owner")
	}
	p := newPhone(o)
	raw := p.bySecret(o.Challenge())
	receipt, err := o.Claim(raw)
	if err != nil {
		t.Fatal(err)
	}
	r, err := claim.ParseReceipt(receipt, raw, o.Hardware().Public())
	if err != nil {
		t.Fatal(err)
	}
	id, key, err := o.Operational()
	if err != nil || id != r.ID || !r.Operational.Equal(key.Public()) {
		t.Errorf("the receipt names %x, the camera is %x, %v", r.ID, id, err)
	}
	o = c.start(t)
	if who, err := o.ByKey(p.public(), time.Time{}); err != nil || who.Role != Owner || !who.May(Admit) {
		t.Errorf("after a restart: %+v, %v", who, err)
	}
	if again, err := o.Claim(raw); err != nil || !bytes.Equal(again, receipt) {
		t.Errorf("the same claim, whose receipt was lost: %v", err)
	}
}

// TestAttacks: every claim that must fail, and that it changes nothing.
func TestAttacks(t *testing.T) {
	t.Parallel()
	var c camera
	o := c.start(t)
	thief, old := newPhone(o), o.Challenge()
	thief.label.Secret, _ = label.ParseSecret("0000 0000 0000 0000")
	clone := old
	clone.Hardware = thief.public()
	other := old
	other.Epoch++
	attacks := map[string]struct {
		raw  []byte
		want error
	}{
		"guessed secret":      {thief.bySecret(old), claim.ErrProof},
		"no token expected":   {thief.claim(old, claim.ByToken, []byte("token")), claim.ErrProof},
		"in an owner's name":  {thief.claim(old, claim.ByOwner, nil), claim.ErrProof},
		"no such proof":       {thief.claim(old, 0, nil), claim.ErrProof},
		"cloned device":       {newPhone(o).bySecret(clone), claim.ErrStale},
		"of an earlier reset": {newPhone(o).bySecret(other), claim.ErrStale},
		"another's nonce":     {newPhone(o).bySecret(claim.Challenge{Hardware: old.Hardware}), claim.ErrStale},
		"junk":                {[]byte("junk"), pack.ErrMalformed},
	}
	for name, a := range attacks {
		if _, err := o.Claim(a.raw); !errors.Is(err, a.want) {
			t.Errorf("%s: got %v, want %v", name, err, a.want)
		}
	}
	if o.Claimed() {
		t.Fatal("an attack made an owner")
	}
	p := newPhone(o)
	raw := p.bySecret(o.Challenge())
	if _, err := o.Claim(raw); err != nil {
		t.Fatalf("the right claim after attacks: %v", err)
	}
	for name, raw := range map[string][]byte{
		"label": newPhone(o).bySecret(o.Challenge()), "label, old challenge": newPhone(o).bySecret(old),
		"junk": []byte("junk"),
	} {
		if _, err := o.Claim(raw); !errors.Is(err, ErrClaimed) {
			t.Errorf("claim of an owned camera, %s: %v", name, err)
		}
	}
	if _, err := o.Disown(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	o = c.start(t)
	if _, err := o.Claim(raw); !errors.Is(err, claim.ErrStale) {
		t.Errorf("a claim replayed after a reset: %v", err)
	}
}

func TestTwoPhonesAtOnce(t *testing.T) {
	t.Parallel()
	var c camera
	o := c.start(t)
	var wait sync.WaitGroup
	var mu sync.Mutex
	won := map[bool]int{}
	for range 8 {
		raw := newPhone(o).bySecret(o.Challenge())
		wait.Go(func() {
			_, err := o.Claim(raw)
			mu.Lock()
			defer mu.Unlock()
			won[err == nil]++
			if err != nil && !errors.Is(err, ErrClaimed) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if won[true] != 1 {
		t.Errorf("%d owners", won[true])
	}
}

func TestClaimByToken(t *testing.T) {
	t.Parallel()
	var c camera
	o := c.start(t)
	p, thief, token := newPhone(o), newPhone(o), []byte("a one-time token")
	o.Expect([TokenSize]byte(token), label.FingerprintOf(p.public()))
	if _, err := o.Claim(thief.claim(o.Challenge(), claim.ByToken, token)); !errors.Is(err, claim.ErrProof) {
		t.Errorf("the token in another's hands: %v", err)
	}
	if _, err := o.Claim(p.claim(o.Challenge(), claim.ByToken, []byte("another"))); !errors.Is(err, claim.ErrProof) {
		t.Errorf("another token: %v", err)
	}
	if _, err := o.Claim(p.claim(o.Challenge(), claim.ByToken, token)); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Disown(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	o = c.start(t)
	if _, err := o.Claim(p.claim(o.Challenge(), claim.ByToken, token)); !errors.Is(err, claim.ErrProof) {
		t.Errorf("the token a second time: %v", err)
	}
}

func TestPenaltySurvives(t *testing.T) {
	t.Parallel()
	var c camera
	o := c.start(t)
	guess := func(n int) {
		for range n {
			_, _ = o.Claim(newPhone(o).claim(o.Challenge(), claim.BySecret, []byte("guess")))
		}
	}
	guess(freeProofs)
	if p := o.Penalty(); p != 0 {
		t.Errorf("%v after %d mistakes", p, freeProofs)
	}
	guess(13)
	before := o.Penalty()
	o = c.start(t)
	if after := o.Penalty(); before != longestWait || after != before {
		t.Errorf("%v before the power cut, %v behind it", before, after)
	}
	if _, err := o.Claim(newPhone(o).bySecret(o.Challenge())); err != nil {
		t.Errorf("the right one is locked out: %v", err)
	}
	if p := c.start(t).Penalty(); p != 0 {
		t.Errorf("%v after the right one", p)
	}
}

// TestDamagedOwner: what can't be opened is no owner, and no reason not to start.
func TestDamagedOwner(t *testing.T) {
	t.Parallel()
	var c camera
	c.start(t)
	c.owner.content = []byte("sealed with a key that is gone")
	if o := c.start(t); o.Claimed() {
		t.Error("there is an owner")
	}
}

func owner(t *testing.T, c *camera) (*Ownership, phone) {
	t.Helper()
	o := c.start(t)
	p := newPhone(o)
	if _, err := o.Claim(p.bySecret(o.Challenge())); err != nil {
		t.Fatal(err)
	}
	return o, p
}

func grant(o *Ownership, to phone, role Role) claim.Grant {
	g := claim.Grant{Subject: to.public(), Role: string(role), Name: "anna"}
	_, _ = rand.Read(g.ID[:])
	g.Camera, _, _ = o.Operational()
	return g
}

func TestGrants(t *testing.T) {
	t.Parallel()
	var c camera
	o, p := owner(t, &c)
	anna, now := newPhone(o), time.Unix(1_800_000_000, 0)
	g := grant(o, anna, Member)
	g.Begins, g.Ends, g.Scope = now, now.Add(time.Hour), []string{string(Watch)}
	if _, err := o.Grant(g.Sign(p.key)); err != nil {
		t.Fatal(err)
	}
	o = c.start(t)
	for when, ok := range map[time.Duration]bool{-time.Second: false, 0: true, time.Hour - 1: true, time.Hour: false} {
		who, err := o.ByKey(anna.public(), now.Add(when))
		if ok != (err == nil) || ok && (who.Name != "anna" || !who.May(Watch) || who.May(Inspect)) {
			t.Errorf("%v after its beginning: %+v, %v", when, who, err)
		}
	}
	if _, err := o.ByKey(anna.public(), time.Unix(0, 0)); !errors.Is(err, ErrDenied) {
		t.Errorf("with a clock that was never set: %v", err)
	}
	if err := o.Revoke(g.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := o.ByKey(anna.public(), now); !errors.Is(err, ErrDenied) {
		t.Errorf("after it was revoked: %v", err)
	}
	o = c.start(t)
	if _, err := o.Grant(g.Sign(p.key)); !errors.Is(err, ErrDenied) {
		t.Errorf("a grant that was revoked came back: %v", err)
	}
	if n := len(o.Grants()); n != 0 {
		t.Errorf("%d grants", n)
	}
}

func TestGrantsThatAreNone(t *testing.T) {
	t.Parallel()
	var c camera
	o, p := owner(t, &c)
	anna := newPhone(o)
	bad := map[string]func(g *claim.Grant){
		"another camera": func(g *claim.Grant) { g.Camera[0] ^= 1 },
		"half an owner":  func(g *claim.Grant) { g.Role, g.Scope = string(Owner), []string{string(Watch)} },
		"unknown role":   func(g *claim.Grant) { g.Role = "king" },
		"no beginning":   func(g *claim.Grant) { g.Ends = time.Now().Add(time.Hour) },
		"ended":          func(g *claim.Grant) { g.Begins, g.Ends = time.Unix(1, 0), time.Unix(2, 0) },
		"ends first":     func(g *claim.Grant) { g.Begins, g.Ends = time.Now().Add(2*time.Hour), time.Now().Add(time.Hour) },
	}
	for name, change := range bad {
		g := grant(o, anna, Member)
		change(&g)
		if _, err := o.Grant(g.Sign(p.key)); err == nil {
			t.Errorf("%s: granted", name)
		}
	}
	if _, err := o.Grant(grant(o, anna, Member).Sign(anna.key)); !errors.Is(err, claim.ErrSignature) {
		t.Errorf("granted by the subject itself: %v", err)
	}
	first := newPhone(o)
	for i := range MaxGrants {
		to := newPhone(o)
		if i == 0 {
			to = first
		}
		if _, err := o.Grant(grant(o, to, Watcher).Sign(p.key)); err != nil {
			t.Fatalf("grant %d: %v", i, err)
		}
	}
	if _, err := o.Grant(grant(o, anna, Watcher).Sign(p.key)); err == nil {
		t.Error("more grants than there may be")
	}
	if _, err := o.Grant(grant(o, first, Member).Sign(p.key)); !errors.Is(err, ErrExists) {
		t.Errorf("two grants for one key: %v", err)
	}
	if _, err := o.ByKey(anna.public(), time.Now()); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
}

// TestGoldenOwner pins the names of the fields on the disk.
func TestGoldenOwner(t *testing.T) {
	t.Parallel()
	place := memory{}
	file := statefile.At[owned](&place, ownedVersion)
	if err := file.Store(owned{
		Owner: []byte{1}, Epoch: 2, ID: []byte{3}, Key: []byte{4}, Claim: []byte{5}, Receipt: []byte{6},
		Grants: map[string][]byte{"07": {8}}, Revoked: map[string]string{"09": "2030-01-01T00:00:00Z"}, Realm: "r",
		Viewers: map[string]viewer{"anna": {Watcher, "0a", "0b", time.Unix(0, 0).UTC(), "07"}},
	}); err != nil {
		t.Fatal(err)
	}
	const want = `{
  "version": 1,
  "claim": "BQ==",
  "epoch": 2,
  "grants": {
    "07": "CA=="
  },
  "id": "Aw==",
  "key": "BA==",
  "owner": "AQ==",
  "realm": "r",
  "receipt": "Bg==",
  "revoked": {
    "09": "2030-01-01T00:00:00Z"
  },
  "viewers": {
    "anna": {
      "role": "viewer",
      "ha1_md5": "0a",
      "ha1_sha256": "0b",
      "created": "1970-01-01T00:00:00Z",
      "grant": "07"
    }
  }
}
`
	if string(place.content) != want {
		t.Errorf("got\n%s", place.content)
	}
	place = memory{}
	persist := statefile.At[lasting](&place, persistVersion)
	if err := persist.Store(lasting{&hardwareKeys{Key: []byte{1}, Secret: "S", Model: "M"}, 2, 4, true, true, true}); err != nil {
		t.Fatal(err)
	}
	const wantPersist = `{
  "version": 1,
  "epoch": 2,
  "failed_proofs": 4,
  "hardware": {
    "key": "AQ==",
    "setup_secret": "S",
    "model": "M"
  },
  "labelled": true,
  "resetting": true,
  "sold": true
}
`
	if string(place.content) != wantPersist {
		t.Errorf("got\n%s", place.content)
	}
}

// TestSecondKey: an owner's second key may what he may, until it is revoked, and nothing that takes his signature.
func TestSecondKey(t *testing.T) {
	t.Parallel()
	var c camera
	o, p := owner(t, &c)
	second, third := newPhone(o), newPhone(o)
	g := grant(o, second, Owner)
	if _, err := o.Grant(g.Sign(p.key)); err != nil {
		t.Fatal(err)
	}
	who, err := o.ByKey(second.public(), time.Now())
	if err != nil || !who.May(Admit) || !who.May(Own) {
		t.Errorf("got %+v, %v", who, err)
	}
	if _, err := o.Grant(grant(o, third, Watcher).Sign(second.key)); !errors.Is(err, claim.ErrSignature) {
		t.Errorf("granted by the second key: %v", err)
	}
	order := claim.Order{Deed: claim.Unbind, Nonce: o.Ask(), Epoch: o.Challenge().Epoch, Camera: g.Camera}
	if _, err := o.Unbind(order.Sign(second.key), func() error { return nil }); err == nil || !o.Claimed() {
		t.Errorf("unbound by the second key: %v", err)
	}
	if raw, err := o.Receipt(); err != nil || len(raw) == 0 {
		t.Errorf("receipt: %v", err)
	}
	if err := o.Revoke(g.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := o.ByKey(second.public(), time.Now()); !errors.Is(err, ErrDenied) {
		t.Errorf("a second phone that was lost: %v", err)
	}
}
