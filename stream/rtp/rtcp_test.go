package rtp

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func pionRTCP(t testing.TB, packets ...rtcp.Packet) []byte {
	t.Helper()
	b, err := rtcp.Marshal(packets)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pionCNAME(ssrc uint32, name string) *rtcp.SourceDescription {
	return rtcp.NewCNAMESourceDescription(ssrc, name)
}

func pionReport(b ReportBlock) rtcp.ReceptionReport {
	return rtcp.ReceptionReport{SSRC: b.SSRC, FractionLost: b.FractionLost, TotalLost: uint32(b.Lost) & 0xffffff,
		LastSequenceNumber: b.HighestSeq, Jitter: b.Jitter, LastSenderReport: b.LastSR, Delay: b.Delay}
}

var reportBlock = ReportBlock{SSRC: 0xcafe, FractionLost: 64, Lost: 1000, HighestSeq: 0x2ffff, Jitter: 90, LastSR: 0x12345678, Delay: 65536}

func TestAppendRTCPAgainstPion(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	for _, name := range []string{"", "a", "ab", "abc", "abcd", "camera@host", strings.Repeat("x", 255)} {
		sr := &rtcp.SenderReport{SSRC: 7, NTPTime: NTP(at), RTPTime: 1, PacketCount: 2, OctetCount: 3}
		if got, want := AppendSR(nil, 7, at, 1, 2, 3, name), pionRTCP(t, sr, pionCNAME(7, name)); !bytes.Equal(got, want) {
			t.Errorf("SR with %q:\n got %x\nwant %x", name, got, want)
		}
		rr := &rtcp.ReceiverReport{SSRC: 7, Reports: []rtcp.ReceptionReport{pionReport(reportBlock)}}
		if got, want := AppendRR(nil, 7, name, reportBlock), pionRTCP(t, rr, pionCNAME(7, name)); !bytes.Equal(got, want) {
			t.Errorf("RR with %q:\n got %x\nwant %x", name, got, want)
		}
	}
	if got, want := AppendBYE(nil, 7), pionRTCP(t, &rtcp.Goodbye{Sources: []uint32{7}}); !bytes.Equal(got, want) {
		t.Errorf("BYE:\n got %x\nwant %x", got, want)
	}
	if got := AppendSR(nil, 1, at, 0, 0, 0, strings.Repeat("x", 300)); len(got) != 28+4+4+2+255+3 {
		t.Errorf("a long CNAME gives %d bytes", len(got))
	}
}

func TestParseRTCP(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	second := reportBlock
	second.SSRC, second.Lost = 0xbeef, -5
	tests := []struct {
		name string
		b    []byte
		want RTCP
	}{
		{"receiver report", AppendRR(nil, 7, "player", reportBlock, second),
			RTCP{Reporter: 7, Blocks: []ReportBlock{reportBlock, second}, CNAME: []byte("player")}},
		{"extremes of loss", AppendRR(nil, 7, "", ReportBlock{Lost: math.MaxInt32}, ReportBlock{Lost: math.MinInt32}),
			RTCP{Reporter: 7, Blocks: []ReportBlock{{Lost: 1<<23 - 1}, {Lost: -1 << 23}}, CNAME: []byte{}}},
		{"sender report", AppendSR(nil, 8, at, 1, 2, 3, "camera"),
			RTCP{Reporter: 8, Senders: []SenderReport{{8, NTP(at), 1, 2, 3}}, CNAME: []byte("camera")}},
		{"goodbye", AppendBYE(AppendRR(nil, 7, "player"), 7), RTCP{Reporter: 7, Byes: []uint32{7}, CNAME: []byte("player")}},
		{"goodbye with a reason", pionRTCP(t, &rtcp.Goodbye{Sources: []uint32{1, 2}, Reason: "teardown"}), RTCP{Byes: []uint32{1, 2}}},
		{"picture loss", append(AppendRR(nil, 7, ""), pionRTCP(t, &rtcp.PictureLossIndication{SenderSSRC: 7, MediaSSRC: 8})...),
			RTCP{Reporter: 7, CNAME: []byte{}, WantsIDR: true}},
		{"full intra request", pionRTCP(t, &rtcp.FullIntraRequest{SenderSSRC: 7, MediaSSRC: 8, FIR: []rtcp.FIREntry{{SSRC: 8}}}),
			RTCP{WantsIDR: true}},
		{"others", pionRTCP(t, &rtcp.TransportLayerNack{SenderSSRC: 7, Nacks: []rtcp.NackPair{{PacketID: 1}}}), RTCP{Unhandled: 1}},
		{"several chunks", pionRTCP(t, &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{
			{Source: 1, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESNote, Text: "note"}}},
			{Source: 2, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "name"}}}}}), RTCP{CNAME: []byte("name")}},
		{"padding", []byte("\xa0\xc9\x00\x02\x00\x00\x00\x07\x00\x00\x00\x04"), RTCP{Reporter: 7}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got RTCP
			if err := ParseRTCP(tt.b, &got); err != nil {
				t.Fatal(err)
			}
			if got.Reporter != tt.want.Reporter || !slices.Equal(got.Senders, tt.want.Senders) ||
				!slices.Equal(got.Blocks, tt.want.Blocks) || !slices.Equal(got.Byes, tt.want.Byes) ||
				!bytes.Equal(got.CNAME, tt.want.CNAME) || got.WantsIDR != tt.want.WantsIDR || got.Unhandled != tt.want.Unhandled {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseRTCPRefuses(t *testing.T) {
	t.Parallel()
	good := AppendRR(nil, 7, "player", reportBlock)
	tests := map[string][]byte{
		"nothing":                nil,
		"cut":                    good[:len(good)-1],
		"another version":        append([]byte{0x41}, good[1:]...),
		"more blocks than bytes": append([]byte{0x9f}, good[1:]...),
		"a large one":            make([]byte, maxRTCPSize+1),
		"padding in the middle":  append([]byte{0xa1}, append(good[1:len(good):len(good)], good...)...),
		"too much padding":       []byte("\xa0\xc9\x00\x02\x00\x00\x00\x07\x00\x00\x00\x09"),
		"a short sender report":  []byte("\x80\xc8\x00\x01\x00\x00\x00\x07"),
		"a text without an end":  []byte("\x81\xca\x00\x02\x00\x00\x00\x07\x01\x09ab"),
	}
	for name, b := range tests {
		var r RTCP
		if err := ParseRTCP(b, &r); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseRTCP(f *testing.F) {
	f.Add(AppendRR(nil, 7, "player", reportBlock))
	f.Add(AppendBYE(AppendSR(nil, 8, time.Unix(1e9, 0), 1, 2, 3, "camera"), 8))
	f.Add([]byte("\xa0\xc9\x00\x02\x00\x00\x00\x07\x00\x00\x00\x04"))
	f.Add(pionRTCP(f, &rtcp.FullIntraRequest{SenderSSRC: 7, MediaSSRC: 8, FIR: []rtcp.FIREntry{{SSRC: 8}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r RTCP
		err := ParseRTCP(b, &r)
		if len(r.Blocks) > maxBlocks || len(r.Byes) > maxBlocks || len(r.Senders) > maxBlocks {
			t.Fatalf("%+v", r)
		}
		if err != nil || len(r.Blocks) == 0 {
			return
		}
		var again RTCP
		wire := AppendRR(nil, r.Reporter, string(r.CNAME), r.Blocks...)
		if err := ParseRTCP(wire, &again); err != nil || !slices.Equal(again.Blocks, r.Blocks) ||
			!bytes.Equal(again.CNAME, r.CNAME) {
			t.Fatalf("%+v came back as %+v, %v", r, again, err)
		}
	})
}

func TestNTP(t *testing.T) {
	t.Parallel()
	if got := NTP(time.Unix(0, 0)); got != ntpEpoch<<32 {
		t.Errorf("1970: %x", got)
	}
	for _, want := range []time.Time{
		time.Unix(0, 0), time.Date(2026, 5, 6, 7, 8, 9, 123456789, time.UTC), time.Date(2036, 2, 7, 6, 28, 15, 999999999, time.UTC),
		time.Date(2040, 1, 1, 0, 0, 0, 1, time.UTC),
	} {
		if got := NTPTime(NTP(want)); got.Sub(want).Abs() > time.Nanosecond {
			t.Errorf("%v came back as %v", want, got)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	sent := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	block := ReportBlock{LastSR: uint32(NTP(sent) >> 16), Delay: 65536 / 2}
	got, ok := block.RoundTrip(sent.Add(520 * time.Millisecond))
	if !ok || (got-20*time.Millisecond).Abs() > 50*time.Microsecond {
		t.Errorf("got %v, %v", got, ok)
	}
	if got, ok := (ReportBlock{}).RoundTrip(sent); ok {
		t.Errorf("without a sender report: %v", got)
	}
	if got, ok := block.RoundTrip(sent.Add(400 * time.Millisecond)); ok {
		t.Errorf("before it was sent: %v", got)
	}
}
