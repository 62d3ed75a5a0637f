package haltest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/ocellus/ocellus/hal"
)

// RecordOptions say what an encoder is given by Record.
type RecordOptions struct {
	Width, Height int
	Pictures      int
	GOP           int
	BitrateBPS    int
	// Noisy: no sample is the same in two pictures.
	Noisy bool
	// Want is what a decoder has to give back: the least PSNR in dB, or "inf" for the very same samples.
	Want string
}

// Record encodes pictures in each format that the encoder takes, for a decoder elsewhere: it leaves NAME-FORMAT.h264, the
// pictures that went in as YU12 in NAME-FORMAT.yuv, and what to expect in NAME-FORMAT.want ("320x240 inf"), in a folder.
func Record(t *testing.T, e hal.Encoder, dir, name string, o RecordOptions) {
	t.Helper()
	for _, in := range e.Inputs() {
		c := hal.EncoderConfig{Input: in, Width: o.Width, Height: o.Height, Rate: hal.FPS(25),
			BitrateBPS: o.BitrateBPS, GOP: o.GOP}
		r := recorder{options: o, base: filepath.Join(dir, fmt.Sprintf("%s-%v", name, in))}
		if err := r.record(t, e, c); err != nil {
			t.Errorf("record %v: %v", in, err)
		}
	}
}

type recorder struct {
	options    RecordOptions
	base       string
	coded, raw []byte
}

func (r *recorder) record(t *testing.T, e hal.Encoder, c hal.EncoderConfig) error {
	t.Helper()
	encoding, err := e.Open(t.Context(), c)
	if err != nil {
		return err
	}
	if err := errors.Join(r.encode(t, encoding, c), encoding.Close()); err != nil {
		return err
	}
	want := fmt.Sprintf("%dx%d %s\n", c.Width, c.Height, r.options.Want)
	for ending, data := range map[string][]byte{".h264": r.coded, ".yuv": r.raw, ".want": []byte(want)} {
		if err := os.WriteFile(r.base+ending, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (r *recorder) encode(t *testing.T, encoding hal.Encoding, c hal.EncoderConfig) error {
	t.Helper()
	p, err := newPictures(c)
	if err != nil {
		return err
	}
	p.noisy = r.options.Noisy
	for n := range r.options.Pictures {
		f, err := encoding.Encode(t.Context(), p.frame(n))
		if err != nil {
			return err
		}
		r.coded, r.raw = append(r.coded, f.Data...), append(r.raw, p.planar...)
	}
	for {
		f, err := encoding.Drain(t.Context())
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r.coded = append(r.coded, f.Data...)
	}
}
