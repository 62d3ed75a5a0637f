package rtsp

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"

	"github.com/ocellus/ocellus/codec/h264"
)

// picture is an access unit that a client took apart.
type picture struct {
	frame uint32
	idr   bool
	at    time.Time
}

// viewer is gortsplib's client and what it got.
type viewer struct {
	client   *gortsplib.Client
	pictures chan picture // capacity 1024; full: the test has stopped reading
	reports  chan *rtcp.SenderReport
	format   *format.H264
	played   *base.Response
	last     picture // that expect saw
}

// watch connects, and plays until the test ends.
func watch(t testing.TB, address, scheme, user, path string, protocol gortsplib.Protocol) *viewer {
	t.Helper()
	u, err := base.ParseURL(fmt.Sprintf("%s://%s%s/%s", scheme, user, address, path))
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{pictures: make(chan picture, 1024), reports: make(chan *rtcp.SenderReport, 16)}
	v.client = &gortsplib.Client{
		Scheme: u.Scheme, Host: u.Host, Protocol: &protocol, TLSConfig: &tls.Config{InsecureSkipVerify: true},
		OnPacketsLost: func(n uint64) { t.Errorf("%d packets lost", n) },
	}
	if err := v.client.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.client.Close)
	d, _, err := v.client.Describe(u)
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	medium := d.FindFormat(&v.format)
	if medium == nil {
		t.Fatal("no H.264 in the SDP")
	}
	if _, err := v.client.Setup(d.BaseURL, medium, 0, 0); err != nil {
		t.Fatalf("setup: %v", err)
	}
	decoder, err := v.format.CreateDecoder()
	if err != nil {
		t.Fatal(err)
	}
	v.client.OnPacketRTP(medium, v.format, func(p *pionrtp.Packet) {
		nalus, err := decoder.Decode(p)
		if err != nil {
			return
		}
		last := nalus[len(nalus)-1]
		got := picture{frameOf(last[1:]), h264.HasIDR(nalus), time.Now()}
		select {
		case v.pictures <- got:
		default:
		}
	})
	v.client.OnPacketRTCP(medium, func(p rtcp.Packet) {
		if sr, ok := p.(*rtcp.SenderReport); ok {
			select {
			case v.reports <- sr:
			default:
			}
		}
	})
	if v.played, err = v.client.Play(nil); err != nil {
		t.Fatalf("play: %v", err)
	}
	return v
}

// expect reads n pictures and checks that the first of all is an IDR and that none is missing.
func (v *viewer) expect(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		select {
		case p := <-v.pictures:
			if v.last.at.IsZero() && !p.idr {
				t.Errorf("first picture is no IDR")
			}
			if !v.last.at.IsZero() && p.frame != v.last.frame+1 {
				t.Errorf("frame %d follows %d", p.frame, v.last.frame)
			}
			v.last = p
		case <-time.After(5 * time.Second):
			t.Fatalf("picture %d of %d did not come", i, n)
		}
	}
}

func TestClientPlays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		secure   bool
		protocol gortsplib.Protocol
	}{
		{"udp", false, gortsplib.ProtocolUDP},
		{"tcp", false, gortsplib.ProtocolTCP},
		{"tls", true, gortsplib.ProtocolTCP},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			gate, password := newGate(t)
			c := newCamera("main", cameraOptions{canForce: true})
			s := testServer(t, Options{Gate: gate, TLS: testTLS(t)}, c)
			c.run(t, 50)
			address, scheme := s.Addr().String(), "rtsp"
			if test.secure {
				address, scheme = s.TLSAddr().String(), "rtsps"
			}
			v := watch(t, address, scheme, "viewer:"+url.QueryEscape(password)+"@", "main", test.protocol)
			v.expect(t, 60)
			if got, want := string(v.format.SPS), string(testSPS()); got != want {
				t.Errorf("SPS in the SDP is %x, want %x", got, want)
			}
			if v.played.Header["RTP-Info"] == nil {
				t.Error("PLAY was answered without RTP-Info")
			}
			checkReport(t, v)
			if st := s.Stats().Streams[0]; st.Readers[string(tcpTransport)]+st.Readers[string(udpTransport)] != 1 {
				t.Errorf("readers in the figures: %v", st.Readers)
			}
		})
	}
}

// checkReport wants a sender report that came by now and says about the present.
func checkReport(t *testing.T, v *viewer) {
	t.Helper()
	select {
	case sr := <-v.reports:
		wall := time.Unix(int64(sr.NTPTime>>32)-2208988800, int64(sr.NTPTime&0xffffffff*1e9>>32))
		if age := time.Since(wall); age < 0 || age > 5*time.Second {
			t.Errorf("sender report is of %v ago", age)
		}
	case <-time.After(time.Second):
		t.Error("no sender report")
	}
}

func TestClientWithWrongPassword(t *testing.T) {
	t.Parallel()
	gate, _ := newGate(t)
	c := newCamera("main", cameraOptions{})
	s := testServer(t, Options{Gate: gate}, c)
	u, err := base.ParseURL("rtsp://viewer:wrong@" + s.Addr().String() + "/main")
	if err != nil {
		t.Fatal(err)
	}
	client := gortsplib.Client{Scheme: u.Scheme, Host: u.Host}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, _, err := client.Describe(u); err == nil {
		t.Error("a wrong password opens the door")
	}
	if s.Stats().Denied == 0 {
		t.Error("no refusal in the figures")
	}
}
