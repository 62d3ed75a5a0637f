package access

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/internal/statefile"
)

// A camera parts with its owner in two ways. HandOver makes somebody else the owner: one write, the owner's file, which
// says the next epoch. Unbind and Disown leave it without one, and what it kept for him unreadable:
//
//	owned ──persist: epoch + 1, resetting──> nobody's ──keys destroyed──> unreadable
//	  ──the program starts anew, EndReset: keys again, files, persist: not resetting──> as from the box
//
// A power cut leaves one of these states, and every start goes on from it. The last part is always done at a start,
// when nobody else writes, so that the way after a power cut is no other way.

// orderLife is the time between an owner's question and his order.
const orderLife = time.Minute

// question is that of an owner who is about to give an order.
type question struct {
	nonce [claim.NonceSize]byte
	until time.Time
}

// Ask gives the owner the nonce of his next order. It is good for a minute and one order, and replaces an earlier one.
func (o *Ownership) Ask() (nonce [claim.NonceSize]byte) {
	_, _ = rand.Read(nonce[:]) // never fails
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = &question{nonce, time.Now().Add(orderLife)}
	return nonce
}

// answered uses the question up.
func (o *Ownership) answered() question {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.asked == nil {
		return question{}
	}
	q := *o.asked
	o.asked = nil
	return q
}

// ordered judges an order of the owner. Right or wrong, it uses his question up.
func (o *Ownership) ordered(s *owned, raw []byte, deed claim.Deed) (claim.Order, error) {
	q := o.answered()
	order, err := claim.ParseOrder(raw, s.Owner)
	switch {
	case err != nil:
		return order, err
	case !time.Now().Before(q.until) || order.Nonce != q.nonce || string(order.Camera[:]) != string(s.ID) ||
		order.Epoch != s.Epoch:
		return order, fmt.Errorf("order: %w", claim.ErrStale)
	case order.Deed != deed:
		return order, fmt.Errorf("order: it asks for another deed: %w", ErrDenied)
	}
	return order, nil
}

// HandOver makes the sender of a claim the owner in the place of the present one, who orders it by a GiveTo with that
// claim's sum. The claim answers Challenge and says claim.ByOwner. The camera gets a new operational identity, and the
// epoch goes up; every grant ends, and every viewer.
func (o *Ownership) HandOver(order, raw []byte) (receipt []byte, err error) {
	o.change.Lock()
	defer o.change.Unlock()
	s := o.snapshot()
	if s == nil {
		return nil, ErrUnclaimed
	}
	word, err := o.ordered(s, order, claim.GiveTo)
	if err != nil {
		return nil, err
	}
	c, err := claim.ParseClaim(raw)
	if err == nil {
		err = c.Answers(o.Challenge())
	}
	if err == nil && (c.Proof != claim.ByOwner || c.Sum() != word.Claim) {
		err = fmt.Errorf("hand over: %w: not the claim that the owner means", claim.ErrProof)
	}
	if err == nil {
		err = c.Check(nil)
	}
	if err != nil {
		return nil, err
	}
	if receipt, err = o.take(c, s.Epoch+1); err == nil {
		o.raise(s.Epoch + 1)
	}
	return receipt, err
}

// raise notes the epoch of a new owner. That his file says it is enough where it can't be written: see adopt.
func (o *Ownership) raise(epoch uint32) {
	err := o.persist.Update(func(v *lasting) error {
		v.Epoch = max(v.Epoch, epoch)
		return nil
	})
	if err != nil {
		o.log.Error("the epoch is not kept", "epoch", epoch, "err", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.epoch = epoch
}

// Unbind does what Disown does, by an Unbind order of the owner, whose nonce the receipt repeats.
func (o *Ownership) Unbind(order []byte, destroy func() error) (receipt []byte, err error) {
	o.change.Lock()
	defer o.change.Unlock()
	s := o.snapshot()
	if s == nil {
		return nil, ErrUnclaimed
	}
	word, err := o.ordered(s, order, claim.Unbind)
	if err != nil {
		return nil, err
	}
	return o.disown(s, word.Own, destroy)
}

// Disown forgets the owner because somebody who has the camera in his hands wants it: the epoch goes up, so that no
// word given to the owner counts again. destroy destroys the keys under which his data lie; only then is there a
// receipt, which the operational key signs for the last time. It is nil where there was no owner. The program then
// starts anew (EndReset), whatever the error.
func (o *Ownership) Disown(destroy func() error) (receipt []byte, err error) {
	o.change.Lock()
	defer o.change.Unlock()
	return o.disown(o.snapshot(), [claim.NonceSize]byte{}, destroy)
}

func (o *Ownership) disown(s *owned, request [claim.NonceSize]byte, destroy func() error) ([]byte, error) {
	epoch := o.Challenge().Epoch + 1
	err := o.persist.Update(func(v *lasting) error {
		epoch = max(v.Epoch+1, epoch)
		v.Epoch, v.Resetting = epoch, true
		return nil
	})
	if err == nil {
		o.forget(epoch)
		err = destroy()
	}
	if err != nil {
		return nil, fmt.Errorf("disown: %w", err)
	}
	o.log.Info("the camera has no owner any more")
	if s == nil {
		return nil, nil
	}
	operational := ed25519.NewKeyFromSeed(s.Key)
	e := claim.Erased{
		Operational: operational.Public().(ed25519.PublicKey), Hardware: o.hardware.Public(), Epoch: epoch,
		Request: request,
	}
	copy(e.ID[:], s.ID)
	return e.Sign(o.hardware.key, operational), nil
}

// forget lets nobody in from now on, and takes no other owner: his file would be sealed by a key that is gone.
func (o *Ownership) forget(epoch uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.become(nil)
	o.token, o.asked, o.epoch, o.parted = nil, nil, epoch, true
	_, _ = rand.Read(o.nonce[:])
}

// EndReset ends a reset that was begun: erase destroys the keys, which may be gone already, and then what the owner
// left. It comes before anything else is opened. ended says that there was one.
func EndReset(persist statefile.Place, erase func() error) (ended bool, err error) {
	file := statefile.At[lasting](persist, persistVersion)
	last, _, err := file.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil, !last.Resetting:
		return false, err
	}
	if err = erase(); err == nil {
		err = file.Update(func(v *lasting) error {
			v.Resetting = false
			return nil
		})
	}
	if err != nil {
		return false, fmt.Errorf("end reset: %w", err)
	}
	return true, nil
}
