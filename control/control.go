// Package control is the camera's end of the control plane: it judges what people ask over a carrier that nobody has to
// trust, answers them, tells them what happens, and keeps a session with an MQTT broker.
//
//	carrier --topic, bytes--> Receiver: judge --> lane of the source --> the command table --> reply, sealed
//	   (Session: MQTT; the LAN door)       \--> refused: a typed code, no effect
//	what happens --> Queue (persistent, bounded) --> Session --> one sealed event for each person who may know
//
// The messages are those of codec/envelope. Whoever carries them can drop them, and can do nothing else: a command
// counts only if a key signed it that the owner granted (access), for this camera, now, and for the first time.
package control

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/envelope"
)

// The codes of replies that are given here; the command table has its own. They are wire format: never renamed.
const (
	CodeOK          = "ok"
	CodeAccepted    = "accepted"    // it is being done; another reply follows
	CodeBadMessage  = "bad_message" // no envelope of this version, or one that says something impossible
	CodeTooBig      = "too_big"     // the message, or the answer to it
	CodeRetained    = "retained"    // a command that the broker kept
	CodeWrongTopic  = "wrong_topic" // another camera's, or another person's
	CodeUnclaimed   = "unclaimed"   // the camera has no owner
	CodeUnknownKey  = "unknown_key" // never granted, revoked, ended, not yet begun
	CodeSignature   = "bad_signature"
	CodeRateLimited = "rate_limited" // too much in too short a time
	CodeExpired     = "expired"
	CodeFuture      = "future" // issued later than now: a wrong clock on one of the two sides
	CodeReplay      = "replay" // the counter was used; the result says {"counter": N}, from which the next is larger
	CodeBadRequest  = "bad_request"
	CodeUnknown     = "unknown_command"
	CodeDenied      = "denied"
	CodeClockUnset  = "clock_unset" // what can't be taken back needs a clock that is set, or a sender who is there
	CodeBusy        = "busy"        // the lane of this source is full
	CodeInterrupted = "interrupted" // the camera restarted while it did this: look at its status
	CodeFailed      = "failed"
)

// Operation is what the command table says about one of its rows.
type Operation struct {
	Needs access.Action
	// Once: it changes something. It is never done twice, not even after a power cut between the two.
	Once bool
	// Final: it can't be taken back. It needs to be known to be asked now, so it needs a clock that is set, or a carrier
	// that knows its sender to be there.
	Final bool
}

// Table runs what is asked.
type Table interface {
	Look(operation string) (Operation, bool)
	// Do runs an operation that Look knows. It returns within the operation's deadline. progress may be called at any
	// time before.
	Do(ctx context.Context, who access.Identity, operation string, args []byte, progress func(percent int)) Outcome
}

// Outcome is how an operation ended. Result is JSON.
type Outcome struct {
	Code   string
	Text   string
	Result []byte
	Blob   []byte
}

// idKey is the key of the command's id in the context of Table.Do.
type idKey struct{}

// CommandID returns the id of the command that a context is for; false where none came in an envelope.
func CommandID(ctx context.Context) (id [envelope.IDSize]byte, ok bool) {
	id, ok = ctx.Value(idKey{}).([envelope.IDSize]byte)
	return id, ok
}

// People knows whose the camera is and who may ask; *access.Ownership is one.
type People interface {
	Operational() (id [envelope.IDSize]byte, key ed25519.PrivateKey, err error)
	ByKey(key ed25519.PublicKey, now time.Time) (access.Identity, error)
	// Changed returns a channel that is closed when it is another's, or others may ask.
	Changed() <-chan struct{}
}

// Clock tells the time, and whether it is known: a camera that was never told is in 1970.
type Clock func() (now time.Time, sure bool)

// Message is what a carrier brings.
type Message struct {
	Topic    envelope.Topic
	Raw      []byte
	Retained bool // the broker kept it: nobody may be there any more
	Present  bool // whose topic it is, has just shown the carrier his key: he is there
}

// Refusal is why nothing was done. Those before the signature was verified get no answer on a carrier that anybody can
// write to: their sender may be anybody.
type Refusal struct {
	Code string
	Text string
	// Known: the sender's signature was verified.
	Known  bool
	result []byte
}

func (r *Refusal) Error() string {
	if r.Text == "" {
		return r.Code
	}
	return r.Code + ": " + r.Text
}
