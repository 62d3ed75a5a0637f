package rtp

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	pionrtp "github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/ocellus/ocellus/codec/h264"
)

// randomUnit makes an access unit of 1 to 8 NAL units, most of them small, whose bytes are allowed in a NAL unit: a
// peer that looks for start codes inside finds none.
func randomUnit(r *rand.Rand) [][]byte {
	var au [][]byte
	for range 1 + r.IntN(8) {
		size := 1 + r.IntN(1<<(2+r.IntN(15)))
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(r.Uint32N(256)) & byte(r.Uint32()) // many zeros
		}
		payload[size-1] |= 1
		kind := []byte{1, 5, 6, 7, 8}[r.IntN(5)]
		au = append(au, h264.Escape([]byte{kind | byte(r.IntN(4))<<5}, payload))
	}
	return au
}

func randomMaxPacket(r *rand.Rand) int { return []int{64, 200, 1200, 1460, 9000}[r.IntN(5)] }

func pionPacket(t testing.TB, b []byte) *pionrtp.Packet {
	t.Helper()
	pkt := &pionrtp.Packet{}
	if err := pkt.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	return pkt
}

// eachRandomUnit runs f on many access units with a seed that a failure names.
func eachRandomUnit(t *testing.T, f func(t *testing.T, au [][]byte, maxPacket int)) {
	t.Helper()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		au, maxPacket := randomUnit(r), randomMaxPacket(r)
		if f(t, au, maxPacket); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestOursToPeers(t *testing.T) {
	t.Parallel()
	p := NewPacketizer(Config{PayloadType: 96, SSRC: 1, FirstSeq: 60000})
	timestamp := uint32(1<<32 - 5000)
	eachRandomUnit(t, func(t *testing.T, au [][]byte, maxPacket int) {
		p.maxPacket, timestamp = maxPacket, timestamp+3600
		b := p.Packetize(au, timestamp)
		defer b.Release()
		checkBurst(t, b, maxPacket)
		toPion(t, b, au)
		toGortsplib(t, b, au)
	})
}

func toPion(t *testing.T, b *Burst, au [][]byte) {
	t.Helper()
	depacketizer := codecs.H264Packet{IsAVC: true}
	var got []byte
	for i := range b.Len() {
		part, err := depacketizer.Unmarshal(pionPacket(t, b.Packet(i)).Payload)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	nalus, err := h264.SplitLengthPrefixed(nil, got, 4)
	if err != nil {
		t.Fatal(err)
	}
	sameNALUs(t, nalus, au)
}

func toGortsplib(t *testing.T, b *Burst, au [][]byte) {
	t.Helper()
	decoder := rtph264.Decoder{PacketizationMode: 1}
	if err := decoder.Init(); err != nil {
		t.Fatal(err)
	}
	for i := range b.Len() {
		nalus, err := decoder.Decode(pionPacket(t, b.Packet(i)))
		if i < b.Len()-1 {
			if !errors.Is(err, rtph264.ErrMorePacketsNeeded) {
				t.Fatalf("packet %d of %d: %v", i, b.Len(), err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		sameNALUs(t, nalus, au)
	}
}

func TestPeersToOurs(t *testing.T) {
	t.Parallel()
	var fromGortsplib Depacketizer
	seq, ssrc := uint16(65000), uint32(9)
	encoder := rtph264.Encoder{PayloadType: 96, SSRC: &ssrc, InitialSequenceNumber: &seq, PacketizationMode: 1}
	if err := encoder.Init(); err != nil {
		t.Fatal(err)
	}
	timestamp := uint32(0)
	eachRandomUnit(t, func(t *testing.T, au [][]byte, maxPacket int) {
		encoder.PayloadMaxSize = maxPacket - headerSize
		packets, err := encoder.Encode(au)
		if err != nil {
			t.Fatal(err)
		}
		timestamp += 3600
		var wire [][]byte
		for _, pkt := range packets {
			pkt.Timestamp = timestamp
			b, err := pkt.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			wire = append(wire, b)
		}
		pushAll(t, &fromGortsplib, wire, au)

		var fromPion Depacketizer
		pushAll(t, &fromPion, pionPackets(t, au, maxPacket, 7, timestamp), asPionSends(au, maxPacket))
	})
}

// asPionSends is the access unit as pion brings it over: parameter sets wait for the NAL unit behind them, only the
// last SPS and PPS before it survive, those that are not followed by one never come, and those that do not fit one
// packet are left out.
func asPionSends(au [][]byte, maxPacket int) [][]byte {
	var sps, pps []byte
	var out [][]byte
	for _, u := range au {
		switch h264.TypeOf(u) {
		case h264.NALSPS:
			sps = u
			continue
		case h264.NALPPS:
			pps = u
			continue
		}
		if sps != nil && pps != nil {
			if 5+len(sps)+len(pps) <= maxPacket-headerSize {
				out = append(out, sps, pps)
			}
			sps, pps = nil, nil
		}
		out = append(out, u)
	}
	return out
}

func pushAll(t *testing.T, d *Depacketizer, wire, au [][]byte) {
	t.Helper()
	for i, b := range wire {
		h, payload, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		units := d.Push(h, payload)
		if i < len(wire)-1 {
			if len(units) != 0 {
				t.Fatalf("packet %d of %d completes a unit", i, len(wire))
			}
			continue
		}
		if len(units) != 1 || !units[0].Complete {
			t.Fatalf("units %+v", units)
		}
		sameNALUs(t, units[0].NALUs, au)
	}
}

// TestAgainstGortsplib compares byte for byte: both aggregate all neighbours that fit. A NAL unit that fills a packet to
// the last byte is left out: gortsplib makes two fragments of it.
func TestAgainstGortsplib(t *testing.T) {
	t.Parallel()
	seq, ssrc := uint16(7), uint32(0xdecade)
	encoder := rtph264.Encoder{PayloadType: 96, SSRC: &ssrc, InitialSequenceNumber: &seq, PacketizationMode: 1}
	if err := encoder.Init(); err != nil {
		t.Fatal(err)
	}
	ours := NewPacketizer(Config{PayloadType: 96, SSRC: ssrc, FirstSeq: seq})
	eachRandomUnit(t, func(t *testing.T, au [][]byte, maxPacket int) {
		ours.maxPacket, encoder.PayloadMaxSize = maxPacket, maxPacket-headerSize
		au = slices.DeleteFunc(au, func(u []byte) bool { return len(u) == maxPacket-headerSize })
		if len(au) == 0 {
			return
		}
		packets, err := encoder.Encode(au)
		if err != nil {
			t.Fatal(err)
		}
		b := ours.Packetize(au, 99)
		if b.Len() != len(packets) {
			t.Fatalf("%d packets, gortsplib has %d", b.Len(), len(packets))
		}
		for i, pkt := range packets {
			pkt.Timestamp = 99
			want, err := pkt.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if want[headerSize] == typeSTAPA { // gortsplib leaves NRI 0; RFC 6184 5.7 asks for the highest inside
				want[headerSize] |= b.Packet(i)[headerSize] & 0x60
			}
			if !bytes.Equal(b.Packet(i), want) {
				t.Fatalf("packet %d: %x..., gortsplib has %x...", i, b.Packet(i)[:15], want[:15])
			}
		}
		b.Release()
	})
}

// FuzzPacketize: whatever the NAL units are, every depacketizer gives them back.
func FuzzPacketize(f *testing.F) {
	f.Add([]byte("\x67\x42\xc0\x1e\x00\x00\x00\x01\x68\xce\x00\x00\x01\x65\x88\x84"), 1200)
	f.Add(h264.AppendAnnexB(nil, nal(0x06, 48, 1), nal(0x41, 3000, 2), nal(0x41, 900, 3)), 200)
	f.Fuzz(func(t *testing.T, b []byte, maxPacket int) {
		var au [][]byte
		for _, u := range h264.SplitAnnexB(nil, append([]byte{0, 0, 1}, b...)) {
			u[0] = u[0]&0x60 | 1 + u[0]%23 // what RFC 6184 lets a NAL unit be; the peers lose the F bit
			if len(au) < 20 {
				au = append(au, u)
			}
		}
		p := NewPacketizer(Config{PayloadType: 96, MaxPacket: maxPacket})
		burst := p.Packetize(au, 1)
		defer burst.Release()
		checkBurst(t, burst, p.maxPacket)
		toPion(t, burst, au)
		if len(au) > 0 && !bytes.Contains(bytes.Join(au, []byte{0xff}), []byte{0, 0, 0}) {
			toGortsplib(t, burst, au)
		}
		var wire [][]byte
		for i := range burst.Len() {
			wire = append(wire, burst.Packet(i))
		}
		var d Depacketizer
		pushAll(t, &d, wire, au)
	})
}
