package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/access"
)

// ownerCommands are the rows of the table by which an owner lets others in and parts with the camera.
func (a *agent) ownerCommands() []command {
	return []command{
		{"grant.add", access.Admit, 5 * time.Second, with(a.grantAdd)},
		{"grant.list", access.Admit, 2 * time.Second, with(a.grantList)},
		{"grant.revoke", access.Admit, 5 * time.Second, with(a.grantRevoke)},
		{"owner.receipt", access.Own, 2 * time.Second, with(a.ownerReceipt)},
		{"owner.ask", access.Own, 2 * time.Second, with(a.ownerAsk)},
		{"owner.handover", access.Own, 10 * time.Second, with(a.ownerHandOver)},
		{"owner.unbind", access.Own, 30 * time.Second, with(a.ownerUnbind)},
	}
}

// known returns whose the camera is.
func (a *agent) known() (*access.Ownership, error) {
	if a.owner == nil {
		return nil, fmt.Errorf("the camera does not know who it is: %w", access.ErrUnclaimed)
	}
	return a.owner, nil
}

type grantArgs struct {
	Grant  []byte `json:"grant"`            // as the owner signed it (codec/claim)
	Viewer string `json:"viewer,omitempty"` // name of a viewer with the same rights, for players that know only passwords
}

// granted is the answer to grant.add; the viewer's password is shown this once.
type granted struct {
	ID     string    `json:"id"`
	Viewer *admitted `json:"viewer,omitempty"`
}

func (a *agent) grantAdd(_ context.Context, args grantArgs) (any, error) {
	o, err := a.known()
	if err != nil {
		return nil, err
	}
	if args.Viewer != "" {
		if err := access.ValidName(args.Viewer); err != nil {
			return nil, fmt.Errorf("%w: %w", errBadRequest, err)
		}
	}
	g, err := o.Grant(args.Grant)
	if err != nil {
		return nil, err
	}
	answer := granted{ID: hex.EncodeToString(g.ID[:])}
	if args.Viewer == "" {
		return answer, nil
	}
	password, err := a.gate.AddGranted(args.Viewer, g.ID)
	if err != nil {
		return nil, fmt.Errorf("granted, without a viewer: %w", err)
	}
	viewer := newAdmitted(args.Viewer, password, a.places())
	answer.Viewer = &viewer
	return answer, nil
}

// grantEntry is what may be shown of a grant.
type grantEntry struct {
	ID     string      `json:"id"`
	Key    string      `json:"key"` // of whose grant it is
	Name   string      `json:"name"`
	Role   access.Role `json:"role"`
	Scope  []string    `json:"scope,omitempty"`
	Begins time.Time   `json:"begins,omitzero"`
	Ends   time.Time   `json:"ends,omitzero"`
}

func (a *agent) grantList(context.Context, none) (any, error) {
	o, err := a.known()
	if err != nil {
		return nil, err
	}
	list := []grantEntry{}
	for _, g := range o.Grants() {
		list = append(list, grantEntry{hex.EncodeToString(g.ID[:]), hex.EncodeToString(g.Subject), g.Name,
			access.Role(g.Role), g.Scope, g.Begins, g.Ends})
	}
	return list, nil
}

type revokeArgs struct {
	ID string `json:"id"`
}

func (a *agent) grantRevoke(_ context.Context, args revokeArgs) (any, error) {
	o, err := a.known()
	if err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(args.ID)
	if err != nil || len(id) != 16 {
		return nil, fmt.Errorf("%w: id: want 32 hexadecimal digits", errBadRequest)
	}
	return none{}, o.Revoke([16]byte(id))
}

// ownerReceipt is for an owner who has nothing left but his key, from paper: it proves which camera this is.
func (a *agent) ownerReceipt(context.Context, none) (any, error) {
	o, err := a.known()
	if err != nil {
		return nil, err
	}
	raw, err := o.Receipt()
	return receipted{raw}, err
}

// question is the answer to owner.ask: what the owner's next order, and the next owner's claim, have to bear.
type question struct {
	Nonce     []byte `json:"nonce"`     // for the order, once, within a minute
	Challenge []byte `json:"challenge"` // for the claim of whom the camera is handed to (codec/claim)
}

func (a *agent) ownerAsk(context.Context, none) (any, error) {
	o, err := a.known()
	if err != nil {
		return nil, err
	}
	nonce := o.Ask()
	return question{nonce[:], o.Challenge().Marshal()}, nil
}

type orderArgs struct {
	Order []byte `json:"order"`           // signed by the owner (codec/claim)
	Claim []byte `json:"claim,omitempty"` // of the next owner
}

// receipted is the answer to what makes or unmakes an owner (codec/claim).
type receipted struct {
	Receipt []byte `json:"receipt,omitempty"`
}

func (a *agent) ownerHandOver(_ context.Context, args orderArgs) (any, error) {
	o, err := a.known()
	if err != nil {
		return nil, err
	}
	raw, err := o.HandOver(args.Order, args.Claim)
	return receipted{raw}, err
}

func (a *agent) ownerUnbind(_ context.Context, args orderArgs) (any, error) {
	o, err := a.known()
	if err != nil {
		return nil, err
	}
	if len(args.Claim) > 0 {
		return nil, fmt.Errorf("%w: a claim is for owner.handover", errBadRequest)
	}
	raw, err := o.Unbind(args.Order, a.safe.destroy)
	if err == nil || !o.Claimed() {
		a.startAnew()
	}
	return receipted{raw}, err
}
