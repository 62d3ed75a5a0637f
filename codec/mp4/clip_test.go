package mp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/ocellus/ocellus/codec/h264"
)

// mkbox returns a box of the parts.
func mkbox(kind string, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(body))), kind...), body...)
}

// words returns numbers of 32 bits.
func words(n ...uint32) []byte {
	var b []byte
	for _, v := range n {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

var (
	testSPS = []byte("\x67\x42\xc0\x1e\xd9\x03\xc5\x68\x40\x00\x00\x03\x00\x40\x00\x00\x0c\x03\xc5\x8b\x92")
	testPPS = []byte("\x68\xcb\x83\xcb\x20")
)

// file is a movie of five pictures in two chunks; change may swap boxes by kind.
func file(change map[string][]byte) []byte {
	var data []byte
	for i := range 5 {
		header := byte(0x41)
		if i == 0 {
			header = 0x65
		}
		data = h264.AppendLengthPrefixed(data, []byte{header, byte(i), 1})
	}
	mdat := mkbox("mdat", data)
	avcc := mkbox("avcC", []byte{1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, byte(len(testSPS))}, testSPS,
		[]byte{1, 0, byte(len(testPPS))}, testPPS)
	boxes := map[string][]byte{
		"mdhd": mkbox("mdhd", words(0, 0, 0, 1000, 200, 0)),
		"stsd": mkbox("stsd", words(0, 1), mkbox("avc1", make([]byte, 78), avcc)),
		"stsz": mkbox("stsz", words(0, 7, 5)),
		"stsc": mkbox("stsc", words(0, 2, 1, 3, 1, 2, 2, 1)),
		"stco": mkbox("stco", words(0, 2, 8, 8+21)),
		"stts": mkbox("stts", words(0, 2, 2, 40, 3, 50)),
		"ctts": mkbox("ctts", words(0, 3, 1, 40, 2, 80, 2, 0)),
	}
	for kind, b := range change {
		boxes[kind] = b
	}
	stbl := mkbox("stbl", boxes["stsd"], boxes["stsz"], boxes["stsc"], boxes["stco"], boxes["co64"], boxes["stts"], boxes["ctts"])
	trak := mkbox("trak", mkbox("mdia", boxes["mdhd"], mkbox("minf", stbl)))
	return append(mdat, mkbox("moov", mkbox("mvhd", words(0)), trak, boxes["mvex"])...)
}

func open(b []byte) (h264.Clip, error) { return OpenClip(bytes.NewReader(b), int64(len(b))) }

func TestClip(t *testing.T) {
	t.Parallel()
	dts := []time.Duration{0, 40, 80, 130, 180}
	pts := []time.Duration{-40, 40, 80, 50, 100}
	changes := map[string]map[string][]byte{
		"as it is":         nil,
		"a size for all":   {"stsz": mkbox("stsz", words(0, 7, 5))},
		"sizes one by one": {"stsz": mkbox("stsz", words(0, 0, 5, 7, 7, 7, 7, 7))},
		"long offsets":     {"stco": nil, "co64": mkbox("co64", words(0, 2, 0, 8, 0, 8+21))},
		"long header":      {"mdhd": mkbox("mdhd", words(1<<24, 0, 0, 0, 0, 1000, 0, 200, 0))},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := open(file(change))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				for i := range 5 {
					s, err := c.Next()
					if err != nil {
						t.Fatal(err)
					}
					if s.DTS != dts[i]*time.Millisecond || s.PTS != pts[i]*time.Millisecond || s.IDR != (i == 0) {
						t.Errorf("sample %d: DTS %v, PTS %v, IDR %v", i, s.DTS, s.PTS, s.IDR)
					}
					if last := s.NALUs[len(s.NALUs)-1]; len(s.NALUs) != 1 && i > 0 || len(s.NALUs) != 3 && i == 0 ||
						last[1] != byte(i) {
						t.Errorf("sample %d: %x", i, s.NALUs)
					}
				}
				if _, err := c.Next(); err != io.EOF {
					t.Error(err)
				}
				_ = c.Rewind()
			}
			i := c.Info()
			if i.Width != 240 || i.Height != 160 || i.RateNum != 500 || i.RateDen != 23 ||
				i.Interval != 46*time.Millisecond {
				t.Errorf("%+v", i)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := file(nil)
	tests := []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, ErrInvalid},
		{"no moov", good[:8+35], ErrInvalid},
		{"moov cut off", good[:len(good)-3], ErrInvalid},
		{"fragments", append(mkbox("ftyp"), mkbox("moof")...), ErrFragmented},
		{"fragments behind an empty moov", file(map[string][]byte{"mvex": mkbox("mvex"), "stsz": mkbox("stsz", words(0, 0, 0))}), ErrFragmented},
		{"no track", mkbox("moov", mkbox("mvhd", words(0))), ErrNoVideo},
		{"another codec", file(map[string][]byte{"stsd": mkbox("stsd", words(0, 1), mkbox("hvc1", make([]byte, 78)))}), ErrNoVideo},
		{"no timescale", file(map[string][]byte{"mdhd": mkbox("mdhd", words(0, 0, 0, 0))}), ErrInvalid},
		{"sizes missing", file(map[string][]byte{"stsz": nil}), ErrInvalid},
		{"more sizes than bytes", file(map[string][]byte{"stsz": mkbox("stsz", words(0, 0, 1<<31, 7))}), ErrInvalid},
		{"four thousand million samples", file(map[string][]byte{"stsz": mkbox("stsz", words(0, 7, 1<<32-1))}), ErrInvalid},
		{"a day a picture", file(map[string][]byte{"stts": mkbox("stts", words(0, 1, 5, 1<<32-1))}), ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := open(tt.b); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestNextRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]map[string][]byte{
		"a chunk beyond the file":    {"stco": mkbox("stco", words(0, 2, 1<<31, 8))},
		"a sample beyond the file":   {"stsz": mkbox("stsz", words(0, 1<<30, 5))},
		"no chunks":                  {"stco": mkbox("stco", words(0, 0))},
		"an empty chunk":             {"stsc": mkbox("stsc", words(0, 1, 1, 0, 1))},
		"a length beyond its sample": {"stsz": mkbox("stsz", words(0, 6, 5))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := open(file(change))
			if err != nil {
				t.Fatal(err)
			}
			if s, err := c.Next(); err == nil {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestIs(t *testing.T) {
	t.Parallel()
	if !Is(mkbox("ftyp")) || !Is(file(nil)) || Is([]byte("\x00\x00\x00\x01\x67\x42\xc0\x1e")) || Is([]byte("ftyp")) {
		t.Error("the wrong kind of file")
	}
}

func FuzzClip(f *testing.F) {
	f.Add(file(nil))
	f.Add(file(map[string][]byte{"stco": nil, "co64": mkbox("co64", words(0, 2, 0, 8, 0, 8+21))}))
	f.Add(append(mkbox("ftyp"), mkbox("moof")...))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := open(b)
		if err != nil {
			return
		}
		for range 100 {
			s, err := c.Next()
			if err != nil {
				return
			}
			if s.PTS > s.DTS {
				t.Fatalf("PTS %v after DTS %v", s.PTS, s.DTS)
			}
		}
	})
}

// record makes a clip with B-frames and several slices; the test is skipped where there is no ffmpeg.
func record(t *testing.T, args ...string) string {
	t.Helper()
	tool, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("no ffmpeg on this machine: ", err)
	}
	path := filepath.Join(t.TempDir(), "clip.mp4")
	all := append(strings.Fields("-v error -f lavfi -i testsrc2=size=322x182:rate=25 -frames:v 60 -c:v libx264 -profile:v high "+
		"-pix_fmt yuv420p -bf 3 -g 25 -x264-params slices=4:b-pyramid=normal"), args...)
	if out, err := exec.CommandContext(t.Context(), tool, append(all, path)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return path
}

// TestAgainstPeers: mp4ff finds the same samples in ffmpeg's file, and the same stream as Annex B has the same pictures
// and times.
func TestAgainstPeers(t *testing.T) {
	t.Parallel()
	path := record(t)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := OpenClip(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := mp4.ReadMP4File(path)
	if err != nil {
		t.Fatal(err)
	}
	trak := peer.Moov.Trak
	var annexB []byte
	n := uint32(0)
	for ; ; n++ {
		s, err := ours.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := samePeerSample(peer.Mdat, trak, n+1, s); err != nil {
			t.Fatalf("sample %d: %v", n, err)
		}
		annexB = h264.AppendAnnexB(annexB, s.NALUs...)
	}
	if n != 60 || n != trak.GetNrSamples() {
		t.Fatalf("%d samples, mp4ff has %d", n, trak.GetNrSamples())
	}
	sameAsAnnexB(t, ours, annexB)
}

func samePeerSample(mdat *mp4.MdatBox, trak *mp4.TrakBox, nr uint32, s h264.Sample) error {
	ranges, err := trak.GetRangesForSampleInterval(nr, nr)
	if err != nil || len(ranges) != 1 {
		return fmt.Errorf("%v, %w", ranges, err)
	}
	begin := ranges[0].Offset - mdat.PayloadAbsoluteOffset()
	want, err := h264.SplitLengthPrefixed(nil, mdat.Data[begin:begin+ranges[0].Size], 4)
	if err != nil {
		return err
	}
	if got := s.NALUs[len(s.NALUs)-len(want):]; !bytes.Equal(bytes.Join(got, nil), bytes.Join(want, nil)) {
		return errors.New("not the same bytes")
	}
	ticks, _ := trak.Mdia.Minf.Stbl.Stts.GetDecodeTime(nr)
	if dts := time.Duration(ticks) * time.Second / time.Duration(trak.Mdia.Mdhd.Timescale); dts != s.DTS {
		return fmt.Errorf("DTS %v, want %v", s.DTS, dts)
	}
	return nil
}

func sameAsAnnexB(t *testing.T, ours h264.Clip, annexB []byte) {
	t.Helper()
	other, err := h264.OpenClip(bytes.NewReader(annexB), h264.ClipOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := ours.Info(), other.Info()
	if !a.Params.Equal(b.Params) || a.Width != b.Width || a.RateNum != b.RateNum || a.RateDen != b.RateDen ||
		a.Interval != b.Interval {
		t.Errorf("%+v, Annex B has %+v", a, b)
	}
	if err := ours.Rewind(); err != nil {
		t.Fatal(err)
	}
	for i := range 61 {
		x, errX := ours.Next()
		y, errY := other.Next()
		if errX != errY || x.DTS != y.DTS || x.PTS != y.PTS || x.IDR != y.IDR ||
			!bytes.Equal(bytes.Join(x.NALUs, nil), bytes.Join(y.NALUs, nil)) {
			t.Fatalf("picture %d: DTS %v %v, PTS %v %v, IDR %v %v; %v %v",
				i, x.DTS, y.DTS, x.PTS, y.PTS, x.IDR, y.IDR, errX, errY)
		}
	}
}

func TestFragmentedFile(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(record(t, "-movflags", "frag_keyframe+empty_moov"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(b); !errors.Is(err, ErrFragmented) ||
		!strings.Contains(err.Error(), "ffmpeg -i in.mp4 -c copy out.mp4") {
		t.Errorf("got %v", err)
	}
}
