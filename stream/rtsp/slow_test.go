package rtsp

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
)

// Readers that stop reading are dropped forward and cut off; who reads loses nothing, and memory stays bounded.
func TestStalledReaders(t *testing.T) {
	t.Parallel()
	const stalled = 200
	c := newCamera("main", cameraOptions{canForce: true, idrSize: 100000, size: 40000})
	s := testServer(t, Options{stall: 3 * time.Second}, c)
	c.run(t, 50)
	good := watch(t, s.Addr().String(), "rtsp", "viewer:x@", "main", gortsplib.ProtocolTCP)
	good.expect(t, 10)
	for range stalled {
		r := dialRaw(t, s)
		if err := r.nc.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		r.login()
		id := r.setup("main", tcpSetup)
		r.send("PLAY", "main", map[string]string{"Session": id}) // and not a byte is read from now on
		select {
		case p := <-good.pictures:
			if p.frame != good.last.frame+1 {
				t.Errorf("frame %d follows %d", p.frame, good.last.frame)
			}
			good.last = p
		default:
		}
	}
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	good.expect(t, 100) // 4 MB for each reader
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > 64<<20 {
		t.Errorf("%d MiB in use with %d stalled readers", after.HeapAlloc>>20, stalled)
	}
	if s.Stats().Dropped == 0 {
		t.Error("nothing was dropped")
	}
	good.expect(t, 150) // until the stall limit has passed
	if n := s.Stats().Stalled; n < stalled*9/10 {
		t.Errorf("%d of %d stalled readers cut off", n, stalled)
	}
	t.Logf("heap %d KiB, then %d KiB", before.HeapAlloc>>10, after.HeapAlloc>>10)
}

// A reader that is slow but alive gets whole access units: from an IDR on, without a gap in between.
func TestSlowReaderGoesOnAtAnIDR(t *testing.T) {
	t.Parallel()
	peer, nc := tcpPair(t)
	defer func() { _ = peer.Close() }()
	f := newRig(t, "udp", "", sendSegments, cameraOptions{canForce: true, gop: 1000, idrSize: 100000, size: 50000})
	c := f.camera
	sub := c.hub.Subscribe(1)
	defer sub.Close()
	w := newWriter(nc, &f.s.wg, f.s.stall)
	f.add(&tcpOutlet{w: w}, true)
	shoot := func() {
		c.shoot()
		au, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.distribute(au)
	}
	r := newRaw(t, peer)
	for f.tcp[0].phase == live {
		shoot()
	}
	received := make(chan []picture)
	go func() { received <- r.pictures(100) }()
	for !w.idle() {
		runtime.Gosched()
	}
	c.forced.Store(true) // what the fan-out asks for when the reader is idle again: the hub has its own limit
	for i := range 200 {
		shoot()
		for i%2 == 0 && !w.idle() {
			runtime.Gosched()
		}
	}
	checkGaps(t, <-received)
	_ = w.close()
	f.s.wg.Wait()
}

// checkGaps wants pictures to be missing, and an IDR after each gap.
func checkGaps(t *testing.T, got []picture) {
	t.Helper()
	gaps := 0
	for i, p := range got {
		switch {
		case i == 0 && !p.idr:
			t.Error("begins without an IDR")
		case i > 0 && p.frame != got[i-1].frame+1:
			if gaps++; !p.idr {
				t.Errorf("after a gap comes frame %d, which is no IDR", p.frame)
			}
		}
	}
	if gaps == 0 {
		t.Error("nothing was dropped")
	}
}

// pictures reads n access units from channel 0.
func (r *raw) pictures(n int) []picture {
	var out []picture
	for len(out) < n {
		f := r.frame()
		if f.Channel != 0 {
			continue
		}
		b := f.Payload[12:]
		switch kind := b[0] & 0x1f; {
		case kind == 28 && b[1]&0x80 != 0: // the first FU-A of a slice: header byte, frame number
			out = append(out, picture{frame: frameOf(b[2:]), idr: b[1]&0x1f == 5})
		case kind == 1 || kind == 5:
			out = append(out, picture{frame: frameOf(b[1:]), idr: kind == 5})
		}
	}
	return out
}

// Replies to a client that never reads end the connection, before they take memory.
func TestClientThatNeverReadsReplies(t *testing.T) {
	t.Parallel()
	s := testServer(t, Options{}, newCamera("main", cameraOptions{}))
	r := dialRaw(t, s)
	requests := []byte(strings.Repeat("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 100))
	for {
		if _, err := r.nc.Write(requests); err != nil {
			break
		}
	}
	for s.Stats().Connections > 0 {
		runtime.Gosched()
	}
	if n := s.Stats().Stalled; n != 1 {
		t.Errorf("%d connections cut off, want 1", n)
	}
}

// Media and replies are not torn apart when the connection takes them piece by piece.
func TestRepliesBetweenMedia(t *testing.T) {
	t.Parallel()
	c := newCamera("main", cameraOptions{canForce: true, idrSize: 600000, size: 10000})
	s := testServer(t, Options{}, c)
	c.run(t, 50)
	r := dialRaw(t, s)
	if err := r.nc.(*net.TCPConn).SetReadBuffer(32768); err != nil {
		t.Fatal(err)
	}
	r.login()
	id := r.setup("main", tcpSetup)
	r.must("PLAY", "main", map[string]string{"Session": id})
	for range 20 {
		r.must("GET_PARAMETER", "main", map[string]string{"Session": id})
	}
	if _, err := io.WriteString(r.nc, "$\x00\xff\xff"); err != nil { // an oversized frame is passed over
		t.Fatal(err)
	}
	r.write(string(make([]byte, 0xffff)))
	r.must("GET_PARAMETER", "main", map[string]string{"Session": id})
}
