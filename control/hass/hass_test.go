package hass

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/control"
)

var camera = [envelope.IDSize]byte{1, 2, 3}

func config() control.HomeAssistantConfig {
	return control.HomeAssistantConfig{Enabled: true, Prefix: "homeassistant"}
}

// home is what Home Assistant and the camera would see.
type home struct {
	mu        sync.Mutex // guards the rest
	published map[string][]string
	acts      []string
	facts     Facts
	fail      error
}

func (h *home) publish(topic string, payload []byte, retained bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if retained == strings.HasSuffix(topic, "/picture") {
		return errors.New("a picture is retained, or something else is not")
	}
	h.published[topic] = append(h.published[topic], string(payload))
	return h.fail
}

func (h *home) act(_ context.Context, action Action, value string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acts = append(h.acts, string(action)+" "+value)
	if action == Bitrate {
		h.facts.Bitrate = value
	}
	if action == Snapshot {
		return []byte("JPEG"), nil
	}
	return nil, nil
}

func (h *home) read() Facts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.facts
}

func (h *home) count(topic string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.published[topic])
}

func newHome(lamp bool) (*home, *Bridge) {
	h := &home{published: map[string][]string{}, facts: Facts{Bitrate: "2M"}}
	return h, New(Camera{Model: "TEST-1", Release: "1.2.3", Lamp: lamp, Facts: h.read, Act: h.act,
		Log: slog.New(slog.DiscardHandler)})
}

// full is a camera that has everything.
func full() Facts {
	signal, temperature, storage, percent := -55, 48.5, uint64(1<<30), 40
	return Facts{Bitrate: "1234k", Problem: true, Uptime: 3, Viewers: 2, Egress: 4, Signal: &signal,
		Temperature: &temperature, Storage: &storage, Update: &Update{"1.0.0", "1.1.0", "Ocellus", true, &percent}}
}

// keys are those of the reference that we use, by platform: required, then allowed.
func keys() map[string][2][]string {
	command := []string{"command_topic"}
	return map[string][2][]string{
		"camera":        {{"topic"}, {"image_encoding"}},
		"button":        {command, {"payload_press", "device_class"}},
		"select":        {append([]string{"options"}, command...), {"state_topic", "value_template"}},
		"binary_sensor": {{"state_topic"}, {"value_template", "payload_on", "payload_off", "device_class", "off_delay"}},
		"sensor": {{"state_topic"}, {"value_template", "device_class", "state_class", "unit_of_measurement",
			"suggested_display_precision"}},
		"update": {{"state_topic"}, {"value_template", "command_topic", "payload_install", "device_class", "title"}},
	}
}

func classes() map[string][]string {
	return map[string][]string{
		"button": {"restart", "identify", "update"}, "binary_sensor": {"connectivity", "problem", "motion", "tamper"},
		"sensor": {"duration", "data_size", "signal_strength", "temperature", "timestamp"}, "update": {"firmware"},
	}
}

// TestSchema checks every field of the discovery message against the reference.
func TestSchema(t *testing.T) {
	t.Parallel()
	_, b := newHome(true)
	b.Page = "https://192.0.2.7:8443/"
	var d struct {
		Dev  map[string]any            `json:"dev"`
		O    map[string]any            `json:"o"`
		Cmps map[string]map[string]any `json:"cmps"`
		Qos  int                       `json:"qos"`
	}
	if err := json.Unmarshal(b.Discovery(camera, full()), &d); err != nil {
		t.Fatal(err)
	}
	if d.O["name"] == nil || d.Dev["ids"] == nil || d.Dev["cu"] != b.Page {
		t.Errorf("origin %v, device %v", d.O, d.Dev)
	}
	for k := range d.Dev {
		if !slices.Contains([]string{"ids", "name", "mf", "mdl", "sw", "hw", "cu"}, k) {
			t.Errorf("device says %s: serial number and addresses stay at home", k)
		}
	}
	word := regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	seen := map[any]bool{}
	for name, c := range d.Cmps {
		platform := fmt.Sprint(c["p"])
		known, ok := keys()[platform]
		if !ok || !word.MatchString(name) || !word.MatchString(fmt.Sprint(c["unique_id"])) || seen[c["unique_id"]] {
			t.Errorf("%s: platform %s, unique id %v", name, platform, c["unique_id"])
		}
		seen[c["unique_id"]] = true
		for _, k := range known[0] {
			if c[k] == nil {
				t.Errorf("%s: no %s", name, k)
			}
		}
		all := slices.Concat(known[0], known[1], []string{"p", "name", "unique_id", "availability", "entity_category"})
		for k := range c {
			if !slices.Contains(all, k) {
				t.Errorf("%s: %s is no key of a %s", name, k, platform)
			}
		}
		if class, ok := c["device_class"].(string); ok && !slices.Contains(classes()[platform], class) {
			t.Errorf("%s: %s is no class of a %s", name, class, platform)
		}
		if c["retain"] == true {
			t.Errorf("%s: Home Assistant would retain commands", name)
		}
		for _, k := range []string{"topic", "state_topic", "command_topic"} {
			if topic, ok := c[k].(string); ok && !strings.HasPrefix(topic, envelope.Camera(camera)+"/") {
				t.Errorf("%s: %s is outside of the camera's tree", name, topic)
			}
		}
	}
	if options, _ := d.Cmps["bitrate"]["options"].([]any); !slices.Contains(options, any("1234k")) {
		t.Errorf("the present bit rate is no option: %v", options)
	}
}

// TestOnlyWhatThereIs: an entity appears only if the camera has what it shows.
func TestOnlyWhatThereIs(t *testing.T) {
	t.Parallel()
	names := func(lamp bool, f Facts) []string {
		_, b := newHome(lamp)
		var d struct{ Cmps map[string]any }
		if err := json.Unmarshal(b.Discovery(camera, f), &d); err != nil {
			t.Fatal(err)
		}
		return slices.Sorted(maps.Keys(d.Cmps))
	}
	least := []string{"bitrate", "camera", "connectivity", "egress", "problem", "restart", "snapshot", "uptime", "viewers"}
	if got := names(false, Facts{Bitrate: "2M"}); !slices.Equal(got, least) {
		t.Errorf("a camera that has nothing: %v", got)
	}
	most := slices.Sorted(slices.Values(append(least, "identify", "signal", "storage", "temperature", "update")))
	if got := names(true, full()); !slices.Equal(got, most) {
		t.Errorf("a camera that has everything: %v", got)
	}
}

// TestTake: the list and nothing else, not what was retained, not too often, not too long.
func TestTake(t *testing.T) {
	t.Parallel()
	_, b := newHome(true)
	at := base(camera)
	for topic, retained := range map[string]bool{
		at + "privacy/set": false, at + "config/set": false, at + "restart": false, at + "/set": false, at + "restart/set": true,
		"restart/set/": false, "homeassistant/status": false,
	} {
		b.Take(topic, []byte("x"), retained)
	}
	b.Take(at+"bitrate/set", make([]byte, maxValue+1), false)
	if n := len(b.asked); n > 0 {
		t.Errorf("%d plain messages are taken", n)
	}
	b.Take(at+"restart/set", []byte("press"), false)
	if n := len(b.asked); n > 0 {
		t.Error("a camera that has just started is restarted")
	}
	b.began = time.Now().Add(-time.Hour)
	taken := 0
	for range 20 {
		b.Take(at+"restart/set", []byte("press"), false)
		select {
		case <-b.asked:
			taken++
		default:
		}
	}
	if limit := Actions()[Restart].Times; taken != limit {
		t.Errorf("%d restarts in a moment, want %d", taken, limit)
	}
	for range 100 {
		b.Take(at+"snapshot/set", nil, false)
	}
	if len(b.asked) != cap(b.asked) {
		t.Errorf("%d wait", len(b.asked))
	}
}

// TestDay: announced, told, asked, announced again when Home Assistant comes back or something new is there.
func TestDay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, b := newHome(true)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx, config(), camera, h.publish) }()
		discovery, state := discoveryTopic(config(), camera), base(camera)+"state"
		synctest.Wait()
		if h.count(discovery) != 1 || h.count(state) != 1 {
			t.Fatalf("published %v", h.published)
		}
		<-time.After(every + time.Second)
		if h.count(discovery) != 1 || h.count(state) != 2 {
			t.Errorf("announced %d times, told %d", h.count(discovery), h.count(state))
		}
		b.Take("homeassistant/status", []byte("online"), false)
		<-time.After(spread + time.Second)
		if h.count(discovery) != 2 {
			t.Errorf("announced %d times", h.count(discovery))
		}
		at := base(camera)
		b.Take(at+"bitrate/set", []byte("4M"), false)
		b.Take(at+"bitrate/set", []byte("4M; reboot"), false)
		b.Take(at+"snapshot/set", []byte("press"), false)
		synctest.Wait()
		if want := []string{"bitrate 4M", "snapshot press"}; !slices.Equal(h.acts, want) {
			t.Errorf("did %v, want %v", h.acts, want)
		}
		if got := h.published[at+"picture"]; !slices.Equal(got, []string{"JPEG"}) {
			t.Errorf("pictures %q", got)
		}
		last := h.published[state][len(h.published[state])-1]
		if !strings.Contains(last, `"bitrate":"4M"`) {
			t.Errorf("told %s", last)
		}
		h.mu.Lock()
		h.facts, h.fail = full(), errors.New("no broker")
		h.mu.Unlock()
		<-time.After(every)
		if h.count(discovery) != 3 {
			t.Errorf("what is new is not announced: %d", h.count(discovery))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestGolden pins what Home Assistants out there have stored.
func TestGolden(t *testing.T) {
	t.Parallel()
	_, b := newHome(false)
	got := string(b.Discovery(camera, Facts{Bitrate: "2M"}))
	for _, want := range []string{
		`"unique_id":"ocellus_aebagaaaaaaaaaaaaaaaaaaaaa_bitrate"`, `"command_topic":"ocellus/1/aebagaaaaaaaaaaaaaaaaaaaaa/ha/restart/set"`,
		`"ids":["ocellus_aebagaaaaaaaaaaaaaaaaaaaaa"]`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if topic := discoveryTopic(config(), camera); topic != "homeassistant/device/ocellus_aebagaaaaaaaaaaaaaaaaaaaaa/config" {
		t.Errorf("announced at %s", topic)
	}
	raw, _ := json.Marshal(full())
	const want = `{"bitrate":"1234k","problem":true,"uptime":3,"viewers":2,"egress":4,"signal":-55,"temperature":48.5,` +
		`"storage":1073741824,"update":{"installed_version":"1.0.0","latest_version":"1.1.0","title":"Ocellus",` +
		`"in_progress":true,"update_percentage":40}}`
	if string(raw) != want {
		t.Errorf("got %s", raw)
	}
}
