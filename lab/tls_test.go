package lab

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

// TestRTSPS talks to the encrypted door with openssl, GStreamer, ffmpeg and camctl.
func TestRTSPS(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	t.Run("openssl", func(t *testing.T) {
		t.Parallel()
		need(t, "openssl")
		old := tool(t, 20*time.Second, "sh", "-c", "openssl s_client -tls1_1 -cipher ALL:@SECLEVEL=0 -connect "+
			a.ports.RTSPS+" </dev/null 2>&1; true")
		if !strings.Contains(old.out, "Cipher is (NONE)") {
			t.Errorf("TLS 1.1 was accepted: %s", old.out)
		}
		brief := tool(t, 20*time.Second, "sh", "-c", "openssl s_client -brief -connect "+a.ports.RTSPS+" </dev/null 2>&1; true")
		if !strings.Contains(brief.out, "TLSv1.3") {
			t.Errorf("no TLS 1.3: %s", brief.out)
		}
	})
	t.Run("gstreamer", func(t *testing.T) {
		t.Parallel()
		need(t, "gst-launch-1.0")
		checkPictures(t, a, "gst-launch-1.0 -q rtspsrc location="+a.urlTLS("main")+" protocols=tcp tls-validation-flags=0 ! "+
			"rtph264depay ! h264parse ! avdec_h264 ! identity eos-after=50 ! videoconvert ! video/x-raw,format=GRAY8 ! fdsink",
			1280, 720, 45)
	})
	t.Run("ffmpeg", func(t *testing.T) {
		t.Parallel()
		need(t, "ffmpeg")
		checkPictures(t, a, "ffmpeg -nostdin -v error -rtsp_transport tcp -i "+a.urlTLS("main")+
			" -frames:v 50 -fps_mode passthrough -f rawvideo -pix_fmt gray -", 1280, 720, 50)
	})
	t.Run("camctl with the pin", func(t *testing.T) {
		t.Parallel()
		c, err := tls.Dial("tcp", a.ports.RTSPS, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // to learn the pin
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(c.ConnectionState().PeerCertificates[0].Raw)
		c.Close()
		if s, r := watch(t, 2*time.Second, a.urlTLS("main"), "--pin", hex.EncodeToString(sum[:])); r.code != 0 || !s.whole() {
			t.Errorf("exit code %d: %s%s", r.code, r.out, r.errs)
		}
		if _, r := watch(t, time.Second, a.urlTLS("main")); r.code != 3 || !strings.Contains(r.errs, "--pin") {
			t.Errorf("without the pin: exit code %d: %s", r.code, r.errs)
		}
	})
}
