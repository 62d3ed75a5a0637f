package qrtext_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrtext"
)

// The phone has read the label and seals a network to that camera; the camera opens it.
func Example() {
	secret, err := label.ParseSecret("000g-40r4-0m30-e209")
	if err != nil {
		panic(err)
	}
	hardwareKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	owner := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	camera := label.Label{Model: "VIRT-ARM64", Fingerprint: label.FingerprintOf(hardwareKey), Secret: secret}

	nonce := bytes.NewReader(make([]byte, 12)) // crypto/rand.Reader, where it matters
	text, err := qrtext.Seal(nonce, camera, qrtext.Setup{
		Network: qrtext.Network{SSID: "HomeNet", Password: "p@ssw0rd!", Security: qrtext.WPA},
		Country: "DE",
		Owner:   owner,
	})
	if err != nil {
		panic(err)
	}
	setup, err := qrtext.OpenSealed(camera, text)
	fmt.Println(len(text), setup.Network.SSID, setup.Network.Password, setup.Country, err)

	message, err := qrtext.Parse("WIFI:T:WPA;S:HomeNet;P:p@ssw0rd!;;")
	fmt.Println(message.Kind, message.Networks[0].SSID, message.Networks[0].Security, err)
	// Output:
	// 154 HomeNet *** DE <nil>
	// wifi HomeNet wpa <nil>
}
