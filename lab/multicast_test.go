package lab

import (
	"bytes"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// inNamespace marks the second run of a test, inside a network namespace of its own.
const inNamespace = "OCELLUS_LAB_NAMESPACE"

// ownNetwork runs the test again in a network namespace where only loopback exists, with multicast on it; false: this
// is the second run.
func ownNetwork(t *testing.T) (parent bool) {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		for _, args := range [][]string{
			{"link", "set", "lo", "up"}, {"link", "set", "lo", "multicast", "on"}, {"route", "add", "224.0.0.0/4", "dev", "lo"},
		} {
			if r := tool(t, 10*time.Second, "ip", args...); r.code != 0 {
				t.Fatalf("ip %v: %s", args, r.errs)
			}
		}
		return false
	}
	need(t, "unshare", "ip")
	flags := []string{"-rn", "-n"}
	for i, flag := range flags {
		if exec.CommandContext(t.Context(), "unshare", flag, "true").Run() == nil {
			break
		}
		if i == len(flags)-1 {
			t.Skip("this machine allows no network namespace of one's own")
		}
	}
	flag := "-n"
	if exec.CommandContext(t.Context(), "unshare", "-rn", "true").Run() == nil {
		flag = "-rn"
	}
	again := exec.CommandContext(t.Context(), "unshare", flag, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v",
		"-test.timeout=2m")
	again.Env = append(os.Environ(), inNamespace+"=1", "OCELLUS_BIN="+programs)
	out, err := again.CombinedOutput()
	if err != nil {
		t.Logf("in its own network, log:\n%s", out)
		t.Errorf("in its own network: %v\n%s", err, reasons(t, out))
	}
	return true
}

// reasons is why tests failed, out of what go test -v printed.
func reasons(t *testing.T, out []byte) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "../scripts/reasons")
	cmd.Stdin = bytes.NewReader(out)
	why, err := cmd.Output()
	if err != nil {
		t.Error(err)
	}
	return string(why)
}

// TestMulticast has several readers of one multicast group, of three makers. A reader that joins a running group has no
// replay of its own: what it decodes before the next IDR may be unreadable. GStreamer has a group for itself, since
// ffmpeg takes the RTCP BYE of another receiver for the sender's.
func TestMulticast(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "gst-launch-1.0")
	if ownNetwork(t) {
		return
	}
	a := startAgent(t, agentOptions{config: section{"rtsp": section{"multicast": section{"interface": "lo"}}}})
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			s, r := watch(t, 4*time.Second, a.url("main"), "--transport", "multicast")
			if r.code != 0 || !s.whole() || s.Transport != "multicast" || s.BackwardJumps > 0 {
				t.Errorf("camctl: exit code %d: %+v %s", r.code, s, r.errs)
			}
		})
	}
	decoders := []struct {
		command string
		w, h    int
	}{
		{"ffmpeg -nostdin -v error -rtsp_transport udp_multicast -i " + a.url("main") +
			" -frames:v 90 -fps_mode passthrough -f rawvideo -pix_fmt gray -", 1280, 720},
		{"gst-launch-1.0 -q rtspsrc location=" + a.url("sub") + " protocols=udp-mcast ! rtph264depay ! h264parse ! " +
			"avdec_h264 ! identity eos-after=90 ! videoconvert ! video/x-raw,format=GRAY8 ! fdsink", 640, 360},
	}
	for _, d := range decoders {
		wait.Go(func() {
			if s, said := readPictures(t, d.command, d.w, d.h); s.Pictures < 85 || s.Unreadable > 50 || s.Repeated > 0 {
				t.Errorf("%s\npictures %+v; %s", d.command, s, said)
			}
		})
	}
	wait.Wait()
}
