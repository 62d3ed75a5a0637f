package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

// ownProtocol is the one that every camera of ours listens to: under the key on the label.
const ownProtocol = "esp_touch_v2"

// protocolOf is what --protocol names, in the words of a camera's configuration (network.legacy).
func protocolOf(name string) smartconfig.Protocol {
	return map[string]smartconfig.Protocol{
		ownProtocol: smartconfig.ESPTouch2, "esp_touch_v2_plain": smartconfig.ESPTouch2Plain,
		"esp_touch_v1": smartconfig.ESPTouch1, "airkiss": smartconfig.AirKiss, "tuya_ez": smartconfig.TuyaEZ,
	}[name]
}

// Ports of the answers, and where the camera's door is (docs/provisioning-smartconfig.md).
const (
	touchPort   = 18266 // with port mark 0
	airKissPort = 10000
	confirmPort = 7002
	doorPort    = 8443
)

// telling is what a sender says, and the answer that it waits for.
type telling struct {
	protocol smartconfig.Protocol
	message  smartconfig.Message
	port     uint16              // on which the answer comes; 0: none does
	confirm  uint16              // to which the camera wants to hear that it was heard; 0: nowhere
	answers  func(b []byte) bool // whether a datagram is the camera's answer
}

// tellingOf says a network by a protocol. Who will own the camera is said where nobody else reads it.
func tellingOf(p smartconfig.Protocol, l label.Label, setup qrtext.Setup, own netip.Prefix) telling {
	t := telling{protocol: p, message: smartconfig.Message{SSID: []byte(setup.Network.SSID),
		Password: setup.Network.Password, Broadcast: broadcastOf(own)}}
	m := &t.message
	switch p {
	case smartconfig.ESPTouch2, smartconfig.ESPTouch2Plain:
		if p == smartconfig.ESPTouch2 {
			who := smartconfig.Claimant{Token: setup.Token, Owner: label.FingerprintOf(setup.Owner)}
			m.Key, m.Reserved = l.Secret.Printed(), who.Text()
		}
		t.port, t.confirm = touchPort, confirmPort
		t.answers = func(b []byte) bool { return len(b) >= 7 } // port mark, MAC
	case smartconfig.ESPTouch1:
		m.Phone = own.Addr()
		t.port = touchPort
		total := byte(9 + len(m.Password) + len(m.SSID))
		t.answers = func(b []byte) bool { return len(b) == 11 && b[0] == total } // total, MAC, address
	case smartconfig.AirKiss:
		var random [1]byte
		for random[0] == 0 { // which our own datagrams, that come back, are full of
			_, _ = rand.Read(random[:]) // never fails
		}
		m.Random = random[0]
		t.port = airKissPort
		t.answers = func(b []byte) bool { return len(b) == 1 && b[0] == random[0] }
	}
	return t
}

// sendLengths tells a network by SmartConfig until the camera has heard, and says where it is.
func (c *pairCommand) sendLengths(ctx context.Context, s streams, l label.Label, setup qrtext.Setup,
	heard chan<- string,
) error {
	via, own, err := ownNetwork()
	if err != nil {
		return err
	}
	t := tellingOf(protocolOf(c.Protocol), l, setup, own)
	if t.protocol != smartconfig.ESPTouch2 {
		fmt.Fprintf(s.err, "whoever is in radio range reads the password in %v, and a camera listens to it only where "+
			"network.legacy.%s is on\n", t.protocol, c.Protocol)
	}
	out, err := net.ListenPacket("udp4", ":0")
	if err != nil {
		return err
	}
	defer out.Close()
	_ = ipv4.NewPacketConn(out).SetMulticastInterface(&via) // where it can't, the route says
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	listening := make(chan error, 1) // capacity 1: the last word of the goroutine below
	go func() { listening <- t.awaitACK(ctx, out, heard, stop) }()
	fmt.Fprintf(s.err, "sending the network to the camera by %v from this machine's Wi-Fi, to %v\n", t.protocol,
		t.message.Broadcast)
	err = t.send(ctx, out)
	if err != nil {
		stop()
	}
	return errors.Join(err, <-listening)
}

// send sends, again and again, until ctx ends. It keeps the protocol's pace: what a write takes is not added to the wait,
// or a round lasts longer than the camera stays with a sender whom it only suspects.
func (t telling) send(ctx context.Context, out net.PacketConn) error {
	sends, err := t.message.Send(t.protocol, rand.Reader)
	if err != nil {
		return err
	}
	filler := make([]byte, 1500)
	wait := time.NewTimer(0)
	defer wait.Stop()
	due := time.Now()
	for ctx.Err() == nil {
		for d := range sends {
			if d.To.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255}) { // which no network has that is not the default
				d.To = netip.AddrPortFrom(t.message.Broadcast, d.To.Port())
			}
			if _, err := out.WriteTo(filler[:d.Length], net.UDPAddrFromAddrPort(d.To)); err != nil {
				return fmt.Errorf("send to %v: %w", d.To, err)
			}
			due = pace(due, time.Now(), d.Wait)
			wait.Reset(time.Until(due))
			select {
			case <-wait.C:
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}

// pace returns when the next datagram is due, after one that was due at a time and has been sent now. Who is late hurries
// by half the wait at most, so that no burst comes, and what is missed beyond that stays missed.
func pace(due, now time.Time, wait time.Duration) time.Time {
	due = due.Add(wait)
	if soonest := now.Add(wait / 2); due.Before(soonest) {
		return soonest
	}
	return due
}

// awaitACK waits for the camera's answer, confirms it, and calls got. Where there is none, it waits until ctx ends.
func (t telling) awaitACK(ctx context.Context, out net.PacketConn, heard chan<- string, got func()) error {
	if t.port == 0 {
		<-ctx.Done()
		return nil
	}
	in, err := net.ListenPacket("udp4", fmt.Sprintf(":%d", t.port))
	if err != nil {
		got()
		return fmt.Errorf("listen for the camera: %w (is another sender running?)", err)
	}
	defer in.Close()
	end := context.AfterFunc(ctx, func() { _ = in.SetReadDeadline(time.Unix(1, 0)) })
	defer end()
	var b [64]byte
	for {
		n, from, err := in.ReadFrom(b[:])
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case !t.answers(b[:n]):
			continue
		}
		camera := from.(*net.UDPAddr)
		for range 2 {
			if t.confirm != 0 {
				_, _ = out.WriteTo([]byte{1}, &net.UDPAddr{IP: camera.IP, Port: int(t.confirm)})
			}
		}
		heard <- fmt.Sprintf("%v:%d", camera.IP, doorPort)
		got()
		return nil
	}
}

// ownNetwork is the network over which this machine reaches others: the interface, and its own address there.
func ownNetwork() (via net.Interface, own netip.Prefix, err error) {
	var routed netip.Addr
	if probe, err := net.Dial("udp4", "192.0.2.1:9"); err == nil { // sends nothing: asks for the route
		routed = probe.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = probe.Close()
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return via, own, err
	}
	for _, i := range interfaces {
		addresses, _ := i.Addrs() // of one that went away meanwhile there are none
		for _, a := range addresses {
			p, err := netip.ParsePrefix(a.String())
			if err != nil || !p.Addr().Is4() || p.Addr().IsLoopback() {
				continue
			}
			if p.Addr() == routed {
				return i, p, nil
			}
			if !own.IsValid() { // the first one, where there is no such route
				via, own = i, p
			}
		}
	}
	if !own.IsValid() {
		return via, own, errors.New("this machine is in no network: join the camera's Wi-Fi first")
	}
	return via, own, nil
}

// broadcastOf is the broadcast address of an IPv4 network.
func broadcastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}
