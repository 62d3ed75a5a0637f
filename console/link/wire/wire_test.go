package wire

import (
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"github.com/ocellus/ocellus/codec/pack"
)

// marshaler is what has a wire form.
type marshaler interface{ Marshal() []byte }

// parsers are all of them, so that a golden file and the fuzz test leave none out.
func parsers() []func(raw []byte) (marshaler, error) {
	return []func(raw []byte) (marshaler, error){
		func(raw []byte) (marshaler, error) { v, err := ParseHello(raw); return v, err },
		func(raw []byte) (marshaler, error) { v, err := ParseWelcome(raw); return v, err },
		func(raw []byte) (marshaler, error) { v, err := ParseMessage(raw); return v, err },
		func(raw []byte) (marshaler, error) { v, err := ParseFile(raw); return v, err },
		func(raw []byte) (marshaler, error) { v, err := ParseGrant(raw); return v, err },
		func(raw []byte) (marshaler, error) { v, err := ParsePart(raw); return v, err },
		func(raw []byte) (marshaler, error) { v, err := ParseNo(raw); return v, err },
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	session := [SessionSize]byte{1, 2, 3, 4, 5, 6, 7, 8}
	for i, c := range []struct {
		value marshaler
		want  string
	}{
		{Hello{session, 512}, "83" + "0101" + "02c4080102030405060708" + "03cd0200"},
		{Welcome{session, "M", "1.0", true}, "85" + "0101" + "02c4080102030405060708" + "03a14d" + "04a3312e30" + "05c3"},
		{Message{Command, 258, []byte("{}")}, "040201" + "7b7d"},
		{File{[SumSize]byte{9}, 300, true}, "83" + "01c42009" + zeros(31) + "02cd012c" + "03c3"},
		{Grant{1, 2}, "82" + "0101" + "0202"},
		{Part{0x01020304, []byte{5}}, "04030201" + "05"},
		{No{"busy", "later"}, "82" + "01a462757379" + "02a56c61746572"},
	} {
		if got := hex.EncodeToString(c.value.Marshal()); got != c.want {
			t.Errorf("%T: got %s, want %s", c.value, got, c.want)
		}
		back, err := parsers()[i](c.value.Marshal())
		if err != nil || !reflect.DeepEqual(back, c.value) {
			t.Errorf("%T: got %v, %v back", c.value, back, err)
		}
	}
}

func zeros(n int) string { return hex.EncodeToString(make([]byte, n)) }

func TestRefuses(t *testing.T) {
	t.Parallel()
	if _, err := ParseHello(pack.Numbered(uint64(2), "what comes later").Append(nil)); !errors.Is(err, ErrVersion) {
		t.Errorf("another version: got %v", err)
	}
	if _, err := ParseHello(Hello{Chunk: MinChunk - 1}.Marshal()); !errors.Is(err, pack.ErrMalformed) {
		t.Errorf("a chunk of nearly nothing: got %v", err)
	}
	for i, parse := range parsers() {
		for _, raw := range [][]byte{nil, {1}, make([]byte, MaxMessage+1)} {
			if _, err := parse(raw); !errors.Is(err, pack.ErrMalformed) {
				t.Errorf("parser %d, %d bytes: got %v", i, len(raw), err)
			}
		}
	}
}

// FuzzParse: what is taken is what its own wire form says.
func FuzzParse(f *testing.F) {
	f.Add(uint8(0), Hello{Chunk: 512}.Marshal())
	f.Add(uint8(3), File{Size: 1}.Marshal())
	f.Add(uint8(5), Part{1, []byte{1}}.Marshal())
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		parse := parsers()[int(which)%len(parsers())]
		v, err := parse(raw)
		if err != nil {
			return
		}
		if again, err := parse(v.Marshal()); err != nil || !reflect.DeepEqual(again, v) {
			t.Fatalf("%v became %v, %v", v, again, err)
		}
	})
}
