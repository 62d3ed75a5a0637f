package pack

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// every is a message with every type of value.
func every() Map {
	return Map{
		{0, uint64(0)}, {1, uint64(1 << 40)}, {2, true}, {3, "text"}, {4, []byte{0, 255}},
		{5, []any{uint64(7), "x", []byte{}, Map{{9, false}}}}, {127, Map{}},
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	const want = "87" + "0000" + "01cf0000010000000000" + "02c3" + "03a474657874" + "04c40200ff" +
		"059407a178c400" + "8109c2" + "7f80"
	if got := hex.EncodeToString(every().Append(nil)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	raw, _ := hex.DecodeString(want)
	got, err := Parse(raw, len(raw))
	if err != nil || !reflect.DeepEqual(got, every()) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, hex, says string }{
		{"nothing", "", "few"},
		{"no map", "90", "map"},
		{"something behind", "8000", "behind"},
		{"too long", "81" + "00" + "c440" + strings.Repeat("00", 64), "at most"},
		{"key twice", "8200000000", "out of order"},
		{"keys descending", "8201000000", "out of order"},
		{"key of text", "81a16100", "uint"},
		{"key of 128", "81cc8000", "out of order"},
		{"negative key", "81ff00", ""},
		{"number longer than it must be", "8100cc05", "shortest"},
		{"key longer than it must be", "81cc0005", "shortest"},
		{"map header longer than it must be", "de00010005", "shortest"},
		{"bytes longer than they must be", "8100c5000100", "shortest"},
		{"text longer than it must be", "8100d90161", "shortest"},
		{"signed positive number", "8100d005", "shortest"},
		{"negative number", "8100ff", ""},
		{"nil", "8100c0", "nil"},
		{"float", "8100cb0000000000000000", "float"},
		{"extension", "8100d40000", "type"},
		{"text that is no UTF-8", "8100a1ff", "UTF-8"},
		{"cut short in a key", "81", "cut short"},
		{"cut short in a value", "8100", "cut short"},
		{"a length that nobody sent", "8100dd00ffffff", "items"},
		{"bytes that nobody sent", "8100c6ffffffff", "cut short"},
		{"a text that nobody sent", "8100db80000000", "cut short"},
		{"a long length, cut short", "8100c6ffff", "cut short"},
		{"a list that nobody sent", "8100dc0010", "cut short"},
		{"too deep", "8100" + strings.Repeat("91", MaxDepth) + "00", "levels"},
	}
	for _, tt := range tests {
		raw, err := hex.DecodeString(tt.hex)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(raw, 64)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want ErrMalformed that says %q", tt.name, err, tt.says)
		}
	}
	deep := "8100" + strings.Repeat("91", MaxDepth-1) + "00"
	raw, _ := hex.DecodeString(deep)
	if _, err := Parse(raw, 64); err != nil {
		t.Errorf("%d levels: %v", MaxDepth, err)
	}
}

func TestReader(t *testing.T) {
	t.Parallel()
	r := Read(every())
	r.Uint(0, 0)
	n := r.Uint(1, 1<<41)
	truth, text, blob := r.Bool(2), r.Text(3, 4), r.Bytes(4, 2)
	list := r.List(5, 4)
	if !r.Has(127) || r.Has(6) {
		t.Error("Has looks at another field than the next")
	}
	r.Map(127)
	if err := r.Done(); err != nil || n != 1<<40 || !truth || text != "text" || len(blob) != 2 || len(list) != 4 {
		t.Errorf("%v: %v %v %v %v %v", err, n, truth, text, blob, list)
	}
	faults := []struct {
		name, says string
		read       func(r *Reader)
	}{
		{"unknown behind", "unknown field 9", func(r *Reader) { r.Uint(1, 5) }},
		{"unknown before", "unknown field 1", func(r *Reader) { r.Text(9, 9) }},
		{"absent", "no field 2", func(r *Reader) { r.Uint(1, 5); r.Uint(2, 5) }},
		{"another type", "field 1 is a uint64", func(r *Reader) { r.Text(1, 5) }},
		{"too large", "at most 4", func(r *Reader) { r.Uint(1, 4) }},
		{"too long", "at most 3", func(r *Reader) { r.Uint(1, 5); r.Text(9, 3) }},
		{"another version", "field 1 is 5, want 6", func(r *Reader) { r.Is(1, 6) }},
		{"the first of two", "no field 0", func(r *Reader) { r.Uint(0, 5); r.Text(1, 5) }},
	}
	for _, tt := range faults {
		r := Read(Map{{1, uint64(5)}, {9, "nine"}})
		tt.read(r)
		if err := r.Done(); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.says)
		}
	}
	r = Read(Map{{1, []byte{1}}})
	if b := r.Bytes(1, 32); len(b) != 32 || r.Done() == nil {
		t.Errorf("a key that is too short: %d bytes, %v", len(b), r.Done())
	}
}

func TestAppendPanics(t *testing.T) {
	t.Parallel()
	for _, m := range []Map{{{1, true}, {1, true}}, {{2, true}, {1, true}}, {{128, true}}, {{1, 5}}, {{1, nil}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v was written", m)
				}
			}()
			m.Append(nil)
		}()
	}
}

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func TestSigned(t *testing.T) {
	t.Parallel()
	a, b := testKey("a"), testKey("b")
	public := func(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }
	raw := Sign("kind 1", every(), a, b).Marshal()
	s, m, err := ParseSigned(raw, len(raw), 2)
	if err != nil || !reflect.DeepEqual(m, every()) {
		t.Fatalf("%v %v", m, err)
	}
	if !s.Verify("kind 1", 0, public(a)) || !s.Verify("kind 1", 1, public(b)) {
		t.Error("a right signature does not count")
	}
	if s.Verify("kind 2", 0, public(a)) || s.Verify("kind 1", 1, public(a)) || s.Verify("kind 1", 2, public(a)) ||
		s.Verify("kind 1", 0, nil) {
		t.Error("a wrong signature counts")
	}
	s.Bytes[0] ^= 1
	if s.Verify("kind 1", 0, public(a)) {
		t.Error("other bytes count")
	}
	for _, n := range []int{1, 3} {
		if _, _, err := ParseSigned(raw, len(raw), n); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d signatures for 2: %v", n, err)
		}
	}
	short := Numbered(every().Append(nil), []any{make([]byte, 63)}).Append(nil)
	if _, _, err := ParseSigned(short, len(short), 1); !errors.Is(err, ErrMalformed) {
		t.Errorf("a signature of 63 bytes: %v", err)
	}
}

// FuzzParse: what is taken is written again to the same bytes, and nothing panics.
func FuzzParse(f *testing.F) {
	f.Add(every().Append(nil))
	f.Add([]byte("\x80"))
	f.Add(Sign("kind 1", every(), testKey("a")).Marshal())
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Parse(raw, 4096)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Append(nil), raw) {
			t.Errorf("%x is written as %x", raw, m.Append(nil))
		}
		_, _, _ = ParseSigned(raw, 4096, 1)
	})
}
