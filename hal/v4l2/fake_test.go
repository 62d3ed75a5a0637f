package v4l2

import (
	"io/fs"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// fakeKernel is a node below the driver: it answers ioctls as videobuf2 and the drivers under it do (the rules are
// those of drivers/media/common/videobuf2 and Documentation/userspace-api/media/v4l). A zero field answers ENOTTY or
// EINVAL as a driver without that feature does.
type fakeKernel struct {
	caps      capability
	formats   map[uint32][]fmtDesc     // by buffer type
	sizes     map[uint32][]frmSizeEnum // by pixel format
	ivals     map[uint32][]frmIvalEnum // by pixel format
	negotiate func(f *format)          // what S_FMT and TRY_FMT make of a wish; nil takes it as it is
	controls  map[uint32]queryCtrl
	menus     map[uint32][]int64 // of integers
	give      map[uint32]int     // buffers that REQBUFS gives whatever was asked, by buffer type
	encoder   *fakeEncoder

	mu      sync.Mutex // guards what follows
	current map[uint32]format
	parm    map[uint32]fract    // by buffer type; without an entry G_PARM is ENOTTY
	fail    map[uintptr][]error // what the next requests of a kind answer instead; nil lets one through
	values  map[uint32][]int32  // what controls were set to
	queues  map[uint32]*fakeQueue
	crop    selection
	hangUp  int16 // poll events that are always there
	woken   bool
	changed chan struct{} // closed and made anew when anything changes
	open    int           // how many times this node is open
	opened  int
}

type fakeQueue struct {
	planes    []int // sizes
	mem       [][][]byte
	queued    []int // in the order of QBUF
	pending   []filledBuffer
	done      []filledBuffer
	streaming bool
	ended     bool // a buffer with LAST was dequeued
}

type filledBuffer struct {
	index    int
	used     []int
	offset   int
	flags    uint32
	sequence uint32
	at       time.Duration
}

func newFake(deviceCaps uint32) *fakeKernel {
	k := &fakeKernel{
		formats: map[uint32][]fmtDesc{}, sizes: map[uint32][]frmSizeEnum{}, ivals: map[uint32][]frmIvalEnum{},
		controls: map[uint32]queryCtrl{}, give: map[uint32]int{}, current: map[uint32]format{},
		parm: map[uint32]fract{}, fail: map[uintptr][]error{}, values: map[uint32][]int32{},
		queues: map[uint32]*fakeQueue{}, changed: make(chan struct{}),
	}
	copy(k.caps.driver[:], "fake")
	copy(k.caps.card[:], "Fake node")
	copy(k.caps.busInfo[:], "platform:fake")
	k.caps.capabilities, k.caps.deviceCaps = deviceCaps|capDeviceCaps|capOutput, deviceCaps
	return k
}

// opener returns the fake for any path. Every open is the same file: enough for one stream at a time.
func (k *fakeKernel) opener(string) (kernel, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if errs := k.fail[0]; len(errs) > 0 { // 0 stands for open(2)
		k.fail[0] = errs[1:]
		return nil, &fs.PathError{Op: "open", Path: "/dev/video0", Err: errs[0]}
	}
	k.open++
	k.opened++
	return &fakeFile{fakeKernel: k}, nil
}

// fakeFile is one open of a fakeKernel.
type fakeFile struct {
	*fakeKernel
	closed bool
}

func (f *fakeFile) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		panic("node closed twice")
	}
	f.closed = true
	f.open--
	if f.open == 0 {
		f.queues = map[uint32]*fakeQueue{}
		f.woken = false
	}
	return nil
}

func (f *fakeFile) ioctl(request uintptr, arg unsafe.Pointer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		panic("ioctl on a closed node")
	}
	return f.fakeKernel.answer(request, arg)
}

// change tells a running poll to look again. Called with mu held.
func (k *fakeKernel) change() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// set runs f with the lock held and tells poll.
func (k *fakeKernel) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
	k.change()
}

func (k *fakeKernel) answer(request uintptr, arg unsafe.Pointer) error {
	if errs := k.fail[request]; len(errs) > 0 {
		k.fail[request] = errs[1:]
		if errs[0] != nil {
			return errs[0]
		}
	}
	switch request {
	case vidiocQueryCap:
		*(*capability)(arg) = k.caps
		return nil
	case vidiocEnumFmt:
		f := (*fmtDesc)(arg)
		return enumerate(f, k.formats[f.typ], f.index)
	case vidiocEnumFrmSizes:
		f := (*frmSizeEnum)(arg)
		return enumerate(f, k.sizes[f.pixelFormat], f.index)
	case vidiocEnumFrmIvals:
		f := (*frmIvalEnum)(arg)
		return enumerate(f, k.ivals[f.pixelFormat], f.index)
	case vidiocGFmt, vidiocSFmt, vidiocTryFmt:
		return k.format(request, (*format)(arg))
	case vidiocGParm, vidiocSParm:
		return k.interval(request, (*streamParm)(arg))
	case vidiocQueryCtrl, vidiocQueryMenu, vidiocGCtrl, vidiocSCtrl:
		return k.control(request, arg)
	case vidiocSSelection:
		k.crop = *(*selection)(arg)
		return nil
	case vidiocEncoderCmd:
		return k.command((*encoderCmd)(arg).cmd)
	}
	return k.streaming(request, arg)
}

func enumerate[T any](to *T, list []T, index uint32) error {
	if int(index) >= len(list) {
		return unix.EINVAL
	}
	*to = list[index]
	return nil
}

func (k *fakeKernel) format(request uintptr, f *format) error {
	if len(k.formats[f.typ]) == 0 {
		return unix.EINVAL
	}
	if request == vidiocGFmt {
		typ := f.typ
		*f = k.current[typ]
		f.typ = typ
		return nil
	}
	if request == vidiocSFmt && len(k.queues) > 0 {
		return unix.EBUSY
	}
	if k.negotiate != nil {
		k.negotiate(f)
	}
	fillSizes(f)
	if request == vidiocSFmt {
		k.current[f.typ] = *f
	}
	return nil
}

// fillSizes does what a driver without peculiarities does about strides and sizes.
func fillSizes(f *format) {
	p := f.picture()
	h, _ := halFormat(uint32(p.fourCC))
	planes := colourPlanes(h, p.width, p.height, 0)
	for i := range memoryPlanes(uint32(p.fourCC)) {
		stride, size := 0, p.width*p.height+4096
		if len(planes) > 0 {
			stride, size = planes[i].stride, planes[i].size()
			if memoryPlanes(uint32(p.fourCC)) == 1 {
				size = totalSize(planes)
			}
		}
		if !multiplanar(f.typ) {
			s := f.pix()
			s.bytesPerLine = uint32(orElse(int(s.bytesPerLine), stride))
			s.sizeImage = uint32(orElse(int(s.sizeImage), size))
			continue
		}
		s := f.mp()
		s.numPlanes = uint8(memoryPlanes(uint32(p.fourCC)))
		s.planes[i].bytesPerLine = uint32(orElse(int(s.planes[i].bytesPerLine), stride))
		s.planes[i].sizeImage = uint32(orElse(int(s.planes[i].sizeImage), size))
	}
}

func (k *fakeKernel) interval(request uintptr, p *streamParm) error {
	have, ok := k.parm[p.typ]
	if !ok {
		return unix.ENOTTY
	}
	if request == vidiocSParm && have.num == 0 { // takes any
		k.parm[p.typ] = p.timePerFrame
	}
	p.timePerFrame = k.parm[p.typ]
	return nil
}

// noItem is a gap in a menu.
const noItem = -1 << 40

func (k *fakeKernel) control(request uintptr, arg unsafe.Pointer) error {
	if request == vidiocQueryCtrl {
		q := (*queryCtrl)(arg)
		have, ok := k.controls[q.id]
		if !ok {
			return unix.EINVAL
		}
		*q = have
		return nil
	}
	if request == vidiocQueryMenu {
		m := (*queryMenu)(arg)
		menu := k.menus[m.id]
		if int(m.index) >= len(menu) || menu[m.index] == noItem {
			return unix.EINVAL
		}
		m.value = [2]uint32{uint32(menu[m.index]), uint32(menu[m.index] >> 32)}
		return nil
	}
	c := (*control)(arg)
	have, ok := k.controls[c.id]
	if !ok {
		return unix.EINVAL
	}
	if request == vidiocGCtrl {
		c.value = have.initial
		if set := k.values[c.id]; len(set) > 0 {
			c.value = set[len(set)-1]
		}
		return nil
	}
	if c.value < have.min || c.value > have.max {
		return unix.ERANGE
	}
	k.values[c.id] = append(k.values[c.id], c.value)
	return nil
}

func (k *fakeKernel) streaming(request uintptr, arg unsafe.Pointer) error {
	switch request {
	case vidiocReqBufs:
		return k.request((*requestBuffers)(arg))
	case vidiocQueryBuf:
		return k.queryBuffer((*buffer)(arg))
	case vidiocQBuf:
		return k.queueBuffer((*buffer)(arg))
	case vidiocDQBuf:
		return k.dequeueBuffer((*buffer)(arg))
	case vidiocStreamOn, vidiocStreamOff:
		q := k.queues[uint32(*(*int32)(arg))]
		if q == nil {
			return unix.EINVAL
		}
		q.streaming = request == vidiocStreamOn
		if !q.streaming {
			q.queued, q.done = nil, nil
		}
		k.change()
		return nil
	}
	return unix.ENOTTY
}

func (k *fakeKernel) request(r *requestBuffers) error {
	if k.queues[r.typ] != nil {
		return unix.EBUSY
	}
	if n, ok := k.give[r.typ]; ok {
		r.count = uint32(n)
	}
	f := k.current[r.typ]
	q := &fakeQueue{}
	for _, p := range f.picture().planes {
		q.planes = append(q.planes, p.size)
	}
	for range r.count {
		var buffers [][]byte
		for _, size := range q.planes {
			buffers = append(buffers, make([]byte, size))
		}
		q.mem = append(q.mem, buffers)
	}
	k.queues[r.typ] = q
	return nil
}

// planesOf returns the plane structures that a multi-planar buffer points to.
func planesOf(b *buffer) *[maxPlanes]plane {
	return (*[maxPlanes]plane)(*(*unsafe.Pointer)(unsafe.Pointer(&b.m)))
}

func (k *fakeKernel) queryBuffer(b *buffer) error {
	q := k.queues[b.typ]
	if q == nil || int(b.index) >= len(q.mem) {
		return unix.EINVAL
	}
	if !multiplanar(b.typ) {
		b.m, b.length = uintptr(offsetOf(b.typ, b.index, 0)), uint32(q.planes[0])
		return nil
	}
	planes := planesOf(b)
	for p, size := range q.planes {
		planes[p].m, planes[p].length = uintptr(offsetOf(b.typ, b.index, p)), uint32(size)
	}
	b.length = uint32(len(q.planes))
	return nil
}

// offsetOf makes the offset by which mmap knows a plane.
func offsetOf(typ, index uint32, p int) uint32 { return typ<<20 | index<<16 | uint32(p)<<12 }

func (f *fakeFile) mmap(offset int64, length int) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.queues[uint32(offset)>>20]
	m := q.mem[offset>>16&0xf][offset>>12&0xf]
	if len(m) != length {
		return nil, unix.EINVAL
	}
	return m, nil
}

func (k *fakeKernel) queueBuffer(b *buffer) error {
	q := k.queues[b.typ]
	if q == nil || int(b.index) >= len(q.mem) {
		return unix.EINVAL
	}
	for _, i := range q.queued {
		if i == int(b.index) {
			return unix.EINVAL // already queued
		}
	}
	f := filledBuffer{index: int(b.index), used: []int{int(b.bytesUsed)}}
	f.at = time.Duration(b.sec)*time.Second + time.Duration(b.usec)*time.Microsecond
	if multiplanar(b.typ) {
		if int(b.length) < len(q.planes) {
			return unix.EINVAL
		}
		f.used = nil
		for p := range q.planes {
			f.used = append(f.used, int(planesOf(b)[p].bytesUsed))
		}
	}
	q.queued = append(q.queued, f.index)
	q.pending = append(q.pending, f)
	if k.encoder != nil {
		k.encoder.run(k)
	}
	k.change()
	return nil
}

func (k *fakeKernel) dequeueBuffer(b *buffer) error {
	q := k.queues[b.typ]
	switch {
	case q == nil || !q.streaming:
		return unix.EINVAL
	case len(q.done) == 0 && q.ended:
		return unix.EPIPE
	case len(q.done) == 0:
		return unix.EAGAIN
	}
	f := q.done[0]
	q.done = q.done[1:]
	q.ended = q.ended || f.flags&bufLast != 0
	b.index, b.flags, b.sequence = uint32(f.index), f.flags, f.sequence
	b.sec, b.usec = int(f.at/time.Second), int(f.at%time.Second/time.Microsecond)
	if !multiplanar(b.typ) {
		b.bytesUsed, b.length = uint32(f.used[0]), uint32(q.planes[0])
		return nil
	}
	for p, n := range f.used {
		planesOf(b)[p].bytesUsed, planesOf(b)[p].dataOffset = uint32(n), uint32(f.offset)
	}
	b.length = uint32(len(q.planes))
	return nil
}

func (f *fakeFile) poll(events int16, timeout time.Duration) (int16, bool, error) {
	var late <-chan time.Time
	if timeout >= 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		late = timer.C
	}
	for {
		f.mu.Lock()
		got, woken, changed := f.events(events), f.woken, f.changed
		f.woken = false
		f.mu.Unlock()
		if got != 0 || woken {
			return got, woken, nil
		}
		select {
		case <-changed:
		case <-late:
			return 0, false, nil
		}
	}
}

// events is what poll sees. Called with mu held.
func (k *fakeKernel) events(want int16) (got int16) {
	if want == 0 {
		return 0
	}
	for typ, q := range k.queues {
		event := int16(unix.POLLIN)
		if typ == typeOutput || typ == typeOutputMP {
			event = unix.POLLOUT
		}
		if len(q.done) > 0 || q.ended && event == unix.POLLIN {
			got |= event
		}
	}
	return got&want | k.hangUp
}

func (f *fakeFile) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		panic("wake of a closed node")
	}
	f.woken = true
	f.change()
}

// deliver fills the oldest queued CAPTURE buffer with planes of bytes; false if the driver has none left.
func (k *fakeKernel) deliver(f filledBuffer, planes ...[]byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	typ := uint32(typeCapture)
	if k.queues[typ] == nil {
		typ = typeCaptureMP
	}
	defer k.change()
	return k.finish(typ, f, planes...)
}

func (k *fakeKernel) finish(typ uint32, f filledBuffer, planes ...[]byte) bool {
	q := k.queues[typ]
	if q == nil || len(q.queued) == 0 {
		return false
	}
	f.index = q.queued[0]
	q.queued, q.pending = q.queued[1:], q.pending[1:]
	for p, b := range planes {
		f.used = append(f.used, f.offset+copy(q.mem[f.index][p][f.offset:], b))
	}
	for len(f.used) < len(q.planes) {
		f.used = append(f.used, 0)
	}
	q.done = append(q.done, f)
	return true
}

func discrete(fourCC uint32, sizes ...size) (out []frmSizeEnum) {
	for _, s := range sizes {
		out = append(out, frmSizeEnum{pixelFormat: fourCC, typ: sizeDiscrete,
			size: [6]uint32{uint32(s.width), uint32(s.height)}})
	}
	return out
}

// fakeCamera offers formats at 640x480.
func fakeCamera(typ uint32, formats ...uint32) *fakeKernel {
	caps := uint32(capCapture | capStreaming)
	if multiplanar(typ) {
		caps = capCaptureMP | capStreaming
	}
	k := newFake(caps)
	for _, f := range formats {
		k.formats[typ] = append(k.formats[typ], fmtDesc{pixelFormat: f, typ: typ})
		k.sizes[f] = discrete(f, size{640, 480})
	}
	k.parm[typ] = fract{}
	return k
}

func (k *fakeKernel) camera(t *testing.T) *camera {
	t.Helper()
	c, err := openCamera(k.opener, "/dev/video0", testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	c.now = func() time.Duration { return 100 * time.Second }
	t.Cleanup(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.open != 0 {
			t.Errorf("the node is still open %d times", k.open)
		}
	})
	return c
}

func start(t *testing.T, c hal.Camera, want hal.Mode) hal.Capture {
	t.Helper()
	s, err := c.Start(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
