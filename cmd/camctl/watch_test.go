package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// watch runs the command and returns its summary (empty if it printed none), its whole output and its exit code.
func watch(t *testing.T, args ...string) (summary, string, int) {
	t.Helper()
	var out bytes.Buffer
	code := run(t.Context(), append([]string{"watch", "--json"}, args...), streams{nil, &out, &out})
	var last struct{ Summary summary }
	lines := bufio.NewScanner(bytes.NewReader(out.Bytes()))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), `{"summary"`) {
			if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
				t.Fatal(err)
			}
		}
	}
	return last.Summary, out.String(), code
}

func TestWatch(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"tcp", "udp", "auto"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			c := serve(t, cameraOptions{user: true})
			s, out, code := watch(t, "rtsp://viewer:right@"+c.host+"/main", "--transport", transport, "--duration", "3s")
			if code != exitOK {
				t.Fatalf("exit code %d: %s", code, out)
			}
			if s.Pictures < 30 || s.Lost+s.Gaps+s.Duplicates+s.Reordered+s.Damaged+s.ForwardJumps+s.BackwardJumps != 0 {
				t.Errorf("summary %+v", s)
			}
			if s.FirstPacket == nil || s.FirstPicture == nil || *s.FirstPicture < *s.FirstPacket {
				t.Errorf("first packet %v, first picture %v", s.FirstPacket, s.FirstPicture)
			}
			if s.GOP != 10 || s.IDRs < 3 || s.Width != 128 || s.Height != 180 || !s.InBand {
				t.Errorf("GOP %d, IDRs %d, %dx%d, in band %v", s.GOP, s.IDRs, s.Width, s.Height, s.InBand)
			}
			if s.LatencyP50 == nil || *s.LatencyP50 < 0 || *s.LatencyP50 > 500 {
				t.Errorf("latency %v because %q", s.LatencyP50, s.NoLatency)
			}
			if strings.Contains(out, "right") {
				t.Error("the password stands in the output")
			}
		})
	}
}

func TestWatchCountsLoss(t *testing.T) {
	t.Parallel()
	c := serve(t, cameraOptions{every: func(n int) bool { return n%20 == 0 }})
	s, out, code := watch(t, "rtsp://"+c.host+"/main", "--transport", "udp", "--duration", "3s")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if s.Lost == 0 || s.Lost != s.Gaps || s.Damaged == 0 {
		t.Errorf("lost %d in %d gaps, damaged %d", s.Lost, s.Gaps, s.Damaged)
	}
	if rate := float64(s.Lost) / float64(s.Packets+s.Lost); rate < 0.03 || rate > 0.07 {
		t.Errorf("loss rate %.3f, want about 0.05", rate)
	}
}

func TestWatchTLS(t *testing.T) {
	t.Parallel()
	c := serve(t, cameraOptions{user: true, tls: true})
	address := "rtsps://viewer:right@" + c.host + "/main"
	tests := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"self-signed is not trusted", nil, exitUnreachable, "--pin"},
		{"insecure", []string{"--insecure"}, exitOK, ""},
		{"pinned", []string{"--pin", c.pin}, exitOK, ""},
		{"other pin", []string{"--pin", strings.Repeat("00", 32)}, exitUnreachable, "not the pinned one"},
		{"bad pin", []string{"--pin", "xyz"}, exitUsage, "64 hexadecimal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, out, code := watch(t, append([]string{address, "--duration", "500ms"}, tt.args...)...)
			if code != tt.code || !strings.Contains(out, tt.says) {
				t.Errorf("exit code %d, want %d; output %s", code, tt.code, out)
			}
			if code == exitOK && (s.Transport != "tcp" || s.Pictures == 0) {
				t.Errorf("summary %+v", s)
			}
		})
	}
}

func TestWatchFaults(t *testing.T) {
	t.Parallel()
	locked := serve(t, cameraOptions{user: true})
	silent := serve(t, cameraOptions{silent: true})
	const (
		nobody = "127.0.0.1:1" // no port that the kernel would give to anybody meanwhile
		secret = "s3cr3t"
	)
	tests := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"refused", []string{"rtsp://viewer:" + secret + "@" + nobody + "/main"}, exitUnreachable, "nobody listens"},
		{"wrong password", []string{"rtsp://viewer:" + secret + "@" + locked.host + "/main"}, exitCredential, "wrong name"},
		{"no password", []string{"rtsp://" + locked.host + "/main"}, exitCredential, "needs a name"},
		{"no such stream", []string{"rtsp://viewer:right@" + locked.host + "/side"}, exitNoStream, "no stream"},
		{
			"no packets over UDP",
			[]string{"rtsp://" + silent.host + "/main", "--transport", "udp", "--duration", "300ms"},
			exitNoPackets, "--transport tcp",
		},
		{"no packets", []string{"rtsp://" + silent.host + "/main", "--transport", "tcp", "--duration", "300ms"}, exitNoPackets, "sends nothing"},
		{"bad URL", []string{"rtsp://viewer:" + secret + "@host/%zz"}, exitUsage, "not of the form"},
		{"bad flag", []string{"rtsp://h/main", "--transport", "pigeon"}, exitUsage, "pigeon"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, out, code := watch(t, tt.args...)
			if code != tt.code || !strings.Contains(out, tt.says) {
				t.Errorf("exit code %d, want %d; output %s", code, tt.code, out)
			}
			if strings.Contains(out, secret) {
				t.Errorf("the password stands in the output: %s", out)
			}
		})
	}
}

func TestWatchEndedEarly(t *testing.T) {
	t.Parallel()
	c := serve(t, cameraOptions{})
	done := make(chan int, 1)
	go func() {
		_, _, code := watch(t, "rtsp://"+c.host+"/main", "--transport", "tcp", "--duration", "30s")
		done <- code
	}()
	for c.stream.Stats().OutboundBytes < 20_000 { // until somebody watches, and has seen pictures
		select {
		case code := <-done:
			t.Fatalf("exit code %d before the camera went", code)
		default:
		}
	}
	c.server.Close()
	if code := <-done; code != exitEnded {
		t.Errorf("exit code %d, want %d", code, exitEnded)
	}
}
