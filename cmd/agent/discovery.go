package main

import (
	"crypto/ed25519"
	"net/netip"
	"strings"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/web/mdns"
)

// nameLength is how many characters of a fingerprint tell cameras of one link apart.
const nameLength = 6

// advert is what the camera says of itself on its link. Its name comes from the key that its door shows: before the
// claim that of its label, so that a person finds the case that it belongs to; afterwards the operational one, which is
// another with each owner.
func (a *agent) advert(door string) mdns.Advert {
	key, state := a.owner.Hardware().Public(), "unclaimed"
	if _, operational, err := a.owner.Operational(); err == nil {
		key, state = operational.Public().(ed25519.PublicKey), "claimed"
	}
	name := label.FingerprintOf(key).String()[:nameLength]
	advert := mdns.Advert{Instance: "Ocellus " + name, Host: "ocellus-" + strings.ToLower(name)}
	advert.Services = append(advert.Services, mdns.Service{Type: "_ocellus._tcp", Port: portOf(door),
		Text: []string{"v=1", "state=" + state}})
	if state == "claimed" && outward(a.listens) {
		advert.Services = append(advert.Services, mdns.Service{Type: "_rtsp._tcp", Port: portOf(a.listens),
			Text: []string{"path=/main"}})
	}
	return advert
}

func portOf(listens string) uint16 {
	at, _ := netip.ParseAddrPort(listens) // a listener's own address
	return at.Port()
}

// outward reports whether others than this machine reach what listens there.
func outward(listens string) bool {
	at, err := netip.ParseAddrPort(listens)
	return err == nil && !at.Addr().IsLoopback()
}
