package improv

import (
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// homeNet is the network HomeNet, password pass: words that the published examples of the protocol's libraries send.
const homeNet = "494d50524f56010314011207486f6d654e657409704073737730726421fc"

func bytesOf(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// find pushes raw in steps of so many bytes.
func find(raw []byte, step int) (text string, packets []Packet) {
	var f Finder
	for part := range slices.Chunk(raw, step) {
		f.Push(part, func(t []byte, p *Packet) {
			text += string(t)
			if p != nil {
				packets = append(packets, Packet{p.Type, slices.Clone(p.Data)})
			}
		})
	}
	return text, packets
}

func TestSettings(t *testing.T) {
	t.Parallel()
	_, packets := find(bytesOf(t, homeNet), 256)
	if len(packets) != 1 {
		t.Fatalf("got %d packets", len(packets))
	}
	c, data, err := packets[0].Ask()
	if err != nil || c != Settings {
		t.Fatalf("got %v, %v", c, err)
	}
	ssid, password, err := Network(data)
	if err != nil || string(ssid) != "HomeNet" || string(password) != "p@ssw0rd!" {
		t.Errorf("got %q, %d bytes, %v", ssid, len(password), err)
	}
	raw := packets[0].Append(nil)
	if got := hex.EncodeToString(raw[1 : len(raw)-1]); got != homeNet {
		t.Errorf("got %s back", got)
	}
}

// TestPackets: the other packets of the specification, byte for byte.
func TestPackets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		packet     Packet
	}{
		{"ready", "494d50524f56 01 01 01 02 e2", StatePacket(Ready)},
		{"provisioned", "494d50524f56 01 01 01 04 e4", StatePacket(Provisioned)},
		{"unable to connect", "494d50524f56 01 02 01 03 e4", ErrorPacket(NoConnect)},
		{"no URL", "494d50524f56 01 04 02 01 00 e5", ResultPacket(Settings)},
		{"device", "494d50524f56 01 04 08 03 06 01 61 01 62 01 63 1c", ResultPacket(DeviceInfo, "a", "b", "c")},
	} {
		raw := c.packet.Append(nil)
		if got, want := raw, append(append([]byte{'\n'}, bytesOf(t, c.want)...), '\n'); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %x, want %x", c.name, got, want)
		}
		if text, packets := find(raw, 1); text != "\nIMPROV\x15\n" || !reflect.DeepEqual(packets, []Packet{c.packet}) {
			t.Errorf("%s: got %q and %v back", c.name, text, packets)
		}
	}
	long := ResultPacket(Scan, strings.Repeat("a", 200), strings.Repeat("b", 100), "c")
	if _, texts, err := long.Texts(); err != nil || len(texts) != 1 {
		t.Errorf("too many texts: got %d, %v", len(texts), err)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, data string }{
		{"nothing", ""}, {"no SSID", "00 00"}, {"no password", "01 61"}, {"SSID cut short", "05 61"},
		{"SSID of 33 bytes", "21" + strings.Repeat("61", 33) + "00"}, {"password cut short", "01 61 05 62"},
		{"password of 129 bytes", "0161 81" + strings.Repeat("62", 129)}, {"something behind", "01 61 00 00"},
	} {
		if _, _, err := Network(bytesOf(t, c.data)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	for _, c := range []struct {
		name   string
		packet Packet
	}{
		{"no command", StatePacket(Ready)}, {"no data", Packet{Type: TypeCommand}},
		{"length too small", Packet{TypeCommand, []byte{1, 0, 1}}},
		{"length too large", Packet{TypeCommand, []byte{1, 2, 1}}},
	} {
		if _, _, err := c.packet.Ask(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	if c, data, err := (Packet{TypeCommand, []byte{2}}).Ask(); err != nil || c != AskState || len(data) != 0 {
		t.Errorf("a command without a length: got %v, %v", c, err)
	}
}

func TestFinder(t *testing.T) {
	t.Parallel()
	packet := string(bytesOf(t, "494d50524f56 01 03 01 02 e5"))
	broken := packet[:len(packet)-1] + "\x00"
	for _, c := range []struct {
		name, in, whole, single string // the text where all comes at once, and where a byte comes at a time
		packets                 int
	}{
		{"text", "I IMPROVE", "I IMPROVE", "I IMPROVE", 0},
		{"a packet", "a" + packet + "b", "ab", "aIMPROV\x15b", 1},
		{"a beginning before a packet", "IMPRIM" + packet, "IMPRIM", "IMPRIMIMPROV\x15", 1},
		{"a letter before a packet", "I" + packet, "I", "IIMPROV\x15", 1},
		{"two packets", packet + packet, "", "IMPROV\x15IMPROV\x15", 2},
		{"a wrong checksum", broken + "b", "b", "IMPROV\x15b", 1},
		{"another version", "IMPROV\x02", "IMPROV\x02", "IMPROV\x02", 0},
	} {
		for step, want := range map[int]string{1: c.single, len(c.in): c.whole} {
			if text, packets := find([]byte(c.in), step); text != want || len(packets) != c.packets {
				t.Errorf("%s, %d at a time: got %q and %d packets, want %q", c.name, step, text, len(packets), want)
			}
		}
	}
	var f Finder
	var text string
	take := func(b []byte, p *Packet) { text += string(b) + fmt.Sprint(p != nil) }
	f.Push([]byte("IMPROV\x01\x03"), take)
	f.Quiet()
	f.Push([]byte("status"), take)
	if text != "statusfalse" {
		t.Errorf("after a silence: got %q", text)
	}
}

// FuzzFinder: text loses nothing but packets, and what a packet says parses or is refused.
func FuzzFinder(f *testing.F) {
	f.Add(bytesOf(f, homeNet), uint8(5))
	f.Add([]byte("IMPIMPROV\x01\x03\x02\x02\x00\xe6status\n"), uint8(0))
	f.Add(bytesOf(f, "494d50524f56 01 04 08 03 06 01 61 01 62 01 63 1c"), uint8(200))
	f.Fuzz(func(t *testing.T, raw []byte, step uint8) {
		text, packets := find(raw, int(step)+1)
		used := 0
		for _, p := range packets {
			used += head + len(p.Data) + 1
			if c, data, err := p.Ask(); err == nil && c == Settings {
				if ssid, password, err := Network(data); err == nil && len(ssid)+len(password)+2 != len(data) {
					t.Fatalf("%d bytes of %d", len(ssid)+len(password), len(data))
				}
			}
			if c, texts, err := p.Texts(); err == nil && !reflect.DeepEqual(ResultPacket(c, texts...).Data, p.Data) {
				t.Fatalf("%x is not what %q makes", p.Data, texts)
			}
		}
		if len(packets) == 0 && !strings.HasPrefix(string(raw), strings.TrimRight(text, "\x15")) {
			t.Fatalf("%q became %q", raw, text)
		}
	})
}
