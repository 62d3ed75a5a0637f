//go:build zbar

package main

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrcode"
	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/internal/secret"
)

// payload is a text and its symbol.
type payload struct {
	title string
	text  string
	code  *qrcode.Code
}

func (p payload) name() string {
	return fmt.Sprintf("%s, %d-%v", p.title, p.code.Version, p.code.Level)
}

// payloads are texts like those that phones show: a Wi-Fi code, Tuya's JSON, ours for an everyday network and for one
// with a long name, and three that are too long for good.
func payloads(seed uint64) ([]payload, error) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	random := rand.NewChaCha8(key) // the same seed gives the same codes
	short, err := ours(random, "HomeNet", "p@ssw0rd!")
	if err != nil {
		return nil, err
	}
	long, err := ours(random, "The Smiths, upstairs", "correct horse battery s")
	if err != nil {
		return nil, err
	}
	words := strings.Repeat("correct horse battery staple ", 20)
	out := []payload{
		{title: "wifi", text: "WIFI:T:WPA;S:HomeNet;P:p@ssw0rd!;;"},
		{title: "json", text: `{"s":"HomeNet","p":"p@ssw0rd!","t":"EUabcdefgh12"}`},
		{title: "ours", text: short},
		{title: "ours, long", text: long},
		{title: "196 bytes", text: words[:196]},
		{title: "300 bytes", text: words[:300]},
		{title: "440 bytes", text: words[:440]},
	}
	for i := range out {
		level := qrcode.L
		if i < 2 {
			level = qrcode.M
		}
		if out[i].code, err = qrcode.Encode(out[i].text, level, 0); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ours seals a network to a camera that nobody has.
func ours(random io.Reader, name, password string) (string, error) {
	owner := make(ed25519.PublicKey, ed25519.PublicKeySize) // as random as a key
	if _, err := io.ReadFull(random, owner); err != nil {
		return "", err
	}
	s, err := label.NewSecret(random)
	if err != nil {
		return "", err
	}
	l := label.Label{Model: "BENCH", Fingerprint: label.FingerprintOf(owner), Secret: s}
	n := qrtext.Network{SSID: name, Password: secret.Secret(password), Security: qrtext.WPA}
	return qrtext.Seal(random, l, qrtext.Setup{Network: n, Country: "DE", Owner: owner})
}
