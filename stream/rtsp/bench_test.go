package rtsp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/internal/monotime"
)

// BenchmarkFanout compares the fan-out with a program that does nothing but the system calls, in one run: one write
// (TCP) or one sendto with UDP_SEGMENT 1200 (UDP) a reader and access unit. It counts the CPU time of the sending
// thread, kernel included, while every reader is asleep in read before each access unit: 9.35 kB, each fiftieth 40 kB.
// The metric "x-floor" is the ratio; the slope from 10 to 200 readers is what counts.
func BenchmarkFanout(b *testing.B) {
	for _, transport := range []string{"tcp", "udp"} {
		for _, readers := range []int{10, 200} {
			b.Run(fmt.Sprintf("%s/%d", transport, readers), func(b *testing.B) { benchmarkFanout(b, transport, readers) })
		}
	}
}

func benchmarkFanout(b *testing.B, transport string, n int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f := newRig(b, "udp", "", sendSegments, cameraOptions{})
	ours, floor := newSinks(b, transport, n), newSinks(b, transport, n)
	for i := range n {
		ours.join(f, i)
	}
	units := testUnits(f.camera)
	plain := make([]byte, 41500)
	var spent, spentFloor time.Duration
	round := func(i int) {
		au, size := units[0], 9350+8*16
		if i%50 == 0 {
			au, size = units[1], 40000+35*16
		}
		au.PTS = monotime.Now()
		begin := threadTime()
		f.distribute(au.Retain())
		spent += threadTime() - begin
		d := f.gop[len(f.gop)-1]
		ours.await(d.size - ours.overhead(d))
		begin = threadTime()
		floor.sendRaw(b, plain[:size])
		spentFloor += threadTime() - begin
		floor.await(size)
	}
	for i := range 150 { // until every pool is full
		round(i)
	}
	spent, spentFloor = 0, 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		round(i)
	}
	perUnit := float64(b.N * n)
	b.ReportMetric(float64(spent)/perUnit, "ns/reader")
	b.ReportMetric(float64(spentFloor)/perUnit, "floor-ns/reader")
	b.ReportMetric(float64(spent)/float64(spentFloor), "x-floor")
	if d := f.s.counts.dropped.Load() + f.s.counts.udpFailures.Load(); d > 0 {
		b.Fatalf("%d access units dropped", d)
	}
}

// testUnits returns a picture and an IDR as a 720p camera makes them at 2 Mbit/s.
func testUnits(c *camera) [2]*h264.AccessUnit {
	units := [2]*h264.AccessUnit{c.pool.Copy(make([]byte, 9350)), c.pool.Copy(testSPS(), testPPS(), make([]byte, 40000))}
	units[0].NALUs[0][0], units[1].NALUs[2][0] = 0x41, 0x65
	units[1].IDR = true
	return units
}

func threadTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

// sinks are n receivers on loopback that count what they get, and the sending ends.
type sinks struct {
	transport string
	conns     []net.Conn // sending ends
	fds       []int      // of conns
	addrs     []netip.AddrPort
	bytes     []atomic.Uint64 // that each has got
	sent      uint64
	socket    int // of the floor's UDP
}

func newSinks(b testing.TB, transport string, n int) *sinks {
	s := &sinks{transport: transport, bytes: make([]atomic.Uint64, n)}
	var wg sync.WaitGroup
	var ends []net.Conn
	for i := range n {
		var in, out net.Conn
		if transport == "tcp" {
			in, out = tcpPair(b)
			s.conns = append(s.conns, out)
			s.fds = append(s.fds, fdOf(b, out))
		} else {
			u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				b.Fatal(err)
			}
			in = u
			s.addrs = append(s.addrs, u.LocalAddr().(*net.UDPAddr).AddrPort())
		}
		ends = append(ends, in)
		wg.Go(func() {
			buf := make([]byte, 64<<10)
			for {
				k, err := in.Read(buf)
				if err != nil {
					return
				}
				s.bytes[i].Add(uint64(k))
			}
		})
	}
	if transport == "udp" {
		u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		s.socket = fdOf(b, u)
		ends = append(ends, u)
	}
	b.Cleanup(func() {
		for _, c := range append(ends, s.conns...) {
			_ = c.Close()
		}
		wg.Wait()
	})
	return s
}

func tcpPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	_ = b.(*net.TCPConn).SetWriteBuffer(mediaSendBuffer)
	return a, b
}

func fdOf(t testing.TB, c any) (fd int) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = int(n) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// join makes sink i a reader of the fan-out.
func (s *sinks) join(f *rig, i int) {
	if s.transport == "tcp" {
		f.add(&tcpOutlet{w: newWriter(s.conns[i], &f.s.wg, f.s.stall)}, true)
	} else {
		f.addUDP(s.addrs[i])
	}
}

// sendRaw is the floor.
func (s *sinks) sendRaw(b *testing.B, data []byte) {
	if s.transport == "tcp" {
		for _, fd := range s.fds {
			if n, err := syscall.Write(fd, data); err != nil || n != len(data) {
				b.Fatalf("floor: wrote %d of %d: %v", n, len(data), err)
			}
		}
		return
	}
	var control [segmentControl]byte
	putSegmentControl(&control, 1200)
	for i := range s.addrs {
		var sa unix.RawSockaddrInet6
		v := unix.Iovec{Base: &data[0]}
		v.SetLen(len(data))
		h := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&sa)), Namelen: putSockaddr(&sa, s.addrs[i], false), Iov: &v}
		h.SetIovlen(1)
		h.Control = &control[0]
		h.SetControllen(unix.CmsgSpace(2))
		_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(s.socket), uintptr(unsafe.Pointer(&h)), 0)
		if errno != 0 {
			b.Fatal(errors.Join(errors.New("floor"), errno))
		}
	}
}

// overhead is what of a delivery a UDP reader does not get: the framing.
func (s *sinks) overhead(d *delivery) int {
	if s.transport == "tcp" {
		return 0
	}
	return frameHeader * d.burst.Len()
}

// await waits until every receiver has got size bytes more, and sleeps again.
func (s *sinks) await(size int) {
	s.sent += uint64(size)
	for i := range s.bytes {
		for s.bytes[i].Load() < s.sent {
			runtime.Gosched()
		}
	}
}
