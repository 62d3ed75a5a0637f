package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"

	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/internal/statefile"
)

// running is an agent in this process, on the simulated board, on free ports.
type running struct {
	state string
	ports ports
	label string // as the agent printed it; empty where the camera has an owner
	url   string // of /main, with the owner's own viewer; empty where the camera had an owner before
	stop  func() int
	done  chan int // one send, the exit code
}

const freePorts = `
rtsp: {address: "127.0.0.1:0", tls_address: "127.0.0.1:0"}
web: {address: "127.0.0.1:0"}
status: {address: "127.0.0.1:0"}
control: {embedded: "127.0.0.1:0"}
`

// start runs an agent until the test ends, or stop is called, which returns the exit code. A camera without an owner gets
// one.
func start(t *testing.T, state string, args ...string) *running {
	t.Helper()
	r := startAlone(t, state, args...)
	if r.label != "" {
		var me admitted
		becomeOwner(t, r.ports.Web, r.label).ask(t, "viewer.add", viewerArgs{Name: "me"}, &me)
		r.url = me.URLs[0]
	}
	return r
}

// startAlone is start, and leaves the camera without an owner.
func startAlone(t *testing.T, state string, args ...string) *running {
	t.Helper()
	if lacks := board.Lacks(); len(lacks) > 0 && len(args) == 0 {
		t.Skipf("this build lacks %s", lacks)
	}
	if err := os.WriteFile(filepath.Join(state, "config.yaml"), []byte(freePorts), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	said, say := io.Pipe()
	var complaints strings.Builder
	done := make(chan int, 1)
	go func() {
		w := world{say, &complaints, func(string) string { return "" }, "/"}
		code := dispatch(ctx, w, append([]string{"run", "--board", "sim", "--state", state}, args...))
		_ = say.Close()
		done <- code
	}()
	r := &running{state: state, done: done}
	r.stop = sync.OnceValue(func() int {
		cancel()
		_ = said.Close()
		return <-done
	})
	t.Cleanup(func() {
		if code := r.stop(); code != 0 || t.Failed() {
			t.Logf("agent: code %d\n%s", code, complaints.String())
		}
	})
	lines := bufio.NewScanner(said)
	told := false
	for !told && lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "label: "); ok {
			r.label = text
		}
		told = strings.Contains(lines.Text(), "camctl pair") || strings.Contains(lines.Text(), "agent viewer add")
	}
	if !told {
		t.Fatal("the agent does not say how to watch")
	}
	go func() { _, _ = io.Copy(io.Discard, said) }() // ends when stop closes the pipe
	var err error
	if r.ports, _, err = statefile.New[ports](filepath.Join(state, portsName), 1).Load(); err != nil {
		t.Fatal(err)
	}
	return r
}

// watch plays a URL over TCP and returns the client and its packets.
func watch(t *testing.T, url string) (*gortsplib.Client, <-chan *rtp.Packet, error) {
	t.Helper()
	u, err := base.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	tcp := gortsplib.ProtocolTCP
	c := &gortsplib.Client{Scheme: u.Scheme, Host: u.Host, Protocol: &tcp,
		TLSConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // the certificate is the device's own
	if err := c.Start(); err != nil {
		return nil, nil, err
	}
	t.Cleanup(c.Close)
	desc, _, err := c.Describe(u)
	if err != nil {
		return c, nil, err
	}
	packets := make(chan *rtp.Packet, 1024) // full: dropped, the test looks at the first ones
	if err := c.SetupAll(desc.BaseURL, desc.Medias); err != nil {
		return c, nil, err
	}
	c.OnPacketRTPAny(func(_ *description.Media, _ format.Format, p *rtp.Packet) {
		select {
		case packets <- p:
		default:
		}
	})
	_, err = c.Play(nil)
	return c, packets, err
}

func get(t *testing.T, address, path string) (int, []byte) {
	t.Helper()
	r, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, body
}

// TestRun is a camera's day: it starts, is watched in the clear and encrypted, is asked how it is, loses a viewer, and
// stops.
func TestRun(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := start(t, state)
	secure := strings.Replace(strings.Replace(r.url, "rtsp://", "rtsps://", 1), r.ports.RTSP, r.ports.RTSPS, 1)
	for _, url := range []string{r.url, strings.Replace(r.url, "/main", "/sub", 1), secure} {
		client, packets, err := watch(t, url)
		if err != nil {
			t.Fatalf("%.8s: %v", url, err)
		}
		for p := range packets {
			if p.Marker {
				break
			}
		}
		client.Close()
	}
	for what, url := range map[string]string{
		"nobody":         fmt.Sprintf("rtsp://%s/main", r.ports.RTSP),
		"wrong password": fmt.Sprintf("rtsp://viewer:x@%s/main", r.ports.RTSP),
		"wrong name":     fmt.Sprintf("rtsp://owner:x@%s/main", r.ports.RTSP),
	} {
		if _, _, err := watch(t, url); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("%s: got %v, want 401", what, err)
		}
	}
	code, body := get(t, r.ports.Status, "/healthz")
	var doc statusDocument
	if err := json.Unmarshal(body, &doc); err != nil || code != 200 || !doc.Healthy || doc.Camera.Starts == 0 ||
		len(doc.Parts) != 11 {
		t.Errorf("health: got %d, %v\n%s", code, err, body)
	}
	if _, body := get(t, r.ports.Status, "/metrics"); !strings.Contains(string(body), "ocellus_camera_starts_total 1\n") {
		t.Errorf("metrics: got\n%s", body)
	}
	if code, out, errs := agentVerb(t, "status", "--state", state); code != 0 ||
		!strings.HasPrefix(out, "healthy, board sim") {
		t.Errorf("status: got %d %q %q", code, out, errs)
	}
	picture := filepath.Join(state, "p.jpg")
	if code, out, errs := agentVerb(t, "snapshot", "--state", state, "-o", picture); code != 0 {
		t.Errorf("snapshot: got %d %q %q", code, out, errs)
	}
	if raw, err := os.ReadFile(picture); err != nil || http.DetectContentType(raw) != "image/jpeg" {
		t.Errorf("snapshot: %v, %d bytes", err, len(raw))
	}
	if code, _, errs := agentVerb(t, "snapshot", "--stream", "side", "--state", state); code != 1 ||
		!strings.Contains(errs, "not found") {
		t.Errorf("snapshot of nothing: got %d %q", code, errs)
	}
	if code, _, errs := agentVerb(t, "run", "--board", "sim", "--state", state); code != 1 ||
		!strings.Contains(errs, "another agent") {
		t.Errorf("second agent: got %d %q", code, errs)
	}
	began := time.Now()
	if code := r.stop(); code != 0 || time.Since(began) > 2*time.Second {
		t.Errorf("stop: got code %d after %v, want 0 within 2 s", code, time.Since(began))
	}
	if _, err := os.Stat(filepath.Join(state, portsName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ports.json after the stop: %v", err)
	}
	again := start(t, state)
	if _, _, err := watch(t, strings.Replace(r.url, r.ports.RTSP, again.ports.RTSP, 1)); again.label != "" || err != nil {
		t.Errorf("second start: label %q, %v, want the owner of before and his viewer", again.label, err)
	}
}

// TestUnclaimed: a camera without an owner shows its picture to nobody, and nobody can admit anybody.
func TestUnclaimed(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := startAlone(t, state)
	if code, _, errs := agentVerb(t, "viewer", "add", "early", "--state", state); code != 1 ||
		!strings.Contains(errs, "no owner") {
		t.Errorf("viewer add: %d %q", code, errs)
	}
	for _, who := range []string{"", "viewer:viewer@", "early:x@"} {
		if _, _, err := watch(t, "rtsp://"+who+r.ports.RTSP+"/main"); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("%q watches without an owner: %v", who, err)
		}
	}
	if _, out, _ := agentVerb(t, "label", "--board", "sim", "--state", state); strings.TrimSpace(out) != r.label {
		t.Errorf("agent label says %q, the agent said %q", out, r.label)
	}
	_, second, _ := agentVerb(t, "label", "--easy-connect", "--board", "sim", "--state", state)
	if _, err := label.Parse(strings.TrimSpace(second)); !errors.Is(err, label.ErrDPP) {
		t.Errorf("agent label --easy-connect says %q: %v", second, err)
	}
	owner := becomeOwner(t, r.ports.Web, r.label)
	var doc statusDocument
	if code := owner.ask(t, "status", none{}, &doc); code != codeOK || !doc.Owned || len(doc.Places) != 2 {
		t.Errorf("status: %s, %+v", code, doc)
	}
	stranger := newPhone(t, r.ports.Web)
	if status, _ := stranger.post(t, http.MethodPost, "/v1/command", []byte(`{"command":"status"}`)); status != 401 {
		t.Errorf("a stranger's command: %d", status)
	}
	for name, want := range map[string]string{"no.such": codeUnknown, "viewer.remove": codeNotFound} {
		if code := owner.ask(t, name, none{}, nil); code != want {
			t.Errorf("%s: %s, want %s", name, code, want)
		}
	}
}

// TestViewersAtOnce: who is admitted may watch at once, who is removed is cut off.
func TestViewersAtOnce(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	r := start(t, state)
	_, out, _ := agentVerb(t, "viewer", "add", "bob", "--json", "--state", state)
	var bob admitted
	if err := json.Unmarshal([]byte(out), &bob); err != nil || len(bob.URLs) != 2 {
		t.Fatalf("add: %v, %q", err, out)
	}
	client, packets, err := watch(t, bob.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	<-packets
	if code, _, errs := agentVerb(t, "viewer", "remove", "bob", "--state", state); code != 0 {
		t.Fatalf("remove: %q", errs)
	}
	ended := make(chan error, 1)
	go func() { ended <- client.Wait() }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("bob still watches 10 s after he was removed")
	}
	if _, _, err := watch(t, bob.URLs[0]); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("bob again: got %v, want 401", err)
	}
	if _, _, err := watch(t, r.url); err != nil {
		t.Errorf("the other viewer: %v", err)
	}
}

// TestPortTaken: an address that is in use is a clear error that names the key, and nothing stays behind.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for key, config := range map[string]string{
		"rtsp.address": fmt.Sprintf("rtsp: {address: %q, tls_address: off}\nstatus: {address: off}\n", taken.Addr()),
		"status.address": fmt.Sprintf("rtsp: {address: \"127.0.0.1:0\", tls_address: off}\nstatus: {address: %q}\n",
			taken.Addr()),
	} {
		state := t.TempDir()
		if err := os.WriteFile(filepath.Join(state, "config.yaml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, errs := agentVerb(t, "run", "--board", "sim", "--state", state)
		if code != 1 || !strings.Contains(errs, key) || !strings.Contains(errs, "address already in use") {
			t.Errorf("%s: got %d %q", key, code, errs)
		}
	}
}
