package h264

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// units returns the strings as NAL units.
func units(s ...string) [][]byte {
	var out [][]byte
	for _, u := range s {
		out = append(out, []byte(u))
	}
	return out
}

func TestSplitAnnexB(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     [][]byte
	}{
		{"empty", "", nil},
		{"no start code", "\x67\x42\x00\x1f", nil},
		{"a start code alone", "\x00\x00\x01", nil},
		{"zeros alone", strings.Repeat("\x00", 40), nil},
		{"three bytes", "\x00\x00\x01\x67\x42", units("\x67\x42")},
		{"four bytes", "\x00\x00\x00\x01\x67\x42", units("\x67\x42")},
		{"both", "\x00\x00\x01\x67\x42\x00\x00\x00\x01\x68\xce", units("\x67\x42", "\x68\xce")},
		{"garbage first", "abc\x00\x00\x01\x65", units("\x65")},
		{"leading zeros", "\x00\x00\x00\x00\x00\x01\x65", units("\x65")},
		{"trailing zeros", "\x00\x00\x01\x65\x80\x00\x00\x00", units("\x65\x80")},
		{"empty NAL units", "\x00\x00\x01\x00\x00\x01\x00\x00\x00\x01\x65\x00\x00\x01", units("\x65")},
		{"emulation prevention stays", "\x00\x00\x01\x65\x00\x00\x03\x01", units("\x65\x00\x00\x03\x01")},
		{"a start code across two words", "\x00\x00\x01\x65aaaaaaa\x00\x00\x01\x41bbbbbbbbbbbbbb\x00\x00\x01\x42",
			units("\x65aaaaaaa", "\x41bbbbbbbbbbbbbb", "\x42")},
		{"ends in half a start code", "\x00\x00\x01\x65aaaaaaaaaaaaaa\x00\x00", units("\x65aaaaaaaaaaaaaa")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := SplitAnnexB(nil, []byte(tt.in))
			if !slices.EqualFunc(got, tt.want, bytes.Equal) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// naiveSplit is the definition of Annex B, byte by byte.
func naiveSplit(b []byte) [][]byte {
	parts := bytes.Split(b, []byte{0, 0, 1})
	var out [][]byte
	for _, p := range parts[1:] {
		if p = bytes.TrimRight(p, "\x00"); len(p) > 0 {
			out = append(out, p)
		}
	}
	return out
}

func FuzzSplitAnnexB(f *testing.F) {
	for _, s := range []string{"\x00\x00\x01\x67\x42\x00\x00\x00\x01\x68\xce", "x\x00\x00\x01\x00\x00\x01\x65aaaaaaaaaaa\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, want := SplitAnnexB(nil, b), naiveSplit(b)
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("got %x, want %x", got, want)
		}
		if again := SplitAnnexB(nil, AppendAnnexB(nil, got...)); !slices.EqualFunc(again, got, bytes.Equal) {
			t.Fatalf("after AppendAnnexB: %x, want %x", again, got)
		}
	})
}

func TestSplitAnnexBAllocates(t *testing.T) {
	b := AppendAnnexB(nil, units("\x67\x42", "\x68\xce", "\x65abc")...)
	dst := make([][]byte, 0, 4)
	if n := testing.AllocsPerRun(100, func() { dst = SplitAnnexB(dst[:0], b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSplitLengthPrefixed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		size     int
		want     [][]byte
		ok       bool
	}{
		{"empty", "", 4, nil, true},
		{"four bytes", "\x00\x00\x00\x02\x67\x42\x00\x00\x00\x01\x68", 4, units("\x67\x42", "\x68"), true},
		{"two bytes", "\x00\x01\x67\x00\x02\x68\xce", 2, units("\x67", "\x68\xce"), true},
		{"one byte", "\x01\x67\x00\x01\x68", 1, units("\x67", "\x68"), true},
		{"three bytes", "\x00\x00\x01\x67", 3, nil, false},
		{"half a length", "\x00\x01\x67\x00", 2, units("\x67"), false},
		{"too long", "\x01\x67\x05\x68", 1, units("\x67"), false},
		{"enormous", "\xff\xff\xff\xff\x67", 4, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := SplitLengthPrefixed(nil, []byte(tt.in), tt.size)
			if !slices.EqualFunc(got, tt.want, bytes.Equal) || (err == nil) != tt.ok {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func FuzzSplitLengthPrefixed(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02\x67\x42\x00\x00\x00\x01\x68"), 4)
	f.Add([]byte("\x01\x67\x05\x68"), 1)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		got, err := SplitLengthPrefixed(nil, b, size)
		if err != nil {
			return
		}
		again, err := SplitLengthPrefixed(nil, AppendLengthPrefixed(nil, got...), 4)
		if err != nil || !slices.EqualFunc(again, got, bytes.Equal) {
			t.Fatalf("%v: %x, want %x", err, again, got)
		}
	})
}

func BenchmarkSplitAnnexB(b *testing.B) {
	var au []byte
	seed := uint32(1)
	for range 4 {
		au = append(au, 0, 0, 1, 0x65)
		for range 15000 {
			seed = seed*1664525 + 1013904223
			au = append(au, byte(seed>>24))
		}
	}
	dst := make([][]byte, 0, 64)
	b.SetBytes(int64(len(au)))
	b.ReportAllocs()
	for b.Loop() {
		dst = SplitAnnexB(dst[:0], au)
	}
}
