package lab

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// page reads a page of the status port.
func (a *agent) page(t *testing.T, path string) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.ports.Status+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

// metric reads one sample, "name" or `name{label="value"}`.
func (a *agent) metric(t *testing.T, sample string) float64 {
	t.Helper()
	_, body := a.page(t, "/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, sample+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no metric %s in\n%s", sample, body)
	return 0
}

// ofStream spells a sample of one stream.
func ofStream(name, stream string) string { return fmt.Sprintf("%s{stream=%q}", name, stream) }

// lost is how many pictures the camera or its encoder dropped.
func (a *agent) lost(t *testing.T, stream string) int {
	t.Helper()
	return int(a.metric(t, ofStream("ocellus_stream_lost_total", stream)))
}

// until waits for a condition.
func until(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		<-tick.C
	}
}

// TestStatus watches the figures of the status port follow what happens.
func TestStatus(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	until(t, 5*time.Second, "healthz of an idle camera says 200", func() bool {
		status, _ := a.page(t, "/healthz")
		return status == http.StatusOK
	})
	if n := a.metric(t, ofStream("ocellus_stream_readers", "main")); n != 0 {
		t.Errorf("%v readers before anybody came", n)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		watch(t, 5*time.Second, a.url("main"), "--transport", "tcp")
	}()
	until(t, 5*time.Second, "one reader", func() bool { return a.metric(t, ofStream("ocellus_stream_readers", "main")) == 1 })
	until(t, 5*time.Second, "about 25 pictures a second", func() bool {
		fps := a.metric(t, ofStream("ocellus_stream_fps", "main"))
		return fps > 20 && fps < 27
	})
	for _, name := range []string{
		"ocellus_stream_bitrate_bps", "ocellus_stream_idrs_total", "ocellus_stream_encoder_seconds", "ocellus_rtsp_packets_total",
	} {
		if n := a.metric(t, ofStream(name, "main")); n <= 0 {
			t.Errorf("%s = %v while somebody watches", name, n)
		}
	}
	if age := a.metric(t, ofStream("ocellus_stream_last_frame_age_seconds", "main")); age < 0 || age > 1 {
		t.Errorf("last frame %v s ago while somebody watches", age)
	}
	if status, body := a.page(t, "/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d %s", status, body)
	}
	<-done
	until(t, 5*time.Second, "no reader", func() bool { return a.metric(t, ofStream("ocellus_stream_readers", "main")) == 0 })
}
