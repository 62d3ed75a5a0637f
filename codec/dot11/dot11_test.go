package dot11

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Three captures as real drivers make them: mac80211 in a virtual machine (TSFT, flags, rate, channel, signal, antenna,
// RX flags), ath9k (two present words, FCS, data pad) and a driver that says almost nothing.
const (
	hwsimToDS   = "00001a002f480000 aabbccddeeff0000 00 02 6c09 8000 e2 00 0000" + qosToDS
	qosToDS     = "8841 3000 aabbccddeeff 020000000010 ffffffffffff 3012 0500" + ccmpBody
	ccmpBody    = "0100002000000000 aaaa030000000800 4500 0102030405060708"
	athFromDS   = "00002400 2f4000a0 20080000 00000000 aabbccddeeff0000 30 02 8509 a000 d3 00 0000 d3 00" + padFromDS
	padFromDS   = "8862 0000 ffffffffffff aabbccddeeff 020000000010 5000 0600 ffff" + ccmpBody + "deadbeef"
	bareAdHoc   = "0000080000000000" + "0800 0000 01005e00000b 020000000010 0a0b0c0d0e0f 1000" + "aaaa"
	fourAddress = "0000080000000000" + "0803 0000 020000000001 020000000002 ffffffffffff 1000 020000000010" + "aaaa"
	htControl   = "0000080000000000" + "88c1 0000 aabbccddeeff 020000000010 ffffffffffff 1100 8000 00000000" + "aaaaaa"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseData(t *testing.T) {
	t.Parallel()
	ap, phone := Addr{0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}, Addr{2, 0, 0, 0, 0, 0x10}
	for _, c := range []struct {
		name, packet string
		behind       int // bytes behind the body
		want         Frame
	}{
		{"QoS, encrypted, to DS", hwsimToDS, 0, Frame{BSSID: ap, SA: phone, DA: Broadcast(), Direction: ToDS, Sequence: 0x123,
			TID: 5, Length: 26, Frequency: 2412, Signal: -30, Protected: true}},
		{"with FCS and pad, from DS", athFromDS, 4, Frame{BSSID: ap, SA: phone, DA: Broadcast(), Direction: FromDS,
			Sequence: 5, TID: 6, Length: 26, Frequency: 2437, Signal: -45, Protected: true}},
		{"ad hoc, nothing said", bareAdHoc, 0, Frame{BSSID: Addr{10, 11, 12, 13, 14, 15}, SA: phone,
			DA: Addr{1, 0, 0x5e, 0, 0, 11}, Sequence: 1, TID: NoTID, Length: 2}},
		{"four addresses", fourAddress, 0, Frame{BSSID: Addr{2, 0, 0, 0, 0, 2}, SA: phone, DA: Broadcast(),
			Direction: FourAddress, Sequence: 1, TID: NoTID, Length: 2}},
		{"A-MSDU with HT control, a fragment", htControl, 0, Frame{BSSID: ap, SA: phone, DA: Broadcast(), Direction: ToDS,
			Sequence: 1, Length: 3, Protected: true, AMSDU: true, Fragment: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			packet := unhex(t, c.packet)
			got, err := ParseData(packet, len(packet))
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, c.want)
			}
			cut := packet[:len(packet)-c.want.Length-c.behind]
			if got, err := ParseData(cut, len(packet)); err != nil || got != c.want {
				t.Errorf("headers alone: got %+v, %v", got, err)
			}
			for n := range len(cut) - 4 { // padding and HT control are counted, not read
				if got, err := ParseData(packet[:n], len(packet)); err == nil {
					t.Errorf("%d bytes: got %+v", n, got)
				}
			}
		})
	}
}

func TestParseDataRefuses(t *testing.T) {
	t.Parallel()
	change := func(s string, at int, b byte) []byte {
		packet := unhex(t, s)
		packet[at] = b
		return packet
	}
	long := make([]byte, MaxPacket+1)
	copy(long, unhex(t, hwsimToDS))
	for _, c := range []struct {
		name   string
		packet []byte
		want   error
	}{
		{"empty", nil, ErrShort},
		{"too long", long, ErrShort},
		{"radiotap alone", unhex(t, "0000080000000000"), ErrShort},
		{"radiotap of a later version", change(hwsimToDS, 0, 1), ErrOther},
		{"radiotap longer than the packet", change(hwsimToDS, 3, 1), ErrShort},
		{"radiotap shorter than itself", change(hwsimToDS, 2, 7), ErrShort},
		{"radiotap without room for its fields", change(hwsimToDS, 2, 20), ErrShort},
		{"present words without end", unhex(t, "00000c00ffffffffffffffff"), ErrShort},
		{"bad FCS", change(athFromDS, 24, 0x70), ErrDamaged},
		{"management", change(hwsimToDS, 26, 0x80), ErrOther},
		{"null function", change(hwsimToDS, 26, 0xc8), ErrOther},
		{"later 802.11", change(hwsimToDS, 26, 0x89), ErrOther},
		{"shorter than its FCS", unhex(t, "0000090002000000 10"+
			"0801 0000 aabbccddeeff 020000000010 ffffffffffff 1000"), ErrShort},
	} {
		if got, err := ParseData(c.packet, len(c.packet)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v, %v, want %v", c.name, got, err, c.want)
		}
	}
	packet := unhex(t, hwsimToDS)
	for _, wire := range []int{0, len(packet) - 1, MaxPacket + 1} {
		if _, err := ParseData(packet, wire); !errors.Is(err, ErrShort) {
			t.Errorf("%d bytes of which %d were captured: got %v", wire, len(packet), err)
		}
	}
}

// TestRetry: the flag that tells a copy.
func TestRetry(t *testing.T) {
	t.Parallel()
	packet := unhex(t, hwsimToDS)
	packet[27] |= flagRetry
	if f, err := ParseData(packet, len(packet)); err != nil || !f.Retry {
		t.Errorf("got %+v, %v, want a retry", f, err)
	}
}

// beaconOf makes a beacon on 2437 MHz.
func beaconOf(t testing.TB, elements string) []byte {
	t.Helper()
	return unhex(t, "00000d0028000000 8509a000 c4"+"8000 0000 ffffffffffff aabbccddeeff aabbccddeeff 1000"+
		"0000000000000000 6400 1104"+elements)
}

func TestParseBeacon(t *testing.T) {
	t.Parallel()
	ap := Addr{0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	for _, c := range []struct {
		name, elements, ssid string
		channel              int
	}{
		{"of a neighbour channel", "0007486f6d654e6574 010482848b96 030107", "HomeNet", 7},
		{"hidden", "0000 030106", "", 6},
		{"5 GHz", "000161 3d16240000000000000000000000000000000000000000000000", "a", 36},
		{"DS before HT", "000161 030106 3d0107", "a", 6},
		{"two names", "000161 000162 030106", "a", 6},
		{"name too long", "0021" + strings.Repeat("61", 33) + "030106", "", 6},
		{"cut short", "000161 0305", "a", 0},
		{"empty", "", "", 0},
	} {
		b, err := ParseBeacon(beaconOf(t, c.elements))
		if err != nil || string(b.SSID) != c.ssid || b.Channel != c.channel || b.BSSID != ap || b.Frequency != 2437 ||
			b.Signal != -60 {
			t.Errorf("%s: got %+v, %v", c.name, b, err)
		}
	}
	for name, packet := range map[string][]byte{
		"data frame": unhex(t, hwsimToDS), "nothing": nil, "no fixed fields": beaconOf(t, "")[:40],
	} {
		if b, err := ParseBeacon(packet); err == nil {
			t.Errorf("%s: got %+v", name, b)
		}
	}
}

func TestChannel(t *testing.T) {
	t.Parallel()
	for frequency, want := range map[int]int{2412: 1, 2437: 6, 2472: 13, 2484: 14, 5180: 36, 5825: 165, 2413: 0, 2477: 0,
		0: 0, 5181: 0, 5950: 0, -5: 0} {
		if got := Channel(frequency); got != want {
			t.Errorf("%d MHz: got %d, want %d", frequency, got, want)
		}
	}
}

func TestTunedTo(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{hwsimToDS: 2412, athFromDS: 2437, bareAdHoc: 0, "": 0, "ff": 0} {
		if got := TunedTo(unhex(t, s)); got != want {
			t.Errorf("%.20s: got %d MHz, want %d", s, got, want)
		}
	}
}

func TestFrequency(t *testing.T) {
	t.Parallel()
	for channel := range 16 {
		if got := Frequency(channel); channel >= 1 && channel <= 14 && Channel(got) != channel || channel%15 == 0 && got != 0 {
			t.Errorf("channel %d: got %d MHz", channel, got)
		}
	}
}

func FuzzParseData(f *testing.F) {
	for _, s := range []string{hwsimToDS, athFromDS, bareAdHoc, fourAddress, htControl} {
		packet := unhex(f, s)
		f.Add(packet, len(packet))
	}
	f.Fuzz(func(t *testing.T, packet []byte, wire int) {
		got, err := ParseData(packet, wire)
		if err != nil {
			return
		}
		radiotap := int(binary.LittleEndian.Uint16(packet[2:]))
		if got.Sequence > 4095 || got.TID > NoTID || got.Length < 0 || got.Length > wire-radiotap-macHeader {
			t.Errorf("%+v of %d bytes", got, wire)
		}
	})
}

func FuzzParseBeacon(f *testing.F) {
	f.Add(beaconOf(f, "0007486f6d654e6574 030107"))
	f.Add(beaconOf(f, "000161 3d0124"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		if b, err := ParseBeacon(packet); err == nil && len(b.SSID) > maxSSID {
			t.Errorf("SSID of %d bytes", len(b.SSID))
		}
	})
}

func Example() {
	packet, _ := hex.DecodeString("0000080000000000" + // radiotap
		"08020000ffffffffffffaabbccddeeff0200000000105000" + "aaaa030000000800")
	f, err := ParseData(packet, 700) // the capture kept the headers of 700 bytes
	fmt.Println(f.SA, f.Direction, f.Sequence, f.Length, err)
	// Output: 02:00:00:00:00:10 from DS 5 668 <nil>
}
