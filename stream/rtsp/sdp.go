package rtsp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/stream"
)

// describeStream writes the SDP of a stream (RFC 4566, RFC 2326 C, RFC 6184 8.2.1).
func describeStream(f *fanout, p stream.Params, local netip.Addr) []byte {
	params := h264.Params{SPS: p.SPS, PPS: p.PPS}
	info := f.hub.Describe()
	family := "IP4"
	wildcard := "0.0.0.0"
	if local.Is6() && !local.Is4In6() {
		family, wildcard = "IP6", "::"
	}
	host := local.WithZone("").String()
	if !local.IsValid() {
		host = wildcard
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("v=0")
	line("o=- %d %d IN %s %s", f.packetizer.SSRC(), p.Generation+1, family, host)
	line("s=%s", f.name)
	line("c=IN %s %s", family, wildcard)
	line("t=0 0")
	line("a=control:*")
	line("a=range:npt=now-")
	line("m=video 0 RTP/AVP %d", payloadType)
	if info.BitrateBPS > 0 {
		line("b=AS:%d", (info.BitrateBPS+999)/1000)
	}
	line("a=rtpmap:%d H264/90000", payloadType)
	line("a=fmtp:%d packetization-mode=1; profile-level-id=%s; sprop-parameter-sets=%s", payloadType,
		params.ProfileLevelID(), params.SpropParameterSets())
	if rate := info.Rate.Float(); rate > 0 {
		line("a=framerate:%s", strconv.FormatFloat(rate, 'f', -1, 64))
	}
	line("a=control:%s", control)
	return []byte(b.String())
}
