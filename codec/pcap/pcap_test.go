package pcap

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sample() []Packet {
	return []Packet{{0, []byte{1, 2, 3}, 3}, {1500 * time.Millisecond, []byte{4}, 1500}, {2 * time.Second, []byte{}, 9}}
}

// golden is sample, byte for byte from the format's page.
const golden = "d4c3b2a1 0200 0400 00000000 00000000 00000100 7f000000" +
	"00000000 00000000 03000000 03000000 010203" +
	"01000000 20a10700 01000000 dc050000 04" +
	"02000000 00000000 00000000 09000000"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	t.Parallel()
	if got := Append(nil, Radiotap, sample()); !bytes.Equal(got, unhex(t, golden)) {
		t.Errorf("got %x", got)
	}
	got, link, err := Read(bytes.NewReader(unhex(t, golden)))
	if err != nil || link != Radiotap || !reflect.DeepEqual(got, sample()) {
		t.Errorf("got %v, link %d, %v", got, link, err)
	}
}

// TestOtherWriters: big endian, nanoseconds, and a clock that does not begin at 0.
func TestOtherWriters(t *testing.T) {
	t.Parallel()
	b := binary.BigEndian.AppendUint32(nil, magicNano)
	b = append(b, make([]byte, 16)...)
	b = binary.BigEndian.AppendUint32(b, 1)
	for _, ns := range []uint32{5, 7} {
		for _, v := range []uint32{1_700_000_000, ns, 1, 2} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		b = append(b, 0xaa)
	}
	want := []Packet{{0, []byte{0xaa}, 2}, {2, []byte{0xaa}, 2}}
	if got, link, err := Read(bytes.NewReader(b)); err != nil || link != 1 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, link %d, %v", got, link, err)
	}
}

func TestCutShort(t *testing.T) {
	t.Parallel()
	whole := unhex(t, golden)
	ends := map[int]bool{24: true, 43: true, 60: true, len(whole): true} // between two packets
	for n := range whole {
		if _, _, err := Read(bytes.NewReader(whole[:n])); err == nil != ends[n] || err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%d bytes: got %v", n, err)
		}
	}
	if _, _, err := Read(strings.NewReader(strings.Repeat("x", 100))); !errors.Is(err, ErrFormat) {
		t.Errorf("text: got %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(Append(nil, Radiotap, sample()))
	f.Fuzz(func(t *testing.T, b []byte) {
		packets, link, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		total := headSize
		for _, p := range packets {
			if len(p.Bytes) > p.Length {
				t.Fatalf("%d bytes of %d", len(p.Bytes), p.Length)
			}
			total += packetHead + len(p.Bytes)
		}
		if total != len(b) {
			t.Fatalf("%d of %d bytes were read", total, len(b))
		}
		_ = Append(nil, link, packets)
	})
}
