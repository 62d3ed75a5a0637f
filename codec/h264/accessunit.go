package h264

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// AccessUnit is one coded picture on its way from the driver's border to every consumer: immutable, shared, counted.
//
// The pool that made it gets its memory back when the last holder calls Release. Whoever passes an access unit on to
// another goroutine calls Retain for it first; nobody touches one after its own Release.
type AccessUnit struct {
	// NALUs are the NAL units in decoding order without start codes, slices of one buffer. An IDR access unit has
	// its SPS and PPS in front. Access unit delimiters are left out.
	NALUs [][]byte
	// PTS is the instant of capture on CLOCK_MONOTONIC.
	PTS time.Duration
	// Frame numbers the picture as the camera counted it; Lost is how many pictures are missing between the access
	// unit before and this one (dropped by the camera, the encoder or a full queue).
	Frame, Lost uint32
	// IDR: decoding can start here.
	IDR bool

	pool  *Pool
	class int // of buf among the pool's classes
	buf   []byte
	refs  atomic.Int32
}

// Size returns the bytes of all NAL units together.
func (a *AccessUnit) Size() int {
	n := 0
	for _, u := range a.NALUs {
		n += len(u)
	}
	return n
}

// Retain counts one more holder and returns a.
func (a *AccessUnit) Retain() *AccessUnit {
	a.refs.Add(1)
	return a
}

// Release gives up one hold; the last one returns the memory to the pool.
func (a *AccessUnit) Release() {
	switch n := a.refs.Add(-1); {
	case n == 0:
		a.pool.put(a)
	case n < 0:
		panic("h264: access unit released more often than retained")
	}
}

// Pool recycles the memory of access units, by size: the small pictures between two IDRs, of which many are held at a
// time, do not sit in buffers of an IDR's size. The zero Pool is ready; one stream has one.
type Pool struct{ free [poolClasses]sync.Pool }

const (
	smallestClass = 11 // 2 KiB, log2
	poolClasses   = 24 // two for each power of two, up to 6 MiB: larger ones are left to the garbage collector
)

// sizeClass returns the class of a buffer that holds size bytes, and how many it has room for: 2^n or 3*2^(n-1).
func sizeClass(size int) (class, room int) {
	n := max(bits.Len(uint(max(size, 1)-1)), smallestClass)
	class, room = 2*(n-smallestClass), 1<<n
	if low := 3 << (n - 2); size <= low && class > 0 {
		return class - 1, low
	}
	return class, room
}

// take returns an access unit whose buffer has room for size bytes.
func (p *Pool) take(size int) *AccessUnit {
	class, room := sizeClass(size)
	if class >= poolClasses {
		return &AccessUnit{pool: p, class: class, buf: make([]byte, 0, size)}
	}
	if a, _ := p.free[class].Get().(*AccessUnit); a != nil {
		return a
	}
	return &AccessUnit{pool: p, class: class, buf: make([]byte, 0, room)}
}

func (p *Pool) put(a *AccessUnit) {
	if a.class < poolClasses {
		p.free[a.class].Put(a)
	}
}

// Copy makes an access unit that holds a copy of the NAL units: the one copy of the payload at the driver's border.
// Empty NAL units are left out. The caller fills in the facts (PTS, Frame, Lost, IDR) before anybody else sees it, and
// holds the first reference.
func (p *Pool) Copy(nalus ...[]byte) *AccessUnit {
	size := 0
	for _, u := range nalus {
		size += len(u)
	}
	a := p.take(size)
	a.buf, a.NALUs = a.buf[:0], a.NALUs[:0]
	for _, u := range nalus {
		if len(u) == 0 {
			continue
		}
		start := len(a.buf)
		a.buf = append(a.buf, u...)
		a.NALUs = append(a.NALUs, a.buf[start:len(a.buf):len(a.buf)])
	}
	a.PTS, a.Frame, a.Lost, a.IDR = 0, 0, 0, false
	a.refs.Store(1)
	return a
}
