package link

import (
	"context"
	"errors"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/pack"
	"github.com/ocellus/ocellus/console/link/wire"
	"github.com/ocellus/ocellus/internal/monotime"
)

// The codes by which a claim is refused, as at the LAN door. They are wire format: never renamed.
const (
	codeClaimed = "claimed"
	codeStale   = "stale"
	codeProof   = "wrong_proof"
	codeFailed  = "failed"
)

// claim tells what a claim has to answer, or takes one. A camera that has an owner parses none.
func (d *desk) claim(t *talk, m wire.Message) {
	switch {
	case d.Gate == nil:
		d.refuse(t, m.Number, codeNone, "")
	case len(m.Body) == 0 && d.Gate.Claimed():
		d.refuse(t, m.Number, codeClaimed, claimedText)
	case len(m.Body) == 0:
		d.send(t, wire.Message{Kind: wire.Claim, Number: m.Number, Body: d.Gate.Challenge().Marshal()})
	default:
		d.work(t, m.Number, func(ctx context.Context) wire.Message { return d.claimed(ctx, m.Body) })
	}
}

const claimedText = "the camera has an owner: only he can hand it over, or a long press of its button makes it forget him"

// claimed judges a claim and answers it. A wrong proof is held back, longer each time, and so is whatever is judged until
// then, in whichever conversation.
func (d *desk) claimed(ctx context.Context, raw []byte) wire.Message {
	var receipt []byte
	var err error
	if !d.judged(ctx, func() {
		if receipt, err = d.Gate.Claim(raw); errors.Is(err, claim.ErrProof) {
			d.held = time.Now().Add(d.Penalty())
		}
	}) {
		return wire.Message{}
	}
	if err == nil {
		return wire.Message{Kind: wire.Claim, Body: receipt}
	}
	no := wire.No{Code: codeFailed, Text: "the camera could not store its owner: try again"}
	switch {
	case errors.Is(err, access.ErrClaimed):
		no = wire.No{Code: codeClaimed, Text: claimedText}
	case errors.Is(err, claim.ErrStale):
		no = wire.No{Code: codeStale, Text: "the camera was reset or claimed meanwhile: ask for the challenge again"}
	case errors.Is(err, claim.ErrProof):
		d.Log.Warn("a claim with a wrong proof")
		_ = monotime.Pause(ctx, d.Penalty()) // who does not wait for it hears nothing
		no = wire.No{Code: codeProof, Text: "this is not what the camera's label says: scan it again"}
	case errors.Is(err, pack.ErrMalformed), errors.Is(err, claim.ErrSignature):
		no = wire.No{Code: codeBad, Text: clip(err.Error())}
	default:
		d.Log.Error("claim not taken", "err", err)
	}
	return wire.Message{Kind: wire.Refused, Body: no.Marshal()}
}
