package bootstate

import (
	"bytes"
	"errors"
	"flag"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// update is a flag of the test binary: it writes the golden files anew.
func update() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files")
	flag.Parse()
	os.Exit(m.Run())
}

// copyOf formats a record.
func copyOf(t testing.TB, seq uint32, r Record, more Env) []byte {
	t.Helper()
	env, err := r.Apply(more)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Format(Copy{seq, env})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		seq  uint32
		rec  Record
		more Env
	}{
		{"fresh", 1, Record{Confirmed: A}, nil},
		{"trial", 0x1f, Record{Confirmed: A, Trial: B, Tries: 3, Floor: 0x2a}, nil},
		{"failed", 0x7fffffff, Record{Confirmed: B, Failed: A, Why: Tries, Floor: 0xffffffff}, nil},
		{"newer", 7, Record{Confirmed: A}, Env{"st_colour": "blue", "st_A1": "x.y:z,0/1+2@3-4_5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := copyOf(t, c.seq, c.rec, c.more)
			path := filepath.Join("testdata", c.name+".env")
			if update() {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("Format: got %q, want %q", bytes.TrimRight(got, "\x00"), bytes.TrimRight(want, "\x00"))
			}
			back, err := Parse(want)
			if err != nil {
				t.Fatal(err)
			}
			rec, err := Read(back.Env)
			if err != nil || rec != c.rec || back.Seq != c.seq {
				t.Errorf("Read: got %d %+v, %v, want %d %+v", back.Seq, rec, err, c.seq, c.rec)
			}
			for name, value := range c.more {
				if back.Env[name] != value {
					t.Errorf("Read: %s is %q, want %q", name, back.Env[name], value)
				}
			}
		})
	}
}

// seal gives a text the CRC that it needs.
func seal(text string) []byte {
	b := make([]byte, CopySize)
	copy(b[4:], text)
	sum := crc32.ChecksumIEEE(b[4:])
	b[0], b[1], b[2], b[3] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
	return b
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	good := copyOf(t, 5, Record{Confirmed: A}, nil)
	flipped := bytes.Clone(good)
	flipped[100] ^= 1
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"zeros":              make([]byte, CopySize),
		"erased":             bytes.Repeat([]byte{0xff}, CopySize),
		"short":              good[:CopySize-1],
		"bit flip":           flipped,
		"first sector only":  append(bytes.Clone(good[:512]), bytes.Repeat([]byte{0xff}, CopySize-512)...),
		"no text":            seal(""),
		"no end":             seal(strings.Repeat("x", CopySize-4)),
		"junk after the end": seal("st_seq=1\x00st_vars=st_seq st_vars\x00\x00junk"),
		"no sequence":        seal("st_slot=a\x00st_vars=st_slot st_vars\x00"),
		"sequence 0":         seal("st_seq=0\x00st_vars=st_seq st_vars\x00"),
		"sequence too big":   seal("st_seq=80000000\x00st_vars=st_seq st_vars\x00"),
		"an address":         seal("st_seq=*4000\x00st_vars=st_seq st_vars\x00"),
		"no list":            seal("st_seq=1\x00"),
		"list too short":     seal("st_seq=1\x00st_slot=a\x00st_vars=st_seq st_vars\x00"),
		"list too long":      seal("st_seq=1\x00st_vars=st_seq st_slot st_vars\x00"),
		"foreign variable":   seal("bootcmd=reset\x00st_seq=1\x00st_vars=bootcmd st_seq st_vars\x00"),
		"twice":              seal("st_seq=1\x00st_seq=1\x00st_vars=st_seq st_vars\x00"),
		"shell":              seal("st_seq=1\x00st_slot=a;reset\x00st_vars=st_seq st_slot st_vars\x00"),
	} {
		if _, err := Parse(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got error %v, want ErrDamaged", name, err)
		}
	}
}

func TestFormatRefuses(t *testing.T) {
	t.Parallel()
	many := Env{}
	for i := range 60 {
		many["st_"+string(rune('a'+i%26))+strings.Repeat("x", i/26)] = "1"
	}
	for name, c := range map[string]Copy{
		"sequence 0": {0, Env{"st_slot": "a"}},
		"high":       {MaxSeq + 1, Env{"st_slot": "a"}},
		"name":       {1, Env{"slot": "a"}},
		"odd name":   {1, Env{"st_a=b": "a"}},
		"empty":      {1, Env{"st_slot": ""}},
		"space":      {1, Env{"st_slot": "a b"}},
		"quote":      {1, Env{"st_slot": "a'b"}},
		"dollar":     {1, Env{"st_slot": "a${b}c"}},
		"too long":   {1, Env{"st_slot": strings.Repeat("a", 4000)}},
		"too many":   {1, many},
		"sequence":   {1, Env{"st_seq": "2"}},
	} {
		if b, err := Format(c); err == nil {
			t.Errorf("%s: got %q", name, bytes.TrimRight(b, "\x00"))
		}
	}
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]Record{
		"no slot":         {},
		"third slot":      {Confirmed: "c"},
		"confirmed tried": {Confirmed: A, Trial: A, Tries: 1},
		"too many tries":  {Confirmed: A, Trial: B, Tries: 8},
		"negative tries":  {Confirmed: A, Trial: B, Tries: -1},
		"tries of none":   {Confirmed: A, Tries: 1},
		"failed third":    {Confirmed: A, Failed: "c"},
	} {
		if _, err := r.Apply(nil); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestReadIsLenient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		env  Env
		want Record
		ok   bool
	}{
		{"empty", Env{}, Record{Confirmed: A}, false},
		{"unknown slot", Env{"st_slot": "c", "st_floor": "0"}, Record{Confirmed: A}, true},
		{"confirmed on trial", Env{"st_slot": "b", "st_try": "b", "st_left": "3", "st_floor": "0"}, Record{Confirmed: B}, true},
		{"odd tries", Env{"st_slot": "b", "st_try": "a", "st_left": "8", "st_floor": "0"}, Record{Confirmed: B, Trial: A}, true},
		{"padded tries", Env{"st_try": "b", "st_left": "03", "st_floor": "0"}, Record{Confirmed: A, Trial: B}, true},
		{"odd floor", Env{"st_slot": "b", "st_floor": "v2"}, Record{Confirmed: B}, false},
	} {
		got, err := Read(c.env)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

func TestCurrent(t *testing.T) {
	t.Parallel()
	one, two := copyOf(t, 1, Record{Confirmed: A}, nil), copyOf(t, 2, Record{Confirmed: B}, nil)
	bad := make([]byte, CopySize)
	for _, c := range []struct {
		name   string
		copies [2][]byte
		at     int
		seq    uint32
	}{
		{"first newer", [2][]byte{two, one}, 0, 2},
		{"second newer", [2][]byte{one, two}, 1, 2},
		{"equal", [2][]byte{one, one}, 0, 1},
		{"first damaged", [2][]byte{bad, one}, 1, 1},
		{"second unreadable", [2][]byte{one, nil}, 0, 1},
		{"both damaged", [2][]byte{bad, nil}, -1, 0},
	} {
		got, at, err := Current(c.copies)
		if at != c.at || got.Seq != c.seq || (err == nil) != (c.at >= 0) || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got copy %d sequence %d, %v", c.name, at, got.Seq, err)
		}
	}
}

// FuzzParse: whatever is accepted is formatted back to the same bytes but for the order of its variables, and boots
// something.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"fresh", "trial", "failed", "newer"} {
		b, err := os.ReadFile(filepath.Join("testdata", name+".env"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[4:200])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > CopySize-4 {
			return
		}
		c, err := Parse(seal(string(text)))
		if err != nil {
			return
		}
		b, err := Format(c)
		if err != nil {
			t.Fatalf("Format: %v", err)
		}
		again, err := Parse(b)
		if err != nil || again.Seq != c.Seq || !maps.Equal(again.Env, c.Env) {
			t.Fatalf("got %+v, %v, want %+v", again, err, c)
		}
		boot := Next(Board{Copies: [2][]byte{b, nil}, Verifies: func(Slot) bool { return true }})
		if !slices.Contains([]Slot{A, B}, boot.Slot) {
			t.Fatalf("boots slot %q", boot.Slot)
		}
	})
}
