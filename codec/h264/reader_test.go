package h264

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

// stream is an Annex B stream of n pictures, two slices each, and its access units.
func stream(n int, payload int) (b []byte, units [][][]byte) {
	fill := bytes.Repeat([]byte{0xa5, 0x5a, 0x01}, payload/3+1)[:payload]
	for i := range n {
		h := SliceHeader{Type: SliceP, RefIDC: 2, FrameNum: uint32(i % 16), POCLSB: uint32(i*2) % 16}
		var au [][]byte
		if i%10 == 0 {
			h = SliceHeader{IDR: true, Type: SliceI, RefIDC: 3, IDRPicID: uint32(i)}
			au = append(au, testSPS(0, false), testPPS(0, false, false))
		}
		for _, mb := range []uint32{0, 150} {
			h.FirstMB = mb
			au = append(au, append(slice(h), fill...))
		}
		b = AppendAnnexB(b, au...)
		units = append(units, au)
	}
	return b, units
}

func readAll(r *Reader) ([][][]byte, error) {
	var out [][][]byte
	for {
		nalus, err := r.Next()
		if err != nil {
			return out, err
		}
		var au [][]byte
		for _, u := range nalus {
			au = append(au, bytes.Clone(u))
		}
		out = append(out, au)
	}
}

func sameUnits(a, b [][][]byte) bool {
	return slices.EqualFunc(a, b, func(x, y [][]byte) bool { return slices.EqualFunc(x, y, bytes.Equal) })
}

func TestReader(t *testing.T) {
	t.Parallel()
	b, want := stream(25, 5000)
	readers := map[string]io.Reader{
		"whole":                bytes.NewReader(b),
		"byte by byte":         iotest.OneByteReader(bytes.NewReader(b)),
		"halves":               iotest.HalfReader(bytes.NewReader(b)),
		"the end with data":    iotest.DataErrReader(bytes.NewReader(b)),
		"garbage in front":     io.MultiReader(bytes.NewReader(bytes.Repeat([]byte{0xff, 0}, 100000)), bytes.NewReader(b)),
		"zeros behind":         io.MultiReader(bytes.NewReader(b), bytes.NewReader(make([]byte, 70000))),
		"a start code at last": io.MultiReader(bytes.NewReader(b), bytes.NewReader([]byte{0, 0, 1})),
	}
	for name, r := range readers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readAll(NewReader(r))
			if !errors.Is(err, io.EOF) || !sameUnits(got, want) {
				t.Errorf("%d access units, want %d; %v", len(got), len(want), err)
			}
		})
	}
}

func TestReaderEmpty(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"", "garbage", "\x00\x00\x01", "\x00\x00\x00\x00"} {
		if got, err := readAll(NewReader(bytes.NewReader([]byte(in)))); err != io.EOF || len(got) != 0 {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

func TestReaderPassesErrorsOn(t *testing.T) {
	t.Parallel()
	b, _ := stream(3, 10)
	cause := errors.New("card pulled out")
	got, err := readAll(NewReader(io.MultiReader(bytes.NewReader(b), iotest.ErrReader(cause))))
	if !errors.Is(err, cause) || len(got) != 2 {
		t.Errorf("%d access units, %v", len(got), err)
	}
}

// endless is a NAL unit without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 0x55
	}
	return len(b), nil
}

func TestReaderBounds(t *testing.T) {
	t.Parallel()
	tests := map[string]io.Reader{
		"bytes":     io.MultiReader(bytes.NewReader([]byte{0, 0, 1, 0x65}), endless{}),
		"NAL units": bytes.NewReader(bytes.Repeat([]byte{0, 0, 1, 0x0c}, MaxNALUs+2)),
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := NewReader(in)
			if _, err := r.Next(); !errors.Is(err, ErrTooLarge) {
				t.Errorf("got %v", err)
			}
			if cap(r.buf) > 3*MaxAccessUnit {
				t.Errorf("buffer of %d bytes", cap(r.buf))
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	b, _ := stream(3, 20)
	f.Add(b, 7)
	f.Add([]byte("\x00\x00\x01\x65\x88\x00\x00\x00\x01\x41\x9a"), 1)
	f.Fuzz(func(t *testing.T, b []byte, chunk int) {
		whole, err := readAll(NewReader(bytes.NewReader(b)))
		if err != io.EOF && !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
		var flat [][]byte
		for _, au := range whole {
			flat = append(flat, au...)
		}
		if err == io.EOF && !slices.EqualFunc(flat, SplitAnnexB(nil, b), bytes.Equal) {
			t.Fatal("NAL units were lost or made up")
		}
		pieces, _ := readAll(NewReader(&chunks{b, max(1, chunk%100)}))
		if !sameUnits(pieces, whole) {
			t.Fatalf("%d access units in pieces, %d at once", len(pieces), len(whole))
		}
	})
}

// chunks reads a few bytes at a time.
type chunks struct {
	b []byte
	n int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.n)], c.b)
	c.b = c.b[n:]
	return n, nil
}

func TestReaderAllocates(t *testing.T) {
	b, _ := stream(200, 3000)
	r := NewReader(bytes.NewReader(b))
	for range 50 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = r.Next() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
