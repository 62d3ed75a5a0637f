package rtp

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	pionrtp "github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

// peerRound is how long the peer runs for one comparison.
const peerRound = 200 * time.Millisecond

// BenchmarkPacketize measures Packetize and, in the same run, pion/rtp's Packetizer and MarshalTo on the same access
// unit: x-pion is how many times as many bytes a second we do.
func BenchmarkPacketize(b *testing.B) {
	for _, size := range []int{60000, 5000} {
		for _, mtu := range []int{1200, 1460} {
			b.Run(fmt.Sprintf("size=%d/mtu=%d", size, mtu), func(b *testing.B) {
				au := [][]byte{nal(0x65, size, 1)}
				p := NewPacketizer(Config{PayloadType: 96, MaxPacket: mtu})
				p.Packetize(au, 0).Release()
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					p.Packetize(au, 1).Release()
				}
				ours := float64(size) * float64(b.N) / b.Elapsed().Seconds()
				b.StopTimer()
				peer := pionThroughput(au[0], mtu)
				b.ReportMetric(peer/1e6, "pion-MB/s")
				b.ReportMetric(ours/peer, "x-pion")
				b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/float64(p.Packetize(au, 1).Len()), "ns/packet")
			})
		}
	}
}

// pionThroughput returns the bytes a second that pion/rtp brings into wire form.
func pionThroughput(nalu []byte, mtu int) float64 {
	stream := append([]byte{0, 0, 0, 1}, nalu...)
	p := pionrtp.NewPacketizer(uint16(mtu), 96, 1, &codecs.H264Payloader{}, pionrtp.NewFixedSequencer(1), ClockRate)
	wire := make([]byte, 2*mtu)
	rounds := 0
	start := time.Now()
	for ; time.Since(start) < peerRound; rounds++ {
		for _, pkt := range p.Packetize(stream, 3600) {
			if _, err := pkt.MarshalTo(wire); err != nil {
				panic(err)
			}
		}
	}
	return float64(rounds*len(nalu)) / time.Since(start).Seconds()
}

func BenchmarkDepacketize(b *testing.B) {
	au := [][]byte{nal(0x65, 60000, 1)}
	burst := NewPacketizer(Config{PayloadType: 96}).Packetize(au, 1)
	var d Depacketizer
	seq, timestamp, units := uint16(0), uint32(0), 0
	b.SetBytes(60000)
	b.ReportAllocs()
	for b.Loop() {
		for i := range burst.Len() {
			h, payload, _ := Parse(burst.Packet(i))
			h.SequenceNumber, h.Timestamp = seq, timestamp
			seq++
			units += len(d.Push(h, payload))
		}
		timestamp += 3600
	}
	if units != b.N {
		b.Errorf("%d access units of %d", units, b.N)
	}
}

// TestSteadyStateAllocates: the pools serve a stream of pictures of all sizes without allocating.
func TestSteadyStateAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop values at random")
	}
	var aus [][][]byte
	for _, au := range pictures() {
		aus = append(aus, au)
	}
	p := NewPacketizer(Config{PayloadType: 96})
	var d Depacketizer
	var rtcp RTCP
	var wire []byte
	at := time.Unix(1767225600, 0)
	round := func() {
		for i, au := range aus {
			b := p.Packetize(au, uint32(i))
			for j := range b.Len() {
				h, payload, _ := Parse(b.Packet(j))
				d.Push(h, payload)
			}
			b.Release()
		}
		wire = AppendSR(wire[:0], 1, at, 2, 3, 4, "camera")
		wire = AppendRR(wire, 1, "camera", ReportBlock{SSRC: 1})
		if err := ParseRTCP(AppendBYE(wire, 1), &rtcp); err != nil {
			t.Error(err)
		}
	}
	round()
	if n := testing.AllocsPerRun(50, round); n != 0 {
		t.Errorf("%v allocations a round", n)
	}
	if !bytes.Equal(rtcp.CNAME, []byte("camera")) {
		t.Error(rtcp)
	}
}
