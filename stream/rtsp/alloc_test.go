package rtsp

import (
	"io"
	"net"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/internal/monotime"
)

// Not parallel: it counts what the whole process allocates.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes pools forget")
	}
	config := DefaultConfig()
	config.Address, config.TLSAddress = "127.0.0.1:0", "off"
	s, err := New(Options{Config: config, Gate: openDoor{}})
	if err != nil {
		t.Fatal(err)
	}
	if s.pair, err = s.listenUDP(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.pair.close() }()
	c := newCamera("main", cameraOptions{})
	f := newFanout(s, 0, c.hub)
	f.unicast = newUDPSender(s.pair.rtp, &s.counts.udpFailures)
	var wg sync.WaitGroup
	defer wg.Wait()
	later := time.Now().Add(time.Hour)
	for i := range 4 {
		peer, nc := tcpPair(t)
		defer func() { _ = peer.Close() }()
		wg.Go(func() { _, _ = io.Copy(io.Discard, peer) })
		w := newWriter(nc, &s.wg, s.stall)
		defer func() { _ = w.close() }()
		f.add(&reader{tcp: true, outlet: &tcpOutlet{w: w, channel: uint8(2 * (i % 2))}, nextReport: later})
		u := listenClient(t, "udp4", "127.0.0.1")
		to := u.LocalAddr().(*net.UDPAddr).AddrPort()
		f.add(&reader{outlet: newUDPOutlet(f.unicast, &f.pacer, to, s.pair.rtcp, to, s.pair.rtp.inet6), nextReport: later})
	}
	units := [2]*h264.AccessUnit{c.pool.Copy(make([]byte, 9000)), c.pool.Copy(testSPS(), testPPS(), make([]byte, 40000))}
	units[0].NALUs[0][0], units[1].NALUs[2][0] = 0x41, 0x65
	units[1].IDR = true
	gop := func() {
		for i := range 50 {
			au := units[0]
			if i == 0 {
				au = units[1]
			}
			au.PTS = monotime.Now()
			f.distribute(au.Retain())
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for range 4 {
		gop()
	}
	// A reader that was not let run in time costs a queue; that is not the steady state.
	best := testing.AllocsPerRun(1, gop)
	for range 9 {
		best = min(best, testing.AllocsPerRun(1, gop))
	}
	if best > 0 {
		t.Errorf("%v allocations in 50 access units for 8 readers, want none", best)
	}
	f.forgetGOP()
}
