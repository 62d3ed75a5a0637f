package lab

import (
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestFFmpeg decodes with ffmpeg, counts the pictures and looks at their timestamps.
func TestFFmpeg(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg")
	a := startAgent(t, agentOptions{})
	for _, stream := range []struct {
		name string
		fps  int
	}{{"main", 25}, {"sub", 15}} {
		for _, transport := range []string{"tcp", "udp"} {
			t.Run(stream.name+" "+transport, func(t *testing.T) {
				t.Parallel()
				const seconds = 5
				r := tool(t, 40*time.Second, "ffmpeg", "-nostdin", "-v", "warning", "-rtsp_transport", transport,
					"-i", a.url(stream.name), "-t", strconv.Itoa(seconds), "-fps_mode", "passthrough", "-f", "framecrc", "-")
				if r.code != 0 || r.errs != "" {
					t.Errorf("ffmpeg: exit code %d: %s", r.code, r.errs)
				}
				checkTimes(t, framecrcTimes(t, r.out), stream.fps*seconds, 1/float64(stream.fps), a.lost(t, stream.name))
			})
		}
	}
}

// framecrcTimes returns the times of ffmpeg's framecrc lines "stream, dts, pts, duration, size, checksum" in seconds.
func framecrcTimes(t *testing.T, out string) []float64 {
	t.Helper()
	base := 0.0
	var times []float64
	for line := range strings.Lines(out) {
		if v, ok := strings.CutPrefix(line, "#tb 0: "); ok {
			var num, den float64
			if _, err := fmt.Sscanf(v, "%f/%f", &num, &den); err != nil {
				t.Fatalf("time base %q: %v", v, err)
			}
			base = num / den
		}
		fields := strings.Split(line, ",")
		if strings.HasPrefix(line, "#") || len(fields) < 6 {
			continue
		}
		pts, err := strconv.ParseFloat(strings.TrimSpace(fields[2]), 64)
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, pts*base)
	}
	return times
}

// checkTimes wants a number of pictures, give or take a few at the ends, whose times only go forward by one interval;
// as many may be missing as the camera itself lost, because the machine was too busy to draw or encode them. The first
// picture's time is not looked at: ffmpeg's parser gives none to the first picture of any RTSP stream.
func checkTimes(t *testing.T, times []float64, pictures int, interval float64, lost int) {
	t.Helper()
	missing := 0
	for i := 2; i < len(times); i++ {
		step := times[i] - times[i-1]
		if step < 0.4*interval {
			t.Errorf("picture %d is %.4f s after the one before, want %.4f", i, step, interval)
		}
		missing += max(0, int(math.Round(step/interval))-1)
	}
	if missing > lost {
		t.Errorf("%d pictures are missing by their times, the camera lost %d", missing, lost)
	}
	if n := len(times) + missing; n < pictures-3 || n > pictures+3+lost {
		t.Errorf("%d pictures and %d missing, want %d", len(times), missing, pictures)
	}
}

// TestGStreamer decodes with rtspsrc and reads the test card's clock: every picture, once, in order.
func TestGStreamer(t *testing.T) {
	t.Parallel()
	need(t, "gst-launch-1.0")
	a := startAgent(t, agentOptions{})
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			pipeline := fmt.Sprintf("gst-launch-1.0 -q rtspsrc location=%s protocols=%s ! rtph264depay ! h264parse ! "+
				"avdec_h264 ! identity eos-after=100 ! videoconvert ! video/x-raw,format=GRAY8 ! fdsink", a.url("main"), transport)
			checkPictures(t, a, pipeline, 1280, 720, 95)
		})
	}
}

// pictures is what the tests need of camctl picture's summary.
type pictures struct {
	Pictures   int      `json:"pictures"`
	Unreadable int      `json:"unreadable"`
	Lost       int      `json:"lost"`
	Repeated   int      `json:"repeated"`
	AgeP50     *float64 `json:"age_p50_ms"`
	AgeP99     *float64 `json:"age_p99_ms"`
}

// checkPictures wants every picture of the main stream readable, once and in order; as many may be left out as the camera
// itself lost.
func checkPictures(t *testing.T, a *agent, decoder string, w, h, least int) pictures {
	t.Helper()
	s, said := readPictures(t, decoder, w, h)
	lost := a.lost(t, "main")
	if s.Pictures < least || s.Unreadable+s.Repeated != 0 || s.Lost > lost {
		t.Errorf("pictures %+v, want %d or more, at most %d lost; %s", s, least, lost, said)
	}
	return s
}

// readPictures runs a decoder whose raw luma goes to camctl picture.
func readPictures(t *testing.T, decoder string, w, h int) (p pictures, said string) {
	t.Helper()
	fields := strings.Fields(decoder)
	decode := exec.CommandContext(t.Context(), fields[0], fields[1:]...)
	look := exec.CommandContext(t.Context(), program("camctl"), "picture", strconv.Itoa(w), strconv.Itoa(h))
	var errs, out output
	decode.Stderr, look.Stderr, look.Stdout = &errs, &errs, &out
	pipe, err := decode.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	look.Stdin = pipe
	if err := decode.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(60*time.Second, func() { _ = decode.Process.Kill() })
	defer limit.Stop()
	lookErr := look.Run()
	_ = decode.Wait()
	var last struct{ Summary pictures }
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, `{"summary"`) {
			if err := json.Unmarshal([]byte(line), &last); err != nil {
				t.Fatal(err)
			}
		}
	}
	if lookErr != nil {
		t.Errorf("camctl picture: %v", lookErr)
	}
	return last.Summary, errs.String()
}

// TestGlassToGlass measures from the drawing of a picture to its decoded copy. The time that ffmpeg keeps pictures is in
// it, so that only nonsense fails.
func TestGlassToGlass(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg")
	a := startAgent(t, agentOptions{})
	const count = 120
	got := checkPictures(t, a, fmt.Sprintf("ffmpeg -nostdin -v error -fflags nobuffer -flags low_delay -rtsp_transport tcp "+
		"-i %s -frames:v %d -fps_mode passthrough -f rawvideo -pix_fmt gray -", a.url("main"), count), 1280, 720, count)
	if got.AgeP50 == nil || *got.AgeP50 <= 0 || *got.AgeP50 > 5000 {
		t.Fatalf("age of the pictures %v ms, want more than 0 and less than 5 s", got.AgeP50)
	}
	t.Logf("glass to glass by ffmpeg: p50 %.1f ms, p99 %.1f ms", *got.AgeP50, *got.AgeP99)
}

// TestCopyForAMinute copies the stream into an MP4 file; ffmpeg must have nothing to say. Without nobuffer its parser,
// which looks for the first timestamp at file offset 0, gives the first picture of every RTSP stream none (of
// gst-rtsp-server's and gortsplib's too), and its muxer complains where that picture is an IDR, as ours is.
func TestCopyForAMinute(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	a := startAgent(t, agentOptions{})
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "copy.mp4")
			r := tool(t, 120*time.Second, "ffmpeg", "-nostdin", "-v", "warning", "-fflags", "nobuffer",
				"-rtsp_transport", transport, "-i", a.url("main"), "-c", "copy", "-frames:v", "1500", file)
			if r.code != 0 || r.errs != "" {
				t.Errorf("ffmpeg: exit code %d: %s", r.code, r.errs)
			}
			probe := tool(t, 30*time.Second, "ffprobe", "-v", "warning", "-show_entries", "packet=pts_time", "-of", "csv=p=0", file)
			var times []float64
			for field := range strings.FieldsSeq(probe.out) {
				pts, err := strconv.ParseFloat(strings.Trim(field, ","), 64)
				if err != nil {
					t.Fatal(err)
				}
				times = append(times, pts)
			}
			checkTimes(t, times, 60*25, 1.0/25, a.lost(t, "main"))
		})
	}
}
