package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/internal/secret"
)

// How a camera hears of its owner and of its network.
const (
	byLAN         = "lan"
	bySmartConfig = "smartconfig"
)

// networkFlags name a Wi-Fi network.
type networkFlags struct {
	SSID     string `name:"ssid" help:"Name of the Wi-Fi network; asked for if not given."`
	Password string `env:"OCELLUS_WIFI_PASSWORD" help:"Its password; better asked for, or in the environment."`
	Security string `enum:"wpa,sae,open," default:"" help:"wpa (WPA2 or WPA3), sae (WPA3) or open; without a password open."`
	Hidden   bool   `help:"The network does not say its name."`
	Country  string `help:"Where the camera is, as DE; asked for if not given."`
}

// wifiFlags say how a camera without a cable hears of its owner and its network.
type wifiFlags struct {
	networkFlags
	By       string        `enum:"lan,qr,smartconfig" default:"lan" help:"How the camera hears of you: by the network that it is in (lan), by a code for its lens (qr), by this machine's Wi-Fi (smartconfig)."`
	Protocol string        `enum:"esp_touch_v2,esp_touch_v2_plain,esp_touch_v1,airkiss,tuya_ez" default:"esp_touch_v2" help:"Of SmartConfig. Only esp_touch_v2 is secret, and says who will own the camera; it listens to the others only where it was told to."`
	PNG      string        `name:"png" placeholder:"FILE" help:"Write the code to this PNG file, too, until the camera is yours."`
	Patience time.Duration `default:"3m" help:"How long to wait for the camera."`
}

// ask asks for what the flags leave out, and checks the network.
func (f *networkFlags) ask(s streams) (n qrtext.Network, country string, err error) {
	in := bufio.NewReader(io.LimitReader(s.in, 4096))
	ask := func(what string, value *string) {
		if *value != "" || err != nil {
			return
		}
		fmt.Fprint(s.err, what+": ")
		line, e := in.ReadString('\n')
		*value = strings.TrimRight(line, "\r\n")
		if e != nil && (*value == "" || !errors.Is(e, io.EOF)) {
			err = &fault{exitUsage, fmt.Errorf("%s: %w", strings.ToLower(what), e)}
		}
	}
	ask("Name of the Wi-Fi network", &f.SSID)
	if f.Password == "" && f.Security != string(qrtext.Open) {
		show := hideTyping(s.in)
		ask("Its password (none: just Enter)", &f.Password)
		show()
	}
	if f.Country == "" {
		f.Country = countryOf(os.Getenv("LANG"))
	}
	ask("Where the camera is (two letters, as DE)", &f.Country)
	n = qrtext.Network{SSID: f.SSID, Password: secret.Secret(f.Password), Hidden: f.Hidden,
		Security: qrtext.Security(f.Security)}
	if f.Security == "" {
		n.Security = qrtext.WPA
		if f.Password == "" {
			n.Security = qrtext.Open
		}
	}
	if err == nil {
		if err = n.Check(); err != nil {
			err = &fault{exitUsage, err}
		}
	}
	return n, strings.ToUpper(f.Country), err
}

// countryOf takes the country out of a locale: de_DE.UTF-8.
func countryOf(locale string) string {
	_, rest, _ := strings.Cut(locale, "_")
	country, _, _ := strings.Cut(rest, ".")
	if len(country) != 2 || strings.Trim(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return ""
	}
	return country
}

// hideTyping makes a terminal show nothing of what is typed until show is called.
func hideTyping(in io.Reader) (show func()) {
	file, ok := in.(*os.File)
	if !ok {
		return func() {}
	}
	fd := int(file.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil { // no terminal
		return func() {}
	}
	quiet := *was
	quiet.Lflag &^= unix.ECHO
	_ = unix.IoctlSetTermios(fd, unix.TCSETS, &quiet)
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) }
}

// invite tells a camera its network and who will own it, and claims it as soon as it has joined.
func (c *pairCommand) invite(ctx context.Context, s streams, l label.Label, key ed25519.PrivateKey) (
	pairedCamera, error,
) {
	network, country, err := c.ask(s)
	if err != nil {
		return pairedCamera{}, err
	}
	setup := qrtext.Setup{Network: network, Country: country, Owner: key.Public().(ed25519.PublicKey)}
	_, _ = rand.Read(setup.Token[:]) // never fails
	ctx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	carrier := c.showCode
	if c.By == bySmartConfig {
		carrier = c.sendLengths
	}
	if c.PNG != "" {
		defer os.Remove(c.PNG) // it has done its work, and opens nothing any more
	}
	told, stop := context.WithCancel(ctx)
	heard := make(chan string, 1) // capacity 1: where the camera is, if the carrier hears of it
	ended := make(chan error, 1)  // capacity 1: the carrier's last word
	go func() { ended <- carrier(told, s, l, setup, heard) }()
	p, err := c.await(ctx, l, key, setup.Token, heard, ended)
	stop()
	<-ended
	return p, err
}

// Between tries to claim a camera that does not answer yet, and until the label's secret stands in for a token that the
// camera lost with its power.
const (
	claimEvery = time.Second / 2
	tokenFor   = time.Minute
)

// bringsToken reports whether the camera learns the token with its network. Where anybody can read along, none is said.
func (f *wifiFlags) bringsToken() bool { return f.By != bySmartConfig || f.Protocol == ownProtocol }

// await claims the camera as soon as it answers.
func (c *pairCommand) await(ctx context.Context, l label.Label, key ed25519.PrivateKey, token qrtext.Token,
	heard <-chan string, ended chan error,
) (pairedCamera, error) {
	began, where := time.Now(), c.Camera
	t := time.NewTicker(claimEvery)
	defer t.Stop()
	for {
		select {
		case address := <-heard:
			if c.Camera == "" {
				where = address
			}
		case err := <-ended:
			ended <- err
			if err != nil && ctx.Err() == nil {
				return pairedCamera{}, err
			}
			ended = nil
		case <-t.C:
			if where == "" {
				if where, _ = findCamera(ctx, false, l.Fingerprint); where == "" {
					continue // not yet
				}
			}
			proof, with := claim.ByToken, token[:]
			if secret, err := l.ClaimKey(); err == nil && (!c.bringsToken() || time.Since(began) > tokenFor) {
				proof, with = claim.BySecret, secret[:]
			}
			p, err := c.claimAt(ctx, where, l, key, proof, with)
			if err == nil || !worthWaiting(err) {
				return p, err
			}
		case <-ctx.Done():
			return pairedCamera{}, &fault{exitUnreachable, errors.New(noAnswer)}
		}
	}
}

// worthWaiting reports whether a camera may say something else in a moment: it is not there yet, has not yet read what
// it was told, or was reset since it was asked for its challenge.
func worthWaiting(err error) bool {
	var f *fault
	var no *refusal
	return errors.As(err, &f) && f.code == exitUnreachable ||
		errors.As(err, &no) && (no.Code == "wrong_proof" || no.Code == "stale")
}

// noAnswer is what a person can do. The lamp says why (docs/provisioning.md).
const noAnswer = `the camera did not come. Its lamp says why:
  one flash, again and again   it has seen nothing yet: hold the code closer, 20 to 40 cm, and still; or send again
  flicker                      it sees a code and can't read it: closer, the screen darker, still
  two flashes                  no such network: is the name right, is it on 2.4 GHz, is it near enough?
  three flashes                wrong password: try again; capitals count
  four flashes                 the router gives it no address: restart the router
  five flashes                 the router does not answer: restart it
  six flashes                  another reason: is this code for this camera, is the country right?
  light that winks twice       it is in the network: are you in the same one? Give its address with --camera HOST:PORT
  steady light                 it has an owner: only he can change its network, or its button makes it forget him`
