package stamp_test

import (
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/codec/stamp"
)

// goldens pin the format on the wire: readers of other releases depend on every byte.
var goldens = []struct {
	name  string
	stamp stamp.Stamp
	nalu  string
}{
	{"first", stamp.Stamp{Frame: 0, Captured: time.Unix(0, 1767225600123456789)}, "0605216f63656c6c758073a06361707475726501000003000003000003000018867251f555cd1580"},
	{"zeros are escaped", stamp.Stamp{Frame: 1 << 32, Captured: time.Unix(0, 3)}, "0605216f63656c6c758073a063617074757265010000030001000003000003000003000003000003000380"},
	{"before 1970", stamp.Stamp{Frame: 1<<64 - 1, Captured: time.Unix(0, -1)}, "0605216f63656c6c758073a06361707475726501ffffffffffffffffffffffffffffffff80"},
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			nalu := stamp.Append(nil, g.stamp)
			if got := hex.EncodeToString(nalu); got != g.nalu {
				t.Errorf("Append:\n got %s\nwant %s", got, g.nalu)
			}
			got, ok := stamp.Parse(nalu)
			if !ok || got.Frame != g.stamp.Frame || !got.Captured.Equal(g.stamp.Captured) {
				t.Errorf("Parse: %+v, %v", got, ok)
			}
		})
	}
}

func TestParseOthers(t *testing.T) {
	t.Parallel()
	good := stamp.Append(nil, stamp.Stamp{Frame: 7, Captured: time.Unix(1, 0)})
	messages, err := h264.ParseSEI(good)
	if err != nil || len(messages) != 1 {
		t.Fatal(messages, err)
	}
	ours := messages[0].Payload
	foreign := append([]byte("x264 - core 164 "), ours[16:]...)
	later := append(append([]byte(nil), ours...), 1, 2, 3, 0, 0)
	later[16] = 2
	sei := func(m ...h264.SEIMessage) []byte { return h264.AppendSEI(nil, m...) }
	tests := []struct {
		name string
		nalu []byte
		ok   bool
	}{
		{"empty", nil, false},
		{"only a header", []byte{6}, false},
		{"slice", append([]byte{0x41}, good[1:]...), false},
		{"another maker's UUID", sei(h264.SEIMessage{Type: 5, Payload: foreign}), false},
		{"another type", sei(h264.SEIMessage{Type: 4, Payload: ours}), false},
		{"too short", sei(h264.SEIMessage{Type: 5, Payload: ours[:32]}), false},
		{"cut in the wire", good[:20], false},
		{"behind other messages", sei(h264.SEIMessage{Type: 1, Payload: []byte{0}}, h264.SEIMessage{Type: 5, Payload: foreign},
			h264.SEIMessage{Type: 5, Payload: ours}), true},
		{"behind one as long", sei(h264.SEIMessage{Type: 5, Payload: foreign[:33]},
			h264.SEIMessage{Type: 5, Payload: ours}), true},
		{"a later version", sei(h264.SEIMessage{Type: 5, Payload: later}), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := stamp.Parse(tt.nalu)
			if ok != tt.ok || ok && got.Frame != 7 {
				t.Errorf("got %+v, %v, want %v", got, ok, tt.ok)
			}
		})
	}
}

func TestNoAllocations(t *testing.T) {
	buf := make([]byte, 0, 64)
	s := stamp.Stamp{Frame: 1, Captured: time.Unix(5, 6)}
	if n := testing.AllocsPerRun(100, func() {
		buf = stamp.Append(buf[:0], s)
		s, _ = stamp.Parse(buf)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, g := range goldens {
		b, _ := hex.DecodeString(g.nalu)
		f.Add(b)
	}
	f.Add([]byte{6, 5, 33, 0x80})
	f.Fuzz(func(t *testing.T, nalu []byte) {
		s, ok := stamp.Parse(nalu)
		if !ok {
			return
		}
		again, ok := stamp.Parse(stamp.Append(nil, s))
		if !ok || again != s {
			t.Errorf("%+v became %+v, %v", s, again, ok)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(0), int64(0))
	f.Add(uint64(3), int64(1<<56))
	f.Fuzz(func(t *testing.T, frame uint64, nanos int64) {
		want := stamp.Stamp{Frame: frame, Captured: time.Unix(0, nanos).UTC()}
		nalu := stamp.Append([]byte{0, 0, 0, 1}, want)
		if units := h264.SplitAnnexB(nil, nalu); len(units) != 1 {
			t.Fatalf("%x splits into %d NAL units", nalu, len(units))
		}
		if got, ok := stamp.Parse(nalu[4:]); !ok || got != want {
			t.Errorf("got %+v, %v, want %+v", got, ok, want)
		}
	})
}

func Example() {
	nalu := stamp.Append(nil, stamp.Stamp{Frame: 42, Captured: time.Unix(1767225600, 0)})
	s, ok := stamp.Parse(nalu)
	fmt.Println(s.Frame, s.Captured, ok)
	// Output: 42 2026-01-01 00:00:00 +0000 UTC true
}
