package access

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
)

// The serial line's part of the gate. Whoever has wires on the board may look whether it is well; who holds a key
// proves it by answering a riddle. Wrong answers are counted with wrong proofs of a claim, through power cuts.

// riddleLife is the time for an answer.
const riddleLife = time.Minute

// Lock is the lock of one session on a serial line. NewLock is the only door; it is for one goroutine.
type Lock struct {
	owner   *Ownership
	factory ed25519.PublicKey
	nonce   [claim.NonceSize]byte
	until   time.Time // of the riddle; zero: none is asked
}

// NewLock makes a session's lock. factory is the key of who makes the cameras, which opens one that never had an owner;
// nil for none.
func (o *Ownership) NewLock(factory ed25519.PublicKey) *Lock {
	return &Lock{owner: o, factory: factory}
}

// Ask gives the riddle (claim.Riddle) that the next answer has to solve. It replaces an earlier one. The instants of a
// Lock are of the monotonic clock: they come from time.Now.
func (l *Lock) Ask(now time.Time) []byte {
	_, _ = rand.Read(l.nonce[:]) // never fails
	l.until = now.Add(riddleLife)
	r := claim.Riddle{Nonce: l.nonce}
	if id, _, err := l.owner.Operational(); err == nil {
		r.ID = &id
	} else {
		print := label.FingerprintOf(l.owner.hardware.Public())
		r.Hardware = &print
	}
	return r.Marshal()
}

// Open judges an answer. Right or wrong, it uses the riddle up. The errors are pack.ErrMalformed, claim.ErrStale,
// claim.ErrSignature and ErrDenied; after the last two the caller holds its answer back for Penalty.
func (l *Lock) Open(raw []byte, now time.Time) (Pass, error) {
	until := l.until
	l.until = time.Time{}
	u, err := claim.ParseUnlock(raw)
	switch {
	case errors.Is(err, claim.ErrSignature):
		l.owner.proofs.wrong()
		return Pass{}, err
	case err != nil:
		return Pass{}, err
	}
	id, _, noOwner := l.owner.Operational() // zero without an owner
	hardware := u.Hardware == label.FingerprintOf(l.owner.hardware.Public()) ||
		noOwner == nil && u.Hardware == label.Fingerprint{} // whom the owner let in does not know it
	if !now.Before(until) || u.Nonce != l.nonce || u.ID != id || !hardware {
		return Pass{}, fmt.Errorf("unlock: %w", claim.ErrStale)
	}
	p := Pass{l.owner, u.Signer, l.factory}
	if _, err := p.Identity(now); err != nil {
		l.owner.proofs.wrong()
		return Pass{}, fmt.Errorf("unlock: %w", err)
	}
	return p, l.owner.proofs.right()
}

// Pass is what who opened a lock has: the proof that he holds a key. What he may is asked anew each time.
type Pass struct {
	owner   *Ownership
	key     ed25519.PublicKey
	factory ed25519.PublicKey
}

// Identity is who holds the pass, as of now: the owner, an installer whom he granted that, or the factory. ErrDenied
// once the grant has ended, the owner has changed, or the factory's time is over.
func (p Pass) Identity(now time.Time) (Identity, error) {
	if p.owner == nil {
		return Identity{}, ErrDenied
	}
	id, err := p.owner.ByKey(p.key, now)
	switch {
	case err == nil && (id.Role == Owner || id.Role == Installer):
		return id, nil
	case err == nil:
		return Identity{}, fmt.Errorf("role %q has nothing to do at the serial line: %w", id.Role, ErrDenied)
	case errors.Is(err, ErrUnclaimed) && p.factory.Equal(p.key) && len(p.factory) == ed25519.PublicKeySize &&
		p.owner.FactoryFresh():
		return Identity{Name: string(Factory), Role: Factory, credential: string(p.key)}, nil
	}
	return Identity{}, fmt.Errorf("key: %w", ErrDenied)
}

// FactoryFresh reports whether the camera never had an owner, as far as it can know: it says no where what it remembers
// can't be read.
func (o *Ownership) FactoryFresh() bool {
	if o.Claimed() || o.Challenge().Epoch > 0 {
		return false
	}
	last, _, err := o.persist.Load()
	return (err == nil || errors.Is(err, fs.ErrNotExist)) && !last.Sold && last.Epoch == 0
}

// leaveFactory notes that the camera belongs to somebody, before it does: from then on the factory's key opens nothing,
// whatever becomes of the owner's file.
func (o *Ownership) leaveFactory() error {
	if last, _, err := o.persist.Load(); err == nil && last.Sold {
		return nil
	}
	return o.persist.Update(func(v *lasting) error {
		v.Sold = true
		return nil
	})
}

// Bystander is whoever stands at the board, with wires on its serial port, and has proved nothing: he may have a board
// test itself, and bring one that nobody owns into a network.
func Bystander(claimed bool) Identity {
	id := Identity{Name: string(bystander), Role: bystander, scope: []Action{Test}}
	if !claimed {
		id.scope = append(id.scope, Inspect, Move)
	}
	return id
}
