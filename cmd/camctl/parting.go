package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/internal/monotime"
)

// erasedCamera is what is kept of a camera that forgot its owner, by the hexadecimal id that it had for him.
type erasedCamera struct {
	Name        string    `json:"name"`
	Model       string    `json:"model"`
	Hardware    []byte    `json:"hardware"`    // public key
	Operational []byte    `json:"operational"` // public key, gone with its other half
	Receipt     []byte    `json:"receipt"`     // the erase receipt
	At          time.Time `json:"at"`          // by this machine's clock
}

// question asks for what an order has to bear.
func (o owned) question(ctx context.Context) (claim.Order, claim.Challenge, error) {
	var q struct{ Nonce, Challenge []byte }
	if err := o.command(ctx, "owner.ask", struct{}{}, &q); err != nil {
		return claim.Order{}, claim.Challenge{}, err
	}
	challenge, err := claim.ParseChallenge(q.Challenge)
	if err == nil && (len(q.Nonce) != claim.NonceSize || !challenge.Hardware.Equal(ed25519.PublicKey(o.Hardware))) {
		err = errors.New("the camera's answer is not the one of a camera of yours")
	}
	order := claim.Order{Epoch: challenge.Epoch}
	copy(order.Nonce[:], q.Nonce)
	copy(order.Camera[:], o.ID)
	_, _ = rand.Read(order.Own[:]) // never fails
	return order, challenge, err
}

// unbindCommand makes the camera forget its owner.
type unbindCommand struct {
	ofCamera
	Yes bool `help:"Don't ask."`
}

// Run unbinds, and keeps the erase receipt.
func (c *unbindCommand) Run(ctx context.Context, s streams) error {
	o, err := c.find()
	if err != nil {
		return err
	}
	if o.Receipt == nil {
		return fmt.Errorf("%s is not yours: its owner let you in", o.name)
	}
	if err := c.confirm(s, o.name); err != nil {
		return err
	}
	order, challenge, err := o.question(ctx)
	if err != nil {
		return err
	}
	order.Deed = claim.Unbind
	var answer struct{ Receipt []byte }
	err = o.command(ctx, "owner.unbind", map[string][]byte{"order": order.Sign(o.key)}, &answer)
	var no *refusal
	if err != nil && !errors.As(err, &no) {
		return o.lost(ctx, challenge, err)
	}
	if err != nil {
		return err
	}
	if err := o.erased(order, answer.Receipt); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s has destroyed the keys of all that it kept for you, and forgot you; its receipt is kept: "+
		"camctl erased\n", o.name)
	return err
}

// erased judges the receipt for an order, and keeps it in the place of the camera.
func (o owned) erased(order claim.Order, receipt []byte) error {
	erased, err := claim.ParseErased(receipt, o.Hardware, o.Operational)
	if err == nil && (erased.Request != order.Own || erased.Epoch <= order.Epoch) {
		err = claim.ErrStale
	}
	if err != nil {
		return fmt.Errorf("%s has forgotten you, but its receipt is not right: %w", o.name, err)
	}
	return o.forget(func(h *home) {
		if h.Erased == nil {
			h.Erased = map[string]erasedCamera{}
		}
		h.Erased[hex.EncodeToString(o.ID)] = erasedCamera{o.name, o.Model, o.Hardware, o.Operational, receipt,
			time.Now().UTC().Truncate(time.Second)}
	})
}

// confirm asks.
func (c *unbindCommand) confirm(s streams, name string) error {
	if c.Yes {
		return nil
	}
	fmt.Fprintf(s.err, "%s will forget you and everything that it keeps for you: networks, people, settings.\n"+
		"Nothing brings that back. Type %s to go on: ", name, name)
	if typed, err := readLine(s.in); err != nil || typed != name {
		return errors.New("nothing was done")
	}
	return nil
}

// lost looks whether a camera whose answer was lost has forgotten its owner: then it shows the key of its label again,
// with a higher epoch.
func (o owned) lost(ctx context.Context, before claim.Challenge, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	d, err := openDoor(o.Address, nil, func(k ed25519.PublicKey) bool { return k.Equal(ed25519.PublicKey(o.Hardware)) })
	for err == nil {
		raw, err := d.ask(ctx, http.MethodGet, "/v1/claim", nil)
		if now, bad := claim.ParseChallenge(raw); err == nil && bad == nil && now.Epoch > before.Epoch {
			return errors.Join(fmt.Errorf("%s has forgotten you; its receipt was lost on the way", o.name), o.forget(nil))
		}
		if monotime.Pause(ctx, time.Second) != nil {
			break
		}
	}
	return fmt.Errorf("%s may have forgotten you, or not: %w; ask again", o.name, cause)
}

// erasedCommand lists the erase receipts.
type erasedCommand struct{ homeFlag }

// Run verifies each again.
func (c *erasedCommand) Run(s streams) error {
	_, h, err := c.open()
	if err != nil {
		return err
	}
	var bad []error
	ids := make([]string, 0, len(h.Erased))
	for id := range h.Erased {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return h.Erased[a].At.Compare(h.Erased[b].At) })
	for _, id := range ids {
		e := h.Erased[id]
		if _, err := claim.ParseErased(e.Receipt, e.Hardware, e.Operational); err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", e.Name, err))
			continue
		}
		fmt.Fprintf(s.out, "%s %s (%s, fingerprint %s) destroyed the keys of all that it kept for you as %s\n",
			e.At.Format(time.DateTime), e.Name, e.Model, label.FingerprintOf(e.Hardware), id)
	}
	return errors.Join(bad...)
}

// handOverCommand makes somebody else the owner.
type handOverCommand struct {
	ofCamera
	Answer string `placeholder:"TEXT" help:"What the next owner sent back; - reads it from standard input."`
}

// Run prints the offer; with the answer to it, it hands the camera over.
func (c *handOverCommand) Run(ctx context.Context, s streams) error {
	o, err := c.find()
	if err != nil {
		return err
	}
	if o.Receipt == nil {
		return fmt.Errorf("%s is not yours: its owner let you in", o.name)
	}
	order, challenge, err := o.question(ctx)
	if err != nil {
		return err
	}
	if c.Answer == "" {
		fmt.Fprintf(s.err, "for the next owner: camctl accept with this text. He sends an answer back, and you finish with:\n"+
			"camctl hand-over %s --answer ANSWER\n", o.name)
		_, err := fmt.Fprintln(s.out, claim.Offer{Address: o.Address, Model: o.Model, Challenge: challenge}.Text())
		return err
	}
	text, err := textOf(c.Answer, s.in)
	if err != nil {
		return err
	}
	next, err := claim.ParseAnswer(text)
	if err != nil {
		return &fault{exitUsage, err}
	}
	order.Deed, order.Claim = claim.GiveTo, claim.Sum(next)
	err = o.command(ctx, "owner.handover", map[string][]byte{"order": order.Sign(o.key), "claim": next}, &struct{}{})
	var no *refusal
	if errors.As(err, &no) && no.Code == "stale" {
		err = fmt.Errorf("the answer is to an earlier offer: make a new one with camctl hand-over %s", o.name)
	}
	if err != nil {
		return err
	}
	if err := o.forget(nil); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s is not yours any more; whom you let in is out\n", o.name)
	return err
}

// takeOver answers an offer, and waits until the camera says that it belongs to this key.
func (c *acceptCommand) takeOver(ctx context.Context, s streams, offer claim.Offer, key ed25519.PrivateKey) (
	pairedCamera, error,
) {
	fingerprint := label.FingerprintOf(offer.Challenge.Hardware)
	fmt.Fprintf(s.err, "an offer of a %s with the fingerprint %s: compare it with the label.\nThe answer, for its owner:\n",
		offer.Model, fingerprint)
	m := claim.Claim{Challenge: offer.Challenge, Owner: key.Public().(ed25519.PublicKey), Proof: claim.ByOwner}
	_, _ = rand.Read(m.Own[:]) // never fails
	message := m.Sign(key, nil)
	fmt.Fprintln(s.out, claim.AnswerText(message))
	// Which key answers is all the same: the receipt is signed by the hardware key and names the new one.
	d, err := openDoor(offer.Address, nil, func(ed25519.PublicKey) bool { return true })
	if err != nil {
		return pairedCamera{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	for {
		raw, err := d.ask(ctx, http.MethodPost, "/v1/claim", message)
		if err == nil {
			r, err := claim.ParseReceipt(raw, message, offer.Challenge.Hardware)
			return pairedCamera{Model: offer.Model, Fingerprint: fingerprint.String(), Address: offer.Address, ID: r.ID[:],
				Operational: r.Operational, Hardware: offer.Challenge.Hardware, Receipt: raw}, err
		}
		if monotime.Pause(ctx, time.Second) != nil {
			return pairedCamera{}, fmt.Errorf("its owner has not handed it over: %s", strings.TrimSpace(err.Error()))
		}
	}
}
