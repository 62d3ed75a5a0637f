package rtp

import (
	"bytes"
	"encoding/binary"
)

const (
	// MaxUnit and MaxUnitNALUs bound an access unit that a Depacketizer puts together.
	MaxUnit      = 8 << 20
	MaxUnitNALUs = 4096
	// maxDropout and maxMisorder tell a gap and a late packet from a sender that began anew (RFC 3550 A.1).
	maxDropout  = 3000
	maxMisorder = 100
)

// Unit is an access unit as it came over the wire.
type Unit struct {
	NALUs     [][]byte // valid until the next call of Push
	Timestamp uint32
	// Lost is the number of packets missing inside this unit or between it and the one before.
	Lost int
	// Complete: nothing is missing, as far as sequence numbers, fragments and the marker of the unit before tell.
	Complete bool
}

// Stats counts what a Depacketizer has seen.
type Stats struct {
	Packets, Octets uint64 // taken packets and their payload bytes
	Lost            uint64 // packets missing in the row of sequence numbers
	Gaps            uint64 // places where some are missing
	Late            uint64 // packets that came after their place was passed, or twice: left out
	Restarts        uint64 // the sender began a new row of sequence numbers or took a new SSRC
	Malformed       uint64 // packets whose payload RFC 6184 does not allow
	TooLarge        uint64 // access units beyond MaxUnit or MaxUnitNALUs: left out
}

// Depacketizer puts access units together from the RTP packets of one stream, in the order of their arrival. It expects
// packets in sequence, as TCP and most networks deliver them, and counts those that are not. The zero value is ready.
type Depacketizer struct {
	stats    Stats
	works    [2]work // the unit being put together, and the one completed by the packet before it
	active   int
	units    []Unit
	started  bool
	ssrc     uint32
	next     uint16 // the sequence number that is due
	suspect  int    // the number that would prove a restart of the sender; -1 if none is suspected
	lost     int    // packets missing since the last unit was completed
	damaged  bool   // the unit being put together misses something
	overflow bool
}

// work is an access unit in the making.
type work struct {
	buf       []byte
	ends      []int // where each NAL unit ends in buf
	nalus     [][]byte
	timestamp uint32
	open      bool // packets of this unit were seen
	fragment  bool // an FU-A NAL unit has begun and not ended: buf goes on behind the last end
}

// Stats returns the counters.
func (d *Depacketizer) Stats() Stats { return d.stats }

// Push takes one packet and returns the access units that it completes: at most two, mostly none or one. They are valid
// until the next Push.
func (d *Depacketizer) Push(h Header, payload []byte) []Unit {
	d.units = d.units[:0]
	gap, ok := d.sequence(h)
	if !ok {
		return nil
	}
	d.stats.Packets++
	d.stats.Octets += uint64(len(payload))
	if w := d.work(); w.open && w.timestamp != h.Timestamp {
		d.lost -= gap
		d.complete()
		d.lost, d.damaged = d.lost+gap, d.damaged || gap > 0 // both sides of the gap may miss something
	}
	w := d.work()
	w.open, w.timestamp = true, h.Timestamp
	if !d.payload(w, payload) {
		d.stats.Malformed++
		d.damaged = true
	}
	if h.Marker {
		d.complete()
	}
	return d.units
}

func (d *Depacketizer) work() *work { return &d.works[d.active] }

// sequence checks the packet's place in the row and returns how many are missing before it; false: it is left out.
func (d *Depacketizer) sequence(h Header) (missing int, ok bool) {
	if !d.started || d.ssrc != h.SSRC {
		if d.started {
			d.restart()
		}
		d.started, d.ssrc, d.next, d.suspect = true, h.SSRC, h.SequenceNumber+1, -1
		return 0, true
	}
	gap := h.SequenceNumber - d.next
	switch {
	case gap == 0:
	case gap < maxDropout:
		missing = int(gap)
		d.miss(missing)
	case gap >= 1<<16-maxMisorder:
		d.stats.Late++
		return 0, false
	case d.suspect == int(h.SequenceNumber): // two in sequence: the sender really began anew
		d.restart()
	default:
		d.suspect = int(h.SequenceNumber + 1)
		d.stats.Late++
		return 0, false
	}
	d.next, d.suspect = h.SequenceNumber+1, -1
	return missing, true
}

func (d *Depacketizer) restart() {
	d.stats.Restarts++
	d.work().reset()
	d.damaged = true
}

func (d *Depacketizer) miss(n int) {
	d.stats.Gaps++
	d.stats.Lost += uint64(n)
	d.lost += n
	d.damaged = true
	d.work().dropFragment()
}

// complete closes the unit being put together.
func (d *Depacketizer) complete() {
	w := d.work()
	if w.fragment {
		d.damaged = true
		w.dropFragment()
	}
	switch {
	case d.overflow:
		d.stats.TooLarge++
		d.overflow, d.damaged = false, true // what refers to it misses something
		w.reset()
		return
	case len(w.ends) == 0: // nothing arrived of it: what is missing counts for the next one
		w.reset()
		return
	}
	d.units = append(d.units, Unit{
		NALUs: w.split(), Timestamp: w.timestamp, Lost: d.lost, Complete: !d.damaged,
	})
	d.lost, d.damaged = 0, false
	d.active = 1 - d.active
	d.work().reset()
}

// payload takes in what one packet carries; false: RFC 6184 does not allow it here.
func (d *Depacketizer) payload(w *work, b []byte) bool {
	if len(b) == 0 {
		return false
	}
	kind := b[0] & 0x1f
	if w.fragment && kind != typeFUA {
		w.dropFragment()
		d.damaged = true
	}
	switch {
	case kind >= 1 && kind < typeSTAPA:
		d.add(w, b)
		return true
	case kind == typeSTAPA:
		return d.aggregated(w, b[1:])
	case kind == typeFUA:
		return d.fragment(w, b)
	}
	return false // interleaved mode, or reserved
}

func (d *Depacketizer) add(w *work, nalu []byte) {
	if d.overflow = d.overflow || w.full(len(nalu)); d.overflow {
		return
	}
	w.buf = append(w.buf, nalu...)
	w.ends = append(w.ends, len(w.buf))
}

func (d *Depacketizer) aggregated(w *work, b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for len(b) > 0 {
		if len(b) < 2 {
			return b[0] == 0
		}
		n := int(binary.BigEndian.Uint16(b))
		if n == 0 { // zeros behind the last NAL unit: padding that some cameras send
			return len(bytes.TrimLeft(b, "\x00")) == 0
		}
		if n > len(b)-2 {
			return false
		}
		d.add(w, b[2:2+n])
		b = b[2+n:]
	}
	return true
}

func (d *Depacketizer) fragment(w *work, b []byte) bool {
	if len(b) < 2 || b[1]&0x1f == 0 || b[1]&0x1f >= typeSTAPA {
		w.dropFragment()
		return false
	}
	// First and last in one is forbidden, yet there are cameras that send small NAL units so.
	first, last, kind := b[1]&0x80 != 0, b[1]&0x40 != 0, b[1]&0x1f
	if first == w.fragment { // a second beginning, or none: what was begun or what comes now is not whole
		d.damaged = true
		w.dropFragment()
	}
	if d.overflow = d.overflow || w.full(len(b)); d.overflow {
		return true
	}
	if first {
		w.buf = append(w.buf, b[0]&0xe0|kind)
		w.fragment = true
	}
	if !w.fragment {
		return true // its beginning is lost
	}
	w.buf = append(w.buf, b[2:]...)
	if last {
		w.ends = append(w.ends, len(w.buf))
		w.fragment = false
	}
	return true
}

func (w *work) full(n int) bool { return len(w.buf)+n > MaxUnit || len(w.ends) == MaxUnitNALUs }

// dropFragment takes back a NAL unit that will not become whole.
func (w *work) dropFragment() {
	if !w.fragment {
		return
	}
	w.fragment = false
	end := 0
	if n := len(w.ends); n > 0 {
		end = w.ends[n-1]
	}
	w.buf = w.buf[:end]
}

func (w *work) reset() {
	w.buf, w.ends, w.open, w.fragment = w.buf[:0], w.ends[:0], false, false
}

func (w *work) split() [][]byte {
	w.nalus = w.nalus[:0]
	begin := 0
	for _, end := range w.ends {
		w.nalus = append(w.nalus, w.buf[begin:end:end])
		begin = end
	}
	return w.nalus
}
