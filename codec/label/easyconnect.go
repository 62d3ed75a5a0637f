package label

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
)

// EasyConnectChannel is where a camera listens for Wi-Fi Easy Connect: it is on the label, and in every country's list.
const EasyConnectChannel = 6

// spkiCompressed is a SubjectPublicKeyInfo (RFC 5280 4.1) of a compressed point on P-256 (RFC 5480 2.1.1.1) but for the
// point itself: the form that Wi-Fi Easy Connect wants (Wi-Fi Alliance, 2.0, 5.2.1).
const spkiCompressed = "\x30\x39\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01" +
	"\x07\x03\x22\x00"

// EasyConnectText is the text of the label's second QR code, which phones scan that know Wi-Fi Easy Connect. It tells
// the public half of a key on P-256 and the channel, no address and no name: whoever has read it may give the camera a
// network, and gets no ownership by it.
func EasyConnectText(key *ecdsa.PublicKey) (string, error) {
	if key.Curve != elliptic.P256() {
		return "", errors.New("label: Wi-Fi Easy Connect: key on another curve than P-256")
	}
	point, err := key.Bytes()
	if err != nil {
		return "", err
	}
	// SEC 1 2.3.3: the first coordinate, and in the form's number whether the second is odd.
	compressed := append([]byte{2 | point[len(point)-1]&1}, point[1:1+(len(point)-1)/2]...)
	spki := append([]byte(spkiCompressed), compressed...)
	return "DPP:C:81/6;V:2;K:" + base64.StdEncoding.EncodeToString(spki) + ";;", nil
}
