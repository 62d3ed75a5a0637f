package h264

import (
	"bytes"
	"testing"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, plain, escaped string }{
		{"nothing", "", ""},
		{"plain", "abc", "abc"},
		{"start code", "\x00\x00\x01", "\x00\x00\x03\x01"},
		{"four is free", "\x00\x00\x04", "\x00\x00\x04"},
		{"three", "\x00\x00\x03", "\x00\x00\x03\x03"},
		{"six zeros", "\x00\x00\x00\x00\x00\x00a", "\x00\x00\x03\x00\x00\x03\x00\x00a"},
		{"a zero at the end", "a\x00", "a\x00\x03"},
		{"two zeros at the end", "a\x00\x00", "a\x00\x00\x03"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Escape(nil, []byte(tt.plain)); string(got) != tt.escaped {
				t.Errorf("Escape %q = %q, want %q", tt.plain, got, tt.escaped)
			}
			if tt.plain != "" && tt.plain[len(tt.plain)-1] == 0 {
				return // the way back needs trailing bits to know where the payload ends
			}
			if got := Unescape(nil, []byte(tt.escaped)); string(got) != tt.plain {
				t.Errorf("Unescape %q = %q, want %q", tt.escaped, got, tt.plain)
			}
		})
	}
}

func FuzzEscape(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x01\x02\x00\x00\x03"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		plain = append(plain, 0x80)
		b := Escape([]byte{0x65}, plain)
		for _, bad := range []string{"\x00\x00\x00", "\x00\x00\x01", "\x00\x00\x02"} {
			if bytes.Contains(b, []byte(bad)) {
				t.Fatalf("%x holds %x", b, bad)
			}
		}
		if got := Unescape(nil, b[1:]); !bytes.Equal(got, plain) {
			t.Fatalf("%x came back as %x", plain, got)
		}
		r := newBitReader(b)
		for i, want := range plain {
			if got := r.u(8); got != uint32(want) || r.bad {
				t.Fatalf("byte %d of %x reads as %x", i, plain, got)
			}
		}
	})
}

func TestExpGolomb(t *testing.T) {
	t.Parallel()
	values := []uint32{0, 1, 2, 3, 7, 8, 255, 256, 65535, 1<<31 - 1, 1<<32 - 2}
	w := new(bitWriter)
	for _, v := range values {
		w.ue(v)
	}
	for _, v := range []int32{0, 1, -1, 2, -2, 1 << 20, -1 << 20} {
		w.se(v)
	}
	r := newBitReader(w.nalu(0x65))
	for _, v := range values {
		if got := r.ue(); got != v {
			t.Fatalf("got %d, want %d", got, v)
		}
	}
	for _, v := range []int32{0, 1, -1, 2, -2, 1 << 20, -1 << 20} {
		if got := r.se(); got != v {
			t.Fatalf("got %d, want %d", got, v)
		}
	}
	if r.bad {
		t.Error("bad after good codes")
	}
	long := newBitReader([]byte{0x65, 0, 0, 0, 0, 0, 0xff})
	if long.ue(); !long.bad {
		t.Error("a code of 40 zeros is not bad")
	}
}
