package access

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ocellus/ocellus/codec/claim"
)

// MaxGrants bounds the grants of a camera, and as many revocations.
const MaxGrants = 64

// ownerName is how the owner is called where people have names.
const ownerName = "owner"

// ByKey returns who holds a key: the owner, or somebody to whom the owner granted something that holds at this instant.
// Whoever asks has made sure that the key is really held. ErrUnclaimed, ErrDenied.
func (o *Ownership) ByKey(key ed25519.PublicKey, now time.Time) (Identity, error) {
	s := o.snapshot()
	if s == nil {
		return Identity{}, ErrUnclaimed
	}
	if key.Equal(ed25519.PublicKey(s.Owner)) {
		return Identity{Name: ownerName, Role: Owner, credential: string(s.Owner)}, nil
	}
	for _, raw := range s.Grants {
		g, err := claim.ParseGrant(raw, s.Owner)
		if err == nil && key.Equal(g.Subject) && holds(g, now) {
			return identityOf(g), nil
		}
	}
	return Identity{}, fmt.Errorf("key: %w", ErrDenied)
}

// holds reports whether a grant is in its time. A camera whose clock was never set is in 1970, and takes no grant that
// begins later.
func holds(g claim.Grant, now time.Time) bool {
	return !now.Before(g.Begins) && (g.Ends.IsZero() || now.Before(g.Ends))
}

func identityOf(g claim.Grant) Identity {
	id := Identity{Name: g.Name, Role: Role(g.Role), credential: string(g.Subject)}
	for _, action := range g.Scope {
		id.scope = append(id.scope, Action(action))
	}
	return id
}

// Grants lists what the owner granted, by name.
func (o *Ownership) Grants() []claim.Grant {
	s := o.snapshot()
	if s == nil {
		return nil
	}
	var list []claim.Grant
	for _, raw := range s.Grants {
		if g, err := claim.ParseGrant(raw, s.Owner); err == nil {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b claim.Grant) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Keys lists the keys of everybody who may do something at this instant, the owner's first.
func (o *Ownership) Keys(action Action, now time.Time) []ed25519.PublicKey {
	s := o.snapshot()
	if s == nil {
		return nil
	}
	keys := []ed25519.PublicKey{s.Owner}
	for _, g := range o.Grants() {
		twice := slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return k.Equal(g.Subject) })
		if holds(g, now) && identityOf(g).May(action) && !twice {
			keys = append(keys, g.Subject)
		}
	}
	return keys
}

// Grant takes a grant that the owner signed for this camera. It holds when Grant returns. A grant that was revoked does
// not come back, and a key has one grant at a time (ErrExists). The role Owner is for a second key of his own: it may
// what he may, but for what takes his signature: grants, and what parts him from the camera.
func (o *Ownership) Grant(raw []byte) (claim.Grant, error) {
	var g claim.Grant
	err := o.update(func(s *owned) (err error) {
		if g, err = claim.ParseGrant(raw, s.Owner); err != nil {
			return err
		}
		if err := s.takes(g, time.Now()); err != nil {
			return fmt.Errorf("grant %q: %w", g.Name, err)
		}
		s.Grants[hex.EncodeToString(g.ID[:])] = raw
		return nil
	})
	if err == nil {
		o.log.Info("granted", "name", g.Name, "role", g.Role)
	}
	return g, err
}

// takes says what keeps a grant from being taken. Grants that ended make room for others.
func (s *owned) takes(g claim.Grant, now time.Time) error {
	id := hex.EncodeToString(g.ID[:])
	_, revoked := s.Revoked[id]
	switch {
	case string(g.Camera[:]) != string(s.ID):
		return fmt.Errorf("it is for another camera: %w", ErrDenied)
	case revoked:
		return fmt.Errorf("it was revoked: %w", ErrDenied)
	case !Role(g.Role).known():
		return fmt.Errorf("role %.40q can't be granted", g.Role)
	case Role(g.Role) == Owner && len(g.Scope) > 0:
		return errors.New("an owner's second key has no scope")
	case !g.Ends.IsZero() && (g.Begins.IsZero() || !g.Begins.Before(g.Ends)):
		// A camera whose clock was never set is in 1970: before the beginning, so that nothing lives on in it.
		return errors.New("what ends has to begin, too, and before")
	case !g.Ends.IsZero() && !now.Before(g.Ends):
		return errors.New("it has ended")
	}
	for other, raw := range s.Grants {
		o, err := claim.ParseGrant(raw, s.Owner)
		switch {
		case err != nil || !o.Ends.IsZero() && !now.Before(o.Ends):
			s.drop(other)
		case other != id && o.Subject.Equal(g.Subject):
			return fmt.Errorf("%q has the same key, revoke that first: %w", o.Name, ErrExists)
		}
	}
	if len(s.Grants) >= MaxGrants && s.Grants[id] == nil {
		return fmt.Errorf("there are %d already, revoke one first", len(s.Grants))
	}
	return nil
}

// drop takes a grant out, and the viewers who came by it.
func (s *owned) drop(id string) {
	delete(s.Grants, id)
	maps.DeleteFunc(s.Viewers, func(_ string, v viewer) bool { return v.Grant == id })
}

// Revoke takes a grant back, at once and for good, and the viewers who came by it. An id that was never seen is remembered, too: the owner may revoke
// what has not arrived yet.
func (o *Ownership) Revoke(id [16]byte) error {
	name := hex.EncodeToString(id[:])
	err := o.update(func(s *owned) error {
		ends := ""
		if g, err := claim.ParseGrant(s.Grants[name], s.Owner); err == nil && !g.Ends.IsZero() {
			ends = g.Ends.Format(time.RFC3339)
		}
		s.drop(name)
		forget(s.Revoked, time.Now())
		if len(s.Revoked) >= 16*MaxGrants {
			return fmt.Errorf("revoke: %d grants are revoked already; a factory reset forgets them", len(s.Revoked))
		}
		s.Revoked[name] = ends
		return nil
	})
	if err == nil {
		o.log.Info("revoked", "grant", name)
	}
	return err
}

// forget drops the revocations of grants that have ended by themselves.
func forget(revoked map[string]string, now time.Time) {
	maps.DeleteFunc(revoked, func(_, ends string) bool {
		end, err := time.Parse(time.RFC3339, ends)
		return err == nil && now.After(end)
	})
}

// update changes a copy of the owner's file, writes it, and only then lets it count.
func (o *Ownership) update(edit func(s *owned) error) error {
	o.change.Lock()
	defer o.change.Unlock()
	old := o.snapshot()
	if old == nil {
		return ErrUnclaimed
	}
	next := *old
	next.Grants, next.Revoked, next.Viewers = copied(old.Grants), copied(old.Revoked), copied(old.Viewers)
	if err := edit(&next); err != nil {
		return err
	}
	if err := o.file.Store(next); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.become(&next)
	return nil
}

func copied[V any](m map[string]V) map[string]V {
	next := make(map[string]V, len(m)+1)
	maps.Copy(next, m)
	return next
}
