package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/net/ipv4"

	"github.com/ocellus/ocellus/codec/label"
)

// discoverCommand lists the cameras of the link.
type discoverCommand struct {
	homeFlag
	Wait time.Duration `default:"2s" help:"How long to listen."`
	JSON bool          `help:"Print JSON."`
}

// neighbour is a camera that was found.
type neighbour struct {
	Name    string `json:"name"`
	Claimed bool   `json:"claimed"`
	Address string `json:"address"`         // of its LAN door, HOST:PORT
	Yours   string `json:"yours,omitempty"` // how you call it
}

// Run asks the link and prints who answers.
func (c *discoverCommand) Run(ctx context.Context, s streams) error {
	_, h, err := c.open()
	if err != nil {
		return err
	}
	found, err := discover(ctx, c.Wait, nil)
	if err != nil {
		return err
	}
	for i, n := range found {
		found[i].Yours = h.called(n)
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(found)
	}
	if len(found) == 0 {
		fmt.Fprintln(s.err, "no camera answers on this link: is it switched on, and in the same network as this machine?")
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, n := range found {
		state := "no owner yet"
		if n.Claimed {
			state = "has an owner"
		}
		if n.Yours != "" {
			state = "yours: " + n.Yours
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", n.Name, n.Address, state)
	}
	return t.Flush()
}

// called is the name of a camera of the owner's, empty where it is another's. A name on the link is a hint and no
// proof: the key at the door is.
func (h home) called(n neighbour) string {
	for name, c := range h.Cameras {
		if n.Claimed && n.named(label.FingerprintOf(ed25519.PublicKey(c.Operational))) {
			return name
		}
	}
	return ""
}

// named reports whether a camera has the name that goes with a fingerprint (docs/provisioning.md).
func (n neighbour) named(f label.Fingerprint) bool {
	_, short, ok := strings.Cut(n.Name, " ")
	return ok && len(short) >= 4 && strings.HasPrefix(f.String(), short)
}

// mdnsPort is where multicast DNS lives (RFC 6762).
const mdnsPort = 5353

// asks are the moments at which the question goes out again, since nobody says that one was lost.
func asks() []time.Duration { return []time.Duration{0, 250 * time.Millisecond, time.Second} }

// discover asks every link for cameras and listens for a while, or until it has heard the one that is wanted (nil:
// all). It asks as a plain resolver (RFC 6762 6.7), so that the answers come here alone.
func discover(ctx context.Context, wait time.Duration, wanted func(neighbour) bool) ([]neighbour, error) {
	in, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	stop := context.AfterFunc(ctx, func() { _ = in.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	out, heard, began := ipv4.NewPacketConn(in), &hearing{}, time.Now()
	_ = out.SetMulticastTTL(255)
	buffer, times := make([]byte, maxDNS+1), asks()
	for time.Since(began) < wait && ctx.Err() == nil {
		next := began.Add(wait)
		if len(times) > 0 && time.Since(began) >= times[0] {
			sendAll(out, heard.question())
			times = times[1:]
		}
		if len(times) > 0 && began.Add(times[0]).Before(next) {
			next = began.Add(times[0])
		}
		_ = in.SetReadDeadline(next)
		n, from, err := in.ReadFromUDPAddrPort(buffer)
		if err == nil && heard.read(buffer[:n], from.Addr()) {
			sendAll(out, heard.question())
		}
		if wanted != nil && slices.ContainsFunc(heard.cameras(), wanted) {
			break
		}
	}
	return heard.cameras(), ctx.Err()
}

// sendAll sends a question on every link.
func sendAll(out *ipv4.PacketConn, question []byte) {
	links, _ := net.Interfaces()
	to := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: mdnsPort}
	for _, l := range links {
		if l.Flags&(net.FlagUp|net.FlagMulticast) == net.FlagUp|net.FlagMulticast {
			_, _ = out.WriteTo(question, &ipv4.ControlMessage{IfIndex: l.Index}, to) // a link that takes nothing has no camera
		}
	}
}

// findCamera waits for the one camera whose key has a fingerprint, by the name that goes with it.
func findCamera(ctx context.Context, claimed bool, f label.Fingerprint) (address string, err error) {
	return findNeighbour(ctx, func(n neighbour) bool { return n.Claimed == claimed && n.named(f) })
}

// findNeighbour returns the address of the first camera that is wanted.
func findNeighbour(ctx context.Context, wanted func(neighbour) bool) (address string, err error) {
	found, err := discover(ctx, 2*time.Second, wanted)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(found, wanted)
	if at < 0 {
		return "", &fault{exitUnreachable, errors.New("this camera does not answer on this link: is it switched on, and in " +
			"the same network as this machine? Else say where it is with --camera HOST:PORT")}
	}
	return found[at].Address, nil
}

// printable keeps a neighbour's words from meaning anything to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
