// Package pcap reads and writes captures of packets as tcpdump and Wireshark keep them: the format of libpcap
// (draft-ietf-opsawg-pcap, "PCAP Capture File Format").
//
//	file    magic u32, version u16 u16, zone i32, accuracy u32, longest packet u32, kind of link u32
//	packet  seconds u32, microseconds or nanoseconds u32, captured bytes u32, bytes of the packet u32, bytes
//
// The magic tells the byte order, and which of the two the second word is. The whole file is bounded.
package pcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Radiotap is the kind of link whose packets are IEEE 802.11 frames behind a radiotap header (LINKTYPE 127).
const Radiotap = 127

// MaxSize is how much of a capture is read, in bytes.
const MaxSize = 32 << 20

const (
	magicMicro, magicNano = 0xa1b2c3d4, 0xa1b23c4d
	headSize, packetHead  = 24, 16
	maxPacket             = 1 << 16 // captured bytes of one packet
)

// ErrFormat: this is no capture, or one that is cut short.
var ErrFormat = errors.New("no whole pcap file")

// Packet is one packet of a capture.
type Packet struct {
	At     time.Duration // since the first one
	Bytes  []byte
	Length int // of the packet before it was cut
}

// Read reads a capture and the kind of its link.
func Read(r io.Reader) (packets []Packet, link uint32, err error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, 0, fmt.Errorf("pcap: %w", err)
	}
	if len(b) > MaxSize || len(b) < headSize {
		return nil, 0, fmt.Errorf("pcap: %w: %d bytes", ErrFormat, len(b))
	}
	order, unit, ok := orderOf(b)
	if !ok {
		return nil, 0, fmt.Errorf("pcap: %w: it does not begin like one", ErrFormat)
	}
	link = order.Uint32(b[20:])
	var first time.Duration
	for b = b[headSize:]; len(b) > 0; {
		if len(b) < packetHead {
			return nil, 0, fmt.Errorf("pcap: %w: packet %d", ErrFormat, len(packets)+1)
		}
		at := time.Duration(order.Uint32(b))*time.Second + time.Duration(order.Uint32(b[4:]))*unit
		size, length := order.Uint32(b[8:]), order.Uint32(b[12:])
		b = b[packetHead:]
		if size > maxPacket || size > length || length > 1<<30 || int(size) > len(b) {
			return nil, 0, fmt.Errorf("pcap: %w: packet %d", ErrFormat, len(packets)+1)
		}
		if packets == nil {
			first = at
		}
		packets = append(packets, Packet{at - first, b[:size:size], int(length)})
		b = b[size:]
	}
	return packets, link, nil
}

func orderOf(b []byte) (order binary.ByteOrder, unit time.Duration, ok bool) {
	for _, order = range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(b) {
		case magicMicro:
			return order, time.Microsecond, true
		case magicNano:
			return order, time.Nanosecond, true
		}
	}
	return nil, 0, false
}

// Append writes a capture behind dst: little endian, to the microsecond, from the second 0.
func Append(dst []byte, link uint32, packets []Packet) []byte {
	order := binary.LittleEndian
	dst = order.AppendUint32(dst, magicMicro)
	dst = order.AppendUint16(order.AppendUint16(dst, 2), 4)
	dst = append(dst, make([]byte, 8)...)
	dst = order.AppendUint32(order.AppendUint32(dst, maxPacket), link)
	for _, p := range packets {
		dst = order.AppendUint32(dst, uint32(p.At/time.Second))
		dst = order.AppendUint32(dst, uint32(p.At%time.Second/time.Microsecond))
		dst = order.AppendUint32(dst, uint32(len(p.Bytes)))
		dst = order.AppendUint32(dst, uint32(p.Length))
		dst = append(dst, p.Bytes...)
	}
	return dst
}
