package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cluster is three nats-server nodes with JetStream that speak MQTT.
type cluster struct{ nodes []*exec.Cmd }

func freePort(t *testing.T) int {
	t.Helper()
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	return in.Addr().(*net.TCPAddr).Port //nolint:errcheck // its type
}

func newCluster(t *testing.T) (*cluster, []string) {
	t.Helper()
	need(t, "nats-server")
	const size = 3
	var routes, urls, watch []string
	var ports []int
	for range size {
		port := freePort(t)
		ports = append(ports, port)
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	c := &cluster{}
	for i := range size {
		mqtt, monitor := freePort(t), freePort(t)
		urls = append(urls, fmt.Sprintf("mqtt://127.0.0.1:%d", mqtt))
		watch = append(watch, fmt.Sprintf("http://127.0.0.1:%d/healthz", monitor))
		config := filepath.Join(t.TempDir(), "nats.conf")
		text := fmt.Sprintf("server_name: node-%d\nlisten: 127.0.0.1:%d\nhttp: 127.0.0.1:%d\njetstream {store_dir: %q}\n"+
			"mqtt {listen: \"127.0.0.1:%d\", stream_replicas: %d}\n"+
			"cluster {name: fleet, listen: 127.0.0.1:%d, routes: [%s]}\n",
			i, freePort(t), monitor, t.TempDir(), mqtt, size, ports[i], strings.Join(routes, ", "))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		node := exec.Command("nats-server", "-c", config)
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, node)
		t.Cleanup(func() {
			_ = node.Process.Kill()
			_ = node.Wait()
		})
	}
	end := time.Now().Add(60 * time.Second)
	for i := 0; i < size; {
		r, err := http.Get(watch[i]) //nolint:noctx // loopback, and the loop ends
		if err == nil {
			_ = r.Body.Close()
		}
		switch {
		case err == nil && r.StatusCode == http.StatusOK:
			i++
		case time.Now().After(end):
			t.Fatalf("node %d is not ready", i)
		default:
			<-time.After(100 * time.Millisecond)
		}
	}
	return c, urls
}

// fleetSummary is camctl's.
type fleetSummary struct {
	Connected   int
	Commands    struct{ Sent, Answered, Lost, Repeated int }
	Events      struct{ Sent, Received, Lost, Repeated int }
	Displaced   int
	AllBack     float64 `json:"all_back_s"`
	WorstSecond float64 `json:"worst_second_percent"`
}

// TestFleet: cameras on a real cluster. A node dies; every camera is back, no command and no event is lost.
// OCELLUS_FLEET=2000 is the long form.
func TestFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	cameras := 200
	if n, err := strconv.Atoi(os.Getenv("OCELLUS_FLEET")); err == nil {
		cameras = n
	}
	c, urls := newCluster(t)
	cmd := exec.Command(program("camctl"), "fleet", "simulate", "-n", fmt.Sprint(cameras), "--broker",
		strings.Join(urls, ","), "--for", "40s", "--event", "5s", "--rate", "20")
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	full := fmt.Sprintf(`"connected":%d,`, cameras)
	killed := false
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	limit := time.After(5 * time.Minute)
	for {
		select {
		case err := <-ended:
			s := lastSummary(t, out.String())
			t.Logf("%+v", s)
			if err != nil || !killed || s.Commands.Lost+s.Events.Lost > 0 || s.Connected != cameras || s.Displaced == 0 {
				t.Fatalf("%v, node killed %v:\n%s", err, killed, tail(out.String(), 2000))
			}
			return
		case <-limit:
			_ = cmd.Process.Kill()
			t.Fatalf("no end:\n%s", tail(out.String(), 2000))
		case <-tick.C:
		}
		if !killed && strings.Count(out.String(), full) > 5 {
			killed = true
			_ = c.nodes[1].Process.Kill()
		}
	}
}

func lastSummary(t *testing.T, out string) (s fleetSummary) {
	t.Helper()
	for _, line := range bytes.Split([]byte(out), []byte("\n")) {
		if bytes.Contains(line, []byte("all_back_s")) {
			if err := json.Unmarshal(line, &s); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}
