package smartconfig

import (
	"net/netip"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
)

// UDP ports.
const (
	touchPort       = 7001  // to which the senders of ESP-Touch send
	touchACKPort    = 18266 // on which they listen; version 2 adds 10000 for each port mark
	touch2Confirm   = 7002  // to which an ESP-Touch v2 sender answers an ACK with a byte 1
	airKissPort     = 10000 // both ways
	tuyaPort        = 30011 // by length
	tuyaAddressPort = 30012 // by address
)

// ACK is how a camera that has joined tells the phone so. Nothing in it is proven, and nothing secret.
type ACK struct {
	Payload []byte
	To      []netip.AddrPort // each gets each datagram
	Confirm uint16           // UDP port on which the phone says that it has heard; 0: it never does
	After   time.Duration    // from the moment that the address is there
	Every   time.Duration
	Times   int // at most; until the phone confirms, or comes by another way
}

// When an ACK is sent. ESP-IDF sends 30; phones lose them, and wait for a minute (ESP-Touch v1) or longer.
const (
	ackAfter = 200 * time.Millisecond
	ackEvery = 100 * time.Millisecond
	ackTimes = 600
)

// ACK returns the answer that the sender of c waits for, from a device with this MAC and IPv4 address. false: the
// protocol has none (Tuya EZ ends in its maker's cloud).
func (c *Credentials) ACK(device dot11.Addr, address netip.Addr) (ACK, bool) {
	a := ACK{After: ackAfter, Every: ackEvery, Times: ackTimes}
	everybody := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	to := func(ip netip.Addr, port uint16) { a.To = append(a.To, netip.AddrPortFrom(ip, port)) }
	switch c.Protocol {
	case ESPTouch1:
		if !address.Unmap().Is4() {
			return ACK{}, false
		}
		a.Payload = touch1ACK(c, device, address.Unmap().As4())
		if c.Phone.IsValid() && c.Phone != everybody {
			to(c.Phone, touchACKPort)
		}
		to(everybody, touchACKPort)
	case ESPTouch2, ESPTouch2Plain:
		a.Payload, a.Confirm = touch2ACK(c, device), touch2Confirm
		to(everybody, touchACKPort+10000*uint16(c.Mark&3))
	case AirKiss:
		a.Payload = []byte{c.Mark}
		to(everybody, airKissPort)
	default:
		return ACK{}, false
	}
	return a, true
}
