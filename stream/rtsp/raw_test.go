package rtsp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

func TestStatusCodes(t *testing.T) {
	t.Parallel()
	c := newCamera("main", cameraOptions{canForce: true})
	sub := newCamera("sub", cameraOptions{canForce: true})
	s := testServer(t, Options{}, c, sub)
	c.run(t, 50)
	sub.run(t, 50)
	tests := []struct {
		name string
		run  func(r *raw) *base.Response
		want base.StatusCode
	}{
		{"options", func(r *raw) *base.Response { return r.do("OPTIONS", "", nil) }, 200},
		{"describe", func(r *raw) *base.Response { return r.do("DESCRIBE", "main", nil) }, 200},
		{"describe with query and slash", func(r *raw) *base.Response { return r.do("DESCRIBE", "main/?a=b", nil) }, 200},
		{"describe what is not there", func(r *raw) *base.Response { return r.do("DESCRIBE", "attic", nil) }, 404},
		{"describe a track", func(r *raw) *base.Response { return r.do("DESCRIBE", "main/trackID=0", nil) }, 404},
		{"describe as something else", func(r *raw) *base.Response {
			return r.do("DESCRIBE", "main", map[string]string{"Accept": "text/html"})
		}, 406},
		{"require", func(r *raw) *base.Response {
			return r.do("DESCRIBE", "main", map[string]string{"Require": "www.onvif.org/ver20/backchannel"})
		}, 551},
		{"announce", func(r *raw) *base.Response { return r.do("ANNOUNCE", "main", nil) }, 405},
		{"unknown method", func(r *raw) *base.Response { return r.do("BREW", "main", nil) }, 501},
		{"play without setup", func(r *raw) *base.Response { return r.do("PLAY", "main", nil) }, 454},
		{"play a wrong session", func(r *raw) *base.Response {
			r.setup("main", tcpSetup)
			return r.do("PLAY", "main", map[string]string{"Session": "12345678"})
		}, 454},
		{"setup in a wrong session", func(r *raw) *base.Response {
			return r.do("SETUP", "main/trackID=0", map[string]string{"Session": "1", "Transport": tcpSetup})
		}, 454},
		{"setup without transport", func(r *raw) *base.Response { return r.do("SETUP", "main/trackID=0", nil) }, 461},
		{"setup on port 0", func(r *raw) *base.Response {
			return r.do("SETUP", "main/trackID=0", map[string]string{"Transport": "RTP/AVP;unicast;client_port=0-1"})
		}, 461},
		{"setup on a port too large", func(r *raw) *base.Response {
			return r.do("SETUP", "main/trackID=0", map[string]string{"Transport": "RTP/AVP;unicast;client_port=70000-70001"})
		}, 461},
		{"setup without ports", func(r *raw) *base.Response {
			return r.do("SETUP", "main/trackID=0", map[string]string{"Transport": "RTP/AVP;unicast"})
		}, 461},
		{"setup of SRTP", func(r *raw) *base.Response {
			return r.do("SETUP", "main/trackID=0", map[string]string{"Transport": "RTP/SAVP;unicast;client_port=5000-5001"})
		}, 461},
		{"setup of a recording", func(r *raw) *base.Response {
			return r.do("SETUP", "main/trackID=0", map[string]string{"Transport": tcpSetup + ";mode=record"})
		}, 461},
		{"setup of a track that is not there", func(r *raw) *base.Response {
			return r.do("SETUP", "main/trackID=1", map[string]string{"Transport": tcpSetup})
		}, 404},
		{"second choice of transports", func(r *raw) *base.Response {
			offers := "RTP/SAVP;unicast;client_port=5000-5001," + tcpSetup
			return r.do("SETUP", "main/trackID=0", map[string]string{"Transport": offers})
		}, 200},
		{"setup twice", func(r *raw) *base.Response {
			id := r.setup("main", tcpSetup)
			return r.do("SETUP", "main/trackID=0", map[string]string{"Transport": tcpSetup, "Session": id})
		}, 200},
		{"setup while playing", func(r *raw) *base.Response {
			id := r.setup("main", tcpSetup)
			r.must("PLAY", "main", map[string]string{"Session": id})
			return r.do("SETUP", "main/trackID=0", map[string]string{"Transport": tcpSetup, "Session": id})
		}, 455},
		{"another stream in one session", func(r *raw) *base.Response {
			id := r.setup("main", tcpSetup)
			return r.do("SETUP", "sub/trackID=0", map[string]string{"Transport": tcpSetup, "Session": id})
		}, 459},
		{"play twice", func(r *raw) *base.Response {
			id := r.setup("main", tcpSetup)
			r.must("PLAY", "main", map[string]string{"Session": id})
			return r.do("PLAY", "main", map[string]string{"Session": id})
		}, 200},
		{"ping", func(r *raw) *base.Response { return r.do("GET_PARAMETER", "main", nil) }, 200},
		{"ping of a session that is not there", func(r *raw) *base.Response {
			return r.do("GET_PARAMETER", "main", map[string]string{"Session": "1"})
		}, 454},
		{"teardown", func(r *raw) *base.Response {
			return r.do("TEARDOWN", "main", map[string]string{"Session": r.setup("main", tcpSetup)})
		}, 200},
		{"play after teardown", func(r *raw) *base.Response {
			id := r.setup("main", tcpSetup)
			r.must("TEARDOWN", "main", map[string]string{"Session": id})
			return r.do("PLAY", "main", map[string]string{"Session": id})
		}, 454},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := dialRaw(t, s)
			r.t = t
			r.login()
			if got := test.run(r).StatusCode; got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// What can't be read is answered, and the connection ends.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	c := newCamera("main", cameraOptions{})
	s := testServer(t, Options{}, c)
	const head = "OPTIONS rtsp://host/main RTSP/1.0\r\nCSeq: 7\r\n"
	tests := []struct {
		name, send string
		want       base.StatusCode
	}{
		{"garbage", "\x00\x01\x02\r\n\r\n", 400},
		{"HTTP", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"RTSP 2.0", "OPTIONS rtsp://host/main RTSP/2.0\r\nCSeq: 7\r\n\r\n", 505},
		{"no CSeq", "OPTIONS rtsp://host/main RTSP/1.0\r\n\r\n", 400},
		{"bad CSeq", "OPTIONS rtsp://host/main RTSP/1.0\r\nCSeq: seven\r\n\r\n", 400},
		{"bad URL", "OPTIONS http://host/main RTSP/1.0\r\nCSeq: 7\r\n\r\n", 400},
		{"long URL", "OPTIONS rtsp://host/" + strings.Repeat("a", 3000) + " RTSP/1.0\r\nCSeq: 7\r\n\r\n", 414},
		{"1 MB of header", head + "X: " + strings.Repeat("a", 1<<20), 413},
		{"many fields", head + strings.Repeat("A: b\r\n", 400) + "\r\n", 400},
		{"long field", head + "A: " + strings.Repeat("b", 3000) + "\r\n\r\n", 400},
		{"huge body", head + "Content-Length: 999999\r\n\r\n", 413},
		{"negative body", head + "Content-Length: -1\r\n\r\n", 400},
		{"body without a number", head + "Content-Length: many\r\n\r\n", 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := dialRaw(t, s)
			r.t = t
			go func() { _, _ = io.Copy(r.nc, strings.NewReader(test.send)) }() // the server may stop reading
			if got := r.receive().StatusCode; got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
			if _, err := r.br.ReadByte(); err == nil {
				t.Error("the connection goes on")
			}
		})
	}
}

func TestPipelinedRequests(t *testing.T) {
	t.Parallel()
	s := testServer(t, Options{}, newCamera("main", cameraOptions{}))
	r := dialRaw(t, s)
	const n = 200
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "\r\nOPTIONS * RTSP/1.0\r\nCSeq: %d\r\nContent-Length: 3\r\n\r\nabc", i+1)
	}
	go func() { _, _ = io.WriteString(r.nc, b.String()) }()
	for i := range n {
		if got := r.receive().Header["CSeq"][0]; got != fmt.Sprint(i+1) {
			t.Fatalf("answer %d has CSeq %s", i+1, got)
		}
	}
}

// A request that comes byte by byte is served.
func TestRequestInPieces(t *testing.T) {
	t.Parallel()
	s := testServer(t, Options{}, newCamera("main", cameraOptions{}))
	r := dialRaw(t, s)
	for _, b := range []byte("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n") {
		r.write(string(b))
	}
	if got := r.receive().StatusCode; got != base.StatusOK {
		t.Errorf("got %d, want 200", got)
	}
}

// The reaper's clock is turned by hand.
func TestReaper(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Config: DefaultConfig(), Gate: openDoor{}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name           string
		begun          time.Duration
		greeted        bool
		sessions       int
		age            time.Duration
		closed, answer bool
	}{
		{"new", 0, false, 0, 5 * time.Second, false, false},
		{"says nothing", 0, false, 0, 11 * time.Second, true, false},
		{"half a request", 1, true, 0, 11 * time.Second, true, true},
		{"half a request of a session", 1, true, 1, 11 * time.Second, true, true},
		{"no session", 0, true, 0, 61 * time.Second, true, false},
		{"session", 0, true, 1, 61 * time.Second, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			peer, nc := tcpPair(t)
			defer func() { _ = peer.Close() }()
			c := newConn(s, nc)
			c.seen.Store(0)
			c.begun.Store(int64(test.begun))
			c.greeted.Store(test.greeted)
			c.reap(test.age, test.sessions)
			closed := c.w.close() != nil
			if closed != test.closed {
				t.Errorf("closed: %v, want %v", closed, test.closed)
			}
			got, _ := io.ReadAll(peer)
			if answered := bytes.HasPrefix(got, []byte("RTSP/1.0 408 ")); answered != test.answer {
				t.Errorf("answered %q", got)
			}
		})
	}
}

func TestAnonymousLearnsNothing(t *testing.T) {
	t.Parallel()
	gate, _ := newGate(t)
	c := newCamera("main", cameraOptions{})
	s := testServer(t, Options{Gate: gate}, c)
	var answers [][]byte
	for _, path := range []string{"main", "attic", "main/trackID=0"} {
		for _, method := range []string{"DESCRIBE", "SETUP", "PLAY", "TEARDOWN", "GET_PARAMETER"} {
			res := dialRaw(t, s).do(method, path, nil)
			if len(res.Header["WWW-Authenticate"]) != 2 {
				t.Fatalf("challenges: %v", res.Header["WWW-Authenticate"])
			}
			for i, v := range res.Header["WWW-Authenticate"] {
				before, rest, _ := strings.Cut(v, `nonce="`)
				_, after, _ := strings.Cut(rest, `"`)
				res.Header["WWW-Authenticate"][i] = before + after
			}
			b, err := res.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, b)
		}
	}
	for _, a := range answers {
		if !bytes.Equal(a, answers[0]) {
			t.Errorf("answers differ:\n%s\n%s", a, answers[0])
		}
	}
	if c.hub.Stats().Demand != 0 {
		t.Error("a stranger starts the camera")
	}
}

// Whoever guesses waits; whoever knows does not.
func TestGuessesAreSlowedAlone(t *testing.T) {
	t.Parallel()
	gate, password := newGate(t)
	c := newCamera("main", cameraOptions{canForce: true})
	s := testServer(t, Options{Gate: gate}, c)
	c.run(t, 50)
	var wg sync.WaitGroup
	defer wg.Wait()
	held := make(chan struct{})
	wg.Go(func() {
		r := dialRaw(t, s)
		r.loginTo(gate.Realm())
		begin := time.Now()
		for time.Since(begin) < 400*time.Millisecond {
			begin = time.Now()
			r.send("DESCRIBE", "main", nil)
			if r.receive().StatusCode != base.StatusUnauthorized {
				t.Error("a guess is let in")
				break
			}
		}
		close(held)
	})
	<-held
	begin := time.Now()
	v := watch(t, s.Addr().String(), "rtsp", "viewer:"+password+"@", "main", gortsplib.ProtocolTCP)
	v.expect(t, 5)
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("the right password was held back: %v", d)
	}
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	config := DefaultConfig()
	config.Address, config.TLSAddress = "127.0.0.1:0", "off"
	config.MaxConnections, config.MaxConnectionsPerAddress = 30, 20
	c := newCamera("main", cameraOptions{canForce: true})
	s := testServer(t, Options{Config: config}, c)
	c.run(t, 50)
	v := watch(t, s.Addr().String(), "rtsp", "viewer:x@", "main", gortsplib.ProtocolTCP)
	v.expect(t, 5)
	var mu sync.Mutex
	codes := map[base.StatusCode]int{}
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			code := tryOptions(t, s)
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	wg.Wait()
	if codes[base.StatusServiceUnavailable] < 450 {
		t.Errorf("too few were told 503: %v", codes)
	}
	v.expect(t, 50)
	t.Logf("answers: %v (0: none)", codes)
}

// tryOptions returns the status of one request on a connection of its own, 0 if there is no answer.
func tryOptions(t *testing.T, s *Server) base.StatusCode {
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		return 0
	}
	t.Cleanup(func() { _ = nc.Close() }) // stays open till the end
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	r := newRaw(t, nc)
	if _, err := io.WriteString(nc, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"); err != nil {
		return 0
	}
	var res base.Response
	if err := res.Unmarshal(r.br); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("no answer and no end")
		}
		return 0
	}
	return res.StatusCode
}
