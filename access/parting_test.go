package access

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/pack"
)

// word is an order of the owner that is right, and belongs to the next question.
func (p phone) word(o *Ownership, deed claim.Deed, next []byte) claim.Order {
	order := claim.Order{Nonce: o.Ask(), Epoch: o.Challenge().Epoch, Deed: deed}
	order.Camera, _, _ = o.Operational()
	_, _ = rand.Read(order.Own[:])
	if next != nil {
		order.Claim = claim.Sum(next)
	}
	return order
}

// order signs it.
func (p phone) order(o *Ownership, deed claim.Deed, next []byte) []byte {
	return p.word(o, deed, next).Sign(p.key)
}

func TestHandOver(t *testing.T) {
	t.Parallel()
	var c camera
	o, old := owner(t, &c)
	anna, next := newPhone(o), newPhone(o)
	if _, err := o.Grant(grant(o, anna, Member).Sign(old.key)); err != nil {
		t.Fatal(err)
	}
	before, _, _ := o.Operational()
	secret := next.bySecret(o.Challenge())
	if _, err := o.HandOver(old.order(o, claim.GiveTo, secret), secret); !errors.Is(err, claim.ErrProof) {
		t.Errorf("by another proof: %v", err)
	}
	raw := next.claim(o.Challenge(), claim.ByOwner, nil)
	receipt, err := o.HandOver(old.order(o, claim.GiveTo, raw), raw)
	if err != nil {
		t.Fatal(err)
	}
	r, err := claim.ParseReceipt(receipt, raw, o.Hardware().Public())
	if err != nil || r.ID == before {
		t.Errorf("the operational identity stays: %v", err)
	}
	o = c.start(t)
	if o.Challenge().Epoch != 1 {
		t.Errorf("epoch %d after the hand-over", o.Challenge().Epoch)
	}
	for name, who := range map[string]struct {
		phone
		ok bool
	}{"the new owner": {next, true}, "the old one": {old, false}, "the old one's friend": {anna, false}} {
		if _, err := o.ByKey(who.public(), time.Now()); (err == nil) != who.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again, err := o.Claim(raw); err != nil || string(again) != string(receipt) {
		t.Errorf("the next owner fetches his receipt by sending his claim: %v", err)
	}
}

// TestOrders: every order that must fail, by hand-over and by unbind, and that it changes nothing.
func TestOrders(t *testing.T) {
	t.Parallel()
	var c camera
	o, p := owner(t, &c)
	next, thief := newPhone(o), newPhone(o)
	raw := next.claim(o.Challenge(), claim.ByOwner, nil)
	old := p.order(o, claim.Unbind, nil)
	o.Ask()
	changed := func(change func(w *claim.Order)) func() []byte {
		return func() []byte {
			w := p.word(o, claim.Unbind, nil)
			change(&w)
			return w.Sign(p.key)
		}
	}
	unasked := func() []byte {
		w := p.order(o, claim.Unbind, nil)
		o.answered()
		return w
	}
	for name, a := range map[string]struct {
		order func() []byte
		want  error
	}{
		"of an earlier question": {func() []byte { return old }, claim.ErrStale},
		"no question":            {unasked, claim.ErrStale},
		"a thief's":              {func() []byte { return thief.order(o, claim.Unbind, nil) }, claim.ErrSignature},
		"junk":                   {func() []byte { return []byte("junk") }, pack.ErrMalformed},
		"another camera":         {changed(func(w *claim.Order) { w.Camera[0] ^= 1 }), claim.ErrStale},
		"another epoch":          {changed(func(w *claim.Order) { w.Epoch++ }), claim.ErrStale},
		"hand over":              {changed(func(w *claim.Order) { w.Deed = claim.GiveTo }), ErrDenied},
	} {
		destroy := func() error {
			t.Errorf("%s: keys destroyed", name)
			return nil
		}
		if _, err := o.Unbind(a.order(), destroy); !errors.Is(err, a.want) {
			t.Errorf("unbind, %s: got %v, want %v", name, err, a.want)
		}
	}
	stranger := thief.claim(o.Challenge(), claim.ByOwner, nil)
	for name, a := range map[string]struct {
		order func() []byte
		claim []byte
		want  error
	}{
		"unbind":          {func() []byte { return p.order(o, claim.Unbind, raw) }, raw, ErrDenied},
		"another's claim": {func() []byte { return p.order(o, claim.GiveTo, raw) }, stranger, claim.ErrProof},
		"a thief's":       {func() []byte { return thief.order(o, claim.GiveTo, stranger) }, stranger, claim.ErrSignature},
		"no claim":        {func() []byte { return p.order(o, claim.GiveTo, old) }, old, pack.ErrMalformed},
	} {
		if _, err := o.HandOver(a.order(), a.claim); !errors.Is(err, a.want) {
			t.Errorf("hand over, %s: got %v, want %v", name, err, a.want)
		}
	}
	if _, err := c.start(t).ByKey(p.public(), time.Now()); err != nil {
		t.Errorf("the owner is not the owner any more: %v", err)
	}
}

// TestOrderIsFresh: a question is good for a minute.
func TestOrderIsFresh(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]error{orderLife - 1: nil, orderLife: claim.ErrStale} {
		synctest.Test(t, func(t *testing.T) {
			var c camera
			o, p := owner(t, &c)
			order := p.order(o, claim.Unbind, nil)
			<-time.After(wait)
			if _, err := o.Unbind(order, func() error { return nil }); !errors.Is(err, want) {
				t.Errorf("after %v: got %v, want %v", wait, err, want)
			}
		})
	}
}

func TestUnbind(t *testing.T) {
	t.Parallel()
	var c camera
	o, p := owner(t, &c)
	_, operational, _ := o.Operational()
	hardware, word := o.Hardware().Public(), p.word(o, claim.Unbind, nil)
	gone := func() error { c.owner.content = nil; return nil }
	receipt, err := o.Unbind(word.Sign(p.key), gone)
	if err != nil {
		t.Fatal(err)
	}
	e, err := claim.ParseErased(receipt, hardware, operational.Public().(ed25519.PublicKey))
	if err != nil || e.Request != word.Own || e.Epoch != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := o.ByKey(p.public(), time.Now()); !errors.Is(err, ErrUnclaimed) {
		t.Error(err)
	}
	if _, err := o.Claim(newPhone(o).bySecret(o.Challenge())); !errors.Is(err, ErrParted) {
		t.Errorf("claimed before it started anew: %v", err)
	}
	if o, err := OpenOwnership(o.hardware, &c.persist, &c.owner, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	} else if _, err := o.Claim(newPhone(o).bySecret(o.Challenge())); !errors.Is(err, ErrParted) {
		t.Errorf("claimed before the reset was at its end: %v", err)
	}
	if ended, err := EndReset(&c.persist, gone); !ended || err != nil {
		t.Errorf("the reset is not at its end: %v", err)
	}
	if ended, err := EndReset(&c.persist, func() error { return errors.New("erased twice") }); ended || err != nil {
		t.Errorf("ended twice: %v %v", ended, err)
	}
	o = c.start(t)
	if _, err := o.Claim(newPhone(o).bySecret(o.Challenge())); err != nil {
		t.Errorf("claimed again with its label: %v", err)
	}
	if id, _, _ := o.Operational(); !o.Hardware().Public().Equal(hardware) || id == e.ID {
		t.Error("the hardware identity changed, or the operational one did not")
	}
	if _, err := o.Disown(func() error { return fmt.Errorf("the disk is gone") }); err == nil {
		t.Error("keys that were not destroyed are told as destroyed")
	}
	if receipt, err := c.start(t).Disown(gone); receipt != nil || err != nil {
		t.Errorf("a receipt for nobody: %x, %v", receipt, err)
	}
}

// life is a camera's life up to one of its changes, with what has to hold behind it, done or not.
type life struct {
	name   string
	change func(c *camera, o *Ownership, p, next phone) error
	// whose is the phone that owns the camera if the change is done, or not.
	whose func(done bool, p, next phone) *phone
}

func lives() []life {
	destroy := func(c *camera) func() error {
		return func() error {
			if c.owner.power != nil && *c.owner.power == 0 {
				return errPower
			}
			c.owner.content = nil
			return nil
		}
	}
	end := func(c *camera) error { _, err := EndReset(&c.persist, destroy(c)); return err }
	none := func(done bool, p, _ phone) *phone {
		if done {
			return nil
		}
		return &p
	}
	return []life{
		{"hand over", func(_ *camera, o *Ownership, p, next phone) error {
			raw := next.claim(o.Challenge(), claim.ByOwner, nil)
			_, err := o.HandOver(p.order(o, claim.GiveTo, raw), raw)
			return err
		}, func(done bool, p, next phone) *phone {
			if done {
				return &next
			}
			return &p
		}},
		{"unbind", func(c *camera, o *Ownership, p, _ phone) error {
			_, err := o.Unbind(p.order(o, claim.Unbind, nil), destroy(c))
			return errors.Join(err, end(c))
		}, none},
		{"button", func(c *camera, o *Ownership, _, _ phone) error {
			_, err := o.Disown(destroy(c))
			return errors.Join(err, end(c))
		}, none},
	}
}

// TestPartingCut: each way to part with an owner is cut at every store. The camera is the old owner's or it is not: his
// whole, or the next one's whole, or nobody's; and a reset that has begun is ended by the next start.
func TestPartingCut(t *testing.T) {
	t.Parallel()
	for _, l := range lives() {
		for cut, done := 0, false; !done; cut++ {
			var c camera
			o, p := owner(t, &c)
			next, left, epoch := newPhone(o), cut, o.Challenge().Epoch
			c.persist.power, c.owner.power = &left, &left
			done = l.change(&c, o, p, next) == nil
			c.persist.power, c.owner.power = nil, nil
			begun := done || resets(t, &c)
			if _, err := EndReset(&c.persist, func() error { c.owner.content = nil; return nil }); err != nil {
				t.Fatal(err)
			}
			o = c.start(t)
			if l.name == "hand over" {
				_, err := o.ByKey(next.public(), time.Now())
				begun = err == nil
			}
			want := l.whose(begun, p, next)
			for name, who := range map[string]*phone{"the old owner": &p, "the next one": &next} {
				_, err := o.ByKey(who.public(), time.Now())
				if owns := want != nil && want.public().Equal(who.public()); owns != (err == nil) {
					t.Errorf("%s cut after %d stores: %s: %v", l.name, cut, name, err)
				}
			}
			if raised := o.Challenge().Epoch > epoch; raised != begun || done && !begun {
				t.Errorf("%s cut after %d stores: done %v, begun %v, epoch raised %v", l.name, cut, done, begun, raised)
			}
		}
	}
}

func resets(t *testing.T, c *camera) bool {
	t.Helper()
	o, err := OpenOwnership(&Hardware{}, &c.persist, &memory{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	last, _, err := o.persist.Load()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return last.Resetting
}

// TestClaimCut: a claim is cut at every store. There is an owner or none, and who got his receipt is it.
func TestClaimCut(t *testing.T) {
	t.Parallel()
	for cut, done := 0, false; !done; cut++ {
		var c camera
		o := c.start(t)
		_, _ = o.Claim(newPhone(o).claim(o.Challenge(), claim.BySecret, []byte("wrong"))) // so that a right one stores, too
		left := cut
		c.persist.power, c.owner.power = &left, &left
		_, err := o.Claim(newPhone(o).bySecret(o.Challenge()))
		c.persist.power, c.owner.power = nil, nil
		done = err == nil
		if c.start(t).Claimed() != done {
			t.Errorf("cut after %d stores: answer %v", cut, err)
		}
	}
}

// TestViewerOfGrant: a viewer who came by a grant may what it says, while it holds, and goes with it.
func TestViewerOfGrant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c camera
		o, p := owner(t, &c)
		g := NewGate(o, slog.New(slog.DiscardHandler))
		granted := grant(o, newPhone(o), Member)
		granted.Begins, granted.Ends, granted.Scope = time.Now(), time.Now().Add(time.Hour), []string{string(Watch)}
		if _, err := g.AddGranted("anna", granted.ID); !errors.Is(err, ErrUnknown) {
			t.Errorf("a viewer of no grant: %v", err)
		}
		if _, err := o.Grant(granted.Sign(p.key)); err != nil {
			t.Fatal(err)
		}
		password, err := g.AddGranted("anna", granted.ID)
		if err != nil {
			t.Fatal(err)
		}
		right := answer(g, "anna", password, SHA256)
		id, err := g.AuthenticateDigest(right, netip.Addr{})
		if err != nil || id.Role != Member || !id.May(Watch) || id.May(Inspect) || !g.Still(id) {
			t.Errorf("got %+v, %v", id, err)
		}
		<-time.After(time.Hour)
		if _, err := g.AuthenticateDigest(right, netip.Addr{}); !errors.Is(err, ErrDenied) || g.Still(id) {
			t.Errorf("when the grant has ended: %v, still %v", err, g.Still(id))
		}
		longer := grant(o, newPhone(o), Watcher)
		if _, err := o.Grant(longer.Sign(p.key)); err != nil || len(g.Viewers()) > 0 {
			t.Errorf("the next grant finds %v, %v", g.Viewers(), err)
		}
		if password, err = g.AddGranted("anna", longer.ID); err != nil {
			t.Fatal(err)
		}
		if err := o.Revoke(longer.ID); err != nil || len(g.Viewers()) > 0 {
			t.Errorf("revoked: %v, %v", g.Viewers(), err)
		}
		if _, err := g.AuthenticateDigest(answer(g, "anna", password, SHA256), netip.Addr{}); !errors.Is(err, ErrDenied) {
			t.Errorf("revoked: %v", err)
		}
	})
}
