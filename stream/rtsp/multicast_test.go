package rtsp

import (
	"net"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/headers"

	"github.com/ocellus/ocellus/stream/rtp"
)

// Two clients listen to one group, and the packets are sent once; the last one to leave stops them.
func TestMulticast(t *testing.T) {
	t.Parallel()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skipf("no loopback interface: %v", err)
	}
	config := DefaultConfig()
	config.Address, config.TLSAddress = "127.0.0.1:0", "off"
	config.Multicast.Interface = "lo"
	c := newCamera("main", cameraOptions{canForce: true})
	s := testServer(t, Options{Config: config}, c)
	c.run(t, 50)
	var groups [2]headers.Transport
	var ids [2]string
	var clients [2]*raw
	for i := range clients {
		clients[i] = dialRaw(t, s).login()
		res := clients[i].must("SETUP", "main/trackID=0", map[string]string{"Transport": "RTP/AVP;multicast"})
		if err := groups[i].Unmarshal(res.Header["Transport"]); err != nil {
			t.Fatal(err)
		}
		ids[i] = res.Header["Session"][0]
	}
	g := groups[0]
	if g.Destination2 == nil || g.Ports == nil || g.TTL == nil || *g.TTL != 1 ||
		*g.Destination2 != *groups[1].Destination2 {
		t.Fatalf("groups: %+v and %+v", groups[0], groups[1])
	}
	u, err := net.ListenMulticastUDP("udp4", lo, &net.UDPAddr{IP: net.ParseIP(*g.Destination2), Port: g.Ports[0]})
	if err != nil {
		t.Skipf("multicast on loopback: %v", err)
	}
	defer func() { _ = u.Close() }()
	_ = u.SetReadDeadline(time.Now().Add(10 * time.Second))
	for i, r := range clients {
		r.must("PLAY", "main", map[string]string{"Session": ids[i]})
	}
	if n := s.Stats().Streams[0].Readers["multicast"]; n != 2 {
		t.Errorf("%d readers, want 2", n)
	}
	var d rtp.Depacketizer
	buf := make([]byte, 2048)
	for units := 0; units < 20; {
		n, err := u.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		h, payload, err := rtp.Parse(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		units += len(d.Push(h, payload))
	}
	if st := d.Stats(); st.Late > 0 || st.Lost > 0 {
		t.Errorf("packets come twice or not at all: %+v", st)
	}
	for i, r := range clients {
		r.must("TEARDOWN", "main", map[string]string{"Session": ids[i]})
	}
	f := s.streams["main"]
	f.call(func() {
		if len(f.udp) != 0 {
			t.Errorf("%d readers are left", len(f.udp))
		}
	})
}
