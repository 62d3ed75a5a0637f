package v4l2

import (
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/testcard"
	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// TestBoardFWHT: vicodec's own decoder turns what came through the encoder back into the pictures that went in.
func TestBoardFWHT(t *testing.T) {
	load(t, "vicodec", "multiplanar=1")
	n := found(t, "vicodec", func(n Node) bool { return notEncoder(n.Inputs, n.Formats, fourCCFWHT) == "" })
	decoder := found(t, "vicodec", func(n Node) bool { return slices.Contains(n.Inputs, fourCCFWHT) })
	const width, height, pictures = 640, 368, 12 // vicodec rounds to blocks of 8
	raw, coded := encodeCard(t, n, width, height, pictures)
	got := decodeFWHT(t, decoder, coded, width, height)
	if len(got) != pictures {
		t.Fatalf("%d pictures went in, %d came out", pictures, len(got))
	}
	for i := range got {
		if db := psnr(raw[i], got[i]); db < 30 {
			t.Errorf("picture %d: %.1f dB", i, db)
		}
	}
}

// encodeCard returns the luma of some pictures of the test card and what an encoder made of them.
func encodeCard(t *testing.T, n Node, width, height, pictures int) (luma, coded [][]byte) {
	t.Helper()
	enc, err := OpenEncoderFor(n.Path, codedBy(n), testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	card, err := testcard.New(testcard.Options{Width: width, Height: height, Name: "vicodec"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := enc.Open(t.Context(), hal.EncoderConfig{Input: hal.YU12, Width: width, Height: height, Rate: hal.FPS(25), GOP: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	keep := func(f hal.Frame) {
		if len(f.Data) > 0 {
			coded = append(coded, slices.Clone(f.Data))
		}
	}
	data := make([]byte, card.Size())
	for i := range pictures {
		card.Draw(data, testcard.Stamp{Frame: uint32(i)})
		luma = append(luma, slices.Clone(data[:width*height]))
		f, err := e.Encode(t.Context(), hal.Frame{Format: hal.YU12, Width: width, Height: height, Data: data,
			Seq: uint32(i), PTS: time.Duration(i) * 40 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		keep(f)
	}
	for {
		f, err := e.Drain(t.Context())
		if errors.Is(err, io.EOF) {
			return luma, coded
		}
		if err != nil {
			t.Fatal(err)
		}
		keep(f)
	}
}

// decodeFWHT returns the luma of the pictures that the driver's stateful decoder gives back, in the order of "Memory-to-Memory
// Stateful Video Decoder Interface": the first coded buffer tells the format of the decoded ones.
func decodeFWHT(t *testing.T, n Node, coded [][]byte, width, height int) (luma [][]byte) {
	t.Helper()
	d, err := openDevice(openNode, n.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = d.setFormat(newFormat(typeOutputMP, fourCCFWHT, width, height, width*height*2))
	must(err)
	in, err := d.newQueue(typeOutputMP, 2, 1)
	must(err)
	feed := func(index int) {
		if len(coded) > 0 {
			size := copy(in.memory(index, 0), coded[0])
			coded = coded[1:]
			must(in.put(index, []int{size}, 0))
		}
	}
	want := len(coded)
	feed(0)
	must(in.start())
	p, err := d.setFormat(newFormat(typeCaptureMP, uint32(hal.YU12), width, height, 0))
	must(err)
	out, err := d.newQueue(typeCaptureMP, 3, 1)
	must(err)
	for i := range out.count {
		must(out.put(i, nil, 0))
	}
	must(out.start())
	feed(1)
	for len(luma) < want {
		if events, _, err := d.k.poll(unix.POLLIN, 5*time.Second); err != nil || events == 0 {
			t.Fatalf("%d of %d pictures, then poll says %#x, %v", len(luma), want, events, err)
		}
		f, err := out.take()
		must(err)
		luma = append(luma, cut(out.data(&f, 0), width, height, p.planes[0].stride))
		must(out.put(int(f.index), nil, 0))
		for f, err = in.take(); err == nil; f, err = in.take() {
			feed(int(f.index))
		}
	}
	return luma
}

// cut copies the visible rows of a plane.
func cut(data []byte, width, height, stride int) []byte {
	out := make([]byte, 0, width*height)
	for y := range height {
		out = append(out, data[y*stride:][:width]...)
	}
	return out
}

// psnr returns how near two planes are in dB.
func psnr(a, b []byte) float64 {
	var sum float64
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return 10 * math.Log10(255*255*float64(len(a))/sum)
}
