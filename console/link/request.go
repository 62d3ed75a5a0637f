package link

import (
	"context"
	"errors"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/console/link/wire"
	"github.com/ocellus/ocellus/internal/monotime"
)

// The codes of this room's own answers. They are wire format: never renamed.
const (
	codeBad    = "bad_request"
	codeBusy   = "busy"
	codeDenied = "denied"
	codeNone   = "unsupported"
)

// maxResult is what an answer may be long, in bytes.
const maxResult = 512 << 10

// message takes a whole message of the conversation t.
func (d *desk) message(t *talk, raw []byte) {
	m, err := wire.ParseMessage(raw)
	if err != nil || t != d.talk {
		return
	}
	switch m.Kind {
	case wire.Envelope:
		d.envelope(t, m)
	case wire.Challenge:
		d.challenge(t, m)
	case wire.Unlock:
		d.unlock(t, m)
	case wire.Command:
		d.command(t, m)
	case wire.Put:
		d.put(t, m)
	case wire.Piece:
		d.part(t, m)
	case wire.Claim:
		d.claim(t, m)
	default:
		d.refuse(t, m.Number, codeNone, "this release does not know that request")
	}
}

// envelope hands a sealed command to its judge, and each of its answers back.
func (d *desk) envelope(t *talk, m wire.Message) {
	d.work(t, m.Number, func(ctx context.Context) wire.Message {
		done := make(chan struct{}) // closed with the last answer
		err := d.Envelope(ctx, m.Body, func(reply []byte, last bool) {
			d.call(ctx, func() { d.send(t, wire.Message{Kind: wire.Reply, Number: m.Number, Body: reply}) })
			if last {
				close(done)
			}
		})
		if err != nil {
			return wire.Message{Kind: wire.Refused, Body: wire.No{Code: codeBad, Text: clip(err.Error())}.Marshal()}
		}
		select {
		case <-done:
		case <-ctx.Done():
		}
		return wire.Message{}
	})
}

// clip cuts a text to what a refusal takes.
func clip(text string) string { return text[:min(len(text), 1<<10)] }

// challenge asks who it is.
func (d *desk) challenge(t *talk, m wire.Message) {
	if t.lock == nil {
		d.refuse(t, m.Number, codeNone, "")
		return
	}
	d.send(t, wire.Message{Kind: wire.Challenge, Number: m.Number, Body: t.lock.Ask(time.Now())})
}

// unlock finds out who it is. A wrong answer is held back, longer each time, and so is whatever is answered until then,
// in whichever conversation.
func (d *desk) unlock(t *talk, m wire.Message) {
	if t.lock == nil {
		d.refuse(t, m.Number, codeNone, "")
		return
	}
	d.work(t, m.Number, func(ctx context.Context) wire.Message {
		var err error
		if !d.judged(ctx, func() { err = d.open(t, m.Body) }) {
			return wire.Message{}
		}
		if err == nil {
			return wire.Message{Kind: wire.Result, Body: []byte(`{"code":"ok"}`)}
		}
		code := codeBad
		if guessed(err) {
			code = codeDenied
			_ = monotime.Pause(ctx, d.Penalty()) // who does not wait for it hears nothing
		}
		return wire.Message{Kind: wire.Refused, Body: wire.No{Code: code, Text: clip(err.Error())}.Marshal()}
	})
}

// judged calls judge in the goroutine of Run, as soon as no wrong answer is held back any more; false: ctx ended.
func (d *desk) judged(ctx context.Context, judge func()) bool {
	var wait time.Duration
	for first := true; first || wait > 0; first = false {
		if monotime.Pause(ctx, wait) != nil || !d.call(ctx, func() {
			if wait = time.Until(d.held); wait <= 0 {
				judge()
			}
		}) {
			return false
		}
	}
	return true
}

// open judges an answer.
func (d *desk) open(t *talk, answer []byte) error {
	now := time.Now()
	pass, err := t.lock.Open(answer, now)
	if err != nil {
		t.pass = nil
		d.Log.Warn("serial line not unlocked", "err", err)
		if guessed(err) {
			d.held = now.Add(d.Penalty())
		}
		return err
	}
	t.pass, d.held = pass, time.Time{}
	return nil
}

// guessed reports whether an error may be that of a guessed key.
func guessed(err error) bool {
	return errors.Is(err, access.ErrDenied) || errors.Is(err, claim.ErrSignature)
}

// known is who asks, as of now; false: nobody who may, and he knows it.
func (d *desk) known(t *talk, m wire.Message) (who access.Identity, ok bool) {
	err := errLocked
	if t.pass != nil {
		who, err = t.pass.Identity(time.Now())
	}
	if err != nil {
		d.refuse(t, m.Number, codeDenied, clip(err.Error()))
	}
	return who, err == nil
}

var errLocked = errors.New("the line is locked: unlock it first")

// command runs a command.
func (d *desk) command(t *talk, m wire.Message) {
	who, ok := d.known(t, m)
	if !ok {
		return
	}
	d.work(t, m.Number, func(ctx context.Context) wire.Message {
		result := d.Do(ctx, who, m.Body)
		if len(result) > maxResult {
			result = []byte(`{"code":"too_big","text":"done, but the answer is too large for this line"}`)
		}
		return wire.Message{Kind: wire.Result, Body: result}
	})
}
