package clip

import "encoding/binary"

// MaxPacket is the size of an RTP packet, header included, that the floor and the agent send.
const MaxPacket = 1200

const (
	rtpHeader   = 12
	payloadType = 96
)

// Packets is an access unit as RTP packets in interleaved framing (RFC 2326 10.12), one behind the other, ready for
// one write; At tells where each packet's frame starts.
type Packets struct {
	Wire []byte
	At   []int
}

// Packetize makes the RTP packets of a unit (RFC 6184: single NAL units and FU-A).
func Packetize(u Unit) Packets {
	var p Packets
	for i, nalu := range u.NALUs {
		last := i == len(u.NALUs)-1
		if len(nalu) <= MaxPacket-rtpHeader {
			p.add(last, nil, nalu)
			continue
		}
		p.fragment(last, nalu)
	}
	return p
}

func (p *Packets) fragment(last bool, nalu []byte) {
	const room = MaxPacket - rtpHeader - 2
	head := nalu[0]
	for rest, start := nalu[1:], byte(0x80); len(rest) > 0; start = 0 {
		part := rest[:min(room, len(rest))]
		rest = rest[len(part):]
		end := byte(0)
		if len(rest) == 0 {
			end = 0x40
		}
		p.add(last && end != 0, []byte{head&0xe0 | 28, start | end | head&31}, part)
	}
}

func (p *Packets) add(marker bool, prefix, payload []byte) {
	p.At = append(p.At, len(p.Wire))
	size := rtpHeader + len(prefix) + len(payload)
	kind := byte(payloadType)
	if marker {
		kind |= 0x80
	}
	p.Wire = append(p.Wire, '$', 0, byte(size>>8), byte(size), 0x80, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
	p.Wire = append(append(p.Wire, prefix...), payload...)
}

// Number writes sequence numbers from seq on and the timestamp into the packets and returns the next number.
func (p Packets) Number(seq uint16, timestamp uint32) uint16 {
	for _, at := range p.At {
		binary.BigEndian.PutUint16(p.Wire[at+6:], seq)
		binary.BigEndian.PutUint32(p.Wire[at+8:], timestamp)
		seq++
	}
	return seq
}

// Bare returns the packets without framing, one behind the other, and where each run starts that one send with
// UDP_SEGMENT of MaxPacket takes: packets of that size, the last of a run may be shorter.
func (p Packets) Bare() (packets []byte, runs []int) {
	full := false
	for i, at := range p.At {
		end := len(p.Wire)
		if i+1 < len(p.At) {
			end = p.At[i+1]
		}
		if !full {
			runs = append(runs, len(packets))
		}
		packet := p.Wire[at+4 : end]
		full = len(packet) == MaxPacket
		packets = append(packets, packet...)
	}
	return packets, runs
}
