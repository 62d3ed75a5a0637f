package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
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

// ask reads a page as a client gets it.
func ask(t *testing.T, path, host string) (code int, body []byte) {
	t.Helper()
	here, there := net.Pipe()
	go answerHTTP(there, testAgent(t).pages())
	t.Cleanup(func() { _ = here.Close() })
	if _, err := fmt.Fprintf(here, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\n\r\n", path, host); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(here), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err = io.ReadAll(r.Body)
	if err != nil || int64(len(body)) != r.ContentLength || !r.Close {
		t.Errorf("%s: %d bytes of %d, close %v, %v", path, len(body), r.ContentLength, r.Close, err)
	}
	return r.StatusCode, body
}

func TestHealth(t *testing.T) {
	t.Parallel()
	code, body := ask(t, "/healthz", "127.0.0.1:9554")
	var doc statusDocument
	if err := json.Unmarshal(body, &doc); err != nil || code != http.StatusOK {
		t.Fatalf("got %d, %v:\n%s", code, err, body)
	}
	if !doc.Healthy || len(doc.Streams) != 2 || doc.Streams[0].State != stream.Idle {
		t.Errorf("got %+v", doc)
	}
	for host, code := range map[string]int{"localhost": 200, "[::1]:9554": 200, "evil.example": 403,
		"evil.example:9554": 403, "10.0.0.1": 403} {
		if got, _ := ask(t, "/healthz", host); got != code {
			t.Errorf("host %s: got %d, want %d", host, got, code)
		}
	}
}

// TestMetrics reads the answer as the text format 0.0.4 has it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	_, body := ask(t, "/metrics", "localhost")
	line := regexp.MustCompile(`^([a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? (\S+)$`)
	typed, seen := map[string]bool{}, map[string]bool{}
	for l := range strings.Lines(string(body)) {
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
		`ocellus_stream_state{stream="main",state="idle"}`, "process_resident_memory_bytes",
		`ocellus_stream_dropped_total{stream="main"}`,
		`ocellus_stream_idrs_total{stream="main"}`, `ocellus_stream_encoder_seconds{stream="main"}`,
		`ocellus_stream_last_frame_age_seconds{stream="sub"}`} {
		if !seen[want] {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	var b bytes.Buffer
	sample(&b, "x", 1.5, "l", "a\"b\\c\nd")
	if want := "x{l=\"a\\\"b\\\\c\\nd\"} 1.5\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	pages := map[string]func() page{"/p": func() page { return textPage(200, "hello") }}
	for name, c := range map[string]struct {
		sent string
		code int // 0: no answer
		body string
	}{
		"fine":           {"GET /p HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "hello\n"},
		"bare newlines":  {"GET /p HTTP/1.1\nHost: localhost\n\n", 200, "hello\n"},
		"query":          {"GET /p?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "hello\n"},
		"old client":     {"GET /p HTTP/1.0\r\n\r\n", 200, "hello\n"},
		"head":           {"HEAD /p HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, ""},
		"post":           {"POST /p HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx", 405, ""},
		"nowhere":        {"GET /q HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, ""},
		"no host":        {"GET /p HTTP/1.1\r\n\r\n", 400, ""},
		"two hosts":      {"GET /p HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400, ""},
		"strange host":   {"GET /p HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, ""},
		"absolute":       {"GET http://evil.example/p HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""},
		"folded":         {"GET /p HTTP/1.1\r\nHost: localhost\r\n more\r\n\r\n", 400, ""},
		"not HTTP":       {"hello\r\n\r\n", 400, ""},
		"HTTP/2":         {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, ""},
		"too long":       {"GET /p HTTP/1.1\r\nX: " + strings.Repeat("x", maxHead) + "\r\n\r\n", 400, ""},
		"half":           {"GET /p HTT", 400, ""},
		"nothing at all": {"", 0, ""},
	} {
		var out bytes.Buffer
		answerHTTP(&exchange{strings.NewReader(c.sent), &out}, pages)
		if c.code == 0 {
			if out.Len() > 0 {
				t.Errorf("%s: got %q", name, out.String())
			}
			continue
		}
		method, _, _ := strings.Cut(c.sent, " ")
		r, err := http.ReadResponse(bufio.NewReader(&out), &http.Request{Method: method})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if r.StatusCode != c.code || c.code == 200 && string(body) != c.body {
			t.Errorf("%s: got %d %q, want %d %q", name, r.StatusCode, body, c.code, c.body)
		}
	}
}

// exchange is a connection whose one side is written down.
type exchange struct {
	io.Reader
	io.Writer
}

func FuzzHTTP(f *testing.F) {
	for _, s := range []string{"GET /p HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET / HTTP/1.0\n\n", "\r\n\r\n",
		"HEAD /p HTTP/1.1\r\nhost:[::1]:5\r\n\r\n"} {
		f.Add([]byte(s))
	}
	pages := map[string]func() page{"/p": func() page { return textPage(200, "hello") }}
	f.Fuzz(func(t *testing.T, sent []byte) {
		var out bytes.Buffer
		answerHTTP(&exchange{bytes.NewReader(sent), &out}, pages)
		if out.Len() == 0 {
			return
		}
		if _, err := http.ReadResponse(bufio.NewReader(&out), nil); err != nil {
			t.Errorf("answer is no HTTP: %v", err)
		}
	})
}
