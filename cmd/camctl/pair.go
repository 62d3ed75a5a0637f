package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/internal/statefile"
)

// pairCommand makes the owner of a camera: it is the phone.
type pairCommand struct {
	homeFlag
	wifiFlags
	speedFlag
	Label  string `help:"Text of the QR code on the camera; - reads it from standard input. A camera of yours needs none."`
	Camera string `placeholder:"HOST:PORT" help:"Where its LAN door is; found on this link if not given (camctl discover). Or its serial line: /dev/ttyUSB0, tcp:HOST:PORT."`
	Name   string `default:"camera" help:"How you call the camera."`
	Viewer string `default:"viewer" help:"Name of a viewer for your players, which know only passwords; empty for none."`
}

// Run claims the camera, and prints the URLs of its streams. A camera that is paired already is left as it is.
func (c *pairCommand) Run(ctx context.Context, s streams) error {
	file, h, err := c.open()
	if err != nil {
		return err
	}
	paired, known := h.Cameras[c.Name]
	l, err := c.label(s.in)
	if known && c.Label == "" && !isPort(c.Camera) {
		if err := c.look(ctx, label.Label{}, paired, true); err != nil {
			return err
		}
		return c.again(ctx, s, file, paired)
	}
	if err != nil {
		return err
	}
	if known && paired.Fingerprint != l.Fingerprint.String() {
		return fmt.Errorf("another camera is called %s: give this one another name with --name", c.Name)
	}
	key, fresh, err := ownerKey(file)
	if err != nil {
		return err
	}
	if fresh {
		fmt.Fprintln(s.err, "made your owner's key; write its backup phrase on paper: camctl owner phrase")
	}
	if isPort(c.Camera) {
		return c.overLine(ctx, s, file, l, key)
	}
	if known || c.By == byLAN {
		if err := c.look(ctx, l, paired, known); err != nil {
			return err
		}
	}
	if known && c.wasReset(ctx, l) {
		fmt.Fprintf(s.err, "%s forgot its owner: pairing it again\n", c.Name)
		known = false
	}
	if !known {
		if paired, err = c.become(ctx, s, l, key); err != nil {
			return err
		}
		fmt.Fprintf(s.err, "%s (%s) is yours\n", c.Name, l.Model)
	}
	return c.again(ctx, s, file, paired)
}

// again makes sure that players get in to a camera of the owner's, and prints the URLs of its streams.
func (c *pairCommand) again(ctx context.Context, s streams, file *statefile.File[home], paired pairedCamera) error {
	key, _, err := ownerKey(file)
	if err != nil {
		return err
	}
	if c.Camera != "" {
		paired.Address = c.Camera
	}
	if err := c.keep(file, paired); err != nil {
		return err
	}
	d, err := paired.door(key)
	if err != nil {
		return err
	}
	if c.Viewer == "" {
		return nil
	}
	if paired.Password == "" {
		if err := c.admit(ctx, d, &paired); err != nil {
			return err
		}
		if err := c.keep(file, paired); err != nil {
			return err
		}
	}
	return paired.printURLs(ctx, d, s.out)
}

// look finds out where the camera is, where that was not said: by the name that goes with its key, else where a camera
// of the owner's was when it was last seen.
func (c *pairCommand) look(ctx context.Context, l label.Label, paired pairedCamera, known bool) (err error) {
	if c.Camera != "" {
		return nil
	}
	c.Camera, err = findNeighbour(ctx, func(n neighbour) bool {
		if n.Claimed {
			return known && n.named(label.FingerprintOf(paired.Operational))
		}
		return n.named(l.Fingerprint)
	})
	if err != nil && known {
		c.Camera, err = paired.Address, nil
	}
	return err
}

// wasReset reports whether a camera that had an owner shows the key of its label again.
func (c *pairCommand) wasReset(ctx context.Context, l label.Label) bool {
	d, err := openDoor(c.Camera, nil, func(k ed25519.PublicKey) bool { return label.FingerprintOf(k) == l.Fingerprint })
	if err == nil {
		_, err = d.ask(ctx, http.MethodGet, "/v1/claim", nil)
	}
	return err == nil
}

// keep stores what is known of the camera.
func (c *pairCommand) keep(file *statefile.File[home], p pairedCamera) error {
	return file.Update(func(h *home) error {
		if h.Cameras == nil {
			h.Cameras = map[string]pairedCamera{}
		}
		h.Cameras[c.Name] = p
		return nil
	})
}

func (c *pairCommand) label(in io.Reader) (label.Label, error) {
	text := c.Label
	switch {
	case text == "" && isPort(c.Camera):
		return label.Label{}, &fault{exitUsage, errors.New("give the label of the camera on this line with --label")}
	case text == "":
		return label.Label{}, &fault{exitUsage, fmt.Errorf("no camera of yours is called %s: give its label with --label",
			c.Name)}
	}
	if text == "-" {
		var err error
		if text, err = readLine(in); err != nil {
			return label.Label{}, err
		}
	}
	l, err := label.Parse(strings.TrimSpace(text))
	if err != nil {
		return l, &fault{exitUsage, err}
	}
	return l, nil
}

// become makes the holder of key the owner: over the network that the camera is in, or by bringing it into one.
func (c *pairCommand) become(ctx context.Context, s streams, l label.Label, key ed25519.PrivateKey) (pairedCamera, error) {
	if c.By != byLAN {
		return c.invite(ctx, s, l, key)
	}
	if c.Camera == "" {
		return pairedCamera{}, &fault{exitUsage, errors.New("where is the camera? --camera HOST:PORT; or --by qr, --by smartconfig " +
			"for one that is in no network yet")}
	}
	secret, err := l.ClaimKey()
	if err != nil {
		return pairedCamera{}, err
	}
	return c.claimAt(ctx, c.Camera, l, key, claim.BySecret, secret[:])
}

// claimAt makes the holder of key the owner of the camera at an address, by a proof that is made with a secret.
func (c *pairCommand) claimAt(ctx context.Context, address string, l label.Label, key ed25519.PrivateKey,
	proof claim.Proof, secret []byte,
) (pairedCamera, error) {
	var hardware ed25519.PublicKey
	d, err := openDoor(address, nil, func(k ed25519.PublicKey) bool {
		hardware = k
		return label.FingerprintOf(k) == l.Fingerprint
	})
	if err != nil {
		return pairedCamera{}, err
	}
	raw, err := d.ask(ctx, http.MethodGet, "/v1/claim", nil)
	if errors.Is(err, errOther) {
		return recall(ctx, address, l, key)
	}
	if err != nil {
		return pairedCamera{}, err
	}
	challenge, err := claim.ParseChallenge(raw)
	if err != nil {
		return pairedCamera{}, err
	}
	m := claim.Claim{Challenge: challenge, Owner: key.Public().(ed25519.PublicKey), Proof: proof}
	_, _ = rand.Read(m.Own[:]) // never fails
	message := m.Sign(key, secret)
	if raw, err = d.insist(ctx, message); err != nil {
		return pairedCamera{}, err
	}
	p, err := received(raw, message, l, hardware)
	p.Address = address
	return p, err
}

// received is the camera that answers a claim by a receipt.
func received(raw, message []byte, l label.Label, hardware ed25519.PublicKey) (pairedCamera, error) {
	r, err := claim.ParseReceipt(raw, message, hardware)
	if err != nil {
		return pairedCamera{}, err
	}
	return pairedCamera{
		Model: l.Model, Fingerprint: l.Fingerprint.String(), ID: r.ID[:], Operational: r.Operational, Hardware: hardware,
		Receipt: raw,
	}, nil
}

// recall is for an owner who has his key back, from paper or on another machine: the camera knows him, and its receipt
// proves that the key at its door belongs to this label.
func recall(ctx context.Context, address string, l label.Label, key ed25519.PrivateKey) (pairedCamera, error) {
	var shown ed25519.PublicKey
	d, err := openDoor(address, key, func(k ed25519.PublicKey) bool {
		shown = k
		return true
	})
	if err != nil {
		return pairedCamera{}, err
	}
	var answer struct{ Receipt []byte }
	err = d.command(ctx, "owner.receipt", struct{}{}, &answer)
	var no *refusal
	if errors.As(err, &no) {
		return pairedCamera{}, &fault{exitCredential, fmt.Errorf("%s is not the camera of this label, or it has an owner "+
			"already: only he can hand it over, or a long press of its button makes it forget him", address)}
	}
	if err != nil {
		return pairedCamera{}, err
	}
	r, err := claim.ReadReceipt(answer.Receipt)
	if err == nil && (label.FingerprintOf(r.Hardware) != l.Fingerprint || !r.Operational.Equal(shown)) {
		err = &fault{exitCredential, fmt.Errorf("%s knows your key, and is not the camera of this label", address)}
	}
	return pairedCamera{
		Model: l.Model, Fingerprint: l.Fingerprint.String(), Address: address, ID: r.ID[:], Operational: r.Operational,
		Hardware: r.Hardware, Receipt: answer.Receipt,
	}, err
}

// admit makes a viewer for players that know only passwords.
func (c *pairCommand) admit(ctx context.Context, d *door, p *pairedCamera) error {
	var admitted struct{ Name, Password string }
	err := d.command(ctx, "viewer.add", map[string]string{"name": c.Viewer}, &admitted)
	var no *refusal
	if errors.As(err, &no) && no.Code == "exists" {
		err = fmt.Errorf("the camera has a viewer %s already: take another name with --viewer", c.Viewer)
	}
	p.Viewer, p.Password = admitted.Name, admitted.Password
	return err
}

// printURLs asks the camera where its streams are now. What it calls itself is reached where its door was.
func (p pairedCamera) printURLs(ctx context.Context, d *door, out io.Writer) error {
	var status struct{ Places []string }
	if err := d.command(ctx, "status", struct{}{}, &status); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(p.Address)
	if err != nil {
		return err
	}
	for _, place := range status.Places {
		where, stream, _ := strings.Cut(place, "/")
		_, port, err := net.SplitHostPort(where)
		if err != nil {
			return fmt.Errorf("the camera's stream is at %q: %w", place, err)
		}
		at := net.JoinHostPort(host, port)
		fmt.Fprintf(out, "watch: rtsp://%s@%s/%s\n", url.UserPassword(p.Viewer, p.Password), at, stream)
	}
	return nil
}

// door opens the door of a paired camera.
func (p pairedCamera) door(key ed25519.PrivateKey) (*door, error) {
	return openDoor(p.Address, key, func(k ed25519.PublicKey) bool { return k.Equal(ed25519.PublicKey(p.Operational)) })
}

func readLine(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if errors.Is(err, io.EOF) && line != "" {
		err = nil
	}
	return strings.TrimSpace(line), err
}
