package rtsp

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/headers"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/stream/rtp"
)

// firstPicture plays over TCP and returns how long after PLAY the first access unit was complete that decoding can
// start with, and leaves.
func firstPicture(t *testing.T, s *Server, path string) time.Duration {
	t.Helper()
	r := dialRaw(t, s).login()
	r.must("DESCRIBE", path, nil)
	id := r.setup(path, tcpSetup)
	begin := time.Now()
	res := r.must("PLAY", path, map[string]string{"Session": id})
	var info headers.RTPInfo
	if v := res.Header["RTP-Info"]; v != nil {
		if err := info.Unmarshal(v); err != nil {
			t.Fatal(err)
		}
	}
	for first := true; ; {
		f := r.frame()
		if f.Channel != 0 {
			continue
		}
		h, payload, err := rtp.Parse(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if first && len(info) > 0 && (*info[0].SequenceNumber != h.SequenceNumber || *info[0].Timestamp != h.Timestamp) {
			t.Errorf("RTP-Info says %d %d, first packet is %d %d", *info[0].SequenceNumber, *info[0].Timestamp,
				h.SequenceNumber, h.Timestamp)
		}
		if isIDR := payload[0]&0x1f == 5 || payload[0]&0x1f == 28 && payload[1]&0x1f == 5; first {
			if payload[0]&0x1f != 24 { // the STAP-A of the parameter sets
				t.Errorf("first packet has NAL unit type %d", payload[0]&0x1f)
			}
		} else if isIDR && h.Marker {
			return time.Since(begin)
		}
		first = false
	}
}

// Forty readers join 97 ms apart: whatever the phase, each has a picture in time.
func TestFirstPicture(t *testing.T) {
	t.Parallel()
	for _, fps := range []int{25, 15} {
		for _, canForce := range []bool{true, false} {
			t.Run(fmt.Sprintf("%dfps/force=%v", fps, canForce), func(t *testing.T) {
				t.Parallel()
				c := newCamera("main", cameraOptions{canForce: canForce, gop: 2 * fps})
				s := testServer(t, Options{}, c)
				c.run(t, fps)
				firstPicture(t, s, "main") // starts the camera
				tick := time.NewTicker(97 * time.Millisecond)
				defer tick.Stop()
				worst, late := time.Duration(0), 0
				for range 40 {
					<-tick.C
					d := firstPicture(t, s, "main")
					if worst = max(worst, d); d > 200*time.Millisecond {
						late++
					}
				}
				t.Logf("worst of 40: %v; %d IDRs, %d replays", worst, c.idrs.Load(), s.Stats().Replays)
				if late > 2 { // a busy machine is not a fault of ours
					t.Errorf("%d of 40 waited more than 200 ms", late)
				}
			})
		}
	}
}

// A GOP above the bound is not kept, and readers that join wait for the next IDR.
func TestOversizedGOPIsForgotten(t *testing.T) {
	t.Parallel()
	f := newRig(t, "udp", "", sendSegments, cameraOptions{})
	f.config.GOPBytes = 30000
	kept := []int{}
	for i := range 8 {
		f.shoot(i == 0 || i == 6, append([]byte{0x41}, make([]byte, 8000)...))
		kept = append(kept, len(f.gop))
	}
	if got, want := fmt.Sprint(kept), "[1 2 3 0 0 0 1 2]"; got != want {
		t.Errorf("GOP kept: %s, want %s", got, want)
	}
}

func TestPauseAndPlayAgain(t *testing.T) {
	t.Parallel()
	c := newCamera("main", cameraOptions{canForce: true})
	s := testServer(t, Options{}, c)
	c.run(t, 50)
	r := dialRaw(t, s).login()
	id := r.setup("main", tcpSetup)
	session := map[string]string{"Session": id}
	for range 3 {
		r.must("PLAY", "main", session)
		for f := r.frame(); f.Channel != 0; f = r.frame() {
		}
		r.must("PAUSE", "main", session)
		// What comes next is the answer, and no packet in front of it.
		r.must("GET_PARAMETER", "main", session)
		if n := r.br.Buffered(); n > 0 {
			t.Fatalf("%d bytes after PAUSE", n)
		}
		if n := s.Stats().Streams[0].Readers[string(tcpTransport)]; n != 0 {
			t.Errorf("%d readers after PAUSE", n)
		}
	}
	r.must("TEARDOWN", "main", session)
	r.must("OPTIONS", "main", nil)
}

// Two streams on one connection: they get different channels, and one ends without the other.
func TestTwoSessionsOnAConnection(t *testing.T) {
	t.Parallel()
	a, b := newCamera("main", cameraOptions{canForce: true}), newCamera("sub", cameraOptions{canForce: true})
	s := testServer(t, Options{}, a, b)
	a.run(t, 50)
	b.run(t, 50)
	r := dialRaw(t, s).login()
	first := r.setup("main", tcpSetup)
	res := r.must("SETUP", "sub/trackID=0", map[string]string{"Transport": tcpSetup})
	if got, want := res.Header["Transport"][0], "interleaved=2-3"; !strings.Contains(got, want) {
		t.Fatalf("second session has %s, want %s", got, want)
	}
	second := res.Header["Session"][0]
	r.must("PLAY", "main", map[string]string{"Session": first})
	r.must("PLAY", "sub", map[string]string{"Session": second})
	r.waitFor(0)
	r.waitFor(2)
	r.must("TEARDOWN", "main", map[string]string{"Session": first})
	for range 20 {
		if f := r.frame(); f.Channel < 2 {
			t.Fatalf("a frame on channel %d after TEARDOWN", f.Channel)
		}
	}
}

// waitFor reads until a frame comes on that channel.
func (r *raw) waitFor(channel int) []byte {
	r.t.Helper()
	for {
		if f := r.frame(); f.Channel == channel {
			return f.Payload
		}
	}
}

// When the stream ends its readers are told, and the sessions are gone.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	c := newCamera("main", cameraOptions{canForce: true})
	s := testServer(t, Options{}, c)
	r := dialRaw(t, s).login()
	r.send("DESCRIBE", "main", nil)
	for c.hub.Stats().Subscribers == 0 {
		runtime.Gosched()
	}
	c.shoot()
	r.receive()
	id := r.setup("main", tcpSetup)
	r.must("PLAY", "main", map[string]string{"Session": id})
	r.waitFor(0)
	c.hub.Close()
	var report rtp.RTCP
	for len(report.Byes) == 0 {
		if err := rtp.ParseRTCP(r.waitFor(1), &report); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.do("PLAY", "main", map[string]string{"Session": id}).StatusCode; got != 454 {
		t.Errorf("PLAY after the end: got %d, want 454", got)
	}
	if got := r.do("DESCRIBE", "main", nil).StatusCode; got != 503 {
		t.Errorf("DESCRIBE after the end: got %d, want 503", got)
	}
}

// The bytes of an access unit arrive as they were, whatever their number and size.
func TestAccessUnitsArriveWhole(t *testing.T) {
	t.Parallel()
	c := newCamera("main", cameraOptions{canForce: true, idrSize: 400000, size: 3000})
	s := testServer(t, Options{}, c)
	c.run(t, 50)
	r := dialRaw(t, s).login()
	id := r.setup("main", tcpSetup)
	r.must("PLAY", "main", map[string]string{"Session": id})
	var d rtp.Depacketizer
	for units := 0; units < 30; {
		h, payload, err := rtp.Parse(r.waitFor(0))
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range d.Push(h, payload) {
			slice := u.NALUs[len(u.NALUs)-1]
			want := c.size
			if h264.HasIDR(u.NALUs) {
				want = c.idrSize
			}
			if len(slice) != want {
				t.Errorf("unit %d: slice of %d bytes, want %d", units, len(slice), want)
			}
			units++
		}
	}
	if st := d.Stats(); st.Lost != 0 {
		t.Errorf("%d packets lost", st.Lost)
	}
}
