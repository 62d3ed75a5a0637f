package rtp

import "encoding/binary"

// ClockRate is the RTP clock of video in ticks per second (RFC 6184 8.1).
const ClockRate = 90000

// NAL unit types that RFC 6184 adds (table 1).
const (
	typeSTAPA = 24
	typeFUA   = 28
)

// Bounds of Config.MaxPacket.
const (
	DefaultMaxPacket = 1200
	minMaxPacket     = 64
	maxMaxPacket     = 65000
)

// Config sets a packetizer up.
type Config struct {
	PayloadType uint8 // 96 to 127 (dynamic)
	SSRC        uint32
	FirstSeq    uint16 // random, RFC 3550 5.1
	// MaxPacket is the most bytes of an RTP packet, its header included: 0 means 1200, which passes everywhere. Values
	// outside 64 to 65000 are brought to the nearest of them.
	MaxPacket int
}

// Packetizer makes the RTP packets of one stream: one SSRC, one row of sequence numbers. It is used by one goroutine;
// the bursts that it returns may be shared and released by any.
type Packetizer struct {
	pool      burstPool
	template  uint64 // version and payload type, in place for the first eight bytes of a header
	ssrc      uint32
	seq       uint16
	maxPacket int
}

// NewPacketizer returns a packetizer.
func NewPacketizer(c Config) *Packetizer {
	if c.MaxPacket == 0 {
		c.MaxPacket = DefaultMaxPacket
	}
	return &Packetizer{
		template:  2<<62 | uint64(c.PayloadType&0x7f)<<48,
		ssrc:      c.SSRC,
		seq:       c.FirstSeq,
		maxPacket: min(max(c.MaxPacket, minMaxPacket), maxMaxPacket),
	}
}

// NextSeq returns the sequence number that the next packet will have.
func (p *Packetizer) NextSeq() uint16 { return p.seq }

// SSRC returns the synchronization source of the stream.
func (p *Packetizer) SSRC() uint32 { return p.ssrc }

// Packetize builds the packets of one access unit. The burst keeps nothing of nalus. The caller holds its first
// reference. Empty NAL units are left out; an access unit without any gives a burst without packets.
func (p *Packetizer) Packetize(nalus [][]byte, timestamp uint32) *Burst {
	b := p.pool.take(p.bound(nalus))
	b.timestamp, b.firstSeq = timestamp, p.seq
	for i := 0; i < len(nalus); {
		n, size := p.group(nalus[i:])
		switch {
		case n == 1 && len(nalus[i]) > p.maxPacket-headerSize:
			p.fragment(b, nalus[i])
		case n == 1:
			copy(p.packet(b, len(nalus[i])), nalus[i])
		case n > 1:
			aggregate(p.packet(b, size), nalus[i:i+n])
		}
		i += max(n, 1) // an empty NAL unit is a group of 0
	}
	b.starts = append(b.starts, len(b.arena))
	if last := b.Len() - 1; last >= 0 {
		b.arena[b.starts[last]+frameSize+1] |= 0x80 // marker
	}
	b.findRuns()
	return b
}

// bound returns a size that the arena will not exceed.
func (p *Packetizer) bound(nalus [][]byte) int {
	room := p.maxPacket - headerSize - 2
	size := 0
	for _, u := range nalus {
		size += len(u) + (len(u)/room+1)*(frameSize+headerSize+2) + 1
	}
	return size
}

// group returns how many NAL units from the first on share a packet, and the size of the STAP-A that holds them. A
// large NAL unit is a group of one, an empty one a group of none.
func (p *Packetizer) group(nalus [][]byte) (n, size int) {
	size = 1
	for _, u := range nalus {
		if len(u) == 0 || size+2+len(u) > p.maxPacket-headerSize {
			break
		}
		size += 2 + len(u)
		n++
	}
	if n == 0 && len(nalus[0]) > 0 {
		return 1, len(nalus[0])
	}
	return n, size
}

// packet extends b by a packet with size bytes of payload and returns the payload to be filled in.
func (p *Packetizer) packet(b *Burst, size int) []byte {
	at := len(b.arena)
	end := at + frameSize + headerSize + size
	b.starts = append(b.starts, at)
	b.arena = b.arena[:end]
	h := b.arena[at:end]
	_ = h[frameSize+headerSize-1]
	binary.BigEndian.PutUint32(h, '$'<<24|uint32(headerSize+size))
	binary.BigEndian.PutUint64(h[frameSize:], p.template|uint64(p.seq)<<32|uint64(b.timestamp))
	binary.BigEndian.PutUint32(h[frameSize+8:], p.ssrc)
	p.seq++
	return h[frameSize+headerSize:]
}

// fragment makes FU-A packets of a NAL unit (RFC 6184 5.8), all of the same size but the last.
func (p *Packetizer) fragment(b *Burst, nalu []byte) {
	indicator, kind := nalu[0]&0xe0|typeFUA, nalu[0]&0x1f
	const start, end = 0x80, 0x40
	flags := byte(start)
	room := p.maxPacket - headerSize - 2
	for rest := nalu[1:]; len(rest) > 0; flags = 0 {
		n := min(len(rest), room)
		if n == len(rest) {
			flags |= end
		}
		payload := p.packet(b, 2+n)
		payload[0], payload[1] = indicator, flags|kind
		copy(payload[2:], rest)
		rest = rest[n:]
	}
}

// aggregate fills a STAP-A (RFC 6184 5.7.1): its F bit is set if one is, its NRI is the highest.
func aggregate(payload []byte, nalus [][]byte) {
	forbidden, nri := byte(0), byte(0)
	at := 1
	for _, u := range nalus {
		forbidden |= u[0] & 0x80
		nri = max(nri, u[0]&0x60)
		binary.BigEndian.PutUint16(payload[at:], uint16(len(u)))
		at += 2 + copy(payload[at+2:], u)
	}
	payload[0] = forbidden | nri | typeSTAPA
}
