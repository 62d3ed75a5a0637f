package smartconfig

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/dot11"
)

// homeNet is the message of the golden vectors.
func homeNet() Message {
	return Message{SSID: []byte("HomeNet"), Password: "p@ssw0rd!", Random: 0x5a,
		BSSID: dot11.Addr{0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}, Phone: netip.AddrFrom4([4]byte{192, 168, 1, 23})}
}

// with returns homeNet changed.
func with(change func(*Message)) Message {
	m := homeNet()
	change(&m)
	return m
}

const testKey = "1234567890abcdef"

// counting gives the IV 00 01 .. 13 and zeros after it, so that vectors with encryption and padding are fixed.
func counting() io.Reader {
	iv := make([]byte, touch2IV)
	for i := range iv {
		iv[i] = byte(i)
	}
	return io.MultiReader(bytes.NewReader(iv), zeros{})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// numbers reads a list as it stands in documents; | are for the eye.
func numbers(t testing.TB, text string) []int {
	t.Helper()
	var list []int
	for _, word := range strings.Fields(strings.ReplaceAll(text, "|", " ")) {
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

// TestGoldenRounds pins the wire: the vectors were made by an independent implementation and checked against the
// official senders.
func TestGoldenRounds(t *testing.T) {
	t.Parallel()
	fixed := with(func(m *Message) { m.Key, m.ZeroIV = testKey, true })
	sealed := with(func(m *Message) { m.Key = testKey })
	reserved := with(func(m *Message) { m.Reserved = "tok123" })
	cyrillic := with(func(m *Message) {
		m.SSID, m.Password, m.Phone = []byte("Дом"), "", netip.AddrFrom4([4]byte{10, 0, 0, 2})
	})
	touch1 := func(m Message) ([]int, error) { return touch1Round(&m) }
	touch2 := func(m Message) ([]int, error) {
		if m.Key != "" && !m.ZeroIV {
			return touch2Round(&m, counting())
		}
		return touch2Round(&m, zeros{})
	}
	airKissBody := func(m Message) ([]int, error) {
		cycle, err := airKissCycle(&m)
		lead := 4 * (airKissGuides + airKissMagics)
		magic := cycle[4*airKissGuides:][:4]
		return slices.Concat(cycle[:4], magic, cycle[lead:lead+(len(cycle)-lead)/airKissBodies]), err
	}
	tuya := func(m Message) ([]int, error) { return tuyaBody(&m) }
	for _, c := range []struct {
		name    string
		message Message
		round   func(Message) ([]int, error)
		want    string
	}{
		{"ESP-Touch v1", homeNet(), touch1, goldenTouch1},
		{"ESP-Touch v1, Cyrillic, open", cyrillic, touch1, goldenTouch1Cyrillic},
		{"ESP-Touch v2, plain", homeNet(), touch2, goldenTouch2Plain},
		{"ESP-Touch v2, reserved data", reserved, touch2, goldenTouch2Reserved},
		{"ESP-Touch v2, IV of zeros", fixed, touch2, goldenTouch2ZeroIV},
		{"ESP-Touch v2, IV sent", sealed, touch2, goldenTouch2},
		{"AirKiss", homeNet(), airKissBody, goldenAirKiss},
		{"Tuya EZ", with(func(m *Message) { m.Reserved = tuyaTestToken }), tuya, goldenTuya},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := c.round(c.message)
			if want := numbers(t, c.want); err != nil || !slices.Equal(got, want) {
				t.Errorf("got %v, %v\nwant %v", got, err, want)
			}
		})
	}
}

const tuyaTestToken = "US000000000101"

func TestGoldenTuyaAddresses(t *testing.T) {
	t.Parallel()
	m := with(func(m *Message) { m.Reserved = tuyaTestToken })
	head, body := tuyaAllAddresses(&m)
	var got []string
	for _, g := range append(head, body...) {
		got = append(got, netip.AddrFrom4(g).String())
	}
	all := strings.Join(got, " ")
	want := strings.Join(strings.Fields(goldenTuyaHead+goldenTuyaSSID+goldenTuyaPassword), " ")
	if !strings.HasPrefix(all, want) {
		t.Errorf("got %v, want it to begin with %v", all, want)
	}
}

// TestGoldenTouch2Header: the bytes of the headers in the vectors.
func TestGoldenTouch2Header(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		message Message
		want    string
	}{
		{homeNet(), "0709001201e1"},
		{with(func(m *Message) { m.Reserved = "tok123" }), "070906120130"},
		{with(func(m *Message) { m.Key, m.ZeroIV = testKey, true }), "07090012035d"},
		{with(func(m *Message) { m.Key = testKey }), "070900120580"},
		{with(func(m *Message) { m.SSID = []byte("Дом") }), "8609001201e7"},
	} {
		h, _, err := touch2Contents(&c.message, counting())
		if got := fmt.Sprintf("%x", h.bytes()); err != nil || got != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.message.SSID, got, err, c.want)
		}
		if back, ok := parseTouch2Header(h.bytes()); !ok || back != h {
			t.Errorf("%s: read back as %+v, %v, want %+v", c.message.SSID, back, ok, h)
		}
	}
}

// TestHeardTouch2Header: slices that a device in the field logged (espressif/esp-idf issue 8431), of a round of four
// groups.
func TestHeardTouch2Header(t *testing.T) {
	t.Parallel()
	var slices [touch2Slices]byte
	for i, n := range numbers(t, "67 228 357 464 577 709 832 961") {
		slices[i] = byte(n & 0x3f)
	}
	b, ok := touch2Bytes(slices, true)
	h, understood := parseTouch2Header(b)
	want := touch2Header{ssid: 6, password: 8, bssid: 0x26, flags: 1}
	if !ok || !understood || h != want || h.groups() != 4 {
		t.Errorf("got %x, %v, %+v, %v of %d groups, want %+v", b, ok, h, understood, h.groups(), want)
	}
}

// TestCRC8: the check value of CRC-8/MAXIM, and the property on which ESP-Touch v1 is decoded.
func TestCRC8(t *testing.T) {
	t.Parallel()
	if got := crc8([]byte("123456789")...); got != 0xa1 {
		t.Errorf("got %#x, want 0xa1", got)
	}
	for index := range 128 {
		for value := range 256 {
			first, second := touch1Halves(byte(value), byte(index))
			a, b := touch1First(first, byte(index)), touch1Second(second, byte(index))
			if int(a) != value || int(b) != value {
				t.Fatalf("byte %#x at %d: its first packet says %#x, its second %#x", value, index, a, b)
			}
		}
	}
}

func TestACK(t *testing.T) {
	t.Parallel()
	phone := netip.MustParseAddr("192.168.1.23")
	device, address := dot11.Addr{2, 0, 0, 0, 2, 0}, netip.MustParseAddr("192.168.1.50")
	for _, c := range []struct {
		name string
		from Credentials
		want string
		ok   bool
	}{
		{"v1", Credentials{Protocol: ESPTouch1, SSID: []byte("HomeNet"), Password: "p@ssw0rd!", Phone: phone},
			"19020000000200c0a80132 [192.168.1.23:18266 255.255.255.255:18266] 0", true},
		{"v1, phone unknown", Credentials{Protocol: ESPTouch1, SSID: []byte("HomeNet"), Password: "p@ssw0rd!",
			Phone: netip.MustParseAddr("255.255.255.255")}, "19020000000200c0a80132 [255.255.255.255:18266] 0", true},
		{"v2", Credentials{Protocol: ESPTouch2, Mark: 2}, "02020000000200 [255.255.255.255:38266] 7002", true},
		{"v2, plain", Credentials{Protocol: ESPTouch2Plain}, "00020000000200 [255.255.255.255:18266] 7002", true},
		{"AirKiss", Credentials{Protocol: AirKiss, Mark: 0x5a}, "5a [255.255.255.255:10000] 0", true},
		{"Tuya EZ", Credentials{Protocol: TuyaEZ}, " [] 0", false},
	} {
		got, ok := c.from.ACK(device, address)
		if s := fmt.Sprintf("%x %v %d", got.Payload, got.To, got.Confirm); s != c.want || ok != c.ok {
			t.Errorf("%s: got %s, %v, want %s, %v", c.name, s, ok, c.want, c.ok)
		}
		if long := got.Every * 600; ok && got.Times*int(got.Every) < int(long) {
			t.Errorf("%s: the ACK is sent for %v, want %v", c.name, got.Every, long)
		}
	}
}
