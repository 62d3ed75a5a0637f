package v4l2

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// queue is one queue of a node: its buffers, mapped, and who has each.
type queue struct {
	d     *device
	typ   uint32
	count int
	mem   [][]byte // of buffer i and plane p at i*width+p
	width int      // memory planes in a buffer

	// The arguments of QBUF and DQBUF live here because the kernel writes to them through an address in another
	// structure, and so that a frame costs no allocation.
	b      buffer
	planes [maxPlanes]plane
}

// filled is what DQBUF tells of a buffer.
type filled struct {
	index, flags, sequence uint32
	at                     time.Duration
	offset, used           [maxPlanes]int // used counts from the buffer's start
}

// newQueue asks for count buffers (the driver may give more or fewer) and maps them.
func (d *device) newQueue(typ uint32, count, width int) (*queue, error) {
	r := requestBuffers{count: uint32(count), typ: typ, memory: memoryMMAP}
	if err := d.k.ioctl(vidiocReqBufs, unsafe.Pointer(&r)); err != nil {
		return nil, fault("request buffers of", d.path, err)
	}
	if r.count < 2 {
		return nil, fmt.Errorf("request buffers of %s: the driver gives %d, two are needed: %w", d.path, r.count, unix.ENOMEM)
	}
	q := &queue{d: d, typ: typ, count: int(r.count), width: width}
	for i := range q.count {
		if err := q.mapBuffer(i); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (q *queue) mapBuffer(index int) error {
	q.prepare(index)
	if err := q.d.k.ioctl(vidiocQueryBuf, unsafe.Pointer(&q.b)); err != nil {
		return fault("query buffer of", q.d.path, err)
	}
	if !multiplanar(q.typ) {
		return q.mapPlane(uint32(q.b.m), q.b.length)
	}
	if int(q.b.length) != q.width {
		return fmt.Errorf("query buffer of %s: %d planes, the format says %d", q.d.path, q.b.length, q.width)
	}
	for p := range q.width {
		if err := q.mapPlane(uint32(q.planes[p].m), q.planes[p].length); err != nil {
			return err
		}
	}
	return nil
}

func (q *queue) mapPlane(offset, length uint32) error {
	m, err := q.d.k.mmap(int64(offset), int(length))
	if err != nil {
		return fault("map buffer of", q.d.path, err)
	}
	q.mem = append(q.mem, m)
	return nil
}

// prepare makes the argument of a request about a buffer.
func (q *queue) prepare(index int) {
	q.b = buffer{index: uint32(index), typ: q.typ, memory: memoryMMAP}
	if multiplanar(q.typ) {
		clear(q.planes[:])
		q.b.m, q.b.length = uintptr(unsafe.Pointer(&q.planes)), uint32(q.width)
	}
}

// memory returns plane p of a buffer.
func (q *queue) memory(index, p int) []byte { return q.mem[index*q.width+p] }

// put gives a buffer to the driver. used and at are for OUTPUT queues: the bytes in each plane and the picture's time.
func (q *queue) put(index int, used []int, at time.Duration) error {
	q.prepare(index)
	q.b.sec, q.b.usec = int(at/time.Second), int(at%time.Second/time.Microsecond)
	if len(used) > 0 {
		q.b.field = fieldNone
	}
	for p, n := range used {
		if !multiplanar(q.typ) {
			q.b.bytesUsed = uint32(n)
			break
		}
		q.planes[p].bytesUsed, q.planes[p].length = uint32(n), uint32(len(q.memory(index, p)))
	}
	return fault("queue buffer of", q.d.path, q.d.k.ioctl(vidiocQBuf, unsafe.Pointer(&q.b)))
}

// take gets a buffer back from the driver. Its errors are the kernel's.
func (q *queue) take() (filled, error) {
	q.prepare(0)
	if err := q.d.k.ioctl(vidiocDQBuf, unsafe.Pointer(&q.b)); err != nil {
		return filled{}, err
	}
	f := filled{index: q.b.index, flags: q.b.flags, sequence: q.b.sequence}
	f.at = time.Duration(q.b.sec)*time.Second + time.Duration(q.b.usec)*time.Microsecond
	if int(f.index) >= q.count {
		return filled{}, errors.New("the driver returned a buffer that does not exist")
	}
	if !multiplanar(q.typ) {
		f.used[0] = int(q.b.bytesUsed)
	} else {
		for p := range q.width {
			f.offset[p], f.used[p] = int(q.planes[p].dataOffset), int(q.planes[p].bytesUsed)
		}
	}
	for p := range q.width { // never trust a number that we slice by
		f.used[p] = min(f.used[p], len(q.memory(int(f.index), p)))
		f.offset[p] = min(f.offset[p], f.used[p])
	}
	return f, nil
}

// data returns what the driver filled in plane p.
func (q *queue) data(f *filled, p int) []byte {
	return q.memory(int(f.index), p)[f.offset[p]:f.used[p]:f.used[p]]
}

func (q *queue) start() error {
	typ := int32(q.typ)
	return fault("start streaming of", q.d.path, q.d.k.ioctl(vidiocStreamOn, unsafe.Pointer(&typ)))
}

func (q *queue) stop() error {
	typ := int32(q.typ)
	return fault("stop streaming of", q.d.path, q.d.k.ioctl(vidiocStreamOff, unsafe.Pointer(&typ)))
}
