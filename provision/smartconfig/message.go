package smartconfig

import (
	"fmt"
	"io"
	"iter"
	"net/netip"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/internal/secret"
)

// Message is what a sender tells.
type Message struct {
	SSID     []byte
	Password secret.Secret
	BSSID    dot11.Addr // of the access point: ESP-Touch
	// Phone is the address to which the ACK goes: ESP-Touch v1. Invalid: it goes to everybody.
	Phone    netip.Addr
	Reserved secret.Secret // ESP-Touch v2: reserved data; Tuya EZ: region, token and secret
	Key      secret.Secret // of ESP-Touch v2: KeySize bytes; empty: not encrypted
	ZeroIV   bool          // the older kind of encryption: the same password looks the same each time
	PortMark uint8         // of ESP-Touch v2, 0 to 3: on which port the phone listens
	Random   byte          // of AirKiss: what the ACK returns

	// Broadcast is where ESP-Touch v2 sends: the broadcast address of the subnet. Invalid: 255.255.255.255.
	Broadcast netip.Addr
	Multicast bool // ESP-Touch v1 to 234.n.n.n, for networks that let no broadcast through
}

// Datagram is one packet of a sender. Its bytes mean nothing, its length does.
type Datagram struct {
	To     netip.AddrPort
	Length int
	Wait   time.Duration // after it, before the next one
}

// How the official senders pace themselves.
const (
	touch1Gap       = 8 * time.Millisecond
	touch1GuideTime = 2 * time.Second
	touch1CycleTime = 6 * time.Second
	touch1SendTime  = 45 * time.Second
	touch2Gap       = 15 * time.Millisecond
	touch2SlowGap   = 100 * time.Millisecond // in the second half
	touch2SendTime  = 90 * time.Second
	airKissGap      = 4 * time.Millisecond
	airKissCycles   = 5
	tuyaGap         = 5 * time.Millisecond
	tuyaHeads       = 40
	tuyaBodies      = 30
)

// check refuses what no protocol can tell.
func (m *Message) check() error {
	c := Credentials{SSID: m.SSID, Password: m.Password, Reserved: m.Reserved}
	if err := c.check(); err != nil {
		return err
	}
	if n := len(m.Key); n != 0 && n != KeySize {
		return fmt.Errorf("smartconfig key: %d bytes, want %d", n, KeySize)
	}
	return nil
}

// Send returns the datagrams of a protocol, as its official sender sends them until it gives up. random gives IV and
// padding of ESP-Touch v2 and is not read by the others. Without a key ESPTouch2 is an error, and ESPTouch2Plain
// ignores a key.
func (m Message) Send(p Protocol, random io.Reader) (iter.Seq[Datagram], error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	switch p {
	case ESPTouch2:
		if m.Key == "" || m.Password == "" && m.Reserved == "" {
			return nil, fmt.Errorf("smartconfig: %v needs a key, and something to encrypt", p)
		}
		return m.sendTouch2(random)
	case ESPTouch2Plain:
		m.Key = ""
		return m.sendTouch2(random)
	case ESPTouch1:
		return m.sendTouch1()
	case AirKiss:
		return m.sendAirKiss()
	case TuyaEZ:
		return m.sendTuya()
	}
	return nil, fmt.Errorf("smartconfig: %d is not one protocol", p)
}

func everybody(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), port)
}

func (m *Message) sendTouch2(random io.Reader) (iter.Seq[Datagram], error) {
	round, err := touch2Round(m, random)
	if err != nil {
		return nil, err
	}
	to := everybody(touchPort)
	if m.Broadcast.IsValid() {
		to = netip.AddrPortFrom(m.Broadcast, touchPort)
	}
	return func(yield func(Datagram) bool) {
		gap := touch2Gap
		for spent := time.Duration(0); spent <= touch2SendTime; {
			if spent > touch2SendTime/2 {
				gap = touch2SlowGap
			}
			for i, length := range round {
				wait := gap
				if i == len(round)-1 {
					wait *= 2
				}
				spent += wait
				if !yield(Datagram{to, length, wait}) {
					return
				}
			}
		}
	}, nil
}

func (m *Message) sendTouch1() (iter.Seq[Datagram], error) {
	round, err := touch1Round(m)
	if err != nil {
		return nil, err
	}
	multicast := m.Multicast
	return func(yield func(Datagram) bool) {
		var spent time.Duration
		calls := 0
		// send sends a group: its datagrams go to one address.
		send := func(lengths ...int) bool {
			to := everybody(touchPort)
			if n := byte(calls%touchGroups + 1); multicast {
				to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{234, n, n, n}), touchPort)
			}
			calls++
			for _, length := range lengths {
				spent += touch1Gap
				if !yield(Datagram{to, length, touch1Gap}) {
					return false
				}
			}
			return true
		}
		for at := 0; spent < touch1SendTime; {
			start := spent
			for spent-start < touch1GuideTime && spent < touch1SendTime {
				if !send(touch1Guide, touch1Guide-1, touch1Guide-2, touch1Guide-3) {
					return
				}
			}
			for ; spent-start < touch1CycleTime && spent < touch1SendTime; at = (at + 3) % len(round) {
				if !send(round[at : at+3]...) {
					return
				}
			}
		}
	}, nil
}

func (m *Message) sendAirKiss() (iter.Seq[Datagram], error) {
	cycle, err := airKissCycle(m)
	if err != nil {
		return nil, err
	}
	return func(yield func(Datagram) bool) {
		for range airKissCycles {
			for _, length := range cycle {
				if !yield(Datagram{everybody(airKissPort), length, airKissGap}) {
					return
				}
			}
		}
	}, nil
}

func (m *Message) sendTuya() (iter.Seq[Datagram], error) {
	body, err := tuyaBody(m)
	if err != nil {
		return nil, err
	}
	headGroups, bodyGroups := tuyaAllAddresses(m)
	return func(yield func(Datagram) bool) {
		groups := func(list [][4]byte) bool {
			for _, g := range list {
				if !yield(Datagram{netip.AddrPortFrom(netip.AddrFrom4(g), tuyaAddressPort), 1, tuyaGap}) {
					return false
				}
			}
			return true
		}
		lengths := func(list []int) bool {
			for _, length := range list {
				if !yield(Datagram{everybody(tuyaPort), length, tuyaGap}) {
					return false
				}
			}
			return true
		}
		for range tuyaHeads {
			if !groups(headGroups) || !lengths([]int{1, 3, 6, 10}) {
				return
			}
		}
		for range tuyaBodies {
			if !groups(headGroups) || !groups(bodyGroups) || !lengths(body) {
				return
			}
		}
	}, nil
}
