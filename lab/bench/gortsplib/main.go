// Gortsplib is the server that one writes in Go with the usual library: gortsplib's Server and its own packetizer, the
// clip read from memory in the same process.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"

	"github.com/ocellus/ocellus/lab/bench/clip"
)

func main() {
	file := flag.String("file", "clip.h264", "the clip")
	listen := flag.String("listen", "127.0.0.1:8554", "address of the RTSP port")
	udp := flag.Int("udp", 0, "even port for RTP over UDP; the next one is for RTCP")
	stamp := flag.Bool("stamp", false, "put a capture stamp SEI in front of every picture")
	flag.Parse()
	if err := run(*file, *listen, *udp, *stamp); err != nil {
		fmt.Fprintln(os.Stderr, "gortsplib server:", err)
		os.Exit(1)
	}
}

type handler struct{ stream *gortsplib.ServerStream }

func (h *handler) OnDescribe(*gortsplib.ServerHandlerOnDescribeCtx) (
	*base.Response, *gortsplib.ServerStream, error,
) {
	return &base.Response{StatusCode: base.StatusOK}, h.stream, nil
}

func (h *handler) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, h.stream, nil
}

func (h *handler) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func run(file, listen string, udp int, stamp bool) error {
	units, err := clip.Read(file)
	if err != nil {
		return err
	}
	h := &handler{}
	server := &gortsplib.Server{
		Handler:        h,
		RTSPAddress:    listen,
		UDPRTPAddress:  fmt.Sprintf("127.0.0.1:%d", udp),
		UDPRTCPAddress: fmt.Sprintf("127.0.0.1:%d", udp+1),
	}
	if err := server.Start(); err != nil {
		return err
	}
	forma := &format.H264{PayloadTyp: 96, PacketizationMode: 1, SPS: units[0].NALUs[0], PPS: units[0].NALUs[1]}
	media := &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{forma}}
	h.stream = &gortsplib.ServerStream{
		Server: server,
		Desc:   &description.Session{Medias: []*description.Media{media}},
	}
	if err := h.stream.Initialize(); err != nil {
		return err
	}
	encoder, err := forma.CreateEncoder()
	if err != nil {
		return err
	}
	fmt.Printf("rtsp://%s/main\n", listen)
	return play(h.stream, media, encoder, units, stamp)
}

func play(stream *gortsplib.ServerStream, media *description.Media, encoder *rtph264.Encoder,
	units []clip.Unit, stamp bool,
) error {
	next := time.Now()
	for n := 0; ; n++ {
		nalus := units[n%len(units)].NALUs
		if stamp {
			nalus = clip.Stamped(nalus, uint64(n), time.Now())
		}
		packets, err := encoder.Encode(nalus)
		if err != nil {
			return err
		}
		for _, packet := range packets {
			packet.Timestamp = uint32(n) * clip.Ticks
			if err := stream.WritePacketRTP(media, packet); err != nil {
				return err
			}
		}
		next = next.Add(clip.Frame)
		time.Sleep(time.Until(next))
	}
}
