package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/testcard"
)

// drawn are the luma planes of the test card with these frame numbers.
func drawn(t *testing.T, w, h int, frames ...uint32) []byte {
	t.Helper()
	card, err := testcard.New(testcard.Options{Width: w, Height: h})
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	buf := make([]byte, card.Size())
	for _, f := range frames {
		card.Draw(buf, testcard.Stamp{Frame: f, CapturedNS: uint64(time.Now().Add(-time.Second).UnixNano())})
		out = append(out, buf[:w*h]...)
	}
	return out
}

func TestPicture(t *testing.T) {
	t.Parallel()
	const w, h = 320, 180
	tests := []struct {
		name string
		in   []byte
		args []string
		code int
		want pictureSummary
		says string
	}{
		{name: "in order", in: drawn(t, w, h, 7, 8, 9), want: pictureSummary{Pictures: 3}},
		{name: "lost and repeated", in: drawn(t, w, h, 7, 10, 10), want: pictureSummary{Pictures: 3, Lost: 2, Repeated: 1}},
		{
			name: "one unreadable", in: append(make([]byte, w*h), drawn(t, w, h, 1, 2)...),
			want: pictureSummary{Pictures: 3, Unreadable: 1},
		},
		{
			name: "none readable", in: make([]byte, 2*w*h), code: exitUnreadable,
			want: pictureSummary{Pictures: 2, Unreadable: 2},
		},
		{name: "cut short", in: make([]byte, w*h+1), code: exitOther, says: "is it 320x180"},
		{name: "no size", args: []string{"0", "0"}, code: exitUsage, says: "sides are"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := tt.args
			if args == nil {
				args = []string{"320", "180"}
			}
			var out bytes.Buffer
			code := run(t.Context(), append([]string{"picture"}, args...), streams{bytes.NewReader(tt.in), &out, &out})
			if code != tt.code || !strings.Contains(out.String(), tt.says) {
				t.Fatalf("exit code %d, want %d: %s", code, tt.code, out.String())
			}
			var got struct{ Summary pictureSummary }
			for line := range strings.Lines(out.String()) {
				if strings.HasPrefix(line, `{"summary"`) {
					if err := json.Unmarshal([]byte(line), &got); err != nil {
						t.Fatal(err)
					}
				}
			}
			if p50 := got.Summary.AgeP50; p50 != nil && (*p50 < 1000 || *p50 > 60000) {
				t.Errorf("age %v ms, want a little over 1000", *p50)
			}
			got.Summary.AgeP50, got.Summary.AgeP99 = nil, nil
			if got.Summary != tt.want {
				t.Errorf("summary %+v, want %+v", got.Summary, tt.want)
			}
		})
	}
}
