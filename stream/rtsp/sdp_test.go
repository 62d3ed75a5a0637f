package rtsp

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/sdp"

	"github.com/ocellus/ocellus/stream"
	"github.com/ocellus/ocellus/stream/rtp"
)

// FuzzSDP writes the SDP of whatever a camera calls its parameter sets: a client reads it, and reads them back.
func FuzzSDP(f *testing.F) {
	f.Add([]byte{0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d}, []byte{0x68, 0xce, 0x3c, 0x80}, []byte{192, 0, 2, 7})
	f.Add([]byte{0x67}, []byte{0x68}, []byte{})
	f.Add([]byte("\r\na=control:evil\r\n"), []byte{0}, make([]byte, 16))
	f.Fuzz(func(t *testing.T, sps, pps, local []byte) {
		if len(sps) == 0 || len(pps) == 0 || len(sps)+len(pps) > 1<<12 {
			t.Skip("a hub knows no empty parameter sets")
		}
		addr, _ := netip.AddrFromSlice(local)
		s := &fanout{name: "main", hub: stream.NewHub("main", stream.HubOptions{}), packetizer: rtp.NewPacketizer(rtp.Config{})}
		text := describeStream(s, stream.Params{SPS: sps, PPS: pps}, addr)
		var parsed sdp.SessionDescription
		if err := parsed.Unmarshal(text); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		var session description.Session
		if err := session.Unmarshal(&parsed); err != nil {
			return // the client refuses parameter sets that are none; it is not misled
		}
		h264, ok := session.Medias[0].Formats[0].(*format.H264)
		if !ok || len(session.Medias) != 1 || !bytes.Equal(h264.SPS, sps) && len(h264.SPS) > 0 {
			t.Fatalf("read back as %+v from %q", session, text)
		}
	})
}
