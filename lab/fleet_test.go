package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
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

func newCluster(t *testing.T) (*cluster, []string) {
	t.Helper()
	need(t, "nats-server")
	const size = 3
	var routes, urls, watch []string
	var meeting []string
	for range size {
		at := freeAddress(t)
		meeting, routes = append(meeting, at), append(routes, "nats://"+at)
	}
	c := &cluster{}
	for i := range size {
		mqtt, monitor := freeAddress(t), freeAddress(t)
		urls = append(urls, "mqtt://"+mqtt)
		watch = append(watch, "http://"+monitor+"/healthz")
		config := filepath.Join(t.TempDir(), "nats.conf")
		text := fmt.Sprintf("server_name: node-%d\nlisten: %q\nhttp: %q\njetstream {store_dir: %q}\n"+
			"mqtt {listen: %q, stream_replicas: %d}\n"+
			"cluster {name: fleet, listen: %q, routes: [%s]}\n",
			i, freeAddress(t), monitor, t.TempDir(), mqtt, size, meeting[i], strings.Join(routes, ", "))
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
	Back        []int   `json:"back_by_second"`
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
		strings.Join(urls, ","), "--for", "40s", "--event", fmt.Sprintf("%ds", max(5, cameras/66)), "--rate", "20")
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
