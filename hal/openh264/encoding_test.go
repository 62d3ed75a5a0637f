//go:build cgo && linux && (amd64 || arm64 || arm)

package openh264

import (
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/codec/testcard"
	"github.com/ocellus/ocellus/hal"
)

// cards draws test cards as a camera delivers them.
type cards struct {
	card *testcard.Card
	w, h int
	data []byte
}

func newCards(tb testing.TB, w, h int) *cards {
	tb.Helper()
	c, err := testcard.New(testcard.Options{Width: w, Height: h, Name: "Ocellus"})
	if err != nil {
		tb.Fatal(err)
	}
	return &cards{c, w, h, make([]byte, c.Size())}
}

func (c *cards) frame(n int) hal.Frame {
	pts := time.Duration(n) * 40 * time.Millisecond
	c.card.Draw(c.data, testcard.Stamp{Frame: uint32(n), CapturedNS: uint64(1_770_000_000*time.Second + pts)})
	return hal.Frame{Format: hal.YU12, Width: c.w, Height: c.h, Data: c.data, PTS: pts, Seq: uint32(n)}
}

func config(w, h int) hal.EncoderConfig {
	return hal.EncoderConfig{Input: hal.YU12, Width: w, Height: h, Rate: hal.FPS(25), BitrateBPS: 500_000, GOP: 10}
}

func openEncoding(tb testing.TB, c hal.EncoderConfig) hal.Encoding {
	tb.Helper()
	e, err := New()
	if err != nil {
		tb.Fatal(err)
	}
	enc, err := e.Open(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = enc.Close() })
	return enc
}

func encode(tb testing.TB, enc hal.Encoding, raw hal.Frame) [][]byte {
	tb.Helper()
	f, err := enc.Encode(tb.Context(), raw)
	if err != nil {
		tb.Fatal(err)
	}
	if f.PTS != raw.PTS || f.Seq != raw.Seq || f.Format != hal.H264 {
		tb.Fatalf("access unit %v seq %d of picture %v seq %d", f.PTS, f.Seq, raw.PTS, raw.Seq)
	}
	return h264.SplitAnnexB(nil, f.Data)
}

func TestGOPAndForcedIDR(t *testing.T) {
	t.Parallel()
	c, enc := newCards(t, 320, 240), openEncoding(t, config(320, 240))
	var first h264.Params
	for n := range 40 {
		if n == 25 {
			if err := enc.Control(hal.ForceIDR, 0); err != nil {
				t.Fatal(err)
			}
		}
		nalus := encode(t, enc, c.frame(n))
		want := n == 0 || n == 10 || n == 20 || n == 25 || n == 35
		if got := h264.HasIDR(nalus); got != want {
			t.Errorf("picture %d: IDR %v, want %v", n, got, want)
		}
		if params := h264.FindParams(nalus); want && !params.Complete() {
			t.Errorf("picture %d: IDR without parameter sets", n)
		} else if n == 0 {
			first = params.Clone()
		} else if want && !params.Equal(first) {
			t.Errorf("picture %d: parameter sets changed: %x, at first %x", n, params, first)
		}
	}
	if id := first.ProfileLevelID(); id[:3] != "42c" {
		t.Errorf("profile-level-id %s, want Constrained Baseline", id)
	}
}

func BenchmarkEncode(b *testing.B) {
	conf := config(1280, 720)
	conf.BitrateBPS, conf.GOP = 2_000_000, 50
	c, enc := newCards(b, 1280, 720), openEncoding(b, conf)
	frame := c.frame(0)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		b.StopTimer()
		frame = c.frame(n)
		n++
		b.StartTimer()
		if _, err := enc.Encode(b.Context(), frame); err != nil {
			b.Fatal(err)
		}
	}
}
