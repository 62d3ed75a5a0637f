package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/ocellus/ocellus/codec/claim"
)

// resetting is an order that a camera asks for, since reset was typed at its console. It is signed when the person has
// typed the camera's name: what says on the line that somebody wants it may be anybody.
type resetting struct {
	order claim.Order
	typed []byte
	sent  bool
}

// resets looks at a line of the console: an order that is asked for, or the receipt for one.
func (t *terminal) resets(line string) error {
	if text, ok := strings.CutPrefix(line, orderWord); ok {
		return t.ask(strings.Fields(text))
	}
	text, ok := strings.CutPrefix(line, receiptWord)
	if !ok || t.reset == nil || !t.reset.sent {
		return nil
	}
	receipt, err := lineEncoding().DecodeString(text)
	order := t.reset.order
	t.reset = nil
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	o := owned{file: t.file, name: t.name, pairedCamera: t.home.Cameras[t.name]}
	if err := o.erased(order, receipt); err != nil {
		return err
	}
	fmt.Fprintf(t.err, "%s has forgotten you; its receipt is kept: camctl erased\r\n", t.name)
	return nil
}

// ask asks the person whether he means it.
func (t *terminal) ask(fields []string) error {
	camera, ok := t.home.Cameras[t.name]
	if len(fields) != 2 || !ok || camera.Receipt == nil {
		return errors.New("order: only the owner's key signs it")
	}
	nonce, err1 := lineEncoding().DecodeString(fields[0])
	raw, err2 := lineEncoding().DecodeString(fields[1])
	if errors.Join(err1, err2) != nil || len(nonce) != claim.NonceSize {
		return errors.New("order: not what a camera asks for")
	}
	challenge, err := claim.ParseChallenge(raw)
	if err == nil && !challenge.Hardware.Equal(ed25519.PublicKey(camera.Hardware)) {
		err = errors.New("order: it is another camera's")
	}
	if err != nil {
		return err
	}
	o := claim.Order{Nonce: [claim.NonceSize]byte(nonce), Camera: [claim.IDSize]byte(camera.ID), Epoch: challenge.Epoch,
		Deed: claim.Unbind}
	_, _ = rand.Read(o.Own[:]) // never fails
	t.reset = &resetting{order: o}
	fmt.Fprintf(t.err, "\r\n%s will forget you and everything that it keeps for you. Nothing brings that back.\r\n"+
		"Type %[1]s to go on: ", t.name)
	return nil
}

// confirm takes what is typed until the line is whole, and returns what goes to the camera: the order, or nothing.
func (t *terminal) confirm(p []byte) []byte {
	at := bytes.IndexByte(p, '\r')
	if at < 0 {
		_, _ = t.err.Write(p)
		t.reset.typed = append(t.reset.typed, p...)
		return nil
	}
	typed := string(append(t.reset.typed, p[:at]...))
	if typed != t.name {
		t.reset = nil
		fmt.Fprint(t.err, "\r\nnothing was done\r\n")
		return []byte("\r")
	}
	fmt.Fprint(t.err, "\r\n")
	t.reset.sent = true
	return []byte("reset " + lineEncoding().EncodeToString(t.reset.order.Sign(ed25519.NewKeyFromSeed(t.home.Key))) + "\r")
}
