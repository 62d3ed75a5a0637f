package smartconfig

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/internal/secret"
)

// Tuya EZ by length. The message is length and bytes of the password, length and bytes of the token group (region,
// token and secret), and the SSID.
//
//	head     1 3 6 10, many times, once
//	code     tags 1 to 4: length of the message, crc8 of that
//	groups   see groups.go; the CRC of the last one covers zeros up to four bytes. Code and groups again and again
//
// And by address, at the same time: 226.s.b1.b0 carries two bytes of a block at place s.
//
//	120   "TYST01"
//	0     password, in AES-128-ECB under a key that everybody knows, padded with zeros
//	32    token group
//	64    SSID
//
// A block is its length, twice, the CRC-32 of its bytes (before encryption), little endian, and the bytes.
const (
	tuyaCode      = 1
	tuyaPublicKey = "a3c6794oiu876t54"
	tuyaMagic     = "TYST01"
	tuyaToken     = 32
	tuyaSSID      = 64
	tuyaHead      = 120
	tuyaBlockHead = 6
	tuyaMostToken = 32
	// tuyaMostByAddress is the longest password whose block ends before that of the token.
	tuyaMostByAddress = 48
)

// tuyaMessage lays out the message.
func tuyaMessage(m *Message) ([]byte, error) {
	if len(m.Reserved) > tuyaMostToken {
		return nil, fmt.Errorf("smartconfig: token group of %d bytes, Tuya EZ has room for %d", len(m.Reserved),
			tuyaMostToken)
	}
	b := append([]byte{byte(len(m.Password))}, m.Password.Reveal()...)
	b = append(append(b, byte(len(m.Reserved))), m.Reserved.Reveal()...)
	if b = append(b, m.SSID...); len(b) > maxGroups*groupSize {
		return nil, fmt.Errorf("smartconfig: message of %d bytes, Tuya EZ has room for %d", len(b), maxGroups*groupSize)
	}
	return b, nil
}

// tuyaBody returns the lengths of one round. Behind the last group stand as many packets more as it has bytes, as
// other senders do.
func tuyaBody(m *Message) ([]int, error) {
	message, err := tuyaMessage(m)
	if err != nil {
		return nil, err
	}
	lengths := codeLengths(tuyaCode, byte(len(message)), crc8(byte(len(message))))
	var last []byte
	for k := 0; k*groupSize < len(message); k++ {
		last = message[k*groupSize : min(len(message), (k+1)*groupSize)]
		var four [groupSize]byte
		copy(four[:], last)
		lengths = append(lengths, groupLengths(k, last, four[:])...)
	}
	for range last {
		lengths = append(lengths, groupData)
	}
	return lengths, nil
}

// tuya is the table of lengths of one sender.
type tuya struct{ grid }

func newTuya() *tuya { return &tuya{grid{lengthTag: tuyaCode}} }

func (t *tuya) vote(recent []packet, v *votes) {
	if n := len(recent); n >= 4 {
		if head := recent[n-4:]; steps(head, 2, 3, 4) && near(head, groupSpare) {
			v.add(int(head[0].length)-1, 2)
		}
	}
	codeVote(recent, tuyaCode, v)
	groupVote(recent, v)
}

func (t *tuya) result() (Credentials, bool) {
	size, check, ok := t.code(tuyaCode)
	if !ok || check != crc8(size) || size == 0 {
		return Credentials{}, false
	}
	b, ok := t.message(int(size), true)
	if !ok {
		return Credentials{}, false
	}
	password, rest, ok := cutCounted(b)
	token, ssid, ok2 := cutCounted(rest)
	if !ok || !ok2 || len(password) > MaxPassword || len(token) > tuyaMostToken || len(ssid) > MaxSSID {
		return Credentials{}, false
	}
	return Credentials{Protocol: TuyaEZ, SSID: ssid, Password: secret.Secret(password),
		Reserved: secret.Secret(token)}, true
}

// cutCounted cuts off a byte n and n bytes.
func cutCounted(b []byte) (counted, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	return b[1 : 1+b[0]], b[1+b[0]:], true
}

// tuyaBlock lays out a block.
func tuyaBlock(plain, sent []byte) []byte {
	b := []byte{byte(len(plain)), byte(len(plain))}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(plain))
	return append(b, sent...)
}

// tuyaAddresses returns the groups 226.s.b1.b0 of a block that begins at place s.
func tuyaAddresses(place int, block []byte) [][4]byte {
	var groups [][4]byte
	for i := 0; i < len(block); i += 2 {
		g := [4]byte{226, byte(place + i/2), 0, block[i]}
		if i+1 < len(block) {
			g[2] = block[i+1]
		}
		groups = append(groups, g)
	}
	return groups
}

// tuyaAllAddresses returns head and body of the way by address; nothing of the body if the password is too long.
func tuyaAllAddresses(m *Message) (head, body [][4]byte) {
	head = tuyaAddresses(tuyaHead, []byte(tuyaMagic))
	if len(m.Password) > tuyaMostByAddress {
		return head, nil
	}
	body = append(tuyaAddresses(tuyaSSID, tuyaBlock(m.SSID, m.SSID)),
		tuyaAddresses(0, tuyaBlock([]byte(m.Password.Reveal()), tuyaEncrypt([]byte(m.Password.Reveal()))))...)
	token := []byte(m.Reserved.Reveal())
	return head, append(body, tuyaAddresses(tuyaToken, tuyaBlock(token, token))...)
}

// tuyaEncrypt pads with zeros and encrypts. It hides nothing: the key is public.
func tuyaEncrypt(plain []byte) []byte {
	size := (len(plain) + aes.BlockSize - 1) / aes.BlockSize * aes.BlockSize
	b := append(bytes.Clone(plain), make([]byte, size-len(plain))...)
	block, err := aes.NewCipher([]byte(tuyaPublicKey))
	if err != nil {
		panic(err) // the key has 16 bytes
	}
	for i := 0; i < size; i += aes.BlockSize {
		block.Encrypt(b[i:], b[i:])
	}
	return b
}

func tuyaDecrypt(b []byte) []byte {
	block, err := aes.NewCipher([]byte(tuyaPublicKey))
	if err != nil {
		panic(err) // the key has 16 bytes
	}
	for i := 0; i+aes.BlockSize <= len(b); i += aes.BlockSize {
		block.Decrypt(b[i:], b[i:])
	}
	return b
}

// tuyaGroups is the table of addresses of one sender. They need no offset.
type tuyaGroups struct{ places [128][2]ballot }

// take reads a multicast MAC address: its low 23 bits are those of the group. It reports whether something became new
// that looks like this protocol: its head, or anything once that was seen.
func (g *tuyaGroups) take(a dot11.Addr) bool {
	if a[0] != 0x01 || a[3] > 0x7f {
		return false
	}
	place := &g.places[a[3]]
	before := *place
	place[0].add(a[5])
	place[1].add(a[4])
	return (before[0].first.value != place[0].first.value || before[0].first.votes == 0 ||
		before[1].first.value != place[1].first.value) && g.head()
}

// bytes returns n bytes from a place on.
func (g *tuyaGroups) bytes(place, n int) ([]byte, bool) {
	var b []byte
	for ; len(b) < n && place < len(g.places); place++ {
		p := &g.places[place]
		if p[0].first.votes == 0 {
			return nil, false
		}
		b = append(b, p[0].first.value, p[1].first.value)
	}
	return b[:min(n, len(b))], len(b) >= n
}

func (g *tuyaGroups) head() bool {
	b, ok := g.bytes(tuyaHead, len(tuyaMagic))
	return ok && string(b) == tuyaMagic
}

// block returns what a block holds if its CRC is right.
func (g *tuyaGroups) block(place, most int, sealed bool) ([]byte, bool) {
	head, ok := g.bytes(place, tuyaBlockHead)
	if !ok || head[0] != head[1] || int(head[0]) > most {
		return nil, false
	}
	n := int(head[0])
	size := n
	if sealed {
		size = (n + aes.BlockSize - 1) / aes.BlockSize * aes.BlockSize
	}
	b, ok := g.bytes(place, tuyaBlockHead+size)
	if !ok {
		return nil, false
	}
	body := b[tuyaBlockHead:]
	if sealed {
		body = tuyaDecrypt(body)
	}
	return body[:n], crc32.ChecksumIEEE(body[:n]) == binary.LittleEndian.Uint32(head[2:])
}

func (g *tuyaGroups) result() (Credentials, bool) {
	if !g.head() {
		return Credentials{}, false
	}
	ssid, ok := g.block(tuyaSSID, MaxSSID, false)
	password, ok2 := g.block(0, tuyaMostByAddress, true)
	token, ok3 := g.block(tuyaToken, tuyaMostToken, false)
	return Credentials{Protocol: TuyaEZ, SSID: ssid, Password: secret.Secret(password), Reserved: secret.Secret(token)},
		ok && ok2 && ok3
}
