package rtp

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	// frameSize is the size of the interleaved framing before each packet: "$", channel, length.
	frameSize = 4
	// maxRun and maxRunBytes bound what one UDP_SEGMENT send takes (UDP_MAX_SEGMENTS, and a datagram's 65507 bytes).
	maxRun, maxRunBytes = 64, 65000
)

// Burst holds the RTP packets of one access unit in wire form: built once, immutable, shared by all readers, counted.
//
// Whoever passes a burst on to another goroutine calls Retain for it first; nobody touches one after its own Release.
type Burst struct {
	arena     []byte
	starts    []int // where the framing of each packet begins in arena, and the end of the last packet
	runs      []Run
	timestamp uint32
	firstSeq  uint16

	pool  *burstPool
	class int // of the arena among the pool's classes
	refs  atomic.Int32
}

// Run is a row of neighbouring packets of the same Size in bytes, of which the last may be shorter: the N packets from
// First on go out in one send with UDP_SEGMENT set to Size. N is at most 64 and N*Size at most 65000.
type Run struct{ First, N, Size int }

// Len returns the number of packets.
func (b *Burst) Len() int { return len(b.starts) - 1 }

// Packet returns RTP packet i, header included: one UDP datagram.
func (b *Burst) Packet(i int) []byte {
	begin, end := b.starts[i]+frameSize, b.starts[i+1]
	return b.arena[begin:end:end]
}

// Interleaved returns all packets as interleaved frames on channel 0, one behind the other: one write serves a reader.
func (b *Burst) Interleaved() []byte { return b.arena }

// InterleavedOn appends to dst what Interleaved returns, but on another channel.
func (b *Burst) InterleavedOn(channel uint8, dst []byte) []byte {
	at := len(dst)
	dst = append(dst, b.arena...)
	for _, start := range b.starts[:b.Len()] {
		dst[at+start+1] = channel
	}
	return dst
}

// Runs returns the rows of packets that go out in one send each. They cover all packets in order.
func (b *Burst) Runs() []Run { return b.runs }

// Timestamp returns the RTP timestamp of the access unit.
func (b *Burst) Timestamp() uint32 { return b.timestamp }

// FirstSeq returns the sequence number of the first packet.
func (b *Burst) FirstSeq() uint16 { return b.firstSeq }

// Octets returns the bytes of payload, without RTP headers, as the sender's octet count of RTCP has it.
func (b *Burst) Octets() int { return len(b.arena) - b.Len()*(frameSize+headerSize) }

// Retain counts one more holder and returns b.
func (b *Burst) Retain() *Burst {
	b.refs.Add(1)
	return b
}

// Release gives up one hold; the last one returns the memory to the packetizer.
func (b *Burst) Release() {
	switch n := b.refs.Add(-1); {
	case n == 0:
		b.pool.put(b)
	case n < 0:
		panic("rtp: burst released more often than retained")
	}
}

// findRuns divides the packets into runs.
func (b *Burst) findRuns() {
	b.runs = b.runs[:0]
	for i := 0; i < b.Len(); {
		r := Run{First: i, N: 1, Size: b.size(i)}
		for i++; i < b.Len() && r.N < maxRun && (r.N+1)*r.Size <= maxRunBytes; i++ {
			size := b.size(i)
			if size > r.Size {
				break
			}
			r.N++
			if size < r.Size {
				i++
				break
			}
		}
		b.runs = append(b.runs, r)
	}
}

func (b *Burst) size(i int) int { return b.starts[i+1] - b.starts[i] - frameSize }

// burstPool recycles bursts by the size of their arena, so that the small pictures between two IDRs, of which many are
// held at a time, do not sit in arenas of an IDR's size.
type burstPool struct{ free [poolClasses]sync.Pool }

const (
	smallestClass = 11 // 2 KiB, log2
	poolClasses   = 24 // two for each power of two, up to 6 MiB: larger ones are left to the garbage collector
)

// sizeClass returns the class of an arena that holds size bytes, and how many it has room for: 2^n or 3*2^(n-1).
func sizeClass(size int) (class, room int) {
	n := max(bits.Len(uint(max(size, 1)-1)), smallestClass)
	class, room = 2*(n-smallestClass), 1<<n
	if low := 3 << (n - 2); size <= low && class > 0 {
		return class - 1, low
	}
	return class, room
}

// take returns an empty burst whose arena holds size bytes at least, with one reference.
func (p *burstPool) take(size int) *Burst {
	class, room := sizeClass(size)
	var b *Burst
	if class < poolClasses {
		b, _ = p.free[class].Get().(*Burst)
	} else {
		room = size
	}
	if b == nil {
		b = &Burst{arena: make([]byte, 0, room), class: class, pool: p}
	}
	b.arena, b.starts = b.arena[:0], b.starts[:0]
	b.refs.Store(1)
	return b
}

func (p *burstPool) put(b *Burst) {
	if b.class < poolClasses {
		p.free[b.class].Put(b)
	}
}
