package lab

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"
)

// otaStatus is what the tests need of agent ota status --json.
type otaStatus struct {
	State   string `json:"state"`
	Running string `json:"running"`
	Version string `json:"version"`
	Reason  string `json:"reason"`
	Detail  string `json:"detail"`
	Offer   string `json:"offer"`
	Refused string `json:"refused"`
	Doubt   string `json:"freshness_doubt"`
	Slot    string `json:"slot"`
	Boot    string `json:"boot"`
	Bytes   int64  `json:"bytes"`
	Unable  string `json:"unable"`
}

// brief is state, version and reason in words.
func (s otaStatus) brief() string {
	return strings.TrimSpace(s.State + " " + s.Version + " " + s.Reason)
}

// trialLimit is from the restart into a release to its end, on a busy machine.
const trialLimit = 2 * time.Minute

// ota runs agent ota beside an agent.
func (a *agent) ota(t *testing.T, words ...string) ran {
	t.Helper()
	return tool(t, time.Minute, program("agent"), append([]string{"ota", "--state", a.state}, words...)...)
}

// status is false while no agent answers.
func (a *agent) otaStatus(t *testing.T) (s otaStatus, ok bool) {
	t.Helper()
	r := a.ota(t, "status", "--json")
	return s, r.code == 0 && json.Unmarshal([]byte(r.out), &s) == nil
}

// becomes waits until an update is where it should be.
func (a *agent) becomes(t *testing.T, running, brief string) (s otaStatus) {
	t.Helper()
	until(t, trialLimit, running+" runs, "+brief, func() bool {
		var ok bool
		s, ok = a.otaStatus(t)
		return ok && s.Running == running && s.brief() == brief
	})
	return s
}

// TestUpdate is the whole story on the simulated board: a release over HTTP while somebody watches, its trial and its
// confirmation; the way back; a release whose kernel panics; one in a bundle.
func TestUpdate(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	a := startAgent(t, agentOptions{state: p.camera(), config: section{"update": section{"repository": p.url}}})
	if s, ok := a.otaStatus(t); !ok || s.brief() != "idle" || s.Running != "1.0.0" || s.Slot != "a" {
		t.Fatalf("got %+v", s)
	}
	p.publish("sim", p.simSlot(p.path("slot"), "1.1.0"), "1.1.0", "--min-floor", "1.0.0")
	if r := a.ota(t, "check"); r.code != 0 || !strings.HasPrefix(r.out, "1.1.0 is there for this camera: routine, 8.4 MB") {
		t.Errorf("check: %d %s%s", r.code, r.out, r.errs)
	}
	var watcher sync.WaitGroup
	main := a.url("main")
	watcher.Go(func() {
		if s, r := watch(t, 8*time.Second, main); r.code != 0 || !s.whole() {
			t.Errorf("somebody who watched: %+v\n%s", s, r.errs)
		}
	})
	if r := a.ota(t, "install"); r.code != 0 || !strings.HasPrefix(r.out, "1.1.0") ||
		!strings.HasSuffix(r.out, "the camera restarts into it as soon as it may\n") {
		t.Fatalf("install: %d %s%s", r.code, r.out, r.errs)
	}
	watcher.Wait()
	if s := a.becomes(t, "1.1.0", "confirmed 1.1.0"); s.Slot != "b" || s.Boot != "trial" {
		t.Errorf("got %+v", s)
	}
	if r := a.ota(t, "check"); r.code != 1 || !strings.Contains(r.errs, "not newer") {
		t.Errorf("check: %d %s%s", r.code, r.out, r.errs)
	}
	if r := a.ota(t, "rollback"); r.code != 0 {
		t.Errorf("rollback: %d %s%s", r.code, r.out, r.errs)
	}
	a.becomes(t, "1.0.0", "confirmed 1.0.0")
	p.publish("sim", p.simSlot(p.path("slot"), "1.2.0", "-kernel", "panics"), "1.2.0")
	a.newDoor(t)
	a.failedByCommand(t, "1.2.0")
	b := p.bundle(p.publish("sim", p.simSlot(p.path("slot"), "1.3.0"), "1.3.0"))
	if r := a.ota(t, "install", "--now", b); r.code != 0 {
		t.Fatalf("install of a bundle: %d %s%s", r.code, r.out, r.errs)
	}
	a.becomes(t, "1.3.0", "confirmed 1.3.0")
	a.newDoor(t)
	b = p.bundle(p.publish("sim", p.simSlot(p.path("slot"), "1.4.0"), "1.4.0"))
	push := tool(t, time.Minute, program("camctl"), "ota", "push", "--home", a.home, "--now", "camera", b)
	if push.code != 0 || !strings.HasPrefix(push.out, "1.4.0 is in the other slot and verified") ||
		!strings.Contains(push.errs, "sent 100 %") {
		t.Fatalf("push: %d %s%s", push.code, push.out, push.errs)
	}
	a.becomes(t, "1.4.0", "confirmed 1.4.0")
	a.newDoor(t)
	if s, r := watch(t, time.Second, a.url("main")); r.code != 0 || !s.whole() {
		t.Errorf("got %+v\n%s", s, r.errs)
	}
	a.updatedByHomeAssistant(t, p)
}

// newDoor finds the camera again after a restart, which gave it other ports.
func (a *agent) newDoor(t *testing.T) {
	t.Helper()
	a.learnPorts(t)
	a.pair(t)
}

// failedByCommand: a release that never starts, by a sealed command, which tells how far it is, and how it ended after
// the restart.
func (a *agent) failedByCommand(t *testing.T, version string) {
	t.Helper()
	if r := a.call(t, "ota.install", "now=true"); r.code != 0 || !strings.Contains(r.out, `"version": "`+version+`"`) {
		t.Fatalf("install: %d %s%s", r.code, r.out, r.errs)
	}
	a.becomes(t, "1.0.0", "failed "+version+" tries used up")
	a.newDoor(t)
	until(t, 20*time.Second, "it is told how it ended", func() bool {
		<-time.After(200 * time.Millisecond) // no faster than a camera lets anybody ask
		r := a.call(t, "events")
		return strings.Contains(r.out, `"job.ended"`) && strings.Contains(r.out, `"reason": "tries used up"`)
	})
}

// updatedByHomeAssistant: the update entity appears, shows what there is, and its button installs it.
func (a *agent) updatedByHomeAssistant(t *testing.T, p *publisher) {
	t.Helper()
	broker := mosquitto(t)
	if r := a.call(t, "set", "control.broker="+broker, "control.home_assistant.enabled=true"); r.code != 0 {
		t.Fatal(r.errs)
	}
	h := newHomeAssistant(t, broker)
	d := h.discover()
	update := d.Cmps["update"]
	shows := func(installed, latest string) func() bool {
		return func() bool {
			var s struct {
				Update struct{ Installed_version, Latest_version string } //nolint:revive // Home Assistant's names
			}
			return json.Unmarshal(h.last[update.StateTopic], &s) == nil && s.Update.Installed_version == installed &&
				s.Update.Latest_version == latest
		}
	}
	h.wait("no update", shows("1.4.0", "1.4.0"))
	h.press(update.CommandTopic, "install", false)
	p.publish("sim", p.simSlot(p.path("slot"), "1.5.0"), "1.5.0")
	if r := a.ota(t, "check"); r.code != 0 {
		t.Fatalf("check: %s", r.errs)
	}
	h.wait("an update", shows("1.4.0", "1.5.0"))
	h.press(update.CommandTopic, "install", false)
	a.becomes(t, "1.5.0", "confirmed 1.5.0")
	h.wait("it is installed", shows("1.5.0", "1.5.0"))
}

// TestNoUpdateRoot: a system that was built without an update root key takes nothing, and says so.
func TestNoUpdateRoot(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{})
	for _, words := range [][]string{{"check", "http://192.0.2.1/"}, {"install", "/dev/null"}} {
		if r := a.ota(t, words...); r.code != 1 || !strings.Contains(r.errs, "without an update root key") {
			t.Errorf("%q: %d %s%s", words, r.code, r.out, r.errs)
		}
	}
	if s, ok := a.otaStatus(t); !ok || !strings.Contains(s.Unable, "without an update root key") {
		t.Errorf("got %+v", s)
	}
}
