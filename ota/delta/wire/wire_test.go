package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
)

// sample is a header with something of everything.
func sample() Header {
	return Header{
		Source: Image{Size: 9000, Sum: [32]byte{1}}, Target: Image{Size: 9000, Sum: [32]byte{2}},
		Blocks: "zstd", Streams: "gzip", BlockSize: 4096,
		Parts: []Part{{Kind: Stream, Offset: 10, Stored: 20, Expanded: 300},
			{Kind: Block, Offset: 40, Stored: 50, Expanded: 600}},
		Pieces: []Piece{{Kind: Raw, Expanded: 4000, Stored: 4000}, {Kind: Block, Expanded: 600, Stored: 400},
			{Kind: Stream, Expanded: 700, Stored: 504}, {Kind: Tree, Stored: 4096, DataSize: 4096, Salt: []byte("salt")}},
		From: []Span{{At: 100, Size: 1000, Memory: 2000, Address: 0x10000, Code: ARM64}},
		To:   []Span{{At: 120, Size: 1000, Memory: 2000, Address: 0x10000, Code: ARM64}},
		Ops: []Op{{Copy: 4000, From: 10, Changed: true}, {Fresh: 100}, {Copy: 900, From: 9000, Fresh: 300},
			{}},
		Frames: []Frame{{Stored: 10, Expanded: 4000}, {Stored: 20, Expanded: 1300}},
	}
}

// TestHeader: what is written is read.
func TestHeader(t *testing.T) {
	t.Parallel()
	want := sample()
	got, err := Parse(want.Append(nil))
	if err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got.Expanded() != 9900 {
		t.Errorf("expanded source %d", got.Expanded())
	}
}

// TestHeaderRefused: a header that contradicts itself, or asks for more than there may be.
func TestHeaderRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Header){
		"part behind the source":  func(h *Header) { h.Parts[1].Stored = 9000 },
		"part that is raw":        func(h *Header) { h.Parts[1].Kind = Raw },
		"part larger than blocks": func(h *Header) { h.Parts[1].Expanded = 5000 },
		"piece of another kind":   func(h *Header) { h.Pieces[0].Kind = kindsEnd },
		"raw piece of two sizes":  func(h *Header) { h.Pieces[0].Stored, h.Pieces[1].Stored = 3900, 500 },
		"piece larger than a block": func(h *Header) {
			h.Pieces[1].Expanded, h.Frames[1].Expanded, h.Ops[2].Fresh = 5000, 5700, 4700
		},
		"empty stream":               func(h *Header) { h.Pieces[2].Stored, h.Pieces[1].Stored = 0, 904 },
		"tree over what comes later": func(h *Header) { h.Pieces[3].DataFrom = 4096 },
		"image larger than any":      func(h *Header) { h.Target.Size = MaxImage + 1 },
		"pieces that are too few":    func(h *Header) { h.Pieces = h.Pieces[:3] },
		"op from behind the source":  func(h *Header) { h.Ops[2].From = 9900 - 800 },
		"op from nowhere":            func(h *Header) { h.Ops[0].From = MaxImage + 5 },
		"ops that make too much":     func(h *Header) { h.Ops[3].Fresh = 1 },
		"frames that are too few":    func(h *Header) { h.Frames = h.Frames[:1] },
		"frame that is empty":        func(h *Header) { h.Frames[0].Expanded, h.Frames[1].Expanded = 0, 5300 },
		"frame that is too large":    func(h *Header) { h.Frames[0].Stored = MaxStored + 1 },
		"span outside":               func(h *Header) { h.From[0].At = 9900 },
		"span larger than memory":    func(h *Header) { h.From[0].Memory = 10 },
		"span at the end of memory":  func(h *Header) { h.From[0].Address = 0xffffff00 },
		"span of other code":         func(h *Header) { h.To[0].Code = codes },
		"program that is not there":  func(h *Header) { h.From[0].Program = 1 },
		"salt without end":           func(h *Header) { h.Pieces[3].Salt = make([]byte, maxSalt+1) },
		"block size":                 func(h *Header) { h.BlockSize = maxBlockSize + 1 },
	} {
		h := sample()
		change(&h)
		if _, err := Parse(h.Append(nil)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	h := sample()
	whole := h.Append(nil)
	for n := range whole {
		if _, err := Parse(whole[:n]); !errors.Is(err, ErrFormat) {
			t.Errorf("cut at %d: got %v", n, err)
		}
	}
	if _, err := Parse(append(whole, 0)); !errors.Is(err, ErrFormat) {
		t.Errorf("a byte behind it: got %v", err)
	}
	if _, err := Parse(make([]byte, MaxHeader+1)); !errors.Is(err, ErrFormat) {
		t.Errorf("too large: got %v", err)
	}
}

// TestCursor: frames, begun in any order, give the steps of the ops.
func TestCursor(t *testing.T) {
	t.Parallel()
	ops := []Op{{Copy: 40000, From: 7, Changed: true, Fresh: 20}, {Fresh: 5}, {}, {Copy: 10, From: 3}}
	type mark struct{ y, x uint32 } // x of copies
	var whole []mark
	collect := func(c *Cursor, y, size uint32) (all []mark) {
		c.Frame(y, size)
		for s, ok := c.Step(); ok; s, ok = c.Step() {
			for i := range s.Size {
				m := mark{s.Y + i, 0}
				if !s.Fresh {
					m.x = s.X + i
				}
				all = append(all, m)
			}
			if s.Size > Chunk || s.Changed && s.Fresh {
				t.Errorf("step %+v", s)
			}
		}
		return all
	}
	c := NewCursor(ops)
	if whole = collect(c, 0, 40035); len(whole) != 40035 || whole[40034] != (mark{40034, 12}) || whole[40007].x != 0 {
		t.Fatalf("%d bytes", len(whole))
	}
	for _, f := range [][2]uint32{{39990, 30}, {0, 100}, {40025, 10}, {16000, 20000}} {
		if got := collect(c, f[0], f[1]); !reflect.DeepEqual(got, whole[f[0]:f[0]+f[1]]) {
			t.Errorf("frame %v: %d bytes", f, len(got))
		}
	}
}

// TestRange: bits come back, and what is likely costs little.
func TestRange(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 7, 1000, 200000} {
		for _, often := range []int{2, 3, 1000} {
			r := rand.New(rand.NewPCG(uint64(n), uint64(often)))
			bits := make([]uint32, n)
			for i := range bits {
				bits[i] = truth(r.IntN(often) == 0)
			}
			e := NewEncoder()
			probs := []Prob{fresh(), fresh()}
			for i, b := range bits {
				e.Bit(&probs[i&1], b)
			}
			stream := e.Finish()
			if often == 1000 && len(stream) > 30+n/400 {
				t.Errorf("%d bits, of which few are 1, take %d bytes", n, len(stream))
			}
			d := NewDecoder(stream)
			probs = []Prob{fresh(), fresh()}
			for i, want := range bits {
				if got := d.Bit(&probs[i&1], 0); got != want {
					t.Fatalf("bit %d of %d: got %d", i, n, got)
				}
			}
		}
	}
}

// TestModel: regions of all kinds of code come back, wherever they begin, whatever addresses expect of them.
func TestModel(t *testing.T) {
	t.Parallel()
	for _, code := range []Code{Data, ARM, ARM64} {
		r := rand.New(rand.NewPCG(uint64(code), 1))
		source, target := make([]byte, 20000), make([]byte, 20000)
		for i := range source {
			source[i] = byte(r.Uint32())
			if i%4 == 3 {
				source[i] = []byte{0xeb, 0x94, 0x90, 0x91, 0x00, 0x00}[r.IntN(6)]
			}
			target[i] = source[i] + byte(truth(r.IntN(9) == 0))*byte(r.Uint32())
		}
		spans := []Span{{At: 1001, Size: 9000, Memory: 9100, Address: 0x10001, Code: code},
			{At: 12000, Size: 5000, Memory: 50000, Address: 0x20000}}
		a := NewAddresses(spans, spans, []Op{{Copy: 5000, From: 100, Fresh: 50}, {Copy: 14000, From: 6000}})
		e, m := NewEncoder(), NewModel(a)
		regions := [][3]uint32{{0, 0, 999}, {999, 1010, 3}, {1002, 1013, 8001}, {9003, 9003, 10997}}
		for _, g := range regions {
			m.Region(e, source[g[0]:g[0]+g[2]], bytes.Clone(target[g[0]:g[0]+g[2]]), g[0], g[1])
		}
		d := NewDecoder(e.Finish())
		m.Reset()
		got := make([]byte, len(target))
		for _, g := range regions {
			m.Region(d, source[g[0]:g[0]+g[2]], got[g[0]:g[0]+g[2]], g[0], g[1])
		}
		if !bytes.Equal(got, target) {
			t.Errorf("code %d: other bytes", code)
		}
	}
}

// TestExpect holds what is known of instructions against what the processors' manuals say (DDI 0406C, DDI 0487).
func TestExpect(t *testing.T) {
	t.Parallel()
	// Everything from 0x10100 on moved by 0x40; a span of 0x2000 bytes at 0x10000.
	spans := []Span{{Size: 0x2000, Memory: 0x3000, Address: 0x10000}}
	ops := []Op{{Copy: 0x100}, {Fresh: 0x40}, {Copy: 0x1e00, From: 0x100}}
	for _, c := range []struct {
		name  string
		code  Code
		at    uint32
		words [2]uint32
		want  [2]uint32
	}{
		{"BL forward over the gap", ARM, 0, [2]uint32{0xeb00007e}, [2]uint32{0xeb00008e}},             // 0x10200
		{"BL within what moved", ARM, 0x400, [2]uint32{0xeb00007e}, [2]uint32{0xeb00007e}},            // 0x10600
		{"BNE back over the gap", ARM, 0x208, [2]uint32{0x1affff80}, [2]uint32{0x1affff70}},           // 0x10010
		{"a literal", ARM, 0x400, [2]uint32{0x10800}, [2]uint32{0x10840}},                             // of what moved
		{"a literal of zeros", ARM, 0x400, [2]uint32{0x12900}, [2]uint32{0x12940}},                    // behind the bytes
		{"a number", ARM, 0x400, [2]uint32{0x13000}, [2]uint32{0x13000}},                              // behind everything
		{"BL", ARM64, 0, [2]uint32{0x94000080}, [2]uint32{0x94000090}},                                // 0x10200
		{"B back", ARM64, 0x200, [2]uint32{0x17ffff84}, [2]uint32{0x17ffff74}},                        // 0x10010
		{"ADRP, ADD", ARM64, 0, [2]uint32{0xb0000001, 0x91020021}, [2]uint32{0xb0000001, 0x91030021}}, // 0x11080
		{"ADRP, ADD to the next page", ARM64, 0, [2]uint32{0x90000002, 0x913f0042}, [2]uint32{0xb0000002, 0x91000042}},
		{"ADRP, LDR of 8 bytes", ARM64, 0, [2]uint32{0xb0000003, 0xf9404063}, [2]uint32{0xb0000003, 0xf9406063}},
		{"ADRP, LDR by another register", ARM64, 0, [2]uint32{0xb0000003, 0xf9404084}, [2]uint32{0xb0000003, 0xf9404084}},
		{"a pointer", Data, 0x800, [2]uint32{0x10900}, [2]uint32{0x10940}},
	} {
		s := spans[0]
		s.Code = c.code
		a := NewAddresses([]Span{s}, []Span{s}, ops)
		y := c.at
		if y >= 0x100 {
			y += 0x40
		}
		b := make([]byte, 8)
		for i, w := range c.words {
			for k := range 4 {
				b[4*i+k] = byte(w >> (8 * k))
			}
		}
		for i := range c.words {
			if got := c.words[i] + a.expect(b, 4*i, a.at(c.at, y)).difference; c.words[i] != 0 && got != c.want[i] {
				t.Errorf("%s: word %d: got %08x, want %08x", c.name, i, got, c.want[i])
			}
		}
	}
}

// FuzzParse: what is read is written the same, and is small.
func FuzzParse(f *testing.F) {
	h := sample()
	f.Add(h.Append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(h.Append(nil))
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Errorf("read again: %v", err)
		}
	})
}
