package h264

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"
)

const tick = 40 * time.Millisecond

// clipOf makes pictures whose places in display order are turns, counted from the IDR before.
func clipOf(turns []int, pocStep int) []byte {
	var b []byte
	for i, turn := range turns {
		h := SliceHeader{Type: SliceP, RefIDC: 2, FrameNum: uint32(i % 16), POCLSB: uint32(turn*pocStep) % 16}
		if i > 0 && turn < turns[i-1] {
			h.Type, h.RefIDC = SliceB, 0
		}
		if turn == 0 {
			h = SliceHeader{IDR: true, Type: SliceI, RefIDC: 3, IDRPicID: uint32(i)}
			b = AppendAnnexB(b, testSPS(0, false), testPPS(0, false, false))
		}
		b = AppendAnnexB(b, slice(h))
	}
	return b
}

func TestClipOrder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		turns []int // place in display order since the IDR, for each picture in decoding order
		step  int   // of the picture order count
		want  []int // PTS in pictures
	}{
		{"no B-frames", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1}, 2, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
		{"one B-frame", []int{0, 2, 1, 4, 3, 6, 5, 0, 2, 1}, 2, []int{-1, 1, 0, 3, 2, 5, 4, 6, 8, 7}},
		{"two B-frames", []int{0, 3, 1, 2, 0}, 2, []int{-2, 1, -1, 0, 2}},
		{"an order count of one", []int{0, 2, 1, 4, 3, 0, 2, 1}, 1, []int{-1, 1, 0, 3, 2, 4, 6, 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := OpenClip(bytes.NewReader(clipOf(tt.turns, tt.step)), ClipOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for round := range 2 {
				for i, want := range tt.want {
					s, err := c.Next()
					if err != nil || s.DTS != time.Duration(i)*tick || s.PTS != time.Duration(want)*tick ||
						s.IDR != (tt.turns[i] == 0) {
						t.Errorf("round %d: picture %d: DTS %v, PTS %v, IDR %v, %v", round, i, s.DTS, s.PTS, s.IDR, err)
					}
				}
				if _, err := c.Next(); !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				if err := c.Rewind(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestClipInfo(t *testing.T) {
	t.Parallel()
	sps, pps := fromHex(t, goldenSPS[0].hex), fromHex(t, "68ebe3cb22c0")
	c, err := OpenClip(bytes.NewReader(AppendAnnexB(nil, sps, pps, []byte{0x65, 0x88, 0x84})), ClipOptions{RateNum: 10, RateDen: 1})
	if err != nil {
		t.Fatal(err)
	}
	i := c.Info()
	if i.Width != 322 || i.Height != 182 || i.RateNum != 30000 || i.RateDen != 1001 || i.Interval != 33366666 {
		t.Errorf("%+v", i)
	}
	if !i.Params.Equal(Params{sps, pps}) {
		t.Errorf("parameter sets %x", i.Params)
	}
	b := AppendAnnexB(nil, testSPS(0, false), testPPS(0, false, false), []byte{0x65, 0x88, 0x84})
	if c, err = OpenClip(bytes.NewReader(b), ClipOptions{RateNum: 10, RateDen: 1}); err != nil ||
		c.Info().RateNum != 10 {
		t.Errorf("%v", err)
	}
	if _, err := OpenClip(bytes.NewReader([]byte("\x00\x00\x01\x65\x88")), ClipOptions{}); err == nil {
		t.Error("a clip without parameter sets opens")
	}
}

func FuzzClip(f *testing.F) {
	f.Add(clipOf([]int{0, 2, 1, 4, 3, 0, 2, 1}, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := OpenClip(bytes.NewReader(b), ClipOptions{})
		if err != nil {
			return
		}
		last := time.Duration(-1)
		for {
			s, err := c.Next()
			if err != nil {
				return
			}
			if s.DTS <= last || s.PTS > s.DTS {
				t.Fatalf("DTS %v after %v, PTS %v", s.DTS, last, s.PTS)
			}
			last = s.DTS
		}
	})
}
