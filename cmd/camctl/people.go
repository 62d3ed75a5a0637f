package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/internal/statefile"
)

// ofCamera is for commands about a camera that is paired.
type ofCamera struct {
	homeFlag
	Camera string `arg:"" help:"How you call the camera."`
}

// owned is a camera of whoever sits here, and his key.
type owned struct {
	file *statefile.File[home]
	key  ed25519.PrivateKey
	name string
	pairedCamera
}

// find looks the camera up.
func (c ofCamera) find() (owned, error) {
	file, h, err := c.open()
	if err != nil {
		return owned{}, err
	}
	o := owned{file: file}
	if o.name, o.pairedCamera, err = h.camera(c.Camera); err != nil {
		return owned{}, err
	}
	if len(h.Key) != ed25519.SeedSize {
		return owned{}, errors.New("the owner's key is missing: put it back with camctl owner restore")
	}
	o.key = ed25519.NewKeyFromSeed(h.Key)
	return o, nil
}

// command runs a command on the camera.
func (o owned) command(ctx context.Context, name string, args, result any) error {
	d, err := o.door(o.key)
	if err != nil {
		return err
	}
	err = d.command(ctx, name, args, result)
	var no *refusal
	if errors.As(err, &no) && no.Status == http.StatusUnauthorized {
		return &fault{exitCredential, fmt.Errorf("%s does not know your key: was it handed over, or your grant revoked?", o.name)}
	}
	return err
}

// forget takes the camera out of what is kept here.
func (o owned) forget(keep func(h *home)) error {
	return o.file.Update(func(h *home) error {
		delete(h.Cameras, o.name)
		if keep != nil {
			keep(h)
		}
		return nil
	})
}

// ownerMake makes the key of somebody who has no camera yet.
type ownerMake struct{ homeFlag }

// Run prints the public key, which an owner wants to know of whom he lets in.
func (c *ownerMake) Run(s streams) error {
	file, _, err := c.open()
	if err != nil {
		return err
	}
	key, _, err := ownerKey(file)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%x\n", []byte(key.Public().(ed25519.PublicKey)))
	return err
}

// grantCommand lets somebody in.
type grantCommand struct {
	ofCamera
	Key    string        `arg:"" help:"Public key of whom you let in (camctl owner make, on his side)."`
	To     string        `required:"" placeholder:"NAME" help:"How you call him: \"grandma's phone\"."`
	Role   string        `default:"viewer" enum:"viewer,member,installer" help:"What he may: ${enum}."`
	Scope  []string      `placeholder:"ACTION" help:"Of that only this: watch, inspect, configure."`
	For    time.Duration `placeholder:"TIME" help:"How long, from now on: 72h. For good, if not given."`
	Viewer string        `placeholder:"NAME" help:"Make a viewer with the same rights, for players that know only passwords."`
}

// Run grants, and prints the invitation.
func (c *grantCommand) Run(ctx context.Context, s streams) error {
	subject, err := hex.DecodeString(c.Key)
	if err != nil || len(subject) != ed25519.PublicKeySize {
		return &fault{exitUsage, fmt.Errorf("%.70q is no public key: want %d hexadecimal digits", c.Key, 2*claim.KeySize)}
	}
	for _, action := range c.Scope {
		if !slices.Contains(actions(), action) {
			return &fault{exitUsage, fmt.Errorf("--scope %s: there are %s", action, strings.Join(actions(), ", "))}
		}
	}
	o, err := c.find()
	if err != nil {
		return err
	}
	g := claim.Grant{Subject: subject, Role: c.Role, Name: c.To, Scope: c.Scope}
	_, _ = rand.Read(g.ID[:]) // never fails
	copy(g.Camera[:], o.ID)
	if c.For > 0 {
		g.Begins = time.Now().Add(-time.Minute).Truncate(time.Second) // clocks differ
		g.Ends = g.Begins.Add(c.For + time.Minute)
	}
	raw := g.Sign(o.key)
	var made struct {
		ID     string
		Viewer *struct {
			Name, Password string
			URLs           []string
		}
	}
	args := map[string]any{"grant": raw}
	if c.Viewer != "" {
		args["viewer"] = c.Viewer
	}
	if err := o.command(ctx, "grant.add", args, &made); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%s may use %s as %s; take it back with: camctl revoke %s %s\n", c.To, o.name, c.Role, o.name, made.ID)
	invitation := claim.Invitation{Address: o.Address, Model: o.Model, Operational: o.Operational, Grant: raw}
	fmt.Fprintf(s.err, "for him: camctl accept with this text\n")
	fmt.Fprintln(s.out, invitation.Text())
	if made.Viewer != nil {
		for _, u := range made.Viewer.URLs {
			fmt.Fprintf(s.out, "watch: %s\n", u)
		}
	}
	return nil
}

// ownerAdd lets a second phone of the owner in. It has a key of its own, so that a lost one is revoked and the other
// goes on; what takes the owner's signature stays with the first, and with the words on paper.
type ownerAdd struct {
	homeFlag
	Key string `arg:"" help:"Public key of the second phone (camctl owner make, there)."`
	To  string `default:"second phone" placeholder:"NAME" help:"How you call it."`
}

// Run grants on every camera that is the owner's, and prints an invitation a line.
func (c *ownerAdd) Run(ctx context.Context, s streams) error {
	_, h, err := c.open()
	if err != nil {
		return err
	}
	var faults []error
	n := 0
	for _, name := range slices.Sorted(maps.Keys(h.Cameras)) {
		if h.Cameras[name].Receipt == nil {
			continue // another's, who let us in
		}
		n++
		g := grantCommand{ofCamera: ofCamera{c.homeFlag, name}, Key: c.Key, To: c.To, Role: string(access.Owner)}
		if err := g.Run(ctx, s); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
	}
	if n == 0 {
		return errors.New("no camera is yours: camctl pair")
	}
	return errors.Join(faults...)
}

// grantsCommand lists who was let in.
type grantsCommand struct{ ofCamera }

type grantRow struct {
	ID, Key, Name, Role string
	Scope               []string
	Begins, Ends        time.Time
}

func (o owned) grants(ctx context.Context) ([]grantRow, error) {
	var list []grantRow
	err := o.command(ctx, "grant.list", struct{}{}, &list)
	return list, err
}

// Run prints a line for each.
func (c *grantsCommand) Run(ctx context.Context, s streams) error {
	o, err := c.find()
	if err != nil {
		return err
	}
	list, err := o.grants(ctx)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, g := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", g.ID, g.Name, g.what(), g.when(time.Now()))
	}
	return t.Flush()
}

func (g grantRow) what() string {
	if len(g.Scope) == 0 {
		return g.Role
	}
	return g.Role + ", only to " + strings.Join(g.Scope, ", ")
}

func (g grantRow) when(now time.Time) string {
	switch {
	case g.Ends.IsZero():
		return "for good"
	case !now.Before(g.Ends):
		return "ended " + g.Ends.Local().Format(time.DateTime)
	}
	return "until " + g.Ends.Local().Format(time.DateTime)
}

// revokeCommand takes a grant back.
type revokeCommand struct {
	ofCamera
	Who string `arg:"" help:"Id of the grant, or the name in it."`
}

// Run revokes.
func (c *revokeCommand) Run(ctx context.Context, s streams) error {
	o, err := c.find()
	if err != nil {
		return err
	}
	list, err := o.grants(ctx)
	if err != nil {
		return err
	}
	var found []grantRow
	for _, g := range list {
		if g.ID == c.Who || g.Name == c.Who {
			found = append(found, g)
		}
	}
	if len(found) != 1 {
		return fmt.Errorf("%d grants are called %q; camctl grants %s lists them", len(found), c.Who, o.name)
	}
	if err := o.command(ctx, "grant.revoke", map[string]string{"id": found[0].ID}, &struct{}{}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s may nothing any more\n", found[0].Name)
	return err
}

// acceptCommand takes an invitation or an offer.
type acceptCommand struct {
	homeFlag
	Text string        `arg:"" help:"What its owner sent you; - reads it from standard input."`
	Name string        `default:"camera" help:"How you call the camera."`
	Wait time.Duration `default:"10m" help:"How long to wait for the owner's last word, of an offer."`
}

// Run does what the text is for.
func (c *acceptCommand) Run(ctx context.Context, s streams) error {
	text, err := textOf(c.Text, s.in)
	if err != nil {
		return err
	}
	file, h, err := c.open()
	if err != nil {
		return err
	}
	if _, ok := h.Cameras[c.Name]; ok {
		return fmt.Errorf("another camera is called %s: give this one another name with --name", c.Name)
	}
	key, _, err := ownerKey(file)
	if err != nil {
		return err
	}
	var p pairedCamera
	offer, err := claim.ParseOffer(text)
	if err == nil {
		p, err = c.takeOver(ctx, s, offer, key)
	} else if errors.Is(err, claim.ErrNotText) {
		p, err = c.join(ctx, text, key)
	}
	if err != nil {
		return err
	}
	err = file.Update(func(h *home) error {
		if h.Cameras == nil {
			h.Cameras = map[string]pairedCamera{}
		}
		h.Cameras[c.Name] = p
		return nil
	})
	if err == nil && p.Receipt != nil {
		_, err = fmt.Fprintf(s.out, "%s (%s) is yours\n", c.Name, p.Model)
	} else if err == nil {
		_, err = fmt.Fprintf(s.out, "%s (%s) lets you in\n", c.Name, p.Model)
	}
	return err
}

// join tries what an invitation is for.
func (c *acceptCommand) join(ctx context.Context, text string, key ed25519.PrivateKey) (pairedCamera, error) {
	i, err := claim.ParseInvitation(text)
	if err != nil {
		return pairedCamera{}, &fault{exitUsage, err}
	}
	id, err := claim.GrantedCamera(i.Grant)
	if err != nil {
		return pairedCamera{}, &fault{exitUsage, err}
	}
	p := pairedCamera{Model: i.Model, Address: i.Address, Operational: i.Operational, ID: id[:]}
	d, err := p.door(key)
	if err != nil {
		return p, err
	}
	err = d.command(ctx, "status", struct{}{}, &struct{}{})
	var no *refusal
	switch {
	case errors.As(err, &no) && no.Status == http.StatusUnauthorized:
		err = &fault{exitCredential, errors.New("the camera does not know your key: it was granted to another one, or revoked")}
	case errors.As(err, &no) && no.Code == "denied": // it knows the key, which may not ask how it is
		err = nil
	}
	return p, err
}

func textOf(arg string, in io.Reader) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	raw, err := io.ReadAll(io.LimitReader(in, claim.MaxText+1))
	return strings.TrimSpace(string(raw)), err
}

// actions are what a scope may name.
func actions() []string {
	return []string{string(access.Watch), string(access.Inspect), string(access.Configure)}
}
