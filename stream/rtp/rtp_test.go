package rtp

import (
	"bytes"
	"math/rand/v2"
	"testing"

	pionrtp "github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

// nal returns a NAL unit of size bytes whose payload is random.
func nal(header byte, size int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, uint64(size)))
	u := make([]byte, size)
	for i := range u {
		u[i] = byte(r.Uint32())
	}
	u[0] = header
	return u
}

// pictures are access units of every shape that the packetizer tells apart.
func pictures() map[string][][]byte {
	return map[string][][]byte{
		"small P":             {nal(0x41, 300, 1)},
		"exact fit":           {nal(0x41, 1188, 2)},
		"one byte more":       {nal(0x41, 1189, 3)},
		"P of 5 kB":           {nal(0x41, 5000, 4)},
		"IDR of 60 kB":        {nal(0x67, 20, 5), nal(0x68, 4, 6), nal(0x65, 60000, 7)},
		"IDR of 400 kB":       {nal(0x67, 20, 5), nal(0x68, 4, 6), nal(0x65, 400000, 8)},
		"SEI and small P":     {nal(0x06, 48, 9), nal(0x41, 400, 10)},
		"SEI and large P":     {nal(0x06, 48, 9), nal(0x41, 4000, 11)},
		"four slices":         {nal(0x41, 3000, 12), nal(0x41, 2000, 13), nal(0x01, 500, 14), nal(0x01, 400, 15)},
		"full fragments only": {nal(0x65, 1+3*1186, 16)},
		"one byte NAL units":  {{0x0a}, {0x0b}},
	}
}

func TestPacketizeRoundTrip(t *testing.T) {
	t.Parallel()
	for name, au := range pictures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := NewPacketizer(Config{PayloadType: 96, SSRC: 0xdecade, FirstSeq: 65530})
			b := p.Packetize(au, 4242)
			defer b.Release()
			checkBurst(t, b, DefaultMaxPacket)
			var d Depacketizer
			var got []Unit
			for i := range b.Len() {
				h, payload, err := Parse(b.Packet(i))
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, d.Push(h, payload)...)
			}
			if len(got) != 1 || !got[0].Complete || got[0].Lost != 0 || got[0].Timestamp != 4242 {
				t.Fatalf("units: %+v", got)
			}
			sameNALUs(t, got[0].NALUs, au)
		})
	}
}

func sameNALUs(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d NAL units, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("NAL unit %d: %d bytes differ from the %d that went in", i, len(got[i]), len(want[i]))
		}
	}
}

// checkBurst holds the laws of a burst: layout, sequence, marker, sizes, runs.
func checkBurst(t *testing.T, b *Burst, maxPacket int) {
	t.Helper()
	rest, octets := b.Interleaved(), 0
	for i := range b.Len() {
		pkt := b.Packet(i)
		if len(pkt) > maxPacket {
			t.Fatalf("packet %d has %d bytes", i, len(pkt))
		}
		head := []byte{'$', 0, byte(len(pkt) >> 8), byte(len(pkt))}
		if !bytes.HasPrefix(rest, head) || !bytes.HasPrefix(rest[4:], pkt) {
			t.Fatalf("packet %d: framing %x, want %x", i, rest[:4], head)
		}
		rest = rest[4+len(pkt):]
		var h pionrtp.Packet
		if err := h.Unmarshal(pkt); err != nil {
			t.Fatal(err)
		}
		if h.SequenceNumber != b.FirstSeq()+uint16(i) || h.Timestamp != b.Timestamp() || h.Marker != (i == b.Len()-1) {
			t.Fatalf("packet %d: %v", i, h.Header)
		}
		octets += len(h.Payload)
	}
	if len(rest) != 0 || octets != b.Octets() {
		t.Fatalf("%d bytes left over, %d octets, want %d", len(rest), b.Octets(), octets)
	}
	checkRuns(t, b)
}

func checkRuns(t *testing.T, b *Burst) {
	t.Helper()
	next := 0
	for _, r := range b.Runs() {
		if r.First != next || r.N < 1 || r.N > 64 || r.N*r.Size > 65000 {
			t.Fatalf("run %+v after packet %d", r, next)
		}
		for i := r.First; i < r.First+r.N; i++ {
			size := len(b.Packet(i))
			if size > r.Size || size < r.Size && i != r.First+r.N-1 {
				t.Fatalf("run %+v: packet %d has %d bytes", r, i, size)
			}
		}
		next += r.N
	}
	if next != b.Len() {
		t.Fatalf("runs cover %d packets of %d", next, b.Len())
	}
}

// pionPackets are the packets that pion/rtp makes of an access unit, in wire form.
func pionPackets(t testing.TB, au [][]byte, maxPacket int, seq uint16, timestamp uint32) [][]byte {
	t.Helper()
	var stream []byte
	for _, u := range au {
		stream = append(append(stream, 0, 0, 0, 1), u...)
	}
	p := pionrtp.NewPacketizer(uint16(maxPacket), 96, 0xdecade, &codecs.H264Payloader{}, pionrtp.NewFixedSequencer(seq), 90000)
	var out [][]byte
	for _, pkt := range p.Packetize(stream, 3600) {
		pkt.Timestamp = timestamp
		b, err := pkt.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// TestAgainstPion compares byte for byte where pion means the same: its Payloader aggregates SPS and PPS alone, so
// access units whose small NAL units we put together are left to the depacketizers.
func TestAgainstPion(t *testing.T) {
	t.Parallel()
	same := []string{"small P", "exact fit", "one byte more", "P of 5 kB", "IDR of 60 kB", "IDR of 400 kB", "SEI and large P"}
	for _, name := range same {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			au := pictures()[name]
			b := NewPacketizer(Config{PayloadType: 96, SSRC: 0xdecade, FirstSeq: 7}).Packetize(au, 99)
			want := pionPackets(t, au, DefaultMaxPacket, 7, 99)
			if b.Len() != len(want) {
				t.Fatalf("%d packets, pion has %d", b.Len(), len(want))
			}
			for i := range want {
				if !bytes.Equal(b.Packet(i), want[i]) {
					t.Errorf("packet %d: %x..., pion has %x...", i, b.Packet(i)[:16], want[i][:16])
				}
			}
		})
	}
}
