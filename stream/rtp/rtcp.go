package rtp

import (
	"encoding/binary"
	"fmt"
	"time"
)

// RTCP packet types (RFC 3550 12.1, RFC 4585 6.1) and bounds.
const (
	rtcpSR   = 200
	rtcpRR   = 201
	rtcpSDES = 202
	rtcpBYE  = 203
	rtcpPSFB = 206

	maxBlocks   = 31   // report blocks in one packet, and in what one RTCP keeps
	maxRTCPSize = 8192 // larger compounds are no RTCP
	sdesCNAME   = 1
	maxText     = 255
)

// ntpEpoch is the distance from 1 January 1900 to 1 January 1970 in seconds (RFC 3550 4).
const ntpEpoch = 2208988800

// NTP returns t as a 64-bit NTP timestamp: seconds since 1900 and a 32-bit fraction.
func NTP(t time.Time) uint64 {
	seconds, nanos := uint64(t.Unix()+ntpEpoch), uint64(t.Nanosecond())
	return seconds<<32 | (nanos<<32+5e8)/1e9
}

// NTPTime returns the instant of an NTP timestamp, in the era that began in 1900 or, for small values, in 2036
// (RFC 4330 3).
func NTPTime(n uint64) time.Time {
	seconds := int64(n >> 32)
	if n>>63 == 0 {
		seconds += 1 << 32
	}
	nanos := (n&0xffffffff*1e9 + 1<<31) >> 32
	return time.Unix(seconds-ntpEpoch, int64(nanos)).UTC()
}

// ReportBlock is what a receiver says about one sender (RFC 3550 6.4.1).
type ReportBlock struct {
	SSRC         uint32 // of the sender
	FractionLost uint8  // of 256, since the report before
	Lost         int32  // packets, since the beginning; negative after duplicates
	HighestSeq   uint32 // extended: cycles in the upper half
	Jitter       uint32 // in ticks of the RTP clock
	LastSR       uint32 // the middle of the NTP timestamp of the last sender report; 0 if none came
	Delay        uint32 // since that report came, in 1/65536 s
}

// RoundTrip returns the round-trip time that a report block shows which arrived at now (RFC 3550 6.4.1); false if the
// receiver had no sender report yet or its words make no sense.
func (b ReportBlock) RoundTrip(now time.Time) (time.Duration, bool) {
	if b.LastSR == 0 {
		return 0, false
	}
	d := uint32(NTP(now)>>16) - b.LastSR - b.Delay
	if d > 1<<31 { // it took less than nothing: rounding, or a clock that was set
		return 0, d > 1<<32-66
	}
	return time.Duration(d) * time.Second >> 16, true
}

func appendHead(dst []byte, count, kind uint8, words int, ssrc uint32) []byte {
	dst = append(dst, 2<<6|count, kind)
	dst = binary.BigEndian.AppendUint16(dst, uint16(words))
	return binary.BigEndian.AppendUint32(dst, ssrc)
}

// AppendSR appends a compound packet of a sender report and an SDES CNAME (RFC 3550 6.1): at the instant ntp the media
// clock showed rtpTime. A cname beyond 255 bytes is cut.
func AppendSR(dst []byte, ssrc uint32, ntp time.Time, rtpTime, packets, octets uint32, cname string) []byte {
	dst = appendHead(dst, 0, rtcpSR, 6, ssrc)
	dst = binary.BigEndian.AppendUint64(dst, NTP(ntp))
	dst = binary.BigEndian.AppendUint32(dst, rtpTime)
	dst = binary.BigEndian.AppendUint32(dst, packets)
	dst = binary.BigEndian.AppendUint32(dst, octets)
	return appendCNAME(dst, ssrc, cname)
}

// AppendRR appends a compound packet of a receiver report with at most 31 blocks and an SDES CNAME.
func AppendRR(dst []byte, ssrc uint32, cname string, blocks ...ReportBlock) []byte {
	blocks = blocks[:min(len(blocks), maxBlocks)]
	dst = appendHead(dst, uint8(len(blocks)), rtcpRR, 1+6*len(blocks), ssrc)
	for _, b := range blocks {
		lost := uint32(min(max(b.Lost, -1<<23), 1<<23-1)) & 0xffffff
		dst = binary.BigEndian.AppendUint32(dst, b.SSRC)
		dst = binary.BigEndian.AppendUint32(dst, uint32(b.FractionLost)<<24|lost)
		dst = binary.BigEndian.AppendUint32(dst, b.HighestSeq)
		dst = binary.BigEndian.AppendUint32(dst, b.Jitter)
		dst = binary.BigEndian.AppendUint32(dst, b.LastSR)
		dst = binary.BigEndian.AppendUint32(dst, b.Delay)
	}
	return appendCNAME(dst, ssrc, cname)
}

// AppendBYE appends a BYE (RFC 3550 6.6). On the wire it stands behind a sender or receiver report.
func AppendBYE(dst []byte, ssrc uint32) []byte { return appendHead(dst, 1, rtcpBYE, 1, ssrc) }

func appendCNAME(dst []byte, ssrc uint32, cname string) []byte {
	cname = cname[:min(len(cname), maxText)]
	items := 2 + len(cname)
	padded := items + 4 - items%4 // one zero byte at least ends the list
	dst = appendHead(dst, 1, rtcpSDES, 1+padded/4, ssrc)
	dst = append(dst, sdesCNAME, uint8(len(cname)))
	dst = append(dst, cname...)
	for range padded - items {
		dst = append(dst, 0)
	}
	return dst
}

// SenderReport is what a sender says about itself (RFC 3550 6.4.1).
type SenderReport struct {
	SSRC            uint32
	NTP             uint64
	RTPTime         uint32
	Packets, Octets uint32
}

// RTCP is what a compound packet says. Its slices are used again by the next ParseRTCP into the same value.
type RTCP struct {
	Reporter  uint32 // SSRC of the first report's author
	Senders   []SenderReport
	Blocks    []ReportBlock
	Byes      []uint32
	CNAME     []byte // of the first chunk that has one; a slice of the packet
	WantsIDR  bool   // a picture loss indication or full intra request (RFC 4585 6.3.1, RFC 5104 4.3.1) is inside
	Unhandled int    // packets of other types
}

// ParseRTCP parses a compound packet into r. On an error r holds what stood before the damage. It allocates nothing
// once the slices of r have grown; each keeps at most 31 entries.
func ParseRTCP(b []byte, r *RTCP) error {
	*r = RTCP{Senders: r.Senders[:0], Blocks: r.Blocks[:0], Byes: r.Byes[:0]}
	if len(b) > maxRTCPSize {
		return fmt.Errorf("parse RTCP of %d bytes: %w", len(b), ErrMalformed)
	}
	for first := true; first || len(b) > 0; first = false {
		if len(b) < 4 || b[0]>>6 != 2 {
			return fmt.Errorf("parse RTCP header: %w", ErrMalformed)
		}
		size := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
		if size > len(b) {
			return fmt.Errorf("parse RTCP packet of %d bytes in %d: %w", size, len(b), ErrMalformed)
		}
		body := b[4:size]
		if pad := b[0]&0x20 != 0; pad {
			n := 0
			if len(body) > 0 {
				n = int(body[len(body)-1])
			}
			if n == 0 || n > len(body) || size != len(b) { // only the last packet may be padded
				return fmt.Errorf("parse RTCP padding: %w", ErrMalformed)
			}
			body = body[:len(body)-n]
		}
		if !r.packet(b[1], b[0]&0x1f, body) {
			return fmt.Errorf("parse RTCP packet type %d: %w", b[1], ErrMalformed)
		}
		b = b[size:]
	}
	return nil
}

// packet takes in one packet of the compound; false: it is shorter than its count says.
func (r *RTCP) packet(kind, count uint8, b []byte) bool {
	switch kind {
	case rtcpSR:
		return r.senderReport(int(count), b)
	case rtcpRR:
		return len(b) >= 4 && r.blocks(binary.BigEndian.Uint32(b), int(count), b[4:])
	case rtcpBYE:
		return r.bye(int(count), b)
	case rtcpSDES:
		return r.description(int(count), b)
	case rtcpPSFB:
		r.WantsIDR = r.WantsIDR || count == 1 || count == 4
		return len(b) >= 8
	}
	r.Unhandled++
	return true
}

func (r *RTCP) senderReport(count int, b []byte) bool {
	if len(b) < 24 {
		return false
	}
	s := SenderReport{
		SSRC: binary.BigEndian.Uint32(b), NTP: binary.BigEndian.Uint64(b[4:]), RTPTime: binary.BigEndian.Uint32(b[12:]),
		Packets: binary.BigEndian.Uint32(b[16:]), Octets: binary.BigEndian.Uint32(b[20:]),
	}
	if len(r.Senders) < maxBlocks {
		r.Senders = append(r.Senders, s)
	}
	return r.blocks(s.SSRC, count, b[24:])
}

func (r *RTCP) blocks(reporter uint32, count int, b []byte) bool {
	if len(b) < 24*count {
		return false
	}
	if r.Reporter == 0 {
		r.Reporter = reporter
	}
	for ; count > 0 && len(r.Blocks) < maxBlocks; count, b = count-1, b[24:] {
		loss := binary.BigEndian.Uint32(b[4:])
		r.Blocks = append(r.Blocks, ReportBlock{
			SSRC: binary.BigEndian.Uint32(b), FractionLost: uint8(loss >> 24), Lost: int32(loss<<8) >> 8,
			HighestSeq: binary.BigEndian.Uint32(b[8:]), Jitter: binary.BigEndian.Uint32(b[12:]),
			LastSR: binary.BigEndian.Uint32(b[16:]), Delay: binary.BigEndian.Uint32(b[20:]),
		})
	}
	return true
}

func (r *RTCP) bye(count int, b []byte) bool {
	if len(b) < 4*count {
		return false
	}
	for ; count > 0 && len(r.Byes) < maxBlocks; count, b = count-1, b[4:] {
		r.Byes = append(r.Byes, binary.BigEndian.Uint32(b))
	}
	return true
}

// description looks for a CNAME in the chunks (RFC 3550 6.5).
func (r *RTCP) description(count int, b []byte) bool {
	for ; count > 0; count-- {
		if len(b) < 4 {
			return false
		}
		at := 4
		for {
			if at >= len(b) {
				return false
			}
			if b[at] == 0 { // end of the list, padded to the next word
				at = min((at+4)&^3, len(b))
				break
			}
			if at+2 > len(b) || at+2+int(b[at+1]) > len(b) {
				return false
			}
			text := b[at+2 : at+2+int(b[at+1])]
			if b[at] == sdesCNAME && r.CNAME == nil {
				r.CNAME = text
			}
			at += 2 + len(text)
		}
		b = b[at:]
	}
	return true
}
