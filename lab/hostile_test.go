package lab

import (
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestBadRequests: every wrong request has its status code, and the connection or the agent lives on.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	tests := []struct {
		name string
		do   func(r *raw) answer
		want []int // 0: the agent hangs up
	}{
		{"garbage", func(r *raw) answer { r.write("\x00\xff\x16\x03 what?\r\n\r\n"); return r.read() }, []int{400, 0}},
		{"HTTP", func(r *raw) answer { r.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"); return r.read() }, []int{400, 405, 501, 505, 0}},
		{"unknown method", func(r *raw) answer { return r.do("DANCE", r.base) }, []int{405, 501}},
		{"other stream", func(r *raw) answer {
			r.login()
			return r.do("DESCRIBE", strings.Replace(r.base, "/main", "/attic", 1), "Accept: application/sdp")
		}, []int{404}},
		{"header of 1 MB", func(r *raw) answer {
			r.write("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n")
			return r.read()
		}, []int{400, 413, 414, 431, 0}},
		{"body of 1 GB", func(r *raw) answer {
			r.write("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1073741824\r\n\r\n")
			return r.read()
		}, []int{400, 413, 0}},
		{"ten requests at once", func(r *raw) answer {
			r.write(strings.Repeat("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 10))
			for range 9 {
				if a := r.read(); a.code != 200 {
					return a
				}
			}
			return r.read()
		}, []int{200}},
		{"PLAY without SETUP", func(r *raw) answer { r.login(); return r.do("PLAY", r.base) }, []int{454, 455}},
		{"session that nobody gave", func(r *raw) answer {
			r.setup()
			r.session = "0123456789abcdef"
			return r.do("PLAY", r.base)
		}, []int{454}},
		{"SETUP twice", func(r *raw) answer {
			r.setup()
			return r.do("SETUP", r.base+"/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
		}, []int{200, 400, 404, 455, 459}},
		{"UDP port 0", func(r *raw) answer {
			d := r.login()
			return r.do("SETUP", r.control(d), "Transport: RTP/AVP;unicast;client_port=0-1")
		}, []int{400, 461}},
		{"no transport", func(r *raw) answer { d := r.login(); return r.do("SETUP", r.control(d)) }, []int{400, 461}},
		{"strange transport", func(r *raw) answer {
			d := r.login()
			return r.do("SETUP", r.control(d), "Transport: RAW/CARRIER/PIGEON;unicast")
		}, []int{400, 461}},
		{"SETUP without a credential", func(r *raw) answer {
			return r.do("SETUP", r.base+"/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
		}, []int{401}},
		{"a good conversation", func(r *raw) answer {
			r.setup()
			if a := r.do("PLAY", r.base, "Range: npt=0-"); a.code != 200 || a.header["rtp-info"] == "" {
				return answer{code: -1}
			}
			if a := r.do("GET_PARAMETER", r.base); a.code != 200 {
				return a
			}
			if a := r.do("PAUSE", r.base); a.code != 200 {
				return a
			}
			return r.do("TEARDOWN", r.base)
		}, []int{200}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.do(dialRaw(t, a)); !slices.Contains(tt.want, got.code) {
				t.Errorf("status %d, want one of %v", got.code, tt.want)
			}
		})
	}
}

// TestAttack throws everything at an agent at once while two readers count what they miss.
func TestAttack(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	var readers, attackers sync.WaitGroup
	results := make([]summary, 2)
	for i, transport := range []string{"tcp", "udp"} {
		readers.Go(func() {
			results[i], _ = watch(t, 8*time.Second, a.url("main"), "--transport", transport)
		})
	}
	until(t, 10*time.Second, "two readers", func() bool { return a.metric(t, ofStream("ocellus_stream_readers", "main")) == 2 })
	for range 10 {
		attackers.Go(func() { neverRead(t, a) })
	}
	attackers.Go(func() { manyConnections(t, a, 500) })
	attackers.Go(func() { noise(a, 200) })
	attackers.Wait()
	readers.Wait()
	lost := a.lost(t, "main")
	for i, s := range results {
		if s.Lost+s.Gaps+s.Damaged+s.Duplicates != 0 || s.Pictures+lost < 8*25-10 {
			t.Errorf("reader %d: %+v; the camera itself lost %d", i, s, lost)
		}
	}
	if status, body := a.page(t, "/healthz"); status != 200 {
		t.Errorf("healthz afterwards: %d %s", status, body)
	}
	if s, r := watch(t, time.Second, a.url("main")); r.code != 0 || !s.whole() {
		t.Errorf("a reader afterwards: exit code %d: %s", r.code, r.errs)
	}
}

// neverRead plays and then takes nothing.
func neverRead(t *testing.T, a *agent) {
	r := dialRaw(t, a)
	if tcp, ok := r.conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4096)
	}
	r.setup()
	r.write(r.request("PLAY", r.base))
}

// manyConnections opens connections faster than they can be served, some with half a request, and leaves them open until
// all are there.
func manyConnections(t *testing.T, a *agent, n int) {
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range n {
		c, err := net.DialTimeout("tcp", a.ports.RTSP, 5*time.Second)
		if err != nil {
			t.Errorf("connection %d: %v", i, err)
			return
		}
		conns = append(conns, c)
		if i%2 == 0 {
			_, _ = c.Write([]byte("DESCRIBE rtsp://" + a.ports.RTSP + "/main RTSP/1.0\r\nCSeq"))
		}
	}
}

// noise sends random bytes, some of which look like interleaved frames or begin like requests.
func noise(a *agent, times int) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // to be repeatable
	for i := range times {
		c, err := net.DialTimeout("tcp", a.ports.RTSP, 5*time.Second)
		if err != nil {
			return
		}
		b := make([]byte, 1+random.IntN(5000))
		for j := range b {
			b[j] = byte(random.Uint32())
		}
		switch i % 3 {
		case 0:
			b[0] = '$'
		case 1:
			copy(b, "OPTIONS * RTSP/1.0\r\n")
		}
		_, _ = c.Write(b)
		c.Close()
	}
}
