package h264

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// encode lets x264 make an Annex B stream; the test is skipped where there is no ffmpeg.
func encode(t *testing.T, args string) (path string) {
	t.Helper()
	tool, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("no ffmpeg on this machine: ", err)
	}
	path = filepath.Join(t.TempDir(), "clip.h264")
	all := append(strings.Fields("-v error -f lavfi -i "+args), path)
	if out, err := exec.CommandContext(t.Context(), tool, all...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return path
}

// probeCount lets ffprobe count the pictures.
func probeCount(t *testing.T, path string) int {
	t.Helper()
	tool, err := exec.LookPath("ffprobe")
	if err != nil {
		t.Skip("no ffprobe on this machine: ", err)
	}
	out, err := exec.CommandContext(t.Context(), tool, "-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets",
		"-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestStreamsOfX264: our access units are those that ffmpeg finds.
func TestStreamsOfX264(t *testing.T) {
	t.Parallel()
	const x264 = " -pix_fmt yuv420p -c:v libx264 -threads 1 "
	tests := []struct {
		name, args   string
		slices       int // in the first picture
		minIDR       int // bytes of the largest access unit, at least
		aud, bFrames bool
	}{
		{"high profile, B-frames, four slices", "testsrc2=size=322x182:rate=25 -frames:v 60" + x264 +
			"-bf 3 -g 25 -x264-params slices=4:b-pyramid=normal", 4, 0, false, true},
		{"delimiters and SEI", "testsrc2=size=322x182:rate=25 -frames:v 60" + x264 +
			"-profile:v main -bf 0 -g 20 -x264-params aud=1:nal-hrd=vbr:vbv-maxrate=1000:vbv-bufsize=1000", 1, 0, true, false},
		{"baseline without delimiters", "testsrc2=size=320x192:rate=10 -frames:v 30" + x264 + "-profile:v baseline -g 10", 1, 0, false, false},
		{"interlaced", "testsrc2=size=320x192:rate=25 -frames:v 30" + x264 + "-flags +ildct+ilme -x264-params interlaced=1", 1, 0, false, true},
		{"large IDR", "nullsrc=size=1280x720:rate=25,geq=lum=random(1)*255:cb=128:cr=128 -frames:v 2" + x264 +
			"-preset ultrafast -qp 20 -g 1", 1, 400_000, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := encode(t, tt.args)
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			c, err := OpenClip(f, ClipOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got := tally(t, c)
			if want := probeCount(t, path); got.pictures != want {
				t.Errorf("%d access units, ffprobe has %d", got.pictures, want)
			}
			if got.slices != tt.slices || got.largest < tt.minIDR || got.aud != tt.aud || got.reordered != tt.bFrames {
				t.Errorf("%+v", got)
			}
		})
	}
}

type counts struct {
	pictures, slices, largest int
	aud, reordered            bool
}

// tally reads a clip to its end. Each PTS has to come once: no two pictures are shown at one time.
func tally(t *testing.T, c Clip) counts {
	t.Helper()
	var n counts
	seen := map[int64]bool{}
	for ; ; n.pictures++ {
		s, err := c.Next()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if seen[int64(s.PTS)] {
			t.Errorf("picture %d: PTS %v comes twice", n.pictures, s.PTS)
		}
		seen[int64(s.PTS)] = true
		n.largest = max(n.largest, len(bytes.Join(s.NALUs, nil)))
		n.aud = n.aud || TypeOf(s.NALUs[0]) == NALAUD
		n.reordered = n.reordered || s.PTS != s.DTS
		for _, u := range s.NALUs {
			if n.pictures == 0 && TypeOf(u).VCL() {
				n.slices++
			}
		}
	}
}
