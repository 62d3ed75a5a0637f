package lab

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// viewer is ffmpeg, which decodes a stream in one RTSP session and tells a hash of each picture, some pictures late.
type viewer struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   *output
	errs  *output
	ended chan error // one send when it has ended; never blocks
}

// viewerLag is how many pictures the viewer keeps back at most, until there are more.
const viewerLag = 5

// hashes is how ffmpeg tells a picture's hash, and nothing is left out or repeated.
func hashes() []string {
	return []string{"-vsync", "passthrough", "-flush_packets", "1", "-f", "framemd5", "-"}
}

func startViewer(t *testing.T, url string) *viewer {
	t.Helper()
	v := &viewer{t: t, out: &output{}, errs: &output{}, ended: make(chan error, 1)}
	v.cmd = exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-threads", "1", "-rtsp_transport", "tcp",
		"-analyzeduration", "500000", "-i", url, "-map", "0:v"}, hashes()...)...)
	v.cmd.Stdout, v.cmd.Stderr = v.out, v.errs
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { v.ended <- v.cmd.Wait() }()
	t.Cleanup(v.stop)
	return v
}

// stop ends the viewer and waits for it.
func (v *viewer) stop() {
	_ = v.cmd.Process.Signal(syscall.SIGINT) // it may have ended
	select {
	case err := <-v.ended:
		v.ended <- err
	case <-time.After(5 * time.Second):
		_ = v.cmd.Process.Kill()
		v.ended <- <-v.ended
	}
}

// pictures returns the hashes of what was decoded so far.
func (v *viewer) pictures() []string {
	return framehashes(v.out.String())
}

// framehashes reads what the framemd5 muxer writes; a line that is not whole yet does not count.
func framehashes(out string) []string {
	var all []string
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), ",")
		if len(fields) == 6 && strings.HasSuffix(line, "\n") && !strings.HasPrefix(line, "#") {
			all = append(all, strings.TrimSpace(fields[5]))
		}
	}
	return all
}

// more waits for so many more pictures in the same session.
func (v *viewer) more(n int, limit time.Duration, what string) {
	v.t.Helper()
	want := len(v.pictures()) + n
	until(v.t, limit, what, func() bool {
		v.t.Helper()
		v.goesOn()
		return len(v.pictures()) >= want
	})
}

// goesOn fails the test if the session has ended.
func (v *viewer) goesOn() {
	v.t.Helper()
	select {
	case err := <-v.ended:
		v.ended <- err
		v.t.Fatalf("the viewer's session ended: %v\n%s", err, tail(v.errs.String(), 2000))
	default:
	}
}
