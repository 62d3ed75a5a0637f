package control

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/envelope"
)

// What a command may say of time, and how deep its arguments are.
const (
	skew     = 30 * time.Second // by which the clocks of camera and person may differ
	longest  = 5 * time.Minute  // from issue to expiry
	maxDepth = 8
)

// asked is a command that passed the rules so far.
type asked struct {
	*envelope.Received
	who     access.Identity
	op      Operation
	desired bool // left at the topic of the desired state
	owner   bool
}

// lane names the sender, and by which of its two topics it speaks.
func (a *asked) lane() string {
	if a.desired {
		return envelope.Client(a.Source) + desiredLane
	}
	return envelope.Client(a.Source)
}

// identity is the camera's own, of this instant.
type identity struct {
	id     [envelope.IDSize]byte
	key    ed25519.PrivateKey
	opener *envelope.Opener
}

// authenticate is the rules that need no state of the sender: size, form, place, key, signature. It touches a key only
// after everything that costs nothing.
func authenticate(m Message, own identity, people People, now time.Time) (*asked, *Refusal) {
	if len(m.Raw) > envelope.MaxCommand {
		return nil, refuse(CodeTooBig, "%d bytes, at most %d", len(m.Raw), envelope.MaxCommand)
	}
	c, err := envelope.ParseCommand(m.Topic, m.Raw)
	if err != nil {
		return nil, refuse(CodeBadMessage, "%v", err)
	}
	a := &asked{Received: c, desired: m.Topic == envelope.DesiredTopic(own.id, c.Source)}
	switch {
	case c.Camera != own.id || !a.desired && m.Topic != envelope.CommandTopic(own.id, c.Source):
		return nil, refuse(CodeWrongTopic, "")
	case m.Retained && !a.desired:
		return nil, refuse(CodeRetained, "")
	}
	if a.who, err = people.ByKey(c.Source, now); err != nil {
		return nil, refuse(CodeUnknownKey, "")
	}
	if c.Verify() != nil {
		return nil, refuse(CodeSignature, "")
	}
	a.owner = a.who.Role == access.Owner
	return a, nil
}

// timely is the rules of time. A camera that does not know the time can't ask for freshness; the counter is all it has.
func timely(a *asked, now time.Time, sure bool) *Refusal {
	forever := a.Expires.IsZero()
	switch {
	case forever && !a.desired:
		return refuse(CodeBadMessage, "a command expires")
	case !forever && a.Expires.Before(a.Issued):
		return refuse(CodeBadMessage, "it expires before it is issued")
	case !a.desired && a.Expires.Sub(a.Issued) > longest:
		return refuse(CodeBadMessage, "it is valid for longer than %v", longest)
	case !sure:
		return nil
	case !forever && now.After(a.Expires.Add(skew)):
		return refuse(CodeExpired, "at %s; here it is %s", a.Expires.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case a.Issued.After(now.Add(skew)):
		return refuse(CodeFuture, "issued at %s; here it is %s", a.Issued.Format(time.RFC3339),
			now.UTC().Format(time.RFC3339))
	}
	return nil
}

// permitted opens what is asked and looks whether the sender may have it. now: it is known to be asked now.
func permitted(a *asked, own *envelope.Opener, table Table, now bool) *Refusal {
	if err := a.Open(own); err != nil {
		return refuse(CodeBadMessage, "%v", err)
	}
	op, ok := table.Look(a.Operation)
	a.op = op
	switch {
	case !ok:
		return refuse(CodeUnknown, "%.40q", a.Operation)
	case !a.who.May(op.Needs):
		return refuse(CodeDenied, "role %q may not %s", a.who.Role, op.Needs)
	case a.desired && a.Operation != Desired:
		return refuse(CodeBadRequest, "a desired state is set by %s alone", Desired)
	case op.Final && !now:
		return refuse(CodeClockUnset, "the camera does not know the time yet")
	}
	if err := shallow(a.Arguments, maxDepth); err != nil {
		return refuse(CodeBadRequest, "arguments: %v", err)
	}
	return nil
}

// Desired is the one operation that a person may leave at the broker for a camera that is not there.
const Desired = "config.set"

func refuse(code, format string, words ...any) *Refusal {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, words...)}
}

// shallow reports an error for JSON that has more levels than these. It reads no further than to the fault.
func shallow(raw []byte, levels int) error {
	if len(raw) == 0 {
		return nil
	}
	depth := 0
	d := json.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := d.Token()
		if err != nil {
			if depth == 0 && d.InputOffset() > 0 {
				return nil // the end; what else is wrong with it the table says
			}
			return errors.New("not JSON")
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > levels {
			return fmt.Errorf("more than %d levels", levels)
		}
	}
}
