package provision

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
	"github.com/ocellus/ocellus/provision/smartconfig"
)

// answer tells the phone that the camera is in the network.
func (e *Engine) answer(ctx context.Context, c *smartconfig.Credentials) {
	if err := e.o.Tell(ctx, e.glimpse(), c); err != nil && ctx.Err() == nil {
		e.o.Log.Warn("phone not told", "protocol", c.Protocol, "err", err)
	}
}

// tellByUDP sends the ACK that a phone waits for, until it confirms or has had time enough.
func tellByUDP(ctx context.Context, l hal.Link, c *smartconfig.Credentials) error {
	if !l.Address.Addr().Is4() {
		return fmt.Errorf("own address %v: the phone listens on IPv4", l.Address)
	}
	via, err := interfaceOf(l.Address.Addr())
	if err != nil {
		return err
	}
	var mac dot11.Addr
	copy(mac[:], via.HardwareAddr) // none on loopback: zeros
	a, ok := c.ACK(mac, l.Address.Addr())
	if !ok {
		return nil
	}
	for _, to := range a.To { // some networks forward the one, some the other
		if to.Addr() == limitedBroadcast() {
			a.To = append(a.To, netip.AddrPortFrom(broadcastOf(l.Address), to.Port()))
		}
	}
	return repeat(ctx, via.Name, l.Address.Addr(), a)
}

func limitedBroadcast() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// broadcastOf is the broadcast address of an IPv4 network.
func broadcastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

// interfaceOf finds the interface that has an address.
func interfaceOf(own netip.Addr) (net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return net.Interface{}, err
	}
	for _, i := range all {
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == own {
				return i, nil
			}
		}
	}
	return net.Interface{}, fmt.Errorf("own address %v: no interface has it", own)
}

// repeat sends an ACK again and again: phones lose them, and some wait for a minute. It goes out over the interface
// via, wherever the default route leads.
func repeat(ctx context.Context, via string, own netip.Addr, a smartconfig.ACK) error {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.BindToDevice(int(fd), via) }) // an old kernel: the route decides
	}}
	out, err := config.ListenPacket(ctx, "udp4", netip.AddrPortFrom(own, 0).String())
	if err != nil {
		return err
	}
	defer out.Close()
	ctx, confirmed := context.WithCancel(ctx)
	defer confirmed()
	if a.Confirm != 0 {
		ended, err := awaitConfirm(ctx, netip.AddrPortFrom(own, a.Confirm), confirmed)
		if err != nil {
			return err
		}
		defer func() { confirmed(); <-ended }()
	}
	if monotime.Pause(ctx, a.After) != nil {
		return nil
	}
	for range a.Times {
		for _, to := range a.To {
			if _, err = out.WriteTo(a.Payload, net.UDPAddrFromAddrPort(to)); err == nil {
				continue
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
		}
		if monotime.Pause(ctx, a.Every) != nil {
			return nil
		}
	}
	return err // of the last one: a network that takes none of them
}

// awaitConfirm calls confirmed when a phone says that it has heard. ended is closed when it listens no more, which is
// soon after ctx ended.
func awaitConfirm(ctx context.Context, at netip.AddrPort, confirmed func()) (ended <-chan struct{}, err error) {
	var config net.ListenConfig
	in, err := config.ListenPacket(ctx, "udp4", at.String())
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { _ = in.SetReadDeadline(time.Now()) })
	go func() {
		defer close(done)
		defer stop()
		defer in.Close()
		var b [16]byte
		if n, _, err := in.ReadFrom(b[:]); err == nil && n > 0 && b[0] == 1 {
			confirmed()
		}
	}()
	return done, nil
}
