package main

import (
	"crypto/x509"
	"log/slog"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/provision"
)

// openEasyConnect lets phones give a network by the label's code for Wi-Fi Easy Connect, where the radio can.
func (a *agent) openEasyConnect(o *provision.Options, radio hal.EasyConnect, log *slog.Logger) {
	if radio == nil {
		return
	}
	key, err := a.owner.Hardware().EasyConnect()
	if err == nil {
		o.EasyConnectKey, err = x509.MarshalECPrivateKey(key)
	}
	if err != nil {
		log.Error("no Wi-Fi Easy Connect", "err", err)
		return
	}
	o.EasyConnect = radio
}

// easyConnectText is the text of the label's code for Wi-Fi Easy Connect.
func easyConnectText(h *access.Hardware) (string, error) {
	key, err := h.EasyConnect()
	if err != nil {
		return "", err
	}
	return label.EasyConnectText(&key.PublicKey)
}
