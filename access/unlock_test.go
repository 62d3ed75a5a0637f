package access

import (
	"errors"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/pack"
)

// unlocks answers a riddle as camctl does, from what is known of the camera beforehand.
func (p phone) unlocks(t *testing.T, o *Ownership, riddle []byte) []byte {
	t.Helper()
	r, err := claim.ParseRiddle(riddle)
	if err != nil {
		t.Fatal(err)
	}
	u := claim.Unlock{Nonce: r.Nonce, Hardware: label.FingerprintOf(o.Hardware().Public())}
	if r.ID != nil {
		u.ID = *r.ID
	}
	return u.Sign(p.key)
}

func claimed(t *testing.T, c *camera) (*Ownership, phone) {
	t.Helper()
	o := c.start(t)
	p := newPhone(o)
	if _, err := o.Claim(p.bySecret(o.Challenge())); err != nil {
		t.Fatal(err)
	}
	return o, p
}

func TestUnlock(t *testing.T) {
	t.Parallel()
	var c camera
	o, owner := claimed(t, &c)
	now := time.Now()
	installer, member, stranger := newPhone(o), newPhone(o), newPhone(o)
	for _, g := range []claim.Grant{grant(o, installer, Installer), grant(o, member, Member)} {
		if _, err := o.Grant(g.Sign(owner.key)); err != nil {
			t.Fatal(err)
		}
	}
	for name, row := range map[string]struct {
		who  phone
		role Role // empty: denied
	}{
		"owner": {owner, Owner}, "installer": {installer, Installer}, "member": {member, ""}, "stranger": {stranger, ""},
	} {
		l := o.NewLock(stranger.public()) // a factory's key opens no camera that somebody owns
		pass, err := l.Open(row.who.unlocks(t, o, l.Ask(now)), now)
		if row.role == "" {
			if !errors.Is(err, ErrDenied) {
				t.Errorf("%s: got %v, want %v", name, err, ErrDenied)
			}
			continue
		}
		id, idErr := pass.Identity(now)
		if err != nil || idErr != nil || id.Role != row.role {
			t.Errorf("%s: got %+v, %v, %v", name, id, err, idErr)
		}
	}
}

// TestUnlockOnce: an answer that somebody heard is good for nothing, here or anywhere else.
func TestUnlockOnce(t *testing.T) {
	t.Parallel()
	var c camera
	o, owner := claimed(t, &c)
	now := time.Now()
	l := o.NewLock(nil)
	raw := owner.unlocks(t, o, l.Ask(now))
	if _, err := l.Open(raw, now); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Open(raw, now); !errors.Is(err, claim.ErrStale) {
		t.Errorf("replayed: got %v", err)
	}
	l.Ask(now)
	if _, err := l.Open(raw, now); !errors.Is(err, claim.ErrStale) {
		t.Errorf("replayed at the next riddle: got %v", err)
	}
	late := owner.unlocks(t, o, l.Ask(now))
	if _, err := l.Open(late, now.Add(riddleLife)); !errors.Is(err, claim.ErrStale) {
		t.Errorf("too late: got %v", err)
	}
	other, _ := claimed(t, &camera{})
	there := other.NewLock(nil)
	if _, err := there.Open(owner.unlocks(t, o, there.Ask(now)), now); !errors.Is(err, claim.ErrStale) {
		t.Errorf("for another camera: got %v", err)
	}
	if _, err := l.Open([]byte("junk"), now); !errors.Is(err, pack.ErrMalformed) {
		t.Errorf("junk: got %v", err)
	}
}

// TestPassEnds: a session ends with the grant that let it in.
func TestPassEnds(t *testing.T) {
	t.Parallel()
	var c camera
	o, owner := claimed(t, &c)
	now := time.Now()
	installer := newPhone(o)
	g := grant(o, installer, Installer)
	if _, err := o.Grant(g.Sign(owner.key)); err != nil {
		t.Fatal(err)
	}
	l := o.NewLock(nil)
	pass, err := l.Open(installer.unlocks(t, o, l.Ask(now)), now)
	if err == nil {
		err = o.Revoke(g.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pass.Identity(now); !errors.Is(err, ErrDenied) {
		t.Errorf("after the grant was revoked: %v", err)
	}
	if _, err := (Pass{}).Identity(now); !errors.Is(err, ErrDenied) {
		t.Errorf("no pass at all: %v", err)
	}
}

// TestFactoryKey: the factory's key opens a camera that never had an owner, and is dead from the first claim on: with
// an owner, after a reset, and where the owner's file was destroyed with the disk.
func TestFactoryKey(t *testing.T) {
	t.Parallel()
	var c camera
	o := c.start(t)
	factory := newPhone(o)
	now := time.Now()
	opens := func(o *Ownership) (Identity, error) {
		l := o.NewLock(factory.public())
		pass, err := l.Open(factory.unlocks(t, o, l.Ask(now)), now)
		if err != nil {
			return Identity{}, err
		}
		return pass.Identity(now)
	}
	id, err := opens(o)
	if err != nil || id.Role != Factory || id.May(Watch) || id.May(Own) || id.May(Admit) || !id.May(Update) {
		t.Fatalf("new camera: got %+v, %v", id, err)
	}
	l := o.NewLock(factory.public())
	pass, err := l.Open(factory.unlocks(t, o, l.Ask(now)), now)
	if err != nil {
		t.Fatal(err)
	}
	without := o.NewLock(nil)
	if _, err := without.Open(factory.unlocks(t, o, without.Ask(now)), now); !errors.Is(err, ErrDenied) {
		t.Errorf("a camera without a factory: %v", err)
	}
	p := newPhone(o)
	if _, err := o.Claim(p.bySecret(o.Challenge())); err != nil {
		t.Fatal(err)
	}
	if _, err := pass.Identity(now); !errors.Is(err, ErrDenied) {
		t.Errorf("the session that was open at the claim: %v", err)
	}
	lost := camera{persist: memory{content: c.persist.content}}
	reset := o
	for name, next := range map[string]func() *Ownership{
		"owned":                    func() *Ownership { return o },
		"owned, after a power cut": func() *Ownership { return c.start(t) },
		"owner's file lost":        func() *Ownership { return lost.start(t) },
	} {
		if _, err := opens(next()); !errors.Is(err, ErrDenied) {
			t.Errorf("%s: got %v, want %v", name, err, ErrDenied)
		}
	}
	if _, err := reset.Disown(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	c.owner.content = nil
	if _, err := opens(c.start(t)); !errors.Is(err, ErrDenied) {
		t.Errorf("reset: got %v, want %v", err, ErrDenied)
	}
}

// TestClaimedByOlderRelease: what an older release claimed is no new camera for the factory.
func TestClaimedByOlderRelease(t *testing.T) {
	t.Parallel()
	var c camera
	o, _ := claimed(t, &c)
	if err := o.persist.Update(func(v *lasting) error { v.Sold = false; return nil }); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	c.owner.content = nil
	if c.start(t).FactoryFresh() {
		t.Error("it counts as new")
	}
}

// TestGuessesAtTheLine: wrong keys are slowed, and a power cut does not make the camera forget them.
func TestGuessesAtTheLine(t *testing.T) {
	t.Parallel()
	var c camera
	o, owner := claimed(t, &c)
	now := time.Now()
	for range 32 {
		l := o.NewLock(nil)
		if _, err := l.Open(newPhone(o).unlocks(t, o, l.Ask(now)), now); !errors.Is(err, ErrDenied) {
			t.Fatal(err)
		}
	}
	before := o.Penalty()
	o = c.start(t)
	if after := o.Penalty(); before != longestWait || after != before {
		t.Errorf("held back for %v, after a power cut for %v, want %v", before, after, longestWait)
	}
	l := o.NewLock(nil)
	if _, err := l.Open(owner.unlocks(t, o, l.Ask(now)), now); err != nil || o.Penalty() != 0 {
		t.Errorf("the right key: %v, then %v", err, o.Penalty())
	}
}

func TestBystander(t *testing.T) {
	t.Parallel()
	for _, a := range []Action{Watch, Inspect, Configure, Admit, Update, Own, Move, Test} {
		if got := Bystander(true).May(a); got != (a == Test) {
			t.Errorf("of a camera with an owner, %s: %v", a, got)
		}
		if got := Bystander(false).May(a); got != (a == Test || a == Inspect || a == Move) {
			t.Errorf("of one without, %s: %v", a, got)
		}
	}
	for _, r := range []Role{Factory, bystander} {
		if r.known() {
			t.Errorf("%s can be granted", r)
		}
	}
}
