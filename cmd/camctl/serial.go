package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/console/link/caller"
	"github.com/ocellus/ocellus/console/link/wire"
)

// serialCarrier is a serial line.
type serialCarrier struct {
	*caller.Caller
	answers
}

// carry implements carrier.
func (s serialCarrier) carry(ctx context.Context, _ envelope.Topic, raw []byte, id [envelope.IDSize]byte) (
	envelope.Reply, error,
) {
	ctx, cancel := context.WithTimeout(ctx, doorPatience)
	defer cancel()
	var reply envelope.Reply
	err := s.Ask(ctx, wire.Envelope, raw, func(m wire.Message) (bool, error) {
		if err := caller.Refused(m); err != nil {
			return false, &fault{exitCredential, fmt.Errorf("the camera answers nothing: does it know your key? (%w)", err)}
		}
		r, err := s.open(m.Body, id)
		if err != nil || r.Code == "accepted" {
			return false, err
		}
		reply = r
		return true, nil
	})
	if errors.Is(err, caller.ErrGone) || errors.Is(err, context.DeadlineExceeded) {
		err = &fault{exitUnreachable, err}
	}
	return reply, err
}

func (s serialCarrier) close() { _ = s.Close() } // what was asked is answered; nothing of it can be lost

// riddle asks which camera this is, and for what opens its line.
func riddle(ctx context.Context, c *caller.Caller) (r claim.Riddle, err error) {
	err = c.Ask(ctx, wire.Challenge, nil, func(m wire.Message) (bool, error) {
		if err := caller.Refused(m); err != nil {
			return false, err
		}
		r, err = claim.ParseRiddle(m.Body)
		return true, err
	})
	return r, err
}

// solve answers a riddle. A wrong answer is held back by the camera, longer each time.
func solve(ctx context.Context, c *caller.Caller, r claim.Riddle, hardware label.Fingerprint, key ed25519.PrivateKey,
) error {
	u := claim.Unlock{Nonce: r.Nonce, Hardware: hardware}
	if r.ID != nil {
		u.ID = *r.ID
	}
	return c.Ask(ctx, wire.Unlock, u.Sign(key), func(m wire.Message) (bool, error) {
		if err := caller.Refused(m); err != nil {
			return false, &fault{exitCredential, fmt.Errorf("the line stays locked: %w", err)}
		}
		return true, nil
	})
}

// withID is the camera with this operational identity.
func (h home) withID(id []byte) (string, pairedCamera, error) {
	for name, c := range h.Cameras {
		if bytes.Equal(c.ID, id) {
			return name, c, nil
		}
	}
	return "", pairedCamera{}, &fault{exitCredential, errors.New("the camera on this line is none of yours")}
}

// serialWay greets the camera on a port and finds out which of ours it is.
func serialWay(ctx context.Context, h home, port string, baud int) (*way, *caller.Caller, claim.Riddle, error) {
	c, err := dialPort(ctx, port, baud)
	if err != nil {
		return nil, nil, claim.Riddle{}, err
	}
	w, r, err := recognize(ctx, c, h)
	if err != nil {
		return nil, nil, r, errors.Join(err, c.Close())
	}
	return w, c, r, nil
}

func recognize(ctx context.Context, c *caller.Caller, h home) (*way, claim.Riddle, error) {
	r, err := riddle(ctx, c)
	if err != nil {
		return nil, r, err
	}
	if r.ID == nil {
		return nil, r, &fault{exitCredential, errors.New("the camera on this line has no owner yet: camctl pair")}
	}
	_, camera, err := h.withID(r.ID[:])
	if err != nil {
		return nil, r, err
	}
	w, back, err := h.wayTo(camera)
	if err != nil {
		return nil, r, err
	}
	w.carrier = serialCarrier{c, back}
	return w, r, nil
}

// serialDoor is a line that was unlocked: what the LAN door is in a network.
type serialDoor struct {
	*caller.Caller
}

// unlock opens the line of a camera of ours.
func (w *way) unlock(ctx context.Context, c *caller.Caller, r claim.Riddle) error {
	return solve(ctx, c, r, label.FingerprintOf(w.camera.Hardware), w.key)
}

// ofLine is for commands about a paired camera that may be asked over its serial line, too: the one by which a camera
// without a network is reached.
type ofLine struct {
	homeFlag
	speedFlag
	Camera string `arg:"" help:"How you call the camera, or its serial line: /dev/ttyUSB0, tcp:HOST:PORT."`
}

// reached is a camera that can be asked.
type reached struct {
	name string
	commander
	close func()
}

// commander runs a command and decodes its result.
type commander interface {
	command(ctx context.Context, name string, args, result any) error
}

// reach finds the way to the camera.
func (c ofLine) reach(ctx context.Context) (reached, error) {
	if !isPort(c.Camera) {
		o, err := ofCamera{c.homeFlag, c.Camera}.find()
		return reached{o.name, o, func() {}}, err
	}
	_, h, err := c.open()
	if err != nil {
		return reached{}, err
	}
	w, line, r, err := serialWay(ctx, h, c.Camera, c.Speed)
	if err != nil {
		return reached{}, err
	}
	if err := w.unlock(ctx, line, r); err != nil {
		return reached{}, errors.Join(err, line.Close())
	}
	return reached{"the camera on " + c.Camera, serialDoor{line}, func() { _ = line.Close() }}, nil
}

// command runs a command and decodes its result; the error is a *refusal where the camera says no.
func (d serialDoor) command(ctx context.Context, name string, args, result any) error {
	body, err := json.Marshal(struct {
		Command string `json:"command"`
		Args    any    `json:"args,omitempty"`
	}{name, args})
	if err != nil {
		return err
	}
	var raw []byte
	err = d.Ask(ctx, wire.Command, body, func(m wire.Message) (bool, error) {
		raw = m.Body
		return true, caller.Refused(m)
	})
	if err != nil {
		return err
	}
	return verdictOf(name, raw, result)
}

// verdictOf decodes what a door answers to a command.
func verdictOf(name string, raw []byte, result any) error {
	var answer struct {
		refusal
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("%s: answer: %w", name, err)
	}
	if answer.Code != "ok" {
		return &answer.refusal
	}
	return json.Unmarshal(answer.Result, result)
}
