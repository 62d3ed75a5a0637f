package console

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/internal/monotime"
)

// encoding is how bytes travel in a line that a person can copy: RFC 4648 base32 without padding.
func encoding() *base32.Encoding { return base32.StdEncoding.WithPadding(base32.NoPadding) }

// Words in front of what camctl answers.
const (
	riddleWord = "challenge " // claim.Riddle; unlock ANSWER takes claim.Unlock
	orderWord  = "order "     // what owner.ask tells; reset ANSWER takes claim.Order
	// receiptWord stands before the erase receipt (claim.Erased).
	receiptWord = "receipt "
)

const forgets = "The camera forgets its owner, and all that it keeps for him, for good."

// unlock asks a riddle, or takes the answer. The answer to a wrong key is held back, longer each time.
func unlock(s *session, ctx context.Context, words []string) error {
	switch {
	case s.lock == nil:
		return errors.New("the camera does not know whose it is: nobody gets in")
	case len(words) == 0:
		return s.say(riddleWord + encoding().EncodeToString(s.lock.Ask(time.Now())) + "\r\n")
	case len(words) > 1:
		return usage("unlock")
	}
	raw, err := encoding().DecodeString(strings.ToUpper(words[0]))
	if err != nil {
		return errors.New("this is no answer: it is not base32")
	}
	pass, err := s.lock.Open(raw, time.Now())
	switch {
	case errors.Is(err, access.ErrDenied), errors.Is(err, claim.ErrSignature):
		s.c.Log.Warn("console: a key was refused")
		if wait := s.c.Gate.Penalty(); monotime.Pause(ctx, wait) != nil {
			return ctx.Err()
		}
		return errors.New("this key opens nothing here")
	case errors.Is(err, claim.ErrStale):
		return errors.New("this answers another challenge, or another camera: type unlock for a new one")
	case err != nil:
		return err
	}
	return s.admit(pass)
}

func (s *session) admit(pass access.Pass) error {
	now := time.Now()
	id, err := pass.Identity(now)
	if err != nil {
		return err
	}
	s.pass, s.open, s.until = pass, true, now.Add(longest)
	s.c.Log.Info("console unlocked", "name", id.Name, "role", id.Role)
	return s.say(fmt.Sprintf("Unlocked for %s, role %s.\r\n", id.Name, id.Role))
}

// reset asks for the owner's signature under the deed, and does it. Without a key it is what the button is elsewhere.
func reset(s *session, ctx context.Context, words []string) error {
	switch {
	case len(words) > 1:
		return usage("reset")
	case !s.unlocked() && len(words) == 1:
		return errors.New("an order is for whoever has unlocked the console: camctl console PORT")
	case !s.unlocked():
		return s.byHand(ctx)
	}
	if len(words) == 1 {
		raw, err := encoding().DecodeString(strings.ToUpper(words[0]))
		if err != nil {
			return errors.New("this is no order: it is not base32")
		}
		return s.obey(ctx, raw)
	}
	yes, err := s.confirm(ctx, forgets)
	if err != nil || !yes {
		return err
	}
	raw, err := s.askNow(ctx, "owner.ask", nil)
	var q struct {
		Nonce     []byte `json:"nonce"`
		Challenge []byte `json:"challenge"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &q)
	}
	if err != nil {
		return err
	}
	return s.say(orderWord + encoding().EncodeToString(q.Nonce) + " " + encoding().EncodeToString(q.Challenge) + "\r\n")
}

// byHand forgets the owner because of whoever has just switched the board on. When he typed it counts.
func (s *session) byHand(ctx context.Context) error {
	asked := time.Now()
	yes, err := s.confirm(ctx, forgets)
	if err != nil || !yes {
		return err
	}
	receipt, err := s.work(ctx, func(ctx context.Context) (string, error) {
		raw, err := s.c.Camera.Reset(ctx, asked)
		return encoding().EncodeToString(raw), err
	})
	if err != nil {
		return err
	}
	return s.forgotten(receipt)
}

// obey hands the owner's order on, and shows the receipt: in one line, however long it is.
func (s *session) obey(ctx context.Context, order []byte) error {
	raw, err := s.askNow(ctx, "owner.unbind", map[string][]byte{"order": order})
	var answer struct {
		Receipt []byte `json:"receipt"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &answer)
	}
	if err != nil {
		return err
	}
	return s.forgotten(encoding().EncodeToString(answer.Receipt))
}

func (s *session) forgotten(receipt string) error {
	return s.say(receiptWord + receipt + "\r\nThe camera starts as from its box.\r\n")
}
