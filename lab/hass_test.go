package lab

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// homeAssistant plays its side, from its documentation: it reads discovery messages, keeps what entities show, presses
// buttons.
type homeAssistant struct {
	t      *testing.T
	client mqtt.Client
	mu     sync.Mutex // guards the rest
	last   map[string][]byte
	times  map[string]int
}

func newHomeAssistant(t *testing.T, broker string) *homeAssistant {
	t.Helper()
	h := &homeAssistant{t: t, last: map[string][]byte{}, times: map[string]int{}}
	o := mqtt.NewClientOptions().AddBroker(strings.Replace(broker, "mqtt:", "tcp:", 1)).
		SetWill("homeassistant/status", "offline", 1, false)
	h.client = mqtt.NewClient(o)
	if token := h.client.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	t.Cleanup(func() { h.client.Disconnect(100) })
	h.client.Subscribe("#", 1, func(_ mqtt.Client, m mqtt.Message) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.last[m.Topic()] = m.Payload()
		h.times[m.Topic()]++
	}).WaitTimeout(10 * time.Second)
	return h
}

// discovered is what there is of a device's message here.
type discovered struct {
	topic string
	Cmps  map[string]struct {
		P            string   `json:"p"`
		Topic        string   `json:"topic"`
		StateTopic   string   `json:"state_topic"`
		CommandTopic string   `json:"command_topic"`
		Options      []string `json:"options"`
	}
}

// wait returns when a condition on what was seen holds.
func (h *homeAssistant) wait(what string, holds func() bool) {
	h.t.Helper()
	end := time.Now().Add(30 * time.Second)
	for {
		h.mu.Lock()
		fine := holds()
		h.mu.Unlock()
		if fine {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("never: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (h *homeAssistant) discover() (d discovered) {
	h.t.Helper()
	h.wait("a device", func() bool {
		for topic, raw := range h.last {
			if strings.HasPrefix(topic, "homeassistant/device/") && json.Unmarshal(raw, &d) == nil && len(d.Cmps) > 0 {
				d.topic = topic
				return true
			}
		}
		return false
	})
	return d
}

func (h *homeAssistant) count(topic string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.times[topic]
}

func (h *homeAssistant) press(topic, payload string, retained bool) {
	h.t.Helper()
	if token := h.client.Publish(topic, 1, retained, payload); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		h.t.Fatal(token.Error())
	}
}

// TestHomeAssistant: the camera appears by itself, shows figures and a snapshot, does what is on the list and nothing
// else, comes again when Home Assistant does, and leaves no trace when the bridge is turned off.
func TestHomeAssistant(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{apart: true}) // unbinding would take a configuration in its state
	broker := mosquitto(t)
	if r := a.call(t, "set", "control.broker="+broker, "control.home_assistant.enabled=true"); r.code != 0 {
		t.Fatal(r.errs)
	}
	h := newHomeAssistant(t, broker)
	d := h.discover()
	for _, there := range []string{"camera", "bitrate", "restart", "snapshot", "connectivity", "problem", "uptime"} {
		if _, ok := d.Cmps[there]; !ok {
			t.Errorf("no %s", there)
		}
	}
	for _, not := range []string{"signal", "update", "motion", "privacy"} {
		if _, ok := d.Cmps[not]; ok {
			t.Errorf("a simulated board without it shows %s", not)
		}
	}
	bitrate := d.Cmps["bitrate"]
	state := func(part string) func() bool {
		return func() bool { return strings.Contains(string(h.last[bitrate.StateTopic]), part) }
	}
	h.wait("a state", state(`"problem":false`))
	h.press(bitrate.CommandTopic, "3M", false)
	h.wait("another bit rate", state(`"bitrate":"3M"`))
	h.press(d.Cmps["snapshot"].CommandTopic, "press", false)
	h.wait("a picture", func() bool { return strings.HasPrefix(string(h.last[d.Cmps["camera"].Topic]), "\xff\xd8") })
	for topic, payload := range map[string]string{
		bitrate.CommandTopic: "17M", strings.Replace(bitrate.CommandTopic, "/bitrate/", "/privacy/", 1): "OFF",
		strings.Replace(bitrate.CommandTopic, "/bitrate/", "/config/", 1): `{"log":"debug"}`,
	} {
		h.press(topic, payload, false)
	}
	h.press(bitrate.CommandTopic, "8M", true)
	h.press(bitrate.CommandTopic, "", true)
	h.press(bitrate.CommandTopic, "4M", false)
	h.wait("the last bit rate", state(`"bitrate":"4M"`))
	before := h.count(d.topic)
	h.press("homeassistant/status", "online", false)
	h.wait("announced again", func() bool { return h.times[d.topic] > before })
	a.abuse(t, h, broker)
	if r := a.call(t, "set", "control.home_assistant.enabled=false"); r.code != 0 {
		t.Fatal(r.errs)
	}
	h.wait("no trace", func() bool { return len(h.last[d.topic]) == 0 && len(h.last[bitrate.StateTopic]) == 0 })
	h.press(bitrate.CommandTopic, "1M", false)
	a.reached(t, "--broker", broker)
	if r := a.call(t, "get", "prefix=streams.main.bitrate"); !strings.Contains(r.out, `"4M"`) {
		t.Errorf("a plain message did something with the bridge off: %s", r.out)
	}
	a.leavesNoTrace(t, h, broker)
}

// leavesNoTrace: an owner who has the bridge on, and left something at the broker, unbinds the camera. Whoever comes to the
// broker afterwards finds nothing of it.
func (a *agent) leavesNoTrace(t *testing.T, h *homeAssistant, broker string) {
	t.Helper()
	if r := a.call(t, "set", "control.home_assistant.enabled=true"); r.code != 0 {
		t.Fatal(r.errs)
	}
	d := h.discover()
	if r := (desirer{a.home, broker}).desires(t, "stream.main.bitrate=3M"); r.code != 0 {
		t.Fatal(r.errs)
	}
	h.wait("what is left", func() bool { return len(h.left()) > 4 })
	if r := tool(t, 20*time.Second, program("camctl"), "unbind", "--home", a.home, "camera", "--yes"); r.code != 0 {
		t.Fatal(r.errs)
	}
	h.wait("nothing is left", func() bool { return len(h.left()) == 0 })
	until(t, 20*time.Second, "the camera starts anew", func() bool { return strings.Count(a.log.String(), "agent runs") == 2 })
	late := newHomeAssistant(t, broker)
	late.press("last", "x", true)
	late.wait("what is retained", func() bool { return len(late.last["last"]) > 0 })
	late.mu.Lock()
	defer late.mu.Unlock()
	if left := late.left(); len(left) > 0 || len(late.last[d.topic]) > 0 {
		t.Errorf("whoever comes later finds %v", left)
	}
}

// left lists the topics of cameras at which something was said last; the replies and events are nobody's who comes later.
// The caller holds mu.
func (h *homeAssistant) left() (topics []string) {
	for topic, raw := range h.last {
		gone := len(raw) == 0 || strings.Contains(topic, "/rsp/") || strings.Contains(topic, "/evt/") ||
			strings.Contains(topic, "/cmd/") || strings.HasSuffix(topic, "/set") || strings.HasSuffix(topic, "/ha/picture")
		if !gone && (strings.HasPrefix(topic, "ocellus/") || strings.HasPrefix(topic, "homeassistant/device/")) {
			topics = append(topics, topic)
		}
	}
	return topics
}

// abuse is what the broker can do while the bridge is on, beside what is on the list: it says again what the owner said,
// everywhere, and junk. Nothing comes of it.
func (a *agent) abuse(t *testing.T, h *homeAssistant, broker string) {
	t.Helper()
	if r := a.call(t, "set", "streams.sub.bitrate=300k", "--broker", broker); r.code != 0 {
		t.Fatal(r.errs)
	}
	if r := a.call(t, "set", "streams.sub.bitrate=400k"); r.code != 0 {
		t.Fatal(r.errs)
	}
	was := a.call(t, "get").out
	h.mu.Lock()
	tape := map[string]string{}
	for topic, raw := range h.last {
		if strings.HasPrefix(topic, "ocellus/") && len(raw) < 64<<10 {
			tape[topic] = string(raw)
		}
	}
	h.mu.Unlock()
	for at := range tape {
		for from, raw := range tape {
			if strings.Contains(from, "/cmd/") || strings.Contains(at, "/cmd/") {
				h.press(at, raw, false)
				h.press(strings.Replace(at, "/cmd/", "/desired/", 1), raw, true)
			}
		}
	}
	a.reached(t, "--broker", broker)
	if is := a.call(t, "get").out; is != was {
		t.Errorf("the broker changed the configuration from\n%s\nto\n%s", was, is)
	}
	if r := a.call(t, "viewer.list"); strings.Count(r.out, `"name"`) != 1 {
		t.Errorf("viewers: %s", r.out)
	}
}
