package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/stream"
	"github.com/ocellus/ocellus/stream/rtsp"
)

func testAgent(t *testing.T) *agent {
	t.Helper()
	b, err := board.Named("sim")
	if err != nil {
		t.Fatal(err)
	}
	devices, err := board.Open(b, board.Options{}, silent())
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{board: b, began: time.Now()}
	a.source = stream.NewSource(stream.Options{Camera: devices.Cameras[0], Config: stream.DefaultConfig(), Log: silent()})
	hubs := map[string]*stream.Hub{"main": a.source.Hub("main"), "sub": a.source.Hub("sub")}
	if a.server, err = rtsp.New(rtsp.Options{Config: rtsp.DefaultConfig(), Hubs: hubs}); err != nil {
		t.Fatal(err)
	}
	return a
}

func ask(t *testing.T, path, host string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = host
	testAgent(t).statusHandler().ServeHTTP(w, r)
	return w
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w := ask(t, "/healthz", "127.0.0.1:9554")
	var doc statusDocument
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != http.StatusOK {
		t.Fatalf("got %d, %v:\n%s", w.Code, err, w.Body)
	}
	if !doc.Healthy || len(doc.Streams) != 2 || doc.Streams[0].State != stream.Idle {
		t.Errorf("got %+v", doc)
	}
	for host, code := range map[string]int{"localhost": 200, "[::1]:9554": 200, "evil.example": 403, "evil.example:9554": 403, "10.0.0.1": 403} {
		if got := ask(t, "/healthz", host).Code; got != code {
			t.Errorf("host %s: got %d, want %d", host, got, code)
		}
	}
}

// TestMetrics reads the answer as the text format 0.0.4 has it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	w := ask(t, "/metrics", "localhost")
	line := regexp.MustCompile(`^([a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? (\S+)$`)
	typed, seen := map[string]bool{}, map[string]bool{}
	for l := range strings.Lines(w.Body.String()) {
		l = strings.TrimSuffix(l, "\n")
		if rest, ok := strings.CutPrefix(l, "# TYPE "); ok {
			name, _, _ := strings.Cut(rest, " ")
			if typed[name] {
				t.Errorf("%s: typed twice", name)
			}
			typed[name] = true
			continue
		}
		if strings.HasPrefix(l, "# HELP ") {
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil || !typed[m[1]] || seen[m[1]+m[2]] {
			t.Errorf("line %q: malformed, without a type, or there twice", l)
			continue
		}
		seen[m[1]+m[2]] = true
	}
	for _, want := range []string{`ocellus_stream_fps{stream="main"}`, `ocellus_stream_readers{stream="sub"}`,
		`ocellus_stream_state{stream="main",state="idle"}`, "process_resident_memory_bytes", `ocellus_stream_dropped_total{stream="main"}`,
		`ocellus_stream_idrs_total{stream="main"}`, `ocellus_stream_encoder_seconds{stream="main"}`, `ocellus_stream_last_frame_age_seconds{stream="sub"}`} {
		if !seen[want] {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
	var b strings.Builder
	sample(&b, "x", 1.5, "l", "a\"b\\c\nd")
	if want := "x{l=\"a\\\"b\\\\c\\nd\"} 1.5\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
