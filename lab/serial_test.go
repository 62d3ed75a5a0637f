package lab

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// call runs camctl call over the cable.
func (c *cable) call(a *agent, words ...string) ran {
	c.t.Helper()
	return tool(c.t, time.Minute, program("camctl"), append([]string{"call", "--home", a.home, c.port}, words...)...)
}

// TestSerial: what goes over the LAN door goes over three wires, by the same keys and roles; noise does no harm, and an
// adapter that was pulled out in the middle of an update goes on where it was.
func TestSerial(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	state := p.camera()
	c := newCable(t)
	a := startAgent(t, agentOptions{state: state, args: []string{"--serial", c.camera},
		config: section{"update": section{"repository": p.url}}})
	if r := c.call(a, "status"); r.code != 0 || !json.Valid([]byte(r.out)) || !strings.Contains(r.out, `"healthy"`) {
		t.Fatalf("status: %d %s%s", r.code, r.out, r.errs)
	}
	if r := c.call(a, "snapshot", "-o", filepath.Join(state, "s.jpg")); r.code != 0 {
		t.Errorf("snapshot: %d %s%s", r.code, r.out, r.errs)
	}
	support := tool(t, time.Minute, program("camctl"), "support", "--home", a.home, "--yes",
		"-o", filepath.Join(state, "s.tar.gz"), c.port)
	if support.code != 0 || !strings.Contains(support.out, "s.tar.gz: ") {
		t.Errorf("support: %d %s%s", support.code, support.out, support.errs)
	}
	stranger := tool(t, time.Minute, program("camctl"), "call", "--home", t.TempDir(), c.port, "status")
	if stranger.code != 4 || !strings.Contains(stranger.errs, "none of yours") {
		t.Errorf("a stranger: %d %s%s", stranger.code, stranger.out, stranger.errs)
	}
	thief := tool(t, time.Minute, program("camctl"), "call", "--home", otherKey(t, a.home), c.port, "status")
	if thief.code != 4 || !strings.Contains(thief.errs, "does it know your key") {
		t.Errorf("somebody with another key: %d %s%s", thief.code, thief.out, thief.errs)
	}
	events := tool(t, time.Minute, program("camctl"), "events", "--home", a.home, "--for", "1500ms", c.port)
	if events.code != 0 || !strings.Contains(events.out, "command.refused") {
		t.Errorf("events: %d %s%s", events.code, events.out, events.errs)
	}
	c.noise(20) // a conversation ends with five seconds without a whole frame
	for range 3 {
		if r := c.call(a, "capabilities"); r.code != 0 || !strings.Contains(r.out, "factory.label") {
			t.Errorf("over a noisy line: %d %s%s", r.code, r.out, r.errs)
		}
	}
	c.noise(0)
	c.update(a, p)
}

// TestSerialClaim: a camera that is in no network is claimed over three wires, by its label alone, once.
func TestSerialClaim(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	a := startAgent(t, agentOptions{alone: true, args: []string{"--serial", c.camera}})
	pair := func(home, text string) ran {
		t.Helper()
		return tool(t, time.Minute, program("camctl"), "pair", "--home", home, "--camera", c.port, "--label", text)
	}
	box := label(t, a)
	other := strings.Split(box, ":")
	other[4] = strings.Repeat("0", 16)
	if r := pair(t.TempDir(), strings.Join(other, ":")); r.code == 0 {
		t.Errorf("a damaged label: %s", r.errs)
	}
	if r := pair(a.home, box); r.code != 0 || !strings.Contains(r.errs, "is yours") {
		t.Fatalf("camctl pair: exit code %d: %s%s", r.code, r.out, r.errs)
	}
	if r := c.call(a, "status"); r.code != 0 {
		t.Errorf("the owner on the line: %d %s%s", r.code, r.out, r.errs)
	}
	if r := pair(t.TempDir(), box); r.code != 4 || !strings.Contains(r.errs, "the camera has an owner") {
		t.Errorf("a second phone: exit code %d, want 4: %s", r.code, r.errs)
	}
	door := tool(t, time.Minute, program("camctl"), "pair", "--home", a.home, "--camera", a.ports.Web)
	if door.code != 0 {
		t.Fatalf("the owner at the door: exit code %d: %s%s", door.code, door.out, door.errs)
	}
	playsBy(t, door)
}

// noise spoils one of so many pieces; 0: none.
func (c *cable) noise(oneOf int) {
	random := rand.New(rand.NewPCG(1, 1))
	var mu sync.Mutex // guards random
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoil = nil
	if oneOf == 0 {
		return
	}
	c.spoil = func(b []byte, _ bool) []byte {
		mu.Lock()
		defer mu.Unlock()
		b = slices.Clone(b)
		if random.IntN(oneOf) == 0 {
			b[random.IntN(len(b))] ^= 0x10
		}
		return b
	}
}

// update pushes a release, and pulls the adapter out again and again.
func (c *cable) update(a *agent, p *publisher) {
	t := c.t
	t.Helper()
	b := p.bundle(p.publish("sim", p.simSlot(p.path("slot"), "1.1.0"), "1.1.0", "--min-floor", "1.0.0"))
	info, err := os.Stat(b)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.limit = int(info.Size()) / 3
	c.mu.Unlock()
	done := make(chan struct{})
	var all sync.WaitGroup
	pulled := 0
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(300 * time.Millisecond):
				if c.isOut() {
					pulled++
					c.plug()
				}
			}
		}
	})
	var watcher sync.WaitGroup
	main := a.url("main")
	watcher.Go(func() {
		if s, r := watch(t, 8*time.Second, main); r.code != 0 || !s.whole() {
			t.Errorf("somebody who watched: %+v\n%s", s, r.errs)
		}
	})
	push := tool(t, 2*time.Minute, program("camctl"), "ota", "push", "--home", a.home, "--speed", "1500000", c.port, b)
	close(done)
	all.Wait()
	watcher.Wait()
	if push.code != 0 || !strings.HasPrefix(push.out, "1.1.0 is in the other slot and verified") ||
		!strings.Contains(push.errs, "at 1500000 baud: about") || pulled < 2 {
		t.Fatalf("push, pulled out %d times: %d %s%s", pulled, push.code, push.out, push.errs)
	}
}

// TestSerialRestart: an agent dies in the middle of an update over the line. Once it is back, the update goes on with what
// the slot has already, which is not sent once more.
func TestSerialRestart(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	state := p.camera()
	c := newCable(t)
	o := agentOptions{state: state, args: []string{"--serial", c.camera}}
	a := startAgent(t, o)
	b := p.bundle(p.publish("sim", p.simSlot(p.path("slot"), "1.1.0"), "1.1.0"))
	info, err := os.Stat(b)
	if err != nil {
		t.Fatal(err)
	}
	size := int(info.Size())
	push := exec.CommandContext(t.Context(), program("camctl"), "ota", "push", "--home", a.home, "--speed", "1500000", c.port, b)
	said := &output{}
	push.Stdout, push.Stderr = said, said
	if err := push.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, 2*time.Minute, "most of it is sent", func() bool { return c.carried() > 3*size/4 })
	a.ends(t, syscall.SIGKILL)
	startAgent(t, o)
	err = push.Wait()
	t.Logf("%d bytes of a bundle of %d went over the line", c.carried(), size)
	if err != nil || !strings.Contains(said.String(), "1.1.0 is in the other slot and verified") ||
		!strings.Contains(said.String(), "the line broke off") {
		t.Fatalf("push: %v\n%s", err, said)
	}
	if c.carried() > 3*size/2 {
		t.Errorf("%d bytes of a bundle of %d went over the line: it began anew", c.carried(), size)
	}
}

// carried is how many bytes went to the camera since the adapter was put in.
func (c *cable) carried() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// otherKey is a home in which everything is known of the owner's cameras but his key.
func otherKey(t *testing.T, home string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(home, "owner.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	v["key"] = make([]byte, 32)
	raw, err = json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "owner.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
