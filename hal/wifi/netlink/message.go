// Package netlink is what a radio needs of netlink(7): rtnetlink(7) for addresses, routes and neighbours, generic
// netlink for nl80211 (linux/netlink.h, linux/genetlink.h). Requests, answers and what the kernel tells by itself are messages
// with attributes in the byte order of the machine:
//
//	length u32, type u16, flags u16, sequence u32, port u32, a header of the family, attributes; aligned to 4 bytes
//	attribute: length u16, type u16, value; aligned to 4 bytes
//
// Parsing is pure. It costs 15 kB in the agent; mdlayher/netlink and genetlink would cost ten times as much.
package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/sys/unix"
)

// MaxBatch is the most that the kernel puts into one datagram of answers that we read, in bytes.
const MaxBatch = 64 << 10

// errMessage: the bytes are no netlink messages.
var errMessage = errors.New("netlink message cut short")

// Message is one message.
type Message struct {
	Type     uint16
	Flags    uint16
	Sequence uint32
	Data     []byte // header of the family and attributes
}

// Append adds the message's bytes.
func (m Message) Append(b []byte) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.SizeofNlMsghdr+len(m.Data)))
	b = binary.NativeEndian.AppendUint16(b, m.Type)
	b = binary.NativeEndian.AppendUint16(b, m.Flags)
	b = binary.NativeEndian.AppendUint32(b, m.Sequence)
	b = binary.NativeEndian.AppendUint32(b, 0) // the kernel knows who we are
	return pad(append(b, m.Data...))
}

// Parse reads the messages of a datagram. They share its memory.
func Parse(b []byte) ([]Message, error) {
	if len(b) > MaxBatch {
		return nil, fmt.Errorf("netlink datagram of %d bytes", len(b))
	}
	var list []Message
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return list, errMessage
		}
		length := int(binary.NativeEndian.Uint32(b))
		if length < unix.SizeofNlMsghdr || length > len(b) {
			return list, errMessage
		}
		list = append(list, Message{
			Type:     binary.NativeEndian.Uint16(b[4:]),
			Flags:    binary.NativeEndian.Uint16(b[6:]),
			Sequence: binary.NativeEndian.Uint32(b[8:]),
			Data:     b[unix.SizeofNlMsghdr:length],
		})
		b = b[min(align(length), len(b)):]
	}
	return list, nil
}

// Err returns what an error message says: nil for an acknowledgement (NLMSG_ERROR with 0) and for other messages.
func (m Message) Err() error {
	if m.Type != unix.NLMSG_ERROR {
		return nil
	}
	if len(m.Data) < 4 {
		return errMessage
	}
	if code := int32(binary.NativeEndian.Uint32(m.Data)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// AppendAttribute adds an attribute.
func AppendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.NLA_HDRLEN+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return pad(append(b, value...))
}

// AppendUint32 adds an attribute with a number.
func AppendUint32(b []byte, kind uint16, value uint32) []byte {
	return AppendAttribute(b, kind, binary.NativeEndian.AppendUint32(nil, value))
}

// AppendString adds an attribute with a text that ends with NUL.
func AppendString(b []byte, kind uint16, value string) []byte {
	return AppendAttribute(b, kind, append([]byte(value), 0))
}

// Attributes goes through attributes, up to the first that is cut short. Their values share b's memory.
func Attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.NLA_HDRLEN {
			length := int(binary.NativeEndian.Uint16(b))
			kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if length < unix.NLA_HDRLEN || length > len(b) {
				return
			}
			if !yield(kind, b[unix.NLA_HDRLEN:length]) {
				return
			}
			b = b[min(align(length), len(b)):]
		}
	}
}

// Uint32 reads the value of an attribute with a number; 0 if it is none.
func Uint32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}

func align(n int) int { return (n + 3) &^ 3 }

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
