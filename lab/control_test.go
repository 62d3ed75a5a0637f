package lab

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// mosquitto is a broker that lets everybody in.
func mosquitto(t *testing.T) string {
	t.Helper()
	address, _ := mosquittoUntil(t)
	return address
}

// mosquittoUntil is mosquitto, and how it is ended before the test is.
func mosquittoUntil(t *testing.T) (address string, stop func()) {
	t.Helper()
	need(t, "mosquitto")
	address = freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	config := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := "listener " + port + " 127.0.0.1\nallow_anonymous true\nuser root\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("mosquitto", "-c", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	until(t, 10*time.Second, "mosquitto listens", func() bool { // a camera that comes too early stays away for a while
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return "mqtt://" + address, stop
}

// call asks the camera and returns what camctl prints.
func (a *agent) call(t *testing.T, words ...string) ran {
	t.Helper()
	return tool(t, 70*time.Second, program("camctl"), append([]string{"call", "--home", a.home, "camera"}, words...)...)
}

// reached waits until the camera answers over a broker.
func (a *agent) reached(t *testing.T, way ...string) {
	t.Helper()
	until(t, 40*time.Second, "the camera has its broker", func() bool { // no faster than a camera lets anybody ask
		var s struct{ Session struct{ Connected bool } }
		r := a.call(t, "control.status")
		return json.Unmarshal([]byte(r.out), &s) == nil && s.Session.Connected
	})
	if r := a.call(t, append([]string{"status"}, way...)...); r.code != 0 || !strings.Contains(r.out, `"board": "sim"`) {
		t.Fatalf("over the broker: %d %s", r.code, r.errs)
	}
}

// TestControl is the owner's day: the same questions over the LAN door, over the broker in the agent and over another
// one, to which the camera goes by command.
func TestControl(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	if r := a.call(t, "set", "stream.main.bitrate=1500k"); r.code != 0 || !strings.Contains(r.out, "1500k") {
		t.Fatalf("set: %d %s %s", r.code, r.out, r.errs)
	}
	if r := a.call(t, "set", "streams.main.bitrate=0", "streams.sub.bitrate=1M"); r.code == 0 ||
		!strings.Contains(r.errs, "streams.main.bitrate") {
		t.Errorf("half of a change: %d %s", r.code, r.errs)
	}
	if r := a.call(t, "get", "prefix=streams.sub.bitrate"); strings.Contains(r.out, "1M") {
		t.Errorf("half of a change holds: %s", r.out)
	}
	picture := filepath.Join(t.TempDir(), "p.jpg")
	if r := a.call(t, "snapshot", "-o", picture); r.code != 0 {
		t.Errorf("snapshot: %s", r.errs)
	}
	if raw, err := os.ReadFile(picture); err != nil || len(raw) < 1000 || string(raw[:2]) != "\xff\xd8" {
		t.Errorf("snapshot: %d bytes, %v", len(raw), err)
	}
	a.stopsStream(t)
	own := []string{"--broker", "mqtts://" + a.ports.MQTT, "--ca", filepath.Join(a.state, "broker.pem")}
	a.reached(t, own...)
	bundle := filepath.Join(t.TempDir(), "bundle.tar.gz")
	r := tool(t, time.Minute, program("camctl"), append([]string{"support", "--home", a.home, "camera", "--yes", "-o", bundle},
		own...)...)
	if raw, err := os.ReadFile(bundle); r.code != 0 || err != nil || unpackSupport(t, raw)["log.txt"] == "" {
		t.Errorf("a support bundle over the broker: %d %s, %v", r.code, r.errs, err)
	}
	other := mosquitto(t)
	if r := a.call(t, "set", "control.broker="+other); r.code != 0 {
		t.Fatalf("another broker: %s", r.errs)
	}
	a.reached(t, "--broker", other)
	for says, words := range map[string][]string{
		"zoom": {"idr", "zoom=2"}, "unknown key": {"set", "streams.main.zoom=2"}, "fast": {"set", "streams.main.fps=fast"},
		"conflict": {"config.set", `set={"log":"debug"}`, "base=999"}, "sh": {"sh"},
	} {
		if r := a.call(t, append(words, "--broker", other)...); r.code == 0 || !strings.Contains(r.errs, says) {
			t.Errorf("%s: %d %s %s", words, r.code, r.out, r.errs)
		}
	}
	a.letsIn(t, other)
	events := tool(t, 20*time.Second, program("camctl"), "events", "--home", a.home, "camera", "--for", "2s")
	if events.code != 0 {
		t.Errorf("events: %d %s", events.code, events.errs)
	}
}

// letsIn: somebody whom the owner granted something asks over a broker, for that and nothing else.
func (a *agent) letsIn(t *testing.T, broker string) {
	t.Helper()
	home := t.TempDir()
	a.invites(t, home, "member")
	call := func(words ...string) ran {
		t.Helper()
		return tool(t, 20*time.Second, program("camctl"), append([]string{"call", "--home", home, "camera"}, words...)...)
	}
	if r := call("status", "--broker", broker); r.code != 0 {
		t.Errorf("a member's status: %s", r.errs)
	}
	if r := call("reboot", "--broker", broker); r.code != 4 || !strings.Contains(r.errs, "may not") {
		t.Errorf("a member reboots: %d %s", r.code, r.errs)
	}
}

// invites lets somebody in who has a key at home.
func (a *agent) invites(t *testing.T, home, role string) {
	t.Helper()
	camctl := func(words ...string) string {
		t.Helper()
		r := tool(t, 20*time.Second, program("camctl"), words...)
		if r.code != 0 {
			t.Fatalf("%s: %s", words, r.errs)
		}
		return strings.TrimSpace(r.out)
	}
	key := camctl("owner", "make", "--home", home)
	invitation := camctl("grant", "camera", key, "--to", "anna", "--role", role, "--home", a.home)
	camctl("accept", invitation, "--name", "camera", "--home", home)
}

// stopsStream: a stream that is stopped shows nothing to anybody, and comes back.
func (a *agent) stopsStream(t *testing.T) {
	t.Helper()
	if r := a.call(t, "stream.stop"); r.code != 0 {
		t.Fatalf("stop: %s", r.errs)
	}
	if r := a.call(t, "snapshot"); r.code == 0 || !strings.Contains(r.errs, "stream stopped") {
		t.Errorf("a snapshot of a stopped stream: %d %s", r.code, r.errs)
	}
	if s, r := watch(t, time.Second, a.url("main")); r.code == 0 || s.Pictures > 0 {
		t.Errorf("a stopped stream shows %+v", s)
	}
	if r := a.call(t, "stream.start"); r.code != 0 {
		t.Fatalf("start: %s", r.errs)
	}
	if s, r := watch(t, time.Second, a.url("main")); r.code != 0 || !s.whole() {
		t.Errorf("started again: %+v %s", s, r.errs)
	}
}

// TestBrokerRollback: a change that cuts the connection is taken back, and the camera is reached as before.
func TestBrokerRollback(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	own := []string{"--broker", "mqtts://" + a.ports.MQTT, "--ca", filepath.Join(a.state, "broker.pem")}
	a.reached(t, own...)
	r := a.call(t, append([]string{"set", "control.broker=mqtt://127.0.0.1:1"}, own...)...)
	if r.code == 0 || !strings.Contains(r.errs, "rolled back") {
		t.Fatalf("got %d %s %s", r.code, r.out, r.errs)
	}
	a.reached(t, own...)
	if r := a.call(t, "get", "prefix=control.broker"); !strings.Contains(r.out, `"off"`) {
		t.Errorf("got %s", r.out)
	}
	// The same, left for the camera: once, whatever the broker brings again.
	left := desirer{a.home, own[1]}.desires(t, "control.broker=mqtt://127.0.0.1:1", "--ca", own[3])
	if left.code != 1 || !strings.Contains(left.errs, "rolled_back") {
		t.Errorf("desired: %d %s %s", left.code, left.out, left.errs)
	}
	a.reached(t, own...)
	if r := a.call(t, "get", "prefix=control.broker"); !strings.Contains(r.out, `"off"`) {
		t.Errorf("got %s", r.out)
	}
}
