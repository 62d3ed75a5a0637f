package rtp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	pionrtp "github.com/pion/rtp"
)

// in is a packet as a test names it.
type in struct {
	seq     uint16
	ts      uint32
	marker  bool
	payload string
}

// describe says what came out in one line a unit: timestamp, NAL units, what is missing.
func describe(units []Unit) []string {
	var out []string
	for _, u := range units {
		s := fmt.Sprintf("%d:%s", u.Timestamp, bytes.Join(u.NALUs, []byte("|")))
		if u.Lost > 0 {
			s += fmt.Sprintf(" lost %d", u.Lost)
		}
		if !u.Complete {
			s += " incomplete"
		}
		out = append(out, s)
	}
	return out
}

// FU-A pieces of a NAL unit "e" (type 5, NRI 3) and friends: indicator |, then header.
const (
	fuStart, fuMiddle, fuEnd, fuBoth = "|\x85", "|\x05", "|\x45", "|\xc5"
	otherStart                       = "|\x81"
)

func TestDepacketize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   []in
		want []string
	}{
		{"single", []in{{1, 9, true, "Aa"}}, []string{"9:Aa"}},
		{"two in one unit", []in{{1, 9, false, "Aa"}, {2, 9, true, "Ab"}}, []string{"9:Aa|Ab"}},
		{"no marker", []in{{1, 9, false, "Aa"}, {2, 10, false, "Ab"}, {3, 11, true, "Ac"}},
			[]string{"9:Aa", "10:Ab", "11:Ac"}},
		{"the number wraps", []in{{65535, 9, false, "Aa"}, {0, 9, true, "Ab"}}, []string{"9:Aa|Ab"}},
		{"aggregated", []in{{1, 9, true, "x\x00\x02Aa\x00\x03Abc"}}, []string{"9:Aa|Abc"}},
		{"aggregated, padded", []in{{1, 9, true, "x\x00\x02Aa\x00\x00\x00"}}, []string{"9:Aa"}},
		{"aggregated, cut", []in{{1, 9, false, "x\x00\x02Aa\x00\x09b"}, {2, 9, true, "Ac"}},
			[]string{"9:Aa|Ac incomplete"}},
		{"fragments", []in{{1, 9, false, fuStart + "a"}, {2, 9, false, fuMiddle + "b"}, {3, 9, true, fuEnd + "c"}},
			[]string{"9:eabc"}},
		{"an empty fragment", []in{{1, 9, false, fuStart + "a"}, {2, 9, false, fuMiddle}, {3, 9, true, fuEnd + "c"}},
			[]string{"9:eac"}},
		{"one fragment", []in{{1, 9, true, fuBoth + "a"}}, []string{"9:ea"}},
		{"start missing", []in{{1, 9, false, fuMiddle + "b"}, {2, 9, false, fuEnd + "c"}, {3, 9, true, "Aa"}},
			[]string{"9:Aa incomplete"}},
		{"start lost", []in{{1, 8, true, "Aa"}, {3, 9, false, fuMiddle + "b"}, {4, 9, false, fuEnd + "c"}, {5, 9, true, "Ab"}},
			[]string{"8:Aa", "9:Ab lost 1 incomplete"}},
		{"middle lost", []in{{1, 9, false, "Aa"}, {2, 9, false, fuStart + "a"}, {4, 9, true, fuEnd + "c"}, {5, 10, true, "Ab"}},
			[]string{"9:Aa lost 1 incomplete", "10:Ab"}},
		{"end lost", []in{{1, 9, false, "Aa"}, {2, 9, false, fuStart + "a"}, {4, 10, true, "Ab"}, {5, 11, true, "Ac"}},
			[]string{"9:Aa incomplete", "10:Ab lost 1 incomplete", "11:Ac"}},
		{"end never sent", []in{{1, 9, false, fuStart + "a"}, {2, 9, true, "Ab"}}, []string{"9:Ab incomplete"}},
		{"start twice", []in{{1, 9, false, fuStart + "a"}, {2, 9, false, otherStart + "b"}, {3, 9, true, "|\x41c"}},
			[]string{"9:abc incomplete"}},
		{"a whole unit lost", []in{{1, 8, true, "Aa"}, {3, 10, true, "Ab"}, {4, 11, true, "Ac"}},
			[]string{"8:Aa", "10:Ab lost 1 incomplete", "11:Ac"}},
		{"nothing but a lost start", []in{{1, 8, true, "Aa"}, {3, 9, true, fuEnd + "c"}, {4, 10, true, "Ab"}},
			[]string{"8:Aa", "10:Ab lost 1 incomplete"}},
		{"late and twice", []in{{5, 8, true, "Aa"}, {4, 7, true, "Ax"}, {5, 8, true, "Aa"}, {6, 9, true, "Ab"}},
			[]string{"8:Aa", "9:Ab"}},
		{"a stray number", []in{{5, 8, true, "Aa"}, {30000, 8, true, "Ax"}, {6, 9, true, "Ab"}},
			[]string{"8:Aa", "9:Ab"}},
		{"the sender begins anew", []in{{5, 8, false, "Aa"}, {30000, 100, true, "Ax"}, {30001, 101, true, "Ab"}, {30002, 102, true, "Ac"}},
			[]string{"101:Ab incomplete", "102:Ac"}},
		{"interleaved mode", []in{{1, 9, false, "\x79ab"}, {2, 9, true, "Aa"}}, []string{"9:Aa incomplete"}},
		{"empty payloads", []in{{1, 9, false, ""}, {2, 9, true, "Aa"}}, []string{"9:Aa incomplete"}},
		{"an empty unit", []in{{1, 9, true, ""}, {2, 10, true, "Aa"}}, []string{"10:Aa incomplete"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d Depacketizer
			var got []string
			for _, p := range tt.in {
				h := Header{SequenceNumber: p.seq, Timestamp: p.ts, Marker: p.marker, SSRC: 5}
				got = append(got, describe(d.Push(h, []byte(p.payload)))...)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q\n%+v", got, tt.want, d.Stats())
			}
		})
	}
}

func TestDepacketizerStats(t *testing.T) {
	t.Parallel()
	var d Depacketizer
	push := func(seq uint16, ssrc uint32, payload string) {
		d.Push(Header{SequenceNumber: seq, Timestamp: uint32(seq), Marker: true, SSRC: ssrc}, []byte(payload))
	}
	push(10, 1, "Aa")
	push(13, 1, "Aa")     // 11 and 12 are missing
	push(12, 1, "Aa")     // late
	push(14, 1, "\x79a")  // not allowed
	push(20000, 1, "Aa")  // suspect
	push(20001, 1, "Abc") // a restart
	push(7, 2, "Aa")      // another sender
	want := Stats{Packets: 5, Octets: 2 + 2 + 2 + 3 + 2, Lost: 2, Gaps: 1, Late: 2, Restarts: 2, Malformed: 1}
	if d.Stats() != want {
		t.Errorf("got  %+v\nwant %+v", d.Stats(), want)
	}
}

func TestDepacketizerBounds(t *testing.T) {
	t.Parallel()
	var d Depacketizer
	chunk := []byte(fuMiddle + strings.Repeat("x", 60000))
	seq := uint16(0)
	push := func(payload []byte, ts uint32, marker bool) []Unit {
		seq++
		return d.Push(Header{SequenceNumber: seq, Timestamp: ts, Marker: marker}, payload)
	}
	push([]byte(fuStart+"a"), 1, false)
	for range MaxUnit/60000 + 10 {
		push(chunk, 1, false)
	}
	if got := push([]byte(fuEnd+"z"), 1, true); len(got) != 0 || d.Stats().TooLarge != 1 {
		t.Errorf("%d units, %+v", len(got), d.Stats())
	}
	if n := cap(d.works[0].buf) + cap(d.works[1].buf); n > 4*MaxUnit {
		t.Errorf("%d bytes kept", n)
	}
	for range MaxUnitNALUs + 1 {
		push([]byte("Aa"), 2, false)
	}
	if got := push([]byte("Aa"), 2, true); len(got) != 0 || d.Stats().TooLarge != 2 {
		t.Errorf("%d units, %+v", len(got), d.Stats())
	}
	if got := describe(push([]byte("Aa"), 3, true)); !slices.Equal(got, []string{"3:Aa incomplete"}) {
		t.Errorf("got %q", got)
	}
}

// TestParseAgainstPion: extensions, CSRC and padding are passed as pion does.
func TestParseAgainstPion(t *testing.T) {
	t.Parallel()
	base := pionrtp.Packet{
		Header:  pionrtp.Header{Version: 2, Marker: true, PayloadType: 96, SequenceNumber: 7, Timestamp: 8, SSRC: 9},
		Payload: []byte("payload"),
	}
	csrc, extended, padded := base, base, base
	csrc.CSRC = []uint32{1, 2, 3}
	if err := extended.SetExtension(1, []byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	padded.Padding, padded.PaddingSize = true, 5
	all := extended.Clone()
	all.CSRC, all.Padding, all.PaddingSize = csrc.CSRC, true, 255
	for name, pkt := range map[string]*pionrtp.Packet{"plain": &base, "CSRC": &csrc, "extension": &extended, "padding": &padded, "all": all} {
		b, err := pkt.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		h, payload, err := Parse(b)
		if err != nil || string(payload) != "payload" || h != (Header{96, true, 7, 8, 9}) {
			t.Errorf("%s: %+v %q %v", name, h, payload, err)
		}
		for n := range b {
			if _, _, err := Parse(b[:n]); n < headerSize && err == nil {
				t.Errorf("%s: %d bytes pass", name, n)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("\x80\xe0\x00\x07\x00\x00\x00\x08\x00\x00\x00\x09payload"))
	f.Add([]byte("\xb1\xe0\x00\x07\x00\x00\x00\x08\x00\x00\x00\x09csrc\xbe\xde\x00\x01\x12abcpayload\x00\x00\x03"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, err := Parse(b)
		var peer pionrtp.Packet
		if peer.Unmarshal(b) != nil || err != nil {
			return
		}
		if want := peer.Header; h != (Header{want.PayloadType, want.Marker, want.SequenceNumber, want.Timestamp, want.SSRC}) {
			t.Fatalf("%+v, pion has %+v", h, want)
		}
		if !bytes.Equal(payload, peer.Payload) {
			t.Fatalf("payload %x, pion has %x", payload, peer.Payload)
		}
	})
}

// FuzzDepacketize: any row of packets; the bytes are length, flags and number, then the payload.
func FuzzDepacketize(f *testing.F) {
	add := func(packets ...in) {
		var b []byte
		for _, p := range packets {
			flags := byte(p.ts) << 1
			if p.marker {
				flags |= 1
			}
			b = append(binary.BigEndian.AppendUint16(append(b, byte(len(p.payload)), flags), p.seq), p.payload...)
		}
		f.Add(b)
	}
	add(in{1, 9, false, fuStart + "a"}, in{2, 9, false, fuMiddle + "b"}, in{3, 9, true, fuEnd + "c"})
	add(in{1, 9, true, "x\x00\x02Aa\x00\x03Abc"}, in{30000, 8, true, "Ax"}, in{30001, 8, true, "Ax"})
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Depacketizer
		lost, packets := 0, uint64(0)
		for len(b) >= 4 {
			n := min(int(b[0]), len(b)-4)
			h := Header{Marker: b[1]&1 != 0, Timestamp: uint32(b[1] >> 1), SequenceNumber: binary.BigEndian.Uint16(b[2:])}
			packets++
			for _, u := range d.Push(h, b[4:4+n]) {
				lost += u.Lost
				if len(u.NALUs) == 0 || slices.ContainsFunc(u.NALUs, func(u []byte) bool { return len(u) == 0 }) {
					t.Fatalf("%+v", u)
				}
			}
			b = b[4+n:]
		}
		if s := d.Stats(); s.Packets+s.Late != packets || uint64(lost) > s.Lost {
			t.Fatalf("%d packets, %d lost, %+v", packets, lost, s)
		}
	})
}
