package frame

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		frame      Frame
	}{
		{"empty", "c50c" + "00" + "0000" + "0000" + "35767245", Frame{}},
		{"payload", "c50c" + "83" + "3412" + "0500" + "68656c6c6f" + "99c0e984", Frame{0x83, 0x1234, []byte("hello")}},
	} {
		raw := c.frame.Append(nil)
		if got := hex.EncodeToString(raw); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if got := split(raw, len(raw)); len(got) != 1 || got[0] != spell(Piece{Frame: &c.frame}) {
			t.Errorf("%s: got %q back", c.name, got)
		}
	}
	if utf8.Valid([]byte{sync0, sync1}) {
		t.Error("a person can type what begins a frame")
	}
}

// spell writes a piece so that it can be compared.
func spell(p Piece) string {
	if p.Frame == nil {
		return "text " + string(p.Text)
	}
	return fmt.Sprintf("frame %d %d %x", p.Frame.Kind, p.Frame.Seq, p.Frame.Payload)
}

// split pushes raw in steps of so many bytes, and joins stretches of text.
func split(raw []byte, step int) []string {
	var s Splitter
	return collect(func(take func(Piece)) {
		for part := range slices.Chunk(raw, step) {
			s.Push(part, take)
		}
		s.Quiet(take)
	})
}

func collect(push func(take func(Piece))) []string {
	var got []string
	push(func(p Piece) {
		said := spell(p)
		if n := len(got); p.Frame == nil && n > 0 && strings.HasPrefix(got[n-1], "text ") {
			got[n-1] += string(p.Text)
			return
		}
		got = append(got, said)
	})
	return got
}

func TestSplit(t *testing.T) {
	t.Parallel()
	a, b := Frame{1, 7, []byte("one\nreboot\n")}, Frame{2, 8, bytes.Repeat([]byte{sync0, sync1}, MaxPayload/2)}
	frameA, frameB := string(a.Append(nil)), string(b.Append(nil))
	saidA, saidB := spell(Piece{Frame: &a}), spell(Piece{Frame: &b})
	broken := []byte(frameA)
	broken[len(broken)-1] ^= 1
	shortened := []byte(frameB)
	shortened[5], shortened[6] = 3, 0
	lengthened := []byte(frameA)
	lengthened[6] = 2
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"text", "grüße, ł and ő\r", []string{"text grüße, ł and ő\r"}},
		{"text in a broken encoding", "\xc5\xc5x\xc5", []string{"text \xc5\xc5x\xc5"}},
		{"text between frames", "a" + frameA + "b" + frameB + "c", []string{"text a", saidA, "text b", saidB, "text c"}},
		{"half a beginning before a frame", "\xc5" + frameA, []string{"text \xc5", saidA}},
		{"a damaged frame takes what is behind it along", "a" + string(broken) + "reboot\n", []string{"text a"}},
		{"until there is a whole one", string(broken) + "reboot\n" + frameA + "b", []string{saidA, "text b"}},
		{"a length that was cut", string(shortened) + frameA, []string{saidA}},
		{"a length that grew over whole frames", string(lengthened) + frameA + frameA, []string{saidA, saidA}},
		{"no length that a frame can have", "\xc5\x0c\x01\x00\x00\x01\x04reboot\n" + frameA, []string{saidA}},
		{"cut short", frameA[:len(frameA)-1], nil},
	} {
		for _, step := range []int{1, 2, 3, 7, 64, len(c.in)} {
			if got := split([]byte(c.in), step); !slices.Equal(got, c.want) {
				t.Errorf("%s, %d at a time: got %q, want %q", c.name, step, got, c.want)
			}
		}
	}
}

// TestQuiet: what a person types after a silence is text again, whatever came before it.
func TestQuiet(t *testing.T) {
	t.Parallel()
	var s Splitter
	got := collect(func(take func(Piece)) {
		s.Push([]byte("\xc5\x0c\x01\x00\x00\x00\x04 half a frame"), take)
		s.Quiet(take)
		s.Push([]byte("status\n"), take)
	})
	if want := []string{"text status\n"}; !slices.Equal(got, want) || s.Damaged != 1 {
		t.Errorf("got %q, %d damaged", got, s.Damaged)
	}
}

// TestNoise: of frames with noise between and in them, the whole ones come through once each and in order.
func TestNoise(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var line []byte
	var want []string
	for i := range 2000 {
		f := Frame{uint8(random.Uint32()), uint16(i), make([]byte, random.IntN(64))}
		for j := range f.Payload {
			f.Payload[j] = byte(random.Uint32())
		}
		raw := f.Append(nil)
		if i%3 == 0 {
			raw[2+random.IntN(len(raw)-2)] ^= byte(1 + random.IntN(255))
		} else {
			want = append(want, spell(Piece{Frame: &f}))
		}
		line = append(line, raw...)
	}
	line = append(line, make([]byte, Max)...) // so that no damaged length waits for more
	got := slices.DeleteFunc(split(line, 61), func(s string) bool { return strings.HasPrefix(s, "text ") })
	if !slices.Equal(got, want) {
		t.Errorf("got %d frames, want %d", len(got), len(want))
	}
}

func TestAppendPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a frame that nobody takes was written")
		}
	}()
	Frame{Payload: make([]byte, MaxPayload+1)}.Append(nil)
}

// FuzzSplitter: however a line is cut, the same comes out of it; nothing is made up; what is held stays bounded.
func FuzzSplitter(f *testing.F) {
	whole := Frame{1, 2, []byte("x")}.Append(nil)
	f.Add(append([]byte("a\xc5b"), whole...), uint8(1))
	f.Add(append(whole[:5:5], whole...), uint8(3))
	f.Add([]byte("\xc5\x0c\x01\x00\x00\xff\xff\xc5\x0c"), uint8(2))
	f.Fuzz(func(t *testing.T, raw []byte, step uint8) {
		once := split(raw, max(len(raw), 1))
		if cut := split(raw, int(step)+1); !slices.Equal(cut, once) {
			t.Fatalf("cut by %d: got %q, want %q", step+1, cut, once)
		}
		total := 0
		var s Splitter
		s.Push(raw, func(p Piece) {
			if p.Frame != nil {
				total += len(p.Frame.Append(nil))
			}
			total += len(p.Text)
		})
		if total > len(raw) || len(s.held) > Max {
			t.Fatalf("%d bytes out of %d, %d held", total, len(raw), len(s.held))
		}
	})
}
