package access

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/internal/statefile"
)

// Errors of the claim that callers branch on.
var (
	// ErrClaimed: the camera has an owner; nothing but its owner or the button changes that.
	ErrClaimed = errors.New("the camera has an owner already")
	// ErrUnclaimed: the camera has no owner yet.
	ErrUnclaimed = errors.New("the camera has no owner")
	// ErrParted: the camera was reset and has not started anew yet; its challenge is another one then.
	ErrParted = fmt.Errorf("the camera was reset and starts anew: %w", claim.ErrStale)
)

// TokenSize is the size of a one-time token in bytes.
const TokenSize = 16

// owned is the file of the owner, sealed. That it is there, whole, is what makes a camera owned: it is written in one
// step, so that a power cut leaves an owner or none. Fields are only added.
type owned struct {
	Owner   []byte `json:"owner"` // Ed25519 public key
	Epoch   uint32 `json:"epoch"`
	ID      []byte `json:"id"`  // operational identity: random
	Key     []byte `json:"key"` // and its Ed25519 seed
	Claim   []byte `json:"claim"`
	Receipt []byte `json:"receipt"` // the answer to that claim, should it come again
	// Grants are the owner's words for other keys, as they were signed, by the hexadecimal id.
	Grants map[string][]byte `json:"grants,omitempty"`
	// Revoked are ids of grants that must not come back, with the end of the grant (RFC 3339; empty: never ends).
	Revoked map[string]string `json:"revoked,omitempty"`
	// Viewers are admitted by name and password, under Realm, which no other owner has.
	Realm   string            `json:"realm,omitempty"`
	Viewers map[string]viewer `json:"viewers,omitempty"`
}

const ownedVersion = 1

// Ownership knows whose the camera is. OpenOwnership is the only door; its methods may be called at once from many
// goroutines.
type Ownership struct {
	hardware *Hardware
	persist  *statefile.File[lasting]
	file     *statefile.File[owned]
	log      *slog.Logger
	proofs   *proofs

	change sync.Mutex   // one change at a time, over its file write too
	mu     sync.RWMutex // guards the rest
	state  *owned       // nil while there is no owner; never changed in place
	epoch  uint32
	nonce  [claim.NonceSize]byte // of the challenge
	token  *oneTime              // nil for none
	asked  *question             // nil for none
	parted bool                  // from its owner, until the program starts anew
	others chan struct{}         // closed at the next change of state, which makes another
}

// oneTime is a claim token that came with the credentials of the network.
type oneTime struct {
	token []byte
	owner label.Fingerprint // of the owner's key
}

// OpenOwnership reads whose the camera is. persist is the area that survives resets, sealedOwner the place of the
// owner's file, sealed by a key that does not. An owner's file that can't be opened (its key is destroyed: a reset was
// cut short) or that is of another epoch is no owner.
func OpenOwnership(h *Hardware, persist, sealedOwner statefile.Place, log *slog.Logger) (*Ownership, error) {
	o := &Ownership{
		hardware: h, persist: statefile.At[lasting](persist, persistVersion),
		file: statefile.At[owned](sealedOwner, ownedVersion), log: log.With("part", "access"),
		others: make(chan struct{}),
	}
	last, _, err := o.persist.Load()
	if err != nil {
		return nil, err
	}
	o.epoch, o.parted, o.proofs = last.Epoch, last.Resetting, newProofs(o.persist, last.Failures)
	_, _ = rand.Read(o.nonce[:]) // never fails
	state, _, err := o.file.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return o, nil
	case errors.Is(err, statefile.ErrCorrupt):
		o.log.Error("what is known of the owner can't be opened: this camera has no owner", "err", err)
		return o, nil
	case err != nil:
		return nil, err
	}
	if len(state.Owner) == claim.KeySize && len(state.Key) == ed25519.SeedSize {
		o.adopt(&state)
	}
	if o.Claimed() && !last.Sold { // a release claimed it that did not know the factory's key
		if err := o.leaveFactory(); err != nil {
			o.log.Error("that the camera was sold is not kept", "err", err)
		}
	}
	return o, nil
}

// adopt takes what the owner's file says, if it is of this epoch. One of the next epoch is that of a hand-over whose
// last write was cut off.
func (o *Ownership) adopt(s *owned) {
	if s.Epoch == o.epoch+1 {
		o.raise(s.Epoch)
	}
	if s.Epoch == o.epoch {
		o.state = s
	}
}

func (o *Ownership) snapshot() *owned {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.state
}

// become lets another state count, and wakes whoever waits for that. The caller holds mu.
func (o *Ownership) become(s *owned) {
	o.state = s
	close(o.others)
	o.others = make(chan struct{})
}

// Changed returns a channel that is closed when there is another owner, or none, or others whom he lets in. Whoever asks
// for it before he looks at them misses nothing.
func (o *Ownership) Changed() <-chan struct{} {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.others
}

// Claimed reports whether the camera has an owner.
func (o *Ownership) Claimed() bool { return o.snapshot() != nil }

func (o *Ownership) parting() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.parted
}

// Hardware is the camera's hardware identity.
func (o *Ownership) Hardware() *Hardware { return o.hardware }

// Operational returns the identity that was made for the present owner: a random id and its key. ErrUnclaimed.
func (o *Ownership) Operational() (id [claim.IDSize]byte, key ed25519.PrivateKey, err error) {
	s := o.snapshot()
	if s == nil {
		return id, nil, ErrUnclaimed
	}
	copy(id[:], s.ID)
	return id, ed25519.NewKeyFromSeed(s.Key), nil
}

// Receipt is the answer to the claim that made the present owner. ErrUnclaimed.
func (o *Ownership) Receipt() ([]byte, error) {
	s := o.snapshot()
	if s == nil {
		return nil, ErrUnclaimed
	}
	return s.Receipt, nil
}

// Challenge is what a claim has to answer. It changes when the owner does.
func (o *Ownership) Challenge() claim.Challenge {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return claim.Challenge{Nonce: o.nonce, Hardware: o.hardware.Public(), Epoch: o.epoch}
}

// Expect takes the one-time token that came with the network's credentials and may be used by the owner whose key has
// this fingerprint. It replaces an earlier one, and is gone after one claim.
func (o *Ownership) Expect(token [TokenSize]byte, owner label.Fingerprint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.token = &oneTime{token[:], owner}
}

// Claim makes the sender of a claim the owner and returns the receipt; the camera is his when it returns. The same
// claim again has the same receipt. ErrClaimed for any other claim of an owned camera; claim.ErrStale, ErrProof,
// ErrSignature, pack.ErrMalformed for what is wrong with it. After a wrong proof, the caller holds its answer back for
// Penalty.
func (o *Ownership) Claim(raw []byte) (receipt []byte, err error) {
	o.change.Lock()
	defer o.change.Unlock()
	if s := o.snapshot(); s != nil {
		if sum := claim.Sum(raw); string(sum[:]) == string(s.Claim) {
			return s.Receipt, nil
		}
		return nil, ErrClaimed
	}
	if o.parting() {
		return nil, ErrParted
	}
	c, err := claim.ParseClaim(raw)
	if err == nil {
		err = c.Answers(o.Challenge())
	}
	if err == nil {
		err = o.check(c)
	}
	if err != nil {
		return nil, err
	}
	return o.take(c, c.Epoch)
}

// check judges the proof of a claim, and remembers wrong ones through power cuts.
func (o *Ownership) check(c *claim.Received) error {
	key, err := o.proofKey(c)
	if err != nil {
		return err
	}
	if err := c.Check(key); err != nil {
		o.proofs.wrong()
		return err
	}
	return o.proofs.right()
}

func (o *Ownership) proofKey(c *claim.Received) ([]byte, error) {
	switch c.Proof {
	case claim.BySecret:
		key, err := o.hardware.label.ClaimKey()
		return key[:], err
	case claim.ByToken:
		o.mu.RLock()
		defer o.mu.RUnlock()
		if o.token != nil && o.token.owner == label.FingerprintOf(c.Owner) {
			return o.token.token, nil
		}
	}
	return nil, fmt.Errorf("claim: %w: no such proof is expected", claim.ErrProof)
}

// take makes the operational identity and stores the owner: the one write that counts.
func (o *Ownership) take(c *claim.Received, epoch uint32) ([]byte, error) {
	_, operational, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	sum := c.Sum()
	r := claim.Receipt{Claim: sum, Hardware: o.hardware.Public(), Operational: operational.Public().(ed25519.PublicKey)}
	_, _ = rand.Read(r.ID[:])
	s := &owned{
		Owner: c.Owner, Epoch: epoch, ID: r.ID[:], Key: operational.Seed(), Claim: sum[:],
		Receipt: r.Sign(o.hardware.key, operational), Realm: newRealm(),
	}
	if err := o.leaveFactory(); err != nil {
		return nil, err
	}
	if err := o.file.Store(*s); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.become(s)
	o.token, o.asked = nil, nil
	_, _ = rand.Read(o.nonce[:])
	o.log.Info("the camera has an owner", "id", hex.EncodeToString(s.ID))
	return s.Receipt, nil
}

// Penalty tells how long the answer to a wrong proof is held back. A right one never waits.
func (o *Ownership) Penalty() time.Duration { return o.proofs.penalty() }
