package rtsp

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/headers"

	"github.com/ocellus/ocellus/stream/rtp"
)

// listenClient opens a UDP port with a large buffer.
func listenClient(t testing.TB, network, host string) *net.UDPConn {
	t.Helper()
	u, err := net.ListenUDP(network, &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Skipf("no %s on %s: %v", network, host, err)
	}
	t.Cleanup(func() { _ = u.Close() })
	_ = u.SetReadBuffer(4 << 20)
	if err := u.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return u
}

func portOf(u *net.UDPConn) int { return u.LocalAddr().(*net.UDPAddr).Port }

// All ways to send give the same datagrams, over both families.
func TestSendModes(t *testing.T) {
	t.Parallel()
	modes := map[string]sendMode{"segments": sendSegments, "batch": sendBatch, "single": sendSingle}
	for name, mode := range modes {
		for _, host := range []string{"127.0.0.1", "::1"} {
			for _, wildcard := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/wildcard=%v", name, host, wildcard), func(t *testing.T) {
					t.Parallel()
					testSendMode(t, mode, host, wildcard)
				})
			}
		}
	}
}

func testSendMode(t *testing.T, mode sendMode, host string, wildcard bool) {
	client := listenClient(t, "udp", host)
	own := ""
	if !wildcard {
		own = host
	}
	f := newRig(t, "udp", own, mode, cameraOptions{})
	f.addUDP(client.LocalAddr().(*net.UDPAddr).AddrPort())
	buf := make([]byte, 2048)
	for i, sizes := range [][]int{
		{30000, 7, 500}, {1}, {100, 5000, 5000}, {1186, 1187, 1188, 1189}, {150000}, {60000, 60000}, {20},
	} {
		nalus := make([][]byte, len(sizes))
		for k, n := range sizes {
			nalus[k] = bytes.Repeat([]byte{byte(i*16+k) | 1}, n)
		}
		f.shoot(true, nalus...)
		f.finish()
		burst := f.gop[0].burst
		for k := range burst.Len() {
			n, err := client.Read(buf)
			if err != nil {
				t.Fatalf("unit %d packet %d of %d: %v", i, k, burst.Len(), err)
			}
			if !bytes.Equal(buf[:n], burst.Packet(k)) {
				t.Fatalf("unit %d packet %d of %d differs", i, k, burst.Len())
			}
		}
	}
	if n := f.s.counts.udpFailures.Load(); n > 0 {
		t.Errorf("%d sends failed", n)
	}
	if got := sendMode(f.pair.rtp.mode.Load()); got != mode {
		t.Errorf("mode fell from %d to %d", mode, got)
	}
}

// What the kernel refuses goes back to its readers, and each gets its packets once and in order.
func TestUDPSenderRecovers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		errno []syscall.Errno // of the first calls; 0: all is taken
		plain bool
		fails uint64
	}{
		{"full socket", []syscall.Errno{syscall.EAGAIN}, false, 0},
		{"full device queue", []syscall.Errno{syscall.ENOBUFS, syscall.ENOBUFS}, false, 0},
		{"interrupted", []syscall.Errno{syscall.EINTR}, false, 0},
		{"no segments on this route", []syscall.Errno{syscall.EIO}, true, 0},
		{"device without checksums", []syscall.Errno{syscall.EINVAL}, true, 0},
		{"no route", []syscall.Errno{syscall.ENETUNREACH}, false, 1},
		{"no sendmmsg", []syscall.Errno{syscall.ENOSYS}, false, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := listenClient(t, "udp4", "127.0.0.1")
			f := newRig(t, "udp4", "127.0.0.1", sendSegments, cameraOptions{})
			call := f.unicast.call
			left := test.errno
			f.unicast.call = func() (int, syscall.Errno) {
				if len(left) > 0 {
					errno := left[0]
					left = left[1:]
					return 0, errno
				}
				return call()
			}
			o := f.addUDP(client.LocalAddr().(*net.UDPAddr).AddrPort())
			for i := range 3 {
				f.shoot(i == 0, bytes.Repeat([]byte{0x65}, 30000))
			}
			f.finish()
			if o.plain != test.plain {
				t.Errorf("plain: %v, want %v", o.plain, test.plain)
			}
			if got := f.s.counts.udpFailures.Load(); got != test.fails {
				t.Errorf("%d failures, want %d", got, test.fails)
			}
			var want []uint16
			for _, d := range f.gop {
				for k := range d.burst.Len() {
					want = append(want, d.burst.FirstSeq()+uint16(k))
				}
			}
			want = want[int(test.fails)*f.gop[0].burst.Len():]
			if got := sequenceNumbers(t, client, len(want)); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func sequenceNumbers(t *testing.T, u *net.UDPConn, n int) []uint16 {
	t.Helper()
	var got []uint16
	buf := make([]byte, 2048)
	for range n {
		k, err := u.Read(buf)
		if err != nil {
			t.Fatalf("after %d packets: %v", len(got), err)
		}
		h, _, err := rtp.Parse(buf[:k])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.SequenceNumber)
	}
	return got
}

// setupUDP makes a UDP session that sends to the client's ports.
func (r *raw) setupUDP(path string, rtp, rtcp *net.UDPConn, extra string) (id string, answer headers.Transport) {
	r.t.Helper()
	res := r.must("SETUP", path, map[string]string{
		"Transport": fmt.Sprintf("RTP/AVP;unicast;client_port=%d-%d%s", portOf(rtp), portOf(rtcp), extra),
	})
	if err := answer.Unmarshal(res.Header["Transport"]); err != nil {
		r.t.Fatal(err)
	}
	var session headers.Session
	if err := session.Unmarshal(res.Header["Session"]); err != nil {
		r.t.Fatal(err)
	}
	if session.Timeout == nil || *session.Timeout != 60 {
		r.t.Errorf("Session field is %v, want a timeout of 60", res.Header["Session"])
	}
	return session.Session, answer
}

// A 400 kB IDR reaches a receiver whose buffer has the default size, and nobody is sent to but who asked.
// Not parallel: a receiver that is not let run for milliseconds loses packets.
func TestLargeIDROverUDP(t *testing.T) {
	c := newCamera("main", cameraOptions{canForce: true, idrSize: 400000, size: 5000, gop: 25})
	s := testServer(t, Options{}, c)
	c.run(t, 25)
	r := dialRaw(t, s).login()
	a, b := listenClient(t, "udp4", "127.0.0.1"), listenClient(t, "udp4", "127.0.0.1")
	_ = a.SetReadBuffer(212992 / 2) // what the kernel doubles to the default
	id, answer := r.setupUDP("main", a, b, ";destination=127.0.0.9")
	if answer.Destination2 != nil || answer.ServerPorts == nil || answer.ServerPorts[0]%2 != 0 {
		t.Errorf("transport answered: %+v", answer)
	}
	r.must("PLAY", "main", map[string]string{"Session": id})
	var packets [][]byte
	arena := make([]byte, 4<<20)
	for pictures := 0; pictures < 60; { // taken apart later: this loop has to be fast
		n, from, err := a.ReadFromUDPAddrPort(arena)
		if err != nil {
			t.Fatal(err)
		}
		if int(from.Port()) != answer.ServerPorts[0] {
			t.Fatalf("packet from port %d, want %d", from.Port(), answer.ServerPorts[0])
		}
		if arena[1]&0x80 != 0 { // marker
			pictures++
		}
		packets, arena = append(packets, arena[:n]), arena[n:]
	}
	var d rtp.Depacketizer
	for _, p := range packets {
		h, payload, err := rtp.Parse(p)
		if err != nil {
			t.Fatal(err)
		}
		if answer.SSRC == nil || h.SSRC != *answer.SSRC {
			t.Fatalf("SSRC %x, want %x", h.SSRC, *answer.SSRC)
		}
		d.Push(h, payload)
	}
	if st := d.Stats(); st.Lost > st.Packets/5 { // without the steps it is half of them; a busy machine is not a fault of ours
		t.Errorf("%d of %d packets lost", st.Lost, st.Packets)
	} else {
		t.Logf("%d of %d packets lost", st.Lost, st.Packets)
	}
}

// A large burst goes out in steps, and in the end all of it.
func TestPacing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		size, largest, steps int // of the burst; of a step, at most; how many at least
	}{
		{paceBytes - 2000, paceBytes, 0},
		{400000, paceStep + 1200, 16},
		{3 << 20, 52000, 60},
	}
	for _, test := range tests {
		f := newRig(t, "udp4", "127.0.0.1", sendSegments, cameraOptions{})
		total, step, largest := 0, 0, 0
		f.unicast.call = func() (int, syscall.Errno) {
			for i := f.unicast.at; i < f.unicast.n; i++ {
				m := f.unicast.messages[i]
				step += m.d.bytes(m.first, int(f.unicast.hdrs[i].hdr.Iovlen))
			}
			return f.unicast.n - f.unicast.at, 0
		}
		f.addUDP(netip.MustParseAddrPort("127.0.0.1:9"))
		f.shoot(true, append([]byte{0x65}, make([]byte, test.size)...))
		total, steps := step, 0
		for ; len(f.pacer.lagging) > 0; steps++ {
			step = 0
			f.tick(time.Now())
			total, largest = total+step, max(largest, step)
		}
		if d := f.gop[0]; total != d.size-frameHeader*d.burst.Len() {
			t.Errorf("burst of %d: %d bytes of %d sent", test.size, total, d.size)
		}
		if steps < test.steps || largest > test.largest {
			t.Errorf("burst of %d: %d steps of %d bytes at most, want %d of %d", test.size, steps, largest, test.steps,
				test.largest)
		}
	}
}

// Receiver reports are kept, keep the session alive, and an address that is not the session's says nothing.
func TestReceiverReports(t *testing.T) {
	t.Parallel()
	c := newCamera("main", cameraOptions{canForce: true})
	s := testServer(t, Options{}, c)
	c.run(t, 50)
	r := dialRaw(t, s).login()
	a, b := listenClient(t, "udp4", "127.0.0.1"), listenClient(t, "udp4", "127.0.0.1")
	id, answer := r.setupUDP("main", a, b, "")
	r.must("PLAY", "main", map[string]string{"Session": id})
	var sr rtp.RTCP
	buf := make([]byte, 2048)
	n, err := b.Read(buf)
	if err != nil || rtp.ParseRTCP(buf[:n], &sr) != nil || len(sr.Senders) != 1 || len(sr.CNAME) == 0 {
		t.Fatalf("sender report: %v %+v", err, sr)
	}
	s.mu.Lock()
	x := s.sessions[id]
	s.mu.Unlock()
	x.seen.Store(0)
	report := rtp.AppendRR(nil, 1, "me", rtp.ReportBlock{
		SSRC: *answer.SSRC, FractionLost: 64, Lost: 7, Jitter: 900, LastSR: uint32(sr.Senders[0].NTP >> 16),
	})
	to := net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: answer.ServerPorts[1]}
	if _, err := a.WriteToUDP(report, &to); err != nil { // from the wrong port
		t.Fatal(err)
	}
	if _, err := b.WriteToUDP([]byte("garbage"), &to); err != nil {
		t.Fatal(err)
	}
	if _, err := b.WriteToUDP(report, &to); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); x.report.Load() == nil; {
		if time.Now().After(deadline) {
			t.Fatal("the report is not heard")
		}
	}
	if x.seen.Load() == 0 {
		t.Error("a report does not keep the session alive")
	}
	st := s.Stats().Streams[0]
	if st.FractionLost != 0.25 || st.Lost != 7 || st.Jitter != 10*time.Millisecond || st.Readers["udp"] != 1 {
		t.Errorf("figures: %+v", st)
	}
}

// The packets of a UDP session end with its connection.
func TestUDPSessionEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	c := newCamera("main", cameraOptions{canForce: true})
	s := testServer(t, Options{}, c)
	c.run(t, 50)
	for range 3 { // the same ports may be used again at once
		r := dialRaw(t, s).login()
		a, b := listenClient(t, "udp4", "127.0.0.1"), listenClient(t, "udp4", "127.0.0.1")
		id, _ := r.setupUDP("main", a, b, "")
		r.must("PLAY", "main", map[string]string{"Session": id})
		sequenceNumbers(t, a, 5)
		_ = r.nc.Close()
		for s.Stats().Streams[0].Sessions > 0 {
			if t.Context().Err() != nil {
				t.Fatal("the session stays")
			}
		}
		_, _ = a.Close(), b.Close()
	}
}

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		transport transport
		playing   bool
		silent    time.Duration
		want      bool
	}{
		{"udp", udpTransport, true, 64 * time.Second, false},
		{"udp silent", udpTransport, true, 66 * time.Second, true},
		{"multicast silent", multicastTransport, true, 66 * time.Second, true},
		{"tcp plays", tcpTransport, true, time.Hour, false},
		{"tcp paused", tcpTransport, false, 66 * time.Second, true},
	}
	for _, test := range tests {
		x := &session{transport: test.transport}
		x.playing.Store(test.playing)
		if got := x.expired(test.silent); got != test.want {
			t.Errorf("%s: expired %v, want %v", test.name, got, test.want)
		}
	}
}
