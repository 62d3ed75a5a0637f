package control

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/internal/statefile"
)

// rule is something that a message may be wrong in, and what is said of it.
type rule struct {
	who      string
	command  func(c *envelope.Command)
	message  func(m *Message)
	setUp    func(w *world)
	again    bool // it was said before, word by word
	table    bool // the command table says it, not the Receiver
	code     string
	answered bool
}

// rules are all of them.
func rules() map[string]rule {
	fine := func(c *envelope.Command) {}
	return map[string]rule{
		"fine":            {who: "owner", command: fine, code: CodeOK, answered: true},
		"fine, by member": {who: "anna", command: fine, code: CodeOK, answered: true},
		"expired": {who: "owner", command: func(c *envelope.Command) {
			c.Issued, c.Expires = noon.Add(-2*time.Minute), noon.Add(-time.Minute)
		}, code: CodeExpired, answered: true},
		"expired within the clocks' difference": {who: "owner", command: func(c *envelope.Command) {
			c.Issued, c.Expires = noon.Add(-2*time.Minute), noon.Add(-20*time.Second)
		}, code: CodeOK, answered: true},
		"future": {who: "owner", command: func(c *envelope.Command) {
			c.Issued, c.Expires = noon.Add(2*time.Minute), noon.Add(3*time.Minute)
		}, code: CodeFuture, answered: true},
		"valid for too long": {who: "owner", command: func(c *envelope.Command) { c.Expires = noon.Add(time.Hour) },
			code: CodeBadMessage, answered: true},
		"valid for ever": {who: "owner", command: func(c *envelope.Command) { c.Expires = time.Time{} },
			code: CodeBadMessage, answered: true},
		"expires before it is issued": {who: "owner", command: func(c *envelope.Command) {
			c.Expires = noon.Add(-time.Second)
		}, code: CodeBadMessage, answered: true},
		"retained": {who: "owner", command: fine, message: func(m *Message) { m.Retained = true }, code: CodeRetained},
		"wrong device": {who: "owner", command: func(c *envelope.Command) { c.Camera = [16]byte{1} },
			code: CodeWrongTopic},
		"wrong device at our topic": {who: "owner", command: func(c *envelope.Command) { c.Camera = [16]byte{1} },
			message: func(m *Message) { m.Topic = ours(m.Topic, "owner") }, code: CodeWrongTopic},
		"another's topic": {who: "owner", command: fine, message: func(m *Message) { m.Topic = ours(m.Topic, "anna") },
			code: CodeWrongTopic},
		"unknown key": {who: "stranger", command: fine, code: CodeUnknownKey},
		"revoked grant": {who: "anna", command: fine, setUp: func(w *world) {
			for _, g := range w.people.Grants() {
				if err := w.people.Revoke(g.ID); err != nil {
					w.t.Error(err)
				}
			}
		}, code: CodeUnknownKey},
		"no owner": {who: "owner", command: fine, setUp: func(w *world) {
			if _, err := w.people.Disown(func() error { return nil }); err != nil {
				w.t.Error(err)
			}
		}, code: CodeUnclaimed},
		"wrong role": {who: "anna", command: func(c *envelope.Command) { c.Operation = "config.set" },
			code: CodeDenied, answered: true},
		"unknown operation": {who: "owner", command: func(c *envelope.Command) { c.Operation = "sh" },
			code: CodeUnknown, answered: true},
		"replayed counter": {who: "owner", command: fine, setUp: func(w *world) { w.spend("owner", w.count) },
			code: CodeReplay, answered: true},
		"recorded before the camera's restart": {who: "owner", command: fine, setUp: func(w *world) {
			w.spend("owner", w.count+1)
			w.end()
			w.start()
		}, code: CodeReplay, answered: true},
		"counter that was left out": {who: "owner", command: fine, setUp: func(w *world) { w.spend("owner", w.count+1) },
			code: CodeOK, answered: true},
		"unknown argument": {who: "owner", command: func(c *envelope.Command) {
			c.Operation, c.Arguments = "config.set", []byte(`{"bitrate":"1M","zoom":2}`)
		}, table: true, code: CodeBadRequest, answered: true},
		"argument of another type": {who: "owner", command: func(c *envelope.Command) {
			c.Operation, c.Arguments = "config.set", []byte(`{"bitrate":1}`)
		}, table: true, code: CodeBadRequest, answered: true},
		"conflicting version": {who: "owner", command: func(c *envelope.Command) {
			c.Operation, c.Arguments = "config.set", []byte(`{"bitrate":"1M","base":7}`)
		}, table: true, code: "conflict", answered: true},
		"version that is seen": {who: "owner", command: func(c *envelope.Command) {
			c.Operation, c.Arguments = "config.set", []byte(`{"bitrate":"1M","base":0}`)
		}, code: CodeOK, answered: true},
		"duplicate id": {who: "owner", command: func(c *envelope.Command) { c.Operation = "config.set" }, again: true,
			code: CodeOK, answered: true},
		"too big": {who: "owner", command: fine,
			message: func(m *Message) { m.Raw = append(m.Raw, make([]byte, envelope.MaxCommand)...) }, code: CodeTooBig},
		"arguments too big": {who: "owner", command: func(c *envelope.Command) {
			c.Arguments = bytes.Repeat([]byte(" "), envelope.MaxArguments+1)
		}, code: CodeBadMessage, answered: true},
		"arguments too deep": {who: "owner", command: func(c *envelope.Command) {
			c.Arguments = []byte(strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1))
		}, code: CodeBadRequest, answered: true},
		"arguments cut short": {who: "owner", command: func(c *envelope.Command) { c.Arguments = []byte(`{"bitrate":`) },
			code: CodeBadRequest, answered: true},
		"message too deep": {who: "owner", command: fine,
			message: func(m *Message) { m.Raw = append([]byte{0x81, 0x01}, bytes.Repeat([]byte{0x91}, 60)...) },
			code:    CodeBadMessage},
		"truncated": {who: "owner", command: fine, message: func(m *Message) { m.Raw = m.Raw[:len(m.Raw)/2] },
			code: CodeBadMessage},
		"empty": {who: "owner", command: fine, message: func(m *Message) { m.Raw = nil }, code: CodeBadMessage},
		"JSON": {who: "owner", command: fine, message: func(m *Message) { m.Raw = []byte(`{"op":1}`) },
			code: CodeBadMessage},
		"one bit off": {who: "owner", command: fine, message: func(m *Message) { m.Raw[len(m.Raw)-1] ^= 1 },
			code: CodeSignature},
		"clock unset, can't be taken back": {who: "owner", command: func(c *envelope.Command) { c.Operation = "reset" },
			setUp: func(w *world) { w.clock.set(time.Unix(100, 0), false) }, code: CodeClockUnset, answered: true},
		"clock unset, can be taken back": {who: "owner", command: func(c *envelope.Command) { c.Operation = "config.set" },
			setUp: func(w *world) { w.clock.set(time.Unix(100, 0), false) }, code: CodeOK, answered: true},
		"clock set": {who: "owner", command: func(c *envelope.Command) { c.Operation = "reset" }, code: CodeOK,
			answered: true},
		"answer too big": {who: "owner", command: func(c *envelope.Command) { c.Operation = "huge" }, code: CodeTooBig,
			answered: true},
	}
}

// runs reports whether the command comes as far as the command table.
func (r rule) runs() bool { return r.code == CodeOK || r.table || r.answered && r.code == CodeTooBig }

// spoken makes the message of a rule.
func (r rule) spoken(w *world) Message {
	c := w.command(r.who, "status", "")
	r.command(&c)
	m := w.sealed(r.who, c)
	if r.message != nil {
		r.message(&m)
	}
	return m
}

// spend uses a counter up, by a command that has no effect.
func (w *world) spend(name string, counter uint64) {
	w.t.Helper()
	c := w.command(name, "sh", "")
	c.Counter = counter
	if code, _ := w.ask(name, w.sealed(name, c)); code != CodeUnknown {
		w.t.Errorf("a counter is used up: %s", code)
	}
}

// TestRules: each rule refuses by its code, nothing happens, and only a sender who is known to be himself is answered.
func TestRules(t *testing.T) {
	t.Parallel()
	for name, tt := range rules() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			grant(t, w.people, "anna", access.Member)
			m := tt.spoken(w)
			if tt.setUp != nil {
				tt.setUp(w)
			}
			if tt.again {
				w.ask(tt.who, m)
			}
			code, answered := w.ask(tt.who, m)
			if code != tt.code || answered != tt.answered {
				t.Errorf("got %s, answered %v; want %s, %v", code, answered, tt.code, tt.answered)
			}
			if done := w.table.list(); len(done) > 1 || (len(done) == 1) != (tt.code == CodeOK) {
				t.Errorf("done: %v", done)
			}
			if n := w.receiver.Refusals()[tt.code]; tt.code != CodeOK && tt.code != CodeTooBig && !tt.table && n != 1 {
				t.Errorf("%d refusals are counted", n)
			}
		})
	}
}

// TestPresent: who shows his key at the door may ask for what can't be taken back, whatever the clock says. What somebody
// else sealed he may not bring, and nothing twice.
func TestPresent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.clock.set(time.Unix(100, 0), false)
	m := w.sealed("owner", w.command("owner", "reset", ""))
	m.Present = true
	if code, _ := w.ask("owner", m); code != CodeOK {
		t.Errorf("got %s", code)
	}
	used := w.command("owner", "reset", "")
	used.Counter = w.count - 1
	again := w.sealed("owner", used)
	again.Present = true
	if code, _ := w.ask("owner", again); code != CodeReplay {
		t.Errorf("a counter that was used: got %s", code)
	}
	grant(t, w.people, "anna", access.Member)
	stolen := w.sealed("owner", w.command("owner", "reset", ""))
	stolen.Topic, stolen.Present = envelope.CommandTopic(w.camera, public(key("anna"))), true
	if code, _ := w.ask("owner", stolen); code != CodeWrongTopic {
		t.Errorf("the owner's, brought by anna: got %s", code)
	}
	if done := w.table.list(); len(done) != 1 {
		t.Errorf("done: %v", done)
	}
}

// ours is a topic of the same camera, or of the world's, for somebody.
func ours(t envelope.Topic, name string) envelope.Topic {
	parts := strings.Split(string(t), "/")
	parts[len(parts)-1] = envelope.Client(public(key(name)))
	return envelope.Topic(strings.Join(parts, "/"))
}

// TestSaidAgain: the same command has the same answer and one effect; its counter is good for nothing else.
func TestSaidAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.command("owner", "config.set", `{"bitrate":"1M"}`)
	m := w.sealed("owner", c)
	for i := range 3 {
		if code, _ := w.ask("owner", m); code != CodeOK {
			t.Errorf("time %d: %s", i, code)
		}
	}
	c.ID[0]++
	a := w.listen("owner")
	if err := w.receiver.Receive(w.sealed("owner", c), a.take); err != nil {
		t.Fatal(err)
	}
	if r := a.next(); r.Code != CodeReplay || string(r.Result) != fmt.Sprintf(`{"counter":%d}`, c.Counter) {
		t.Errorf("another command with the same counter: %s %s", r.Code, r.Result)
	}
	if done := w.table.list(); len(done) != 1 {
		t.Errorf("done: %v", done)
	}
}

// TestAfterTheEnd: what comes when the camera stops is not done, and nothing is written of it.
func TestAfterTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.end()
	if code, _ := w.ask("owner", w.sealed("owner", w.command("owner", "config.set", ""))); code != CodeBusy {
		t.Errorf("got %s, want %s", code, CodeBusy)
	}
	if _, err := w.counters.Load(); !errors.Is(err, fs.ErrNotExist) || len(w.table.list()) > 0 {
		t.Errorf("counters are stored: %v; done: %v", err, w.table.list())
	}
}

// TestAfterRestart: what changes something is not done again, and its answer is known; whatever was stored of counters
// holds.
func TestAfterRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.sealed("owner", w.command("owner", "config.set", ""))
	read := w.sealed("owner", w.command("owner", "status", ""))
	for _, m := range []Message{set, read} {
		if code, _ := w.ask("owner", m); code != CodeOK {
			t.Fatal(code)
		}
	}
	w.end()
	w.start()
	if code, _ := w.ask("owner", set); code != CodeOK {
		t.Errorf("answer to what was done: %s", code)
	}
	if code, _ := w.ask("owner", read); code != CodeReplay {
		t.Errorf("an old question: %s", code)
	}
	if done := w.table.list(); len(done) != 2 {
		t.Errorf("done: %v", done)
	}
}

// cutPlace is a place that loses power before a certain store, or right after it.
type cutPlace struct {
	statefile.Place
	mu    sync.Mutex // guards the rest
	left  int
	after bool
	dead  bool
}

var errCut = errors.New("power cut")

func (c *cutPlace) Store(content []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return errCut
	}
	c.left--
	if c.left > 0 {
		return c.Place.Store(content)
	}
	c.dead = true
	if c.after {
		_ = c.Place.Store(content)
	}
	return errCut
}

// TestPowerCuts cuts the power at every write of a command that changes something: afterwards the same command is never
// done a second time.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 2; n++ {
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			w.end()
			disk := w.counters
			w.counters = &cutPlace{Place: disk, left: n, after: after}
			w.start()
			m := w.sealed("owner", w.command("owner", "config.set", ""))
			a := w.listen("owner")
			if err := w.receiver.Receive(m, a.take); err != nil {
				t.Fatal(err)
			}
			a.next()
			before := len(w.table.list())
			if before > 1 || n == 1 && before != 0 {
				t.Errorf("write %d: done %d times before the cut", n, before)
			}
			w.counters.(*cutPlace).dead = false
			w.counters.(*cutPlace).left = 1 << 30
			w.counters = disk
			r, err := OpenReceiver(ReceiverOptions{People: w.people, Table: &w.table, Clock: w.clock.read, Counters: disk,
				Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			again := w.listen("owner")
			if err := r.Receive(m, again.take); err != nil {
				t.Fatal(err)
			}
			code := again.next().Code
			r.stop()
			r.lanes.wait()
			if all := len(w.table.list()); all > 1 || before == 1 && all != 1 {
				t.Errorf("write %d, reached the disk %v: done %d times in all", n, after, all)
			}
			want := map[bool]string{true: CodeOK, false: CodeInterrupted}[n == 1 && !after || n == 2 && after]
			if code != want {
				t.Errorf("write %d, reached the disk %v: answered %s, want %s", n, after, code, want)
			}
		}
	}
}

// TestNewOwner: what an earlier owner's people said does not count, and keeps nobody out.
func TestNewOwner(t *testing.T) {
	t.Parallel()
	l, err := openLedger(statefile.Path(filepath.Join(t.TempDir(), "c.json")))
	if err != nil {
		t.Fatal(err)
	}
	l.of("camera 1", "anna", noon).add(1 << 40)
	if m := l.of("camera 2", "anna", noon); !m.fresh(1) {
		t.Error("a counter of the time before is in the way")
	}
	for i := range 3 * maxSources {
		l.of("camera 2", fmt.Sprint(i), noon.Add(time.Duration(i)))
	}
	if len(l.sources) > maxSources {
		t.Errorf("%d sources are remembered", len(l.sources))
	}
}

func TestDamagedCounters(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "control.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenReceiver(ReceiverOptions{Counters: statefile.Path(path), Log: quiet()})
	if !errors.Is(err, statefile.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

// TestGoldenCounters pins the names of the fields on the disk.
func TestGoldenCounters(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "control.json")
	err := statefile.New[counters](path, countersVersion).Store(counters{Camera: "ocellus/1/x", Sources: map[string]source{
		"anna": {Top: 7, Used: noon, Done: map[string]done{"00": {Counter: 7, Code: "ok", Text: "t"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "version": 1,
  "camera": "ocellus/1/x",
  "sources": {
    "anna": {
      "top": 7,
      "used": "2026-05-01T12:00:00Z",
      "done": {
        "00": {
          "counter": 7,
          "code": "ok",
          "text": "t"
        }
      }
    }
  }
}
`
	if raw, _ := os.ReadFile(path); string(raw) != want {
		t.Errorf("got\n%s", raw)
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	var w window
	for _, step := range []struct {
		n     uint64
		fresh bool
	}{{100, true}, {100, false}, {99, true}, {37, true}, {36, false}, {99, false}, {163, true}, {100, false}, {101, true},
		{1 << 50, true}, {163, false}, {0, false}} {
		if got := w.fresh(step.n); got != step.fresh {
			t.Errorf("%d: fresh %v", step.n, got)
		}
		if step.fresh {
			w.add(step.n)
		}
	}
	if (&window{}).fresh(0) != true {
		t.Error("the first counter may be 0")
	}
}

// TestOneBadClient: somebody who was granted something fills his lane and sends junk as fast as he can; the owner is
// served, and so is everybody else.
func TestOneBadClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"bad", "anna"} {
		grant(t, w.people, name, access.Member)
	}
	bad := w.listen("bad")
	for range maxWaiting + 20 {
		if err := w.receiver.Receive(w.sealed("bad", w.command("bad", "wait", "")), bad.take); err != nil {
			t.Fatal(err)
		}
	}
	m := w.sealed("bad", w.command("bad", "status", ""))
	for i := range 2000 {
		junk := Message{Topic: m.Topic, Raw: bytes.Clone(m.Raw)}
		junk.Raw[i%len(junk.Raw)] ^= 0x40
		_ = w.receiver.Receive(junk, bad.take)
	}
	for _, name := range []string{"owner", "anna"} {
		began := time.Now()
		for range 20 {
			if code, _ := w.ask(name, w.sealed(name, w.command(name, "status", ""))); code != CodeOK {
				t.Fatalf("%s: %s", name, code)
			}
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s waited %v", name, took)
		}
	}
	limited := w.receiver.Refusals()
	if limited[CodeRateLimited]+limited[CodeBusy] == 0 {
		t.Errorf("the bad one was not held back: %v", limited)
	}
	close(w.table.hold)
}

// TestTenSources: four hundred commands at once from ten people: each is answered, and none is refused.
func TestTenSources(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.clock.real = true
	var messages []Message
	var listeners []*answers
	const people, each = 10, burst
	for i := range people {
		name := fmt.Sprint("person ", i)
		grant(t, w.people, name, access.Member)
		a := w.listen(name)
		for range each {
			messages, listeners = append(messages, w.sealed(name, w.command(name, "status", ""))), append(listeners, a)
		}
	}
	for i := range messages { // one of each person in turn
		k := i%people*each + i/people
		if err := w.receiver.Receive(messages[k], listeners[k].take); err != nil {
			t.Fatal(err)
		}
	}
	for i := range messages {
		if r := listeners[i].next(); r.Code != CodeOK {
			t.Fatalf("%s: %s", r.Code, r.Text)
		}
	}
}

// TestRecordedFlood: who recorded an owner's command and sends it again and again uses up nothing of the owner's.
func TestRecordedFlood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.sealed("owner", w.command("owner", "status", ""))
	replies := w.listen("owner")
	for range 500 {
		_ = w.receiver.Receive(m, replies.take)
	}
	for range burst - 1 {
		if code, _ := w.ask("owner", w.sealed("owner", w.command("owner", "look", ""))); code != CodeOK {
			t.Fatal(code)
		}
	}
	if n := len(w.table.list()); n != 1+burst-1 {
		t.Errorf("done %d times", n)
	}
	if n := len(replies.all); n > burst {
		t.Errorf("%d answers to one command", n)
	}
}

// TestDesired: a state that was left at the broker is taken once, however often the broker brings it, and in any order
// with what was asked directly.
func TestDesired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	left := w.command("owner", "config.set", `{"bitrate":"2M"}`)
	left.Expires = time.Time{}
	topic := envelope.DesiredTopic(w.camera, left.Source)
	raw, err := left.Seal(topic, key("owner"), w.key)
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := w.ask("owner", w.sealed("owner", w.command("owner", "config.set", `{"bitrate":"1M"}`))); code != CodeOK {
		t.Fatal(code)
	}
	w.clock.set(noon.Add(48*time.Hour), true)
	for range 2 {
		for range 3 {
			if code, _ := w.ask("owner", Message{Topic: topic, Raw: raw, Retained: true}); code != CodeOK {
				t.Error(code)
			}
		}
		w.end()
		w.start()
	}
	if done := w.table.list(); !reflect.DeepEqual(done, []string{"owner config.set 1M", "owner config.set 2M"}) {
		t.Errorf("done: %v", done)
	}
	before := w.command("owner", "config.set", `{"bitrate":"3M"}`)
	after := w.command("owner", "config.set", `{"bitrate":"4M"}`)
	for _, tt := range []struct {
		left envelope.Command
		code string
	}{{after, CodeOK}, {before, CodeReplay}} {
		if raw, err = tt.left.Seal(topic, key("owner"), w.key); err != nil {
			t.Fatal(err)
		}
		if code, _ := w.ask("owner", Message{Topic: topic, Raw: raw, Retained: true}); code != tt.code {
			t.Errorf("the later state first, then the one before it: %s, want %s", code, tt.code)
		}
	}
	other := w.command("owner", "reset", "")
	raw, err = other.Seal(topic, key("owner"), w.key)
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := w.ask("owner", Message{Topic: topic, Raw: raw, Retained: true}); code != CodeBadRequest {
		t.Errorf("something else at that topic: %s", code)
	}
}

// TestProgress: a long job tells how far it is, and a second question about it is answered while it goes on.
func TestProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.sealed("owner", w.command("owner", "wait", ""))
	a := w.listen("owner")
	if err := w.receiver.Receive(m, a.take); err != nil {
		t.Fatal(err)
	}
	if r := a.next(); r.Code != CodeAccepted || r.Progress != 50 {
		t.Errorf("got %s %d", r.Code, r.Progress)
	}
	b := w.listen("owner")
	if err := w.receiver.Receive(m, b.take); err != nil {
		t.Fatal(err)
	}
	if r := b.next(); r.Code != CodeAccepted || r.Progress != 50 {
		t.Errorf("asked again: %s %d", r.Code, r.Progress)
	}
	close(w.table.hold)
	if r := a.next(); r.Code != CodeOK || r.Progress != 100 {
		t.Errorf("got %s %d", r.Code, r.Progress)
	}
	if code, _ := w.ask("owner", m); code != CodeOK {
		t.Errorf("asked when it was done: %s", code)
	}
}

// TestOrder: the commands of one source are done in their order.
func TestOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.listen("owner")
	var want []string
	for i := range 15 {
		m := w.sealed("owner", w.command("owner", "config.set", fmt.Sprintf(`{"bitrate":"%d"}`, i)))
		want = append(want, fmt.Sprintf("owner config.set %d", i))
		if err := w.receiver.Receive(m, a.take); err != nil {
			t.Fatal(err)
		}
	}
	for range want {
		a.next()
	}
	if done := w.table.list(); !reflect.DeepEqual(done, want) {
		t.Errorf("done: %v", done)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	var b budget
	count := func(op Operation, now time.Time) (n int) {
		for b.allows(now, op) {
			n++
		}
		return n
	}
	if n := count(Operation{Once: true, Final: true}, noon); n != finalBurst {
		t.Errorf("%d at once, want %d", n, finalBurst)
	}
	if n := count(Operation{Once: true, Final: true}, noon.Add(time.Minute)); n != 5 {
		t.Errorf("%d a minute later, want 5", n)
	}
	if b.allows(noon.Add(-time.Hour), Operation{Final: true}) {
		t.Error("a clock that goes back makes room")
	}
}

// FuzzReceive: nothing that a carrier brings does anything or ends anything.
func FuzzReceive(f *testing.F) {
	w := newWorld(f)
	m := w.sealed("owner", w.command("owner", "config.set", ""))
	junk := bytes.Clone(m.Raw)
	junk[len(junk)-1] ^= 1
	f.Add(string(m.Topic), junk, false)
	f.Add("ocellus/1/x/cmd/y", []byte{0x80}, true)
	f.Fuzz(func(t *testing.T, topic string, raw []byte, retained bool) {
		if bytes.Equal(raw, m.Raw) {
			return
		}
		m := Message{Topic: envelope.Topic(topic), Raw: raw, Retained: retained}
		_ = w.receiver.Receive(m, func(envelope.Topic, []byte, bool) {})
		w.receiver.lanes.wait()
		if done := w.table.list(); len(done) > 0 {
			t.Errorf("done: %v", done)
		}
	})
}
