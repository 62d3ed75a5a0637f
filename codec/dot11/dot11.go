// Package dot11 reads what a monitor interface captures: the radiotap header that the driver puts in front, the MAC
// header of an 802.11 data frame, and the few elements of a beacon that say on which channel a network is. It decrypts
// nothing and looks at no payload: addresses, direction, sequence number and length are all that it returns.
//
// A captured packet (radiotap.org; IEEE 802.11-2020 9.2.4, 9.3.2):
//
//	radiotap: version 0, pad, length le16, present le32 (more while bit 31), fields in the order of their bits
//	MAC:      frame control le16, duration, address 1, 2, 3, sequence control le16 [, address 4][, QoS le16][, HT le32]
//	          [pad to 4 bytes where radiotap says so], body [, FCS where radiotap says so]
//
// Everything is pure: bytes in, values out, bounds first.
package dot11

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxPacket is the longest captured packet that is looked at, in bytes: an A-MPDU subframe and its radiotap header.
const MaxPacket = 16 << 10

var (
	// ErrShort: the packet ends before its headers do, or is longer than MaxPacket.
	ErrShort = errors.New("802.11 frame cut short")
	// ErrDamaged: radiotap says that the FCS is wrong.
	ErrDamaged = errors.New("802.11 frame damaged")
	// ErrOther: a frame of another kind than the one that was asked for.
	ErrOther = errors.New("another kind of 802.11 frame")
)

// Addr is a MAC address.
type Addr [6]byte

// Broadcast is the address of everybody.
func Broadcast() Addr { return Addr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// Group reports whether a is a group address: broadcast or multicast.
func (a Addr) Group() bool { return a[0]&1 != 0 }

// String writes a as 02:00:00:00:00:01.
func (a Addr) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5])
}

// Direction is where a data frame is on its way.
type Direction uint8

// Directions, by the To DS and From DS bits.
const (
	Direct      Direction = iota // neither: from station to station
	ToDS                         // from a station to its access point
	FromDS                       // from the access point to its stations
	FourAddress                  // both: from one access point to another
)

// String names the direction as the standard does.
func (d Direction) String() string {
	return [...]string{"direct", "to DS", "from DS", "four-address"}[d&3]
}

// Frame is what can be read of a data frame without any key.
type Frame struct {
	BSSID     Addr // of a four-address frame: its transmitter
	SA, DA    Addr
	Direction Direction
	Sequence  uint16 // 0 to 4095; the transmitter counts it up for each frame, apart for each TID of a QoS frame
	TID       uint8  // 0 to 15 of a QoS frame; NoTID of any other
	Length    int    // of the frame body in bytes, its encryption included, without MAC header, padding and FCS
	Frequency int    // MHz, as the driver tuned it; 0 if it does not say
	Signal    int    // dBm; 0 if the driver does not say
	Retry     bool   // the transmitter sent it before
	Protected bool   // the body is encrypted
	AMSDU     bool   // the body is several payloads together
	Fragment  bool   // the body is a part of a payload
}

// NoTID is the TID of a frame that has none.
const NoTID = 16

// Bits of the frame control field (802.11-2020 9.2.4.1).
const (
	typeMask, typeData, typeManagement = 0x0c, 0x08, 0x00
	subtypeNull, subtypeQoS            = 0x40, 0x80
	flagToDS, flagFromDS               = 0x01, 0x02
	flagMoreFragments, flagRetry       = 0x04, 0x08
	flagProtected, flagOrder           = 0x40, 0x80
	qosAMSDU                           = 0x80
)

// Lengths in bytes.
const (
	macHeader = 24
	fcsLength = 4
)

// ParseData reads a captured packet that holds a data frame. wireLength is how long the packet was before the capture
// cut it (tp_len of packet(7)): a capture needs only the headers. A null function frame is ErrOther: it has no body.
func ParseData(packet []byte, wireLength int) (Frame, error) {
	r, mpdu, err := parseRadiotap(packet)
	if err != nil {
		return Frame{}, err
	}
	if len(mpdu) < macHeader {
		return Frame{}, ErrShort
	}
	kind, flags := mpdu[0], mpdu[1]
	if kind&3 != 0 || kind&typeMask != typeData || kind&subtypeNull != 0 {
		return Frame{}, ErrOther
	}
	f := Frame{Frequency: r.frequency, Signal: r.signal, TID: NoTID,
		Retry: flags&flagRetry != 0, Protected: flags&flagProtected != 0}
	control := binary.LittleEndian.Uint16(mpdu[22:])
	f.Sequence, f.Fragment = control>>4, control&15 != 0 || flags&flagMoreFragments != 0
	header, err := f.readAddresses(mpdu, flags)
	if err != nil {
		return Frame{}, err
	}
	if kind&subtypeQoS != 0 {
		if header, err = f.readQoS(mpdu, header, flags); err != nil {
			return Frame{}, err
		}
	}
	if r.padded {
		header = (header + 3) &^ 3
	}
	f.Length = wireLength - (len(packet) - len(mpdu)) - header
	if r.fcs {
		f.Length -= fcsLength
	}
	if wireLength < len(packet) || wireLength > MaxPacket || f.Length < 0 {
		return Frame{}, ErrShort
	}
	return f, nil
}

// readAddresses puts the addresses where their meaning is and returns the length of the header so far.
func (f *Frame) readAddresses(mpdu []byte, flags byte) (int, error) {
	first, second, third := Addr(mpdu[4:10]), Addr(mpdu[10:16]), Addr(mpdu[16:22])
	switch flags & (flagToDS | flagFromDS) {
	case flagToDS:
		f.Direction, f.BSSID, f.SA, f.DA = ToDS, first, second, third
	case flagFromDS:
		f.Direction, f.DA, f.BSSID, f.SA = FromDS, first, second, third
	case flagToDS | flagFromDS:
		if len(mpdu) < macHeader+6 {
			return 0, ErrShort
		}
		f.Direction, f.BSSID, f.DA, f.SA = FourAddress, second, third, Addr(mpdu[24:30])
		return macHeader + 6, nil
	default:
		f.Direction, f.DA, f.SA, f.BSSID = Direct, first, second, third
	}
	return macHeader, nil
}

// readQoS reads the QoS control field at header and returns the length of the header behind it.
func (f *Frame) readQoS(mpdu []byte, header int, flags byte) (int, error) {
	if len(mpdu) < header+2 {
		return 0, ErrShort
	}
	f.TID, f.AMSDU = mpdu[header]&15, mpdu[header]&qosAMSDU != 0
	header += 2
	if flags&flagOrder != 0 { // an HT Control field follows
		header += 4
	}
	return header, nil
}
