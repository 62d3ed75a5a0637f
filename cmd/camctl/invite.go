package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/codec/qrcode"
	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

// A code of version 8 is the largest that a cheap lens reads at once; what is longer comes in parts, one by one.
const (
	largestCode = 226 // characters, at level L
	partFor     = 700 * time.Millisecond
)

// showCode shows the code for the camera's lens until ctx ends.
func (c *pairCommand) showCode(ctx context.Context, s streams, l label.Label, setup qrtext.Setup,
	_ chan<- string,
) error {
	text, err := qrtext.Seal(rand.Reader, l, setup)
	if err != nil {
		return err
	}
	parts, err := qrtext.Split(text, largestCode)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.err, "hold this code before the camera's lens, 20 to 40 cm away; it goes on by itself:")
	t := time.NewTicker(partFor)
	defer t.Stop()
	for n := 0; ; n++ {
		code, err := qrcode.Encode(parts[n%len(parts)], qrcode.L, 0)
		if err != nil {
			return err
		}
		if c.PNG != "" {
			if err := writePNG(c.PNG, code); err != nil {
				return err
			}
		}
		if n > 0 {
			fmt.Fprintf(s.err, "\x1b[%dA", (code.Size()+2*qrcode.QuietZone+1)/2) // over the last one
		}
		if err := drawCode(s.err, code); err != nil || len(parts) == 1 {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// drawCode draws a code with two modules a character, black on white whatever the terminal's colours are.
func drawCode(out io.Writer, code *qrcode.Code) error {
	var b strings.Builder
	const q = qrcode.QuietZone
	for y := -q; y < code.Size()+q; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -q; x < code.Size()+q; x++ {
			b.WriteRune(halves(code.Dark(x, y), code.Dark(x, y+1)))
		}
		b.WriteString("\x1b[0m\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// halves is the character of which the upper or lower half is dark.
func halves(upper, lower bool) rune {
	switch {
	case upper && lower:
		return '█'
	case upper:
		return '▀'
	case lower:
		return '▄'
	}
	return ' '
}

// writePNG replaces a file by the picture of a code, in one step.
func writePNG(path string, code *qrcode.Code) error {
	const scale, q = 10, qrcode.QuietZone
	side := (code.Size() + 2*q) * scale
	m := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if code.Dark(x/scale-q, y/scale-q) {
				m.SetColorIndex(x, y, 1)
			}
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".code-*.png") // readable for its owner alone: a password is in it
	if err != nil {
		return err
	}
	err = errors.Join(png.Encode(f, m), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// sendLengths sends ESP-Touch v2 under the label's key until the camera has heard, and says where it is.
func (c *pairCommand) sendLengths(ctx context.Context, s streams, l label.Label, setup qrtext.Setup,
	heard chan<- string,
) error {
	broadcast, err := broadcastAddress()
	if err != nil {
		return err
	}
	who := smartconfig.Claimant{Token: setup.Token, Owner: label.FingerprintOf(setup.Owner)}
	sends, err := smartconfig.Message{
		SSID: []byte(setup.Network.SSID), Password: setup.Network.Password, Key: l.Secret.Printed(), Reserved: who.Text(),
		Broadcast: broadcast,
	}.Send(smartconfig.ESPTouch2, rand.Reader)
	if err != nil {
		return err
	}
	out, err := net.ListenPacket("udp4", ":0")
	if err != nil {
		return err
	}
	defer out.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	listening := make(chan error, 1) // capacity 1: the last word of the goroutine below
	go func() { listening <- awaitACK(ctx, out, heard, stop) }()
	fmt.Fprintf(s.err, "sending the network to the camera from this machine's Wi-Fi, to %v\n", broadcast)
	filler := make([]byte, 1500)
	for d := range sends {
		if _, err := out.WriteTo(filler[:d.Length], net.UDPAddrFromAddrPort(d.To)); err != nil {
			stop()
			return errors.Join(fmt.Errorf("send to %v: %w", d.To, err), <-listening)
		}
		wait := time.NewTimer(d.Wait)
		select {
		case <-wait.C:
		case <-ctx.Done():
			return <-listening
		}
	}
	<-ctx.Done()
	return <-listening
}

// ackPort is where a sender of ESP-Touch v2 with port mark 0 listens, confirmPort where the camera does.
const (
	ackPort     = 18266
	confirmPort = 7002
	ackSize     = 7
	doorPort    = 8443
)

// awaitACK waits for the camera's answer, confirms it, and calls got.
func awaitACK(ctx context.Context, out net.PacketConn, heard chan<- string, got func()) error {
	in, err := net.ListenPacket("udp4", fmt.Sprintf(":%d", ackPort))
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
		case n < ackSize:
			continue
		}
		camera := from.(*net.UDPAddr)
		for range 2 {
			_, _ = out.WriteTo([]byte{1}, &net.UDPAddr{IP: camera.IP, Port: confirmPort})
		}
		heard <- fmt.Sprintf("%v:%d", camera.IP, doorPort)
		got()
		return nil
	}
}

// broadcastAddress is that of the network over which this machine reaches others.
func broadcastAddress() (netip.Addr, error) {
	var own netip.Addr
	if probe, err := net.Dial("udp4", "192.0.2.1:9"); err == nil { // sends nothing: asks for the route
		own = probe.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = probe.Close()
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	var first netip.Addr // where there is no such route
	for _, a := range addresses {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || !p.Addr().Is4() || p.Addr().IsLoopback() {
			continue
		}
		b := p.Addr().As4()
		for bit := p.Bits(); bit < 8*len(b); bit++ {
			b[bit/8] |= 0x80 >> (bit % 8)
		}
		if p.Addr() == own {
			return netip.AddrFrom4(b), nil
		}
		if !first.IsValid() {
			first = netip.AddrFrom4(b)
		}
	}
	if !first.IsValid() {
		return first, errors.New("this machine is in no network: join the camera's Wi-Fi first")
	}
	return first, nil
}
