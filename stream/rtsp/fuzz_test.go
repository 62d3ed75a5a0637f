package rtsp

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/ocellus/ocellus/stream"
)

// FuzzRequests feeds bytes to a connection: it never panics, and it ends when they end.
func FuzzRequests(f *testing.F) {
	const auth = "Authorization: Digest username=\"viewer\", realm=\"test\", nonce=\"n\", uri=\"*\", response=\"0\"\r\n"
	for _, seed := range []string{
		"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
		"DESCRIBE rtsp://h/main RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n",
		"DESCRIBE rtsp://h/main RTSP/1.0\r\nCSeq: 2\r\n" + auth + "\r\n",
		"SETUP rtsp://h/main/trackID=0 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
		"SETUP rtsp://h/main/trackID=0 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP;unicast;client_port=5000-5001\r\n\r\n" +
			"SETUP rtsp://h/main RTSP/1.0\r\nCSeq: 4\r\nTransport: RTP/AVP/TCP;interleaved=250-251;mode=\"PLAY\"\r\n\r\n",
		"PLAY rtsp://h/main RTSP/1.0\r\nCSeq: 4\r\nSession: 1;timeout=60\r\nRange: npt=0-\r\n\r\n",
		"GET_PARAMETER rtsp://h/main RTSP/1.0\r\nCSeq: 4\r\nContent-Length: 5\r\n\r\nabcde",
		"$\x01\x00\x04abcdOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
		"$\x01\xff\xffabcd",
		"TEARDOWN rtsp://h/main RTSP/1.0\r\nCSeq: 4\r\nContent-Length: 99999999999\r\n\r\n",
	} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, known bool) {
		s, err := New(Options{
			Config: DefaultConfig(), Gate: openDoor{},
			Hubs: map[string]*stream.Hub{"main": closedHub()},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		s.running.Store(&ctx)
		peer, nc := net.Pipe()
		c := newConn(s, nc)
		c.known = known
		served := make(chan struct{})
		go func() {
			defer close(served)
			c.serve(ctx)
		}()
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _ = io.Copy(io.Discard, peer)
		}()
		_ = peer.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, _ = peer.Write(data)
		_ = peer.Close()
		<-served
		<-read
		cancel()
		for _, f := range s.streams {
			f.wait()
		}
		s.wg.Wait()
		if n := s.Stats(); n.Connections != 0 || n.Streams[0].Sessions != 0 {
			t.Errorf("left behind: %+v", n)
		}
	})
}

// closedHub answers at once: nothing waits for a camera.
func closedHub() *stream.Hub {
	h := stream.NewHub("main", stream.HubOptions{})
	h.Close()
	return h
}
