package smartconfig

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"

	"github.com/ocellus/ocellus/internal/secret"
)

// ESP-Touch v2: groups of six bytes, sent bit by bit. A round is
//
//	header group   1048, 1071 + n, 1048, 1071 + n, eight slices       n: groups of the round, this one among them
//	data group s   128 + s three times, eight slices                  s from 0
//	slice i        i << 7 | 64 | bit i of byte 0 .. 5, byte 0 on top
//
// A group is raw: five bytes and their crc8, or text: six bytes below 128 in slices 0 to 6, and the low six bits of
// their crc8 in slice 7. The header is raw:
//
//	0 SSID length   1 password length   2 length of the reserved data   (bit 7 of each: it has bytes above 127)
//	3 crc8(BSSID)   4 flags: bit 0 IPv4, 1-2 encryption (0 none, 1 IV of zeros, 2 IV sent), 3-4 port mark, 6-7 version 0
//	5 crc8 of bytes 0 to 4
//
// Behind it password and reserved data, the IV, the SSID: each part padded to whole groups.
const (
	touch2Sync   = 1048
	touch2Count  = 1071
	touch2Group  = 128
	touch2Most   = 64 // groups of a round
	touch2Slices = 8
	touch2Size   = 6
	touch2IV     = 20 // sent; AES takes the first 16
	above127     = 0x80
)

// Encryption of an ESP-Touch v2 message.
const (
	touch2Plain = iota
	touch2ZeroIV
	touch2SentIV
)

// touch2Header is the header group.
type touch2Header struct {
	ssid, password, reserved             int
	ssidHigh, passwordHigh, reservedHigh bool // bytes above 127
	bssid                                byte
	flags                                byte
}

func (h touch2Header) encryption() int { return int(h.flags >> 1 & 3) }
func (h touch2Header) portMark() uint8 { return h.flags >> 3 & 3 }

// parseTouch2Header reads a header group; false if it is none that can be understood.
func parseTouch2Header(b [touch2Size]byte) (touch2Header, bool) {
	low, high := func(b byte) int { return int(b &^ above127) }, func(b byte) bool { return b&above127 != 0 }
	h := touch2Header{ssid: low(b[0]), password: low(b[1]), reserved: low(b[2]),
		ssidHigh: high(b[0]), passwordHigh: high(b[1]), reservedHigh: high(b[2]), bssid: b[3], flags: b[4]}
	ok := crc8(b[:5]...) == b[5] && h.flags>>5 == 0 && h.encryption() <= touch2SentIV &&
		h.ssid >= 1 && h.ssid <= MaxSSID && h.password <= MaxPassword && h.reserved <= MaxReserved &&
		(h.encryption() == touch2Plain || h.password+h.reserved > 0) && h.groups() <= touch2Most
	return h, ok
}

// bytes writes the header group.
func (h touch2Header) bytes() [touch2Size]byte {
	mark := func(n int, high bool) byte {
		if high {
			return byte(n) | above127
		}
		return byte(n)
	}
	b := [touch2Size]byte{mark(h.ssid, h.ssidHigh), mark(h.password, h.passwordHigh),
		mark(h.reserved, h.reservedHigh), h.bssid, h.flags}
	b[5] = crc8(b[:5]...)
	return b
}

// part is a run of groups of one kind.
type part struct {
	size int  // bytes without padding
	raw  bool // raw groups, not text
}

func (p part) perGroup() int {
	if p.raw {
		return touch2Size - 1
	}
	return touch2Size
}

func (p part) groups() int { return (p.size + p.perGroup() - 1) / p.perGroup() }

// parts returns the parts in the order in which they are sent: password, reserved data, IV, SSID.
func (h touch2Header) parts() [4]part {
	ssid := part{h.ssid, h.ssidHigh}
	both := h.password + h.reserved
	switch {
	case h.encryption() == touch2SentIV:
		return [4]part{{padded(both), true}, {}, {touch2IV, true}, ssid}
	case h.encryption() == touch2ZeroIV:
		return [4]part{{padded(both), true}, {}, {}, ssid}
	case !h.passwordHigh && !h.reservedHigh:
		return [4]part{{both, false}, {}, {}, ssid}
	}
	return [4]part{{h.password, h.passwordHigh}, {h.reserved, h.reservedHigh}, {}, ssid}
}

// padded is the length of n bytes with PKCS #7 padding.
func padded(n int) int { return (n/aes.BlockSize + 1) * aes.BlockSize }

// groups is how many groups a round has, the header among them.
func (h touch2Header) groups() int {
	n := 1
	for _, p := range h.parts() {
		n += p.groups()
	}
	return n
}

// raw reports of which kind a data group is.
func (h touch2Header) raw(group int) bool {
	for _, p := range h.parts() {
		if group < p.groups() {
			return p.raw
		}
		group -= p.groups()
	}
	return false
}

// touch2Round returns the lengths of one round. random gives the IV first, then padding.
func touch2Round(m *Message, random io.Reader) ([]int, error) {
	h, contents, err := touch2Contents(m, random)
	if err != nil {
		return nil, err
	}
	count := touch2Count + h.groups()
	lengths := touch2Lengths([]int{touch2Sync, count, touch2Sync, count}, h.bytes(), false)
	group := 0
	for i, p := range h.parts() {
		for rest := contents[i]; len(rest) > 0; group++ {
			var six [touch2Size]byte
			n := copy(six[:p.perGroup()], rest)
			rest = rest[n:]
			if n < p.perGroup() {
				if err := padding(six[n:p.perGroup()], random); err != nil {
					return nil, err
				}
			}
			if p.raw {
				six[5] = crc8(six[:5]...)
			}
			number := touch2Group + group
			lengths = append(lengths, touch2Lengths([]int{number, number, number}, six, !p.raw)...)
		}
	}
	return lengths, nil
}

// padding fills b with random bytes below 127, as the official senders do.
func padding(b []byte, random io.Reader) error {
	if _, err := io.ReadFull(random, b); err != nil {
		return fmt.Errorf("smartconfig padding: %w", err)
	}
	for i := range b {
		b[i] %= 127
	}
	return nil
}

// touch2Lengths appends the slices of a group to what stands before them.
func touch2Lengths(before []int, six [touch2Size]byte, text bool) []int {
	for i := range touch2Slices {
		slice := 0
		for _, b := range six {
			slice = slice<<1 | int(b>>i&1)
		}
		if text && i == touch2Slices-1 {
			slice = int(crc8(six[:]...) & 0x3f)
		}
		before = append(before, i<<7|64|slice)
	}
	return before
}

// touch2Contents returns the header of a message and what its parts hold.
func touch2Contents(m *Message, random io.Reader) (touch2Header, [4][]byte, error) {
	var contents [4][]byte
	password, reserved := []byte(m.Password.Reveal()), []byte(m.Reserved.Reveal())
	both := bytes.Join([][]byte{password, reserved}, nil)
	h := touch2Header{ssid: len(m.SSID), password: len(password), reserved: len(reserved), ssidHigh: hasHigh(m.SSID),
		passwordHigh: hasHigh(password), reservedHigh: hasHigh(reserved), bssid: crc8(m.BSSID[:]...)}
	if !m.Phone.Is6() || m.Phone.Is4In6() {
		h.flags |= 1
	}
	h.flags |= m.PortMark & 3 << 3
	contents[3] = m.SSID
	if m.Key == "" || len(both) == 0 {
		contents[0], contents[1] = password, reserved
		if !h.passwordHigh && !h.reservedHigh {
			contents[0], contents[1] = both, nil
		}
		return h, contents, nil
	}
	var iv [touch2IV]byte
	h.flags |= touch2ZeroIV << 1
	if !m.ZeroIV {
		h.flags ^= (touch2ZeroIV ^ touch2SentIV) << 1
		if _, err := io.ReadFull(random, iv[:]); err != nil {
			return h, contents, fmt.Errorf("smartconfig IV: %w", err)
		}
		contents[2] = iv[:]
	}
	sealed, err := touch2Encrypt(m.Key, iv[:aes.BlockSize], both)
	contents[0] = sealed
	return h, contents, err
}

func hasHigh(b []byte) bool {
	for _, c := range b {
		if c > 127 {
			return true
		}
	}
	return false
}

// touch2Encrypt is AES-128-CBC with PKCS #7 padding. It keeps a secret and proves nothing: there is no MAC.
func touch2Encrypt(key secret.Secret, iv, plain []byte) ([]byte, error) {
	block, err := aes.NewCipher([]byte(key.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("smartconfig key: %w", err)
	}
	pad := padded(len(plain)) - len(plain)
	b := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(b, b)
	return b, nil
}

// touch2Decrypt undoes touch2Encrypt for a text of a known length; false if the padding is not what it must be then.
func touch2Decrypt(key secret.Secret, iv, sealed []byte, size int) ([]byte, bool) {
	block, err := aes.NewCipher([]byte(key.Reveal()))
	if err != nil || len(sealed) != padded(size) {
		return nil, false
	}
	b := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(b, sealed)
	pad := b[size:]
	return b[:size], bytes.Equal(pad, bytes.Repeat([]byte{byte(len(pad))}, len(pad)))
}

// touch2ACK is the answer of a device: the port mark and its MAC.
func touch2ACK(c *Credentials, device [6]byte) []byte { return append([]byte{c.Mark}, device[:]...) }
