package rtsp

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/stream/rtp"
)

// delivery is one access unit on its way to all readers of a stream: its packets and what the kernel needs to send
// them, made once by the fan-out's goroutine, read by all, counted.
type delivery struct {
	burst *rtp.Burst
	idr   bool
	size  int // bytes in wire form
	limit int // how many bytes may wait for a reader, as of this access unit

	alternates []alternate // the interleaved form on channels other than 0; the fan-out's goroutine makes them

	// For UDP, made when the first UDP reader needs it.
	prepared bool
	iovecs   []unix.Iovec // one a packet
	runs     []run

	pool *sync.Pool
	refs atomic.Int32
}

// alternate is the interleaved form on another channel. The memory stays with the delivery.
type alternate struct {
	channel uint8
	data    []byte
}

// run is a row of packets that one UDP_SEGMENT message carries.
type run struct {
	first, n, size int                  // size of each but the last, which may be shorter
	control        [segmentControl]byte // the control message that says the size
}

// newDelivery takes over the caller's reference to the burst.
func newDelivery(pool *sync.Pool, b *rtp.Burst, idr bool, limit int) *delivery {
	d, _ := pool.Get().(*delivery)
	if d == nil {
		d = &delivery{pool: pool}
	}
	d.burst, d.idr, d.size, d.limit = b, idr, len(b.Interleaved()), limit
	d.alternates, d.prepared = d.alternates[:0], false
	d.refs.Store(1)
	return d
}

func (d *delivery) retain() *delivery {
	d.refs.Add(1)
	return d
}

func (d *delivery) release() {
	switch n := d.refs.Add(-1); {
	case n == 0:
		d.burst.Release()
		d.burst = nil
		clear(d.iovecs)
		d.pool.Put(d)
	case n < 0:
		panic("rtsp: delivery released more often than retained")
	}
}

// interleaved returns all packets as interleaved frames on a channel. Only the fan-out's goroutine calls it.
func (d *delivery) interleaved(channel uint8) []byte {
	if channel == 0 {
		return d.burst.Interleaved()
	}
	for i := range d.alternates {
		if d.alternates[i].channel == channel {
			return d.alternates[i].data
		}
	}
	n := len(d.alternates)
	if n < cap(d.alternates) {
		d.alternates = d.alternates[:n+1] // with the memory of an earlier use
	} else {
		d.alternates = append(d.alternates, alternate{})
	}
	a := &d.alternates[n]
	a.channel, a.data = channel, d.burst.InterleavedOn(channel, a.data[:0])
	return a.data
}

// prepare builds the tables for sendmmsg.
func (d *delivery) prepare() {
	if d.prepared {
		return
	}
	d.prepared = true
	d.iovecs, d.runs = d.iovecs[:0], d.runs[:0]
	for i := range d.burst.Len() {
		p := d.burst.Packet(i)
		v := unix.Iovec{Base: &p[0]}
		v.SetLen(len(p))
		d.iovecs = append(d.iovecs, v)
	}
	for _, r := range d.burst.Runs() {
		next := run{first: r.First, n: r.N, size: r.Size}
		putSegmentControl(&next.control, r.Size)
		d.runs = append(d.runs, next)
	}
}

// runAt returns the run that holds packet i, as far as it goes from there on.
func (d *delivery) runAt(i int) *run {
	for k := range d.runs {
		if r := &d.runs[k]; i < r.first+r.n {
			return r
		}
	}
	return nil
}
