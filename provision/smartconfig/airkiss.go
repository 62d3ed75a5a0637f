package smartconfig

import (
	"fmt"

	"github.com/ocellus/ocellus/internal/secret"
)

// AirKiss, by its technical scheme 0.5. The message is password, one random byte, SSID.
//
//	guide    1 2 3 4, fifty times
//	magic    tags 0 to 3: length of the message, crc8(SSID); twenty times. A first half of 0 is sent as 8
//	prefix   tags 4 to 7: length of the password, crc8 of that
//	groups   see groups.go; the last one is as short as it is. Prefix and groups fifteen times, then all again
const (
	airKissGuides, airKissMagics, airKissBodies = 50, 20, 15
	airKissMagic, airKissPrefix                 = 0, 4
	airKissZero                                 = 8
)

// airKissMessage lays out the message.
func airKissMessage(m *Message) ([]byte, error) {
	b := append([]byte(m.Password.Reveal()), m.Random)
	if b = append(b, m.SSID...); len(b) > maxGroups*groupSize {
		return nil, fmt.Errorf("smartconfig: message of %d bytes, AirKiss has room for %d", len(b), maxGroups*groupSize)
	}
	return b, nil
}

// airKissCycle returns the lengths of the whole cycle.
func airKissCycle(m *Message) ([]int, error) {
	message, err := airKissMessage(m)
	if err != nil {
		return nil, err
	}
	var lengths []int
	for range airKissGuides {
		lengths = append(lengths, 1, 2, 3, 4)
	}
	magic := codeLengths(airKissMagic, byte(len(message)), crc8(m.SSID...))
	if magic[0] == 0 {
		magic[0] = airKissZero
	}
	for range airKissMagics {
		lengths = append(lengths, magic...)
	}
	n := byte(len(m.Password))
	body := codeLengths(airKissPrefix, n, crc8(n))
	for k := 0; k*groupSize < len(message); k++ {
		four := message[k*groupSize : min(len(message), (k+1)*groupSize)]
		body = append(body, groupLengths(k, four, four)...)
	}
	for range airKissBodies {
		lengths = append(lengths, body...)
	}
	return lengths, nil
}

// airKiss is the table of one sender.
type airKiss struct{ grid }

func newAirKiss() *airKiss { return &airKiss{grid{lengthTag: airKissMagic}} }

func (a *airKiss) vote(recent []packet, v *votes) {
	if n := len(recent); n >= 4 {
		if guide := recent[n-4:]; steps(guide, 1, 1, 1) && near(guide, groupSpare) {
			v.add(int(guide[0].length)-1, 2)
		}
	}
	codeVote(recent, airKissPrefix, v)
	groupVote(recent, v)
}

func (a *airKiss) result() (Credentials, bool) {
	size := a.size()
	_, ssidCRC, ok := a.code(airKissMagic)
	password, check, ok2 := a.code(airKissPrefix)
	if !ok || !ok2 || check != crc8(password) || int(password)+1 >= size {
		return Credentials{}, false
	}
	b, ok := a.message(size, false)
	if !ok || crc8(b[password+1:]...) != ssidCRC {
		return Credentials{}, false
	}
	return Credentials{Protocol: AirKiss, Password: secret.Secret(b[:password]), Mark: b[password],
		SSID: b[password+1:]}, true
}
