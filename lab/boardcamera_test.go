package lab

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// vivid's driver in sysfs, where a device is taken from it and given back.
const vividDriver = "/sys/bus/platform/drivers/vivid/"

// loopback is the node of the camera that is fed, and loopbackModule what makes it.
const (
	loopback       = "/dev/video40"
	loopbackModule = "module /lab/modules/v4l2loopback.ko video_nr=40 exclusive_caps=1 card_label=fed"
)

// brought is a file of what the lab's disk brings (scripts/lab).
func brought(arch, name string) string {
	dist := os.Getenv("OCELLUS_DIST")
	if dist == "" {
		dist = "../dist"
	}
	return filepath.Join(dist, "lab-"+arch, name)
}

// cameraLab brings the encoder that makes H.264 of samples, and a camera that delivers H.264 once it is fed.
func cameraLab(t *testing.T, arch, clip string) virt.Lab {
	t.Helper()
	return virt.Lab{
		Files: map[string]string{"feed": brought(arch, "feed"), "clip.h264": clip},
		Conf: []string{
			"module /lab/modules/v4l2-mem2mem.ko",
			"module /lab/modules/ocellus-h264.ko",
			loopbackModule,
		},
	}
}

// clipGOP is how many pictures of the fed clip there are from one IDR to the next.
const clipGOP = 25

// fedClip makes what the H.264 camera plays: each access unit behind a delimiter, as lab/feed wants it.
func fedClip(t *testing.T) string {
	t.Helper()
	need(t, "ffmpeg")
	clip := filepath.Join(t.TempDir(), "clip.h264")
	r := tool(t, time.Minute, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=4",
		"-c:v", "libx264", "-profile:v", "baseline", "-g", strconv.Itoa(clipGOP), "-sc_threshold", "0", "-b:v", "500k",
		"-pix_fmt", "yuv420p", "-bsf:v", "h264_metadata=aud=insert", "-f", "h264", clip)
	if r.code != 0 {
		t.Fatal(r.errs)
	}
	return clip
}

// TestBoardCameras streams from every kind of camera that a board can have, and through what each of them does when it
// fails, on one board an architecture.
func TestBoardCameras(t *testing.T) {
	clip := fedClip(t)
	eachArch(t, func(t *testing.T, arch string) {
		b := virt.Boot(t, virt.Options{Arch: arch, Lab: cameraLab(t, arch, clip)})
		b.Test("probe raw", func(t *testing.T) { probes(t, b, `through ocellus-h264 multi-planar.*: the camera has no H.264`) })
		b.Test("raw through an encoder", func(t *testing.T) { rawCamera(t, b) })
		b.Test("raw camera fails", func(t *testing.T) { rawCameraFails(t, b) })
		takeVivid(b)
		feed(b)
		b.Test("probe H264", func(t *testing.T) { probes(t, b, `H264 320x180@\d+ straight from the camera`) })
		b.Test("H264 from the camera", func(t *testing.T) { codedCamera(t, b, clip) })
	})
}

// probes asks the agent what it would choose for the main stream.
func probes(t *testing.T, b *virt.Board, want string) {
	r := b.RunAs(virt.Agent(), "/usr/bin/agent", "probe", "--state", "/data/agent")
	choice := regexp.MustCompile(`(?m)^ +for main alone: .*$`).FindString(r.Out)
	t.Log(strings.TrimSpace(choice))
	if r.Code != 0 || !regexp.MustCompile(want).MatchString(choice) {
		t.Errorf("agent probe says %q, want %s; exit code %d\n%s%s", choice, want, r.Code, r.Out, r.Errs)
	}
}

// rawCamera counts the pictures of vivid that came through the memory-to-memory encoder, and looks at one.
func rawCamera(t *testing.T, b *virt.Board) {
	url := b.URL("main")
	s, r := watch(t, 5*time.Second, "--transport", "tcp", url)
	if r.code != 0 || !s.whole() || s.Pictures < 15 || s.Width != 640 || s.Height != 360 {
		t.Errorf("camctl watch: exit code %d, %+v\n%s", r.code, s, r.errs)
	}
	t.Logf("%d pictures of %dx%d, %.1f a second, GOP %d", s.Pictures, s.Width, s.Height, s.FPS, s.GOP)
	if len(b.Lines(`encoder opened.*encoder="?ocellus-h264`)) == 0 {
		t.Errorf("the encoder was not used: %q", b.Lines("encoder opened"))
	}
	colourBars(t, url)
}

// colourBars looks at vivid's test pattern, eight bars from white to black (vivid-tpg, "75% Colorbar"), below its text.
func colourBars(t *testing.T, url string) {
	t.Helper()
	const width, row = 640, 340
	r := tool(t, time.Minute, "ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-frames:v", "1",
		"-pix_fmt", "gray", "-f", "rawvideo", "-")
	if len(r.out) < width*(row+1) {
		t.Fatalf("a picture of %d bytes: %s", len(r.out), r.errs)
	}
	var bars []int
	for i := range 8 {
		bars = append(bars, int(r.out[row*width+width/16+i*width/8]))
	}
	t.Logf("luma of the bars: %v", bars)
	for i := 1; i < len(bars); i++ {
		if bars[i] > bars[i-1]-8 {
			t.Errorf("bar %d is not darker than the one before: %v", i, bars)
		}
	}
}

// takeVivid unbinds vivid from its driver: there is no such camera any more.
func takeVivid(b *virt.Board) { b.Sh("echo vivid.0 >" + vividDriver + "unbind") }

func giveVivid(b *virt.Board) { b.Sh("echo vivid.0 >" + vividDriver + "bind") }

// feed starts the feeder of the H.264 camera and waits until there is one.
func feed(b *virt.Board) {
	b.Sh("/lab/feed " + loopback + " /lab/clip.h264 320x180 25 </dev/null >/tmp/fed 2>&1 & echo $! >/tmp/feeder\n" +
		"for i in $(seq 200); do grep -q 'access units' /tmp/fed && exit; sleep 0.1; done; cat /tmp/fed; exit 1")
}

func unfeed(b *virt.Board) { signalFeeder(b, "TERM") }

func signalFeeder(b *virt.Board, signal string) { b.Sh("kill -" + signal + " $(cat /tmp/feeder)") }

// figure reads one sample of the agent's metrics in the board, 0 where there is none.
func figure(t *testing.T, b *virt.Board, sample string) float64 {
	t.Helper()
	for line := range strings.Lines(b.Sh("wget -q -O - http://127.0.0.1:9554/metrics")) {
		if value, ok := strings.CutPrefix(line, sample+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// awaitState waits until the main stream says that it is in one of some states.
func awaitState(t *testing.T, b *virt.Board, limit time.Duration, states ...string) {
	t.Helper()
	until(t, limit, "the stream says "+strings.Join(states, " or "), func() bool {
		return slices.ContainsFunc(states, func(s string) bool {
			return figure(t, b, `ocellus_stream_state{stream="main",state="`+s+`"}`) == 1
		})
	})
}

func faultsOf(t *testing.T, b *virt.Board, kind string) float64 {
	t.Helper()
	return figure(t, b, `ocellus_camera_faults_total{kind="`+kind+`"}`)
}
