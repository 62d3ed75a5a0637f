package smartconfig

import (
	"fmt"
	"net/netip"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/internal/secret"
)

// ESP-Touch v1: each byte of the message is a symbol of three datagrams; c is crc8(byte, index).
//
//	guide   515 514 513 512, again and again
//	first   40 + (high half of c << 4 | high half of the byte)      40..295
//	index   40 + 256 + index                                       296..423
//	second  40 + (low half of c << 4 | low half of the byte)        40..295
//
//	index  0 total: 9 + password + SSID   1 password length   2 crc8(SSID)   3 crc8(BSSID)
//	       4 XOR of all others but the BSSID   5..8 IPv4 of the phone   9.. password, SSID; total.. BSSID
//
// An odd property of this CRC carries the decoder: the half of c in a packet fixes the half of the byte that the packet
// does NOT carry. So one packet and its index give the whole byte, and the other packet proves it.
const (
	touch1Guide   = 515
	touch1Data    = 40
	touch1Index   = touch1Data + 256
	touch1Most    = 105 // total
	touch1Header  = 9
	touch1Total   = 0
	touch1Pwd     = 1
	touch1SSID    = 2
	touch1BSSID   = 3
	touch1XOR     = 4
	touch1Phone   = 5
	touch1Indexes = 128
	touchGroups   = 100 // 234.n.n.n, n from 1
)

// touch1Kind is what a datagram of a length can be.
type touch1Kind uint8

const (
	touch1Other touch1Kind = iota
	touch1IsGuide
	touch1IsData
	touch1IsIndex
)

func touch1KindOf(value int) touch1Kind {
	switch {
	case value >= touch1Data && value < touch1Index:
		return touch1IsData
	case value >= touch1Index && value < touch1Index+touch1Indexes:
		return touch1IsIndex
	case value > touch1Guide-4 && value <= touch1Guide:
		return touch1IsGuide
	}
	return touch1Other
}

// touch1Halves returns what the first and the second packet of a symbol carry.
func touch1Halves(value, index byte) (first, second byte) {
	c := crc8(value, index)
	return c&0xf0 | value>>4, c<<4 | value&0x0f
}

// touch1First returns the byte whose first packet carries this at an index.
func touch1First(half, index byte) byte { return touch1Search(half<<4, 1, half, true, index) }

// touch1Second returns the byte whose second packet carries this at an index.
func touch1Second(half, index byte) byte { return touch1Search(half&0x0f, 16, half, false, index) }

// touch1Search tries the sixteen bytes from start on in these steps; exactly one fits.
func touch1Search(start, step, half byte, first bool, index byte) byte {
	for i := range byte(16) {
		value := start + i*step
		a, b := touch1Halves(value, index)
		if first && a == half || !first && b == half {
			return value
		}
	}
	panic("smartconfig: two bytes with the same half of the CRC") // a property of the polynomial, held by a test
}

// touch1Message lays out the bytes by index.
func touch1Message(m *Message) ([]byte, error) {
	password := m.Password.Reveal()
	total := touch1Header + len(password) + len(m.SSID)
	if total > touch1Most {
		return nil, fmt.Errorf("smartconfig: message of %d bytes, ESP-Touch v1 has room for %d", total, touch1Most)
	}
	phone := m.Phone
	if !phone.IsValid() {
		phone = netip.AddrFrom4([4]byte{255, 255, 255, 255}) // the ACK goes to everybody then
	}
	if !phone.Is4() {
		return nil, fmt.Errorf("smartconfig: phone address %v, ESP-Touch v1 has room for IPv4 alone", phone)
	}
	ip := phone.As4()
	b := []byte{byte(total), byte(len(password)), crc8(m.SSID...), crc8(m.BSSID[:]...), 0}
	b = append(append(append(b, ip[:]...), password...), m.SSID...)
	for i, v := range b {
		if i != touch1XOR {
			b[touch1XOR] ^= v
		}
	}
	return append(b, m.BSSID[:]...), nil
}

// touch1Order is the order in which the official senders send the indexes: a byte of the BSSID behind every third
// other from index 4 on, what is left of it at the end.
func touch1Order(total int) []byte {
	order := make([]byte, 0, total+6)
	next := total
	for i := range total {
		order = append(order, byte(i))
		if i%3 == 1 && i >= 4 && next < total+6 {
			order = append(order, byte(next))
			next++
		}
	}
	for ; next < total+6; next++ {
		order = append(order, byte(next))
	}
	return order
}

// touch1Round returns the lengths of one data round.
func touch1Round(m *Message) ([]int, error) {
	message, err := touch1Message(m)
	if err != nil {
		return nil, err
	}
	var lengths []int
	for _, i := range touch1Order(len(message) - 6) {
		first, second := touch1Halves(message[i], i)
		lengths = append(lengths, touch1Data+int(first), touch1Index+int(i), touch1Data+int(second))
	}
	return lengths, nil
}

// touch1Credentials reads a whole message. known says which indexes of the BSSID are there.
func touch1Credentials(b []byte, bssid *dot11.Addr) Credentials {
	end := touch1Header + int(b[touch1Pwd])
	c := Credentials{Protocol: ESPTouch1, SSID: append([]byte(nil), b[end:]...),
		Password: secret.Secret(b[touch1Header:end]), Phone: netip.AddrFrom4([4]byte(b[touch1Phone:touch1Header]))}
	if bssid != nil && crc8(bssid[:]...) == b[touch1BSSID] {
		c.BSSID = *bssid
	}
	return c
}

// touch1ACK is the answer of a device: total, its MAC, its address.
func touch1ACK(c *Credentials, device dot11.Addr, address [4]byte) []byte {
	b := append([]byte{byte(touch1Header + len(c.Password) + len(c.SSID))}, device[:]...)
	return append(b, address[:]...)
}
