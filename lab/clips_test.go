package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestForeignClips plays files of another encoder through the agent; the decoded pictures are those of the file.
func TestForeignClips(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg")
	const source = "testsrc2=size=640x360:rate=25"
	tests := []struct {
		name, file string
		encode     []string
		least      int64 // bytes of the file, to be sure that it is what the name says
	}{
		{"high profile with B-frames and slices", "high.h264", []string{
			"-f", "lavfi", "-i", source, "-t", "4", "-c:v", "libx264", "-profile:v", "high", "-bf", "3", "-g", "25",
			"-x264-params", "slices=4:b-pyramid=normal:open-gop=0",
		}, 20_000},
		{"AUD and SEI", "aud.h264", []string{
			"-f", "lavfi", "-i", source, "-t", "4", "-c:v", "libx264", "-profile:v", "main", "-bf", "0", "-g", "25",
			"-x264-params", "aud=1:nal-hrd=vbr:vbv-maxrate=2000:vbv-bufsize=2000",
		}, 20_000},
		{"IDR of 400 kB", "large.h264", []string{
			"-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25,noise=alls=40", "-t", "2", "-c:v", "libx264",
			"-preset", "ultrafast", "-qp", "33", "-bf", "0", "-g", "25",
		}, 1_600_000},
		{"MP4 with B-frames", "high.mp4", []string{
			"-f", "lavfi", "-i", source, "-t", "4", "-c:v", "libx264", "-profile:v", "high", "-bf", "2", "-g", "25",
			"-x264-params", "open-gop=0",
		}, 20_000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), tt.file)
			args := append([]string{"-nostdin", "-v", "error"}, tt.encode...)
			r := tool(t, 60*time.Second, "ffmpeg", append(args, "-pix_fmt", "yuv420p", file)...)
			if r.code != 0 {
				t.Fatal(r.errs)
			}
			if info, err := os.Stat(file); err != nil || info.Size() < tt.least {
				t.Fatalf("the clip has %d bytes, want %d or more: %v", info.Size(), tt.least, err)
			}
			want := pictureSums(t, "-i", file)
			playWhole(t, file, want)
		})
	}
}

// playWhole plays a clip through an agent until it went without a skip: on a machine that is too busy the simulated
// camera leaves pictures out, as a real one does, and what refers to them can't be right.
func playWhole(t *testing.T, file string, want []string) {
	t.Helper()
	for range 4 {
		a := startAgent(t, agentOptions{file: file})
		// One and a half times the clip, so that the place where it begins anew is in it.
		got := pictureSums(t, "-rtsp_transport", "tcp", "-i", a.url("main"), "-frames:v", fmt.Sprint(len(want)*3/2))
		if lost := a.lost(t, "main"); lost > 0 {
			t.Logf("the camera left out %d pictures: once more", lost)
			continue
		}
		checkLoop(t, got, want)
		return
	}
	t.Error("the machine is too busy to play a clip without leaving pictures out")
}

// pictureSums decodes with ffmpeg and returns the checksum of each picture.
func pictureSums(t *testing.T, input ...string) []string {
	t.Helper()
	args := append([]string{"-nostdin", "-v", "error"}, input...)
	r := tool(t, 60*time.Second, "ffmpeg", append(args, "-fps_mode", "passthrough", "-f", "framemd5", "-")...)
	if r.code != 0 || r.errs != "" {
		t.Errorf("ffmpeg %v: exit code %d: %s", input, r.code, r.errs)
	}
	var sums []string
	for line := range strings.Lines(r.out) {
		if !strings.HasPrefix(line, "#") {
			sums = append(sums, strings.TrimSpace(line[strings.LastIndex(line, ",")+1:]))
		}
	}
	return sums
}

// checkLoop wants got to be want from some picture on, over and over.
func checkLoop(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) < len(want) {
		t.Fatalf("%d pictures, want %d or more", len(got), len(want))
	}
	at := slices.Index(want, got[0])
	if at < 0 {
		t.Fatalf("the first picture is none of the file's")
	}
	for i, sum := range got {
		if sum != want[(at+i)%len(want)] {
			t.Fatalf("picture %d of %d differs from picture %d of the file", i, len(got), (at+i)%len(want))
		}
	}
}
