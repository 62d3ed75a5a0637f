// Package improv is Improv Wi-Fi over a serial line (improv-wifi.com/serial, version 1): a web page or an app tells a
// device of a network.
//
//	"IMPROV" 01  type u8  length u8  data  checksum u8
//
// The checksum is the sum of all bytes before it. The data of a command are its number, a length, and that many bytes;
// those of a result the same, with texts behind a length each. Packets that a device sends stand on a line of their
// own, since that is where clients look for them.
package improv

import (
	"errors"
	"fmt"
)

// prefix begins each packet: the name, and the version.
const prefix = "IMPROV\x01"

// Sizes in bytes.
const (
	head    = len(prefix) + 2
	maxData = 255
	// Max is the longest packet.
	Max = head + maxData + 1
	// MaxSSID and MaxPassword are what fits into a network (IEEE 802.11 9.4.2.2) and into a packet.
	MaxSSID     = 32
	MaxPassword = 128
)

// Type is that of a packet.
type Type uint8

// The types.
const (
	TypeState   Type = 1
	TypeError   Type = 2
	TypeCommand Type = 3
	TypeResult  Type = 4
)

// State is how far the device is.
type State uint8

// The states.
const (
	Ready        State = 2
	Provisioning State = 3
	Provisioned  State = 4
)

// Error is what went wrong.
type Error uint8

// The errors.
const (
	NoError     Error = 0
	BadPacket   Error = 1
	BadCommand  Error = 2
	NoConnect   Error = 3
	Unspecified Error = 0xff
)

// Command is what a client asks.
type Command uint8

// The commands.
const (
	Settings   Command = 1 // SSID and password
	AskState   Command = 2
	DeviceInfo Command = 3
	Scan       Command = 4
)

// ErrMalformed: the packet is none, or its data say something impossible.
var ErrMalformed = errors.New("malformed Improv packet")

// Packet is one packet.
type Packet struct {
	Type Type
	Data []byte // at most 255 bytes
}

// Append writes the packet behind b, on a line of its own.
func (p Packet) Append(b []byte) []byte {
	if len(p.Data) > maxData {
		panic(fmt.Sprintf("improv: data of %d bytes", len(p.Data)))
	}
	b = append(b, '\n')
	at := len(b)
	b = append(append(b, prefix...), byte(p.Type), byte(len(p.Data)))
	b = append(b, p.Data...)
	return append(b, sum(b[at:]), '\n')
}

func sum(b []byte) (s byte) {
	for _, c := range b {
		s += c
	}
	return s
}

// StatePacket says how far the device is.
func StatePacket(s State) Packet { return Packet{TypeState, []byte{byte(s)}} }

// ErrorPacket says what went wrong.
func ErrorPacket(e Error) Packet { return Packet{TypeError, []byte{byte(e)}} }

// ResultPacket answers a command by texts. Those that find no room are left out.
func ResultPacket(c Command, texts ...string) Packet {
	data := []byte{byte(c), 0}
	for _, text := range texts {
		if len(data)+1+len(text) > maxData {
			break
		}
		data = append(append(data, byte(len(text))), text...)
	}
	data[1] = byte(len(data) - 2)
	return Packet{TypeResult, data}
}

// Ask takes a command and its bytes out of a packet: ErrMalformed.
func (p Packet) Ask() (Command, []byte, error) {
	switch {
	case p.Type != TypeCommand:
		return 0, nil, fmt.Errorf("%w: type %d is no command", ErrMalformed, p.Type)
	case len(p.Data) == 1: // the specification shows commands without bytes without a length, too
		return Command(p.Data[0]), nil, nil
	case len(p.Data) < 2 || int(p.Data[1]) != len(p.Data)-2:
		return 0, nil, fmt.Errorf("%w: length of the command", ErrMalformed)
	}
	return Command(p.Data[0]), p.Data[2:], nil
}

// Network takes SSID and password out of the bytes of Settings: ErrMalformed, which never shows them. Both may be any
// bytes.
func Network(data []byte) (ssid, password []byte, err error) {
	ssid, data, ok := cut(data, MaxSSID)
	if ok && len(ssid) > 0 {
		password, data, ok = cut(data, MaxPassword)
	}
	if !ok || len(ssid) == 0 || len(data) > 0 {
		return nil, nil, fmt.Errorf("%w: length of SSID or password", ErrMalformed)
	}
	return ssid, password, nil
}

// Texts takes the texts out of a result: ErrMalformed.
func (p Packet) Texts() (Command, []string, error) {
	if p.Type != TypeResult || len(p.Data) < 2 || int(p.Data[1]) != len(p.Data)-2 {
		return 0, nil, fmt.Errorf("%w: no result", ErrMalformed)
	}
	var texts []string
	for data := p.Data[2:]; len(data) > 0; {
		text, rest, ok := cut(data, maxData)
		if !ok {
			return 0, nil, fmt.Errorf("%w: length of a text", ErrMalformed)
		}
		texts, data = append(texts, string(text)), rest
	}
	return Command(p.Data[0]), texts, nil
}

// cut takes bytes behind their length; it is at most max.
func cut(b []byte, max int) (part, rest []byte, ok bool) {
	if len(b) == 0 || int(b[0]) > max || int(b[0]) > len(b)-1 {
		return nil, nil, false
	}
	return b[1 : 1+b[0]], b[1+b[0]:], true
}
