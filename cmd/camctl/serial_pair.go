package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/console/link/caller"
	"github.com/ocellus/ocellus/console/link/wire"
	"github.com/ocellus/ocellus/internal/statefile"
)

// overLine makes the holder of key the owner of the camera on a serial line, which needs no network for that.
func (c *pairCommand) overLine(ctx context.Context, s streams, file *statefile.File[home], l label.Label,
	key ed25519.PrivateKey,
) error {
	line, err := dialPort(ctx, c.Camera, c.Speed)
	if err != nil {
		return err
	}
	defer line.Close()
	ctx, cancel := context.WithTimeout(ctx, doorPatience) // a wrong proof is answered late
	defer cancel()
	p, err := claimOver(ctx, line, l, key)
	if err != nil {
		return explainClaim(c.Camera, err)
	}
	if err := c.keep(file, p); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%s (%s) is yours. A network for it: camctl network join %s; once it is in one, its streams: "+
		"camctl pair --name %[1]s\n", c.Name, l.Model, c.Camera)
	return nil
}

// claimOver claims a camera by its label. Who is at the other end is proved by the receipt: the label's key signed it.
func claimOver(ctx context.Context, line *caller.Caller, l label.Label, key ed25519.PrivateKey) (pairedCamera, error) {
	secret, err := l.ClaimKey()
	if err != nil {
		return pairedCamera{}, err
	}
	raw, err := askClaim(ctx, line, nil)
	if err != nil {
		return pairedCamera{}, err
	}
	challenge, err := claim.ParseChallenge(raw)
	if err != nil {
		return pairedCamera{}, err
	}
	if label.FingerprintOf(challenge.Hardware) != l.Fingerprint {
		return pairedCamera{}, errOther
	}
	m := claim.Claim{Challenge: challenge, Owner: key.Public().(ed25519.PublicKey), Proof: claim.BySecret}
	_, _ = rand.Read(m.Own[:]) // never fails
	message := m.Sign(key, secret[:])
	if raw, err = askClaim(ctx, line, message); err != nil {
		return pairedCamera{}, err
	}
	return received(raw, message, l, challenge.Hardware)
}

// askClaim asks for the challenge, or sends a claim.
func askClaim(ctx context.Context, line *caller.Caller, message []byte) (answer []byte, err error) {
	err = line.Ask(ctx, wire.Claim, message, func(m wire.Message) (bool, error) {
		answer = m.Body
		return true, caller.Refused(m)
	})
	return answer, err
}

// explainClaim says what to do.
func explainClaim(port string, err error) error {
	var no *caller.Refusal
	switch {
	case errors.Is(err, errOther):
		return &fault{exitCredential, fmt.Errorf("%s: %w: is this its label?", port, errOther)}
	case errors.As(err, &no) && no.Code == "unsupported":
		return fmt.Errorf("%s: this camera's release takes no claim over its serial line: give it a network "+
			"(camctl console), and pair it there", port)
	case errors.As(err, &no):
		return &fault{exitCredential, fmt.Errorf("%s: the camera says: %s", port, no.Text)}
	case errors.Is(err, caller.ErrGone), errors.Is(err, context.DeadlineExceeded):
		return &fault{exitUnreachable, fmt.Errorf("%s: %w", port, err)}
	}
	return err
}
