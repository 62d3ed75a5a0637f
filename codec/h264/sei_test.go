package h264

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func sameSEI(a, b SEIMessage) bool { return a.Type == b.Type && bytes.Equal(a.Payload, b.Payload) }

func TestSEI(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		messages []SEIMessage
		prefix   string
	}{
		{"none", nil, "\x06\x80"},
		{"empty payload", []SEIMessage{{Type: 6}}, "\x06\x06\x00\x80"},
		{"recovery point", []SEIMessage{{Type: 6, Payload: []byte{0x84}}}, "\x06\x06\x01\x84\x80"},
		{"large type", []SEIMessage{{Type: 255 + 255 + 3, Payload: []byte{1}}}, "\x06\xff\xff\x03\x01\x01\x80"},
		{"type 255", []SEIMessage{{Type: 255, Payload: []byte{1}}}, "\x06\xff\x00\x01\x01\x80"},
		{"large payload", []SEIMessage{{Type: 5, Payload: bytes.Repeat([]byte{7}, 600)}}, "\x06\x05\xff\xff\x5a\x07\x07"},
		{"zeros", []SEIMessage{{Type: 5, Payload: make([]byte, 20)}}, "\x06\x05\x14\x00\x00\x03\x00\x00\x03"},
		{"two", []SEIMessage{{Type: 1, Payload: []byte{0}}, {Type: 5, Payload: []byte{0, 0}}}, "\x06\x01\x01\x00\x05\x02\x00\x00\x80"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			nalu := AppendSEI(nil, tt.messages...)
			if !bytes.HasPrefix(nalu, []byte(tt.prefix)) {
				t.Errorf("got %x, want %x...", nalu, tt.prefix)
			}
			got, err := ParseSEI(nalu)
			if err != nil || !slices.EqualFunc(got, tt.messages, sameSEI) {
				t.Errorf("parsed %v, %v", got, err)
			}
		})
	}
}

func TestParseSEIDamaged(t *testing.T) {
	t.Parallel()
	for name, nalu := range map[string]string{
		"size beyond the end": "\x06\x01\x01\x00\x05\x20abc",
		"no size":             "\x06\x01\x01\x00\xff\xff",
		"only a type":         "\x06\x01\x01\x00\x05",
	} {
		got, err := ParseSEI([]byte(nalu))
		if !errors.Is(err, ErrTruncated) || len(got) != 1 || got[0].Type != 1 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := ParseSEI([]byte{0x65, 1}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a slice: %v", err)
	}
}

func FuzzParseSEI(f *testing.F) {
	f.Add([]byte("\x06\x05\xff\xff\x5a\x07\x07"))
	f.Add(AppendSEI(nil, SEIMessage{Type: 5, Payload: make([]byte, 300)}))
	f.Fuzz(func(t *testing.T, nalu []byte) {
		got, err := ParseSEI(nalu)
		if err != nil {
			return
		}
		again, err := ParseSEI(AppendSEI(nil, got...))
		if err != nil || !slices.EqualFunc(again, got, sameSEI) {
			t.Fatalf("%v came back as %v, %v", got, again, err)
		}
	})
}
