package control

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/envelope"
)

// leave leaves a desired state at the broker; without arguments it takes it back.
func (f *phone) leave(args string) string {
	f.t.Helper()
	topic := envelope.DesiredTopic(f.place.camera, public(key(f.name)))
	var raw []byte
	var c envelope.Command
	if args != "" {
		f.place.mu.Lock()
		c = f.place.command(f.name, Desired, args)
		f.place.mu.Unlock()
		c.Expires = time.Time{}
		var err error
		if raw, err = c.Seal(topic, key(f.name), f.place.key); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := waitFor(f.client.Publish(string(topic), 1, true, raw)); err != nil {
		f.t.Fatal(err)
	}
	return fmt.Sprintf("%x", c.ID)
}

// settled is what the camera reports of what was left for it.
func (f *phone) settled() (s Settled) {
	var doc reportedState
	if json.Unmarshal(f.reported().Detail, &doc) == nil && doc.Desired != nil {
		s = *doc.Desired
	}
	return s
}

// TestDesiredWhileAway: the broker kept the camera's session and brings all that was left for it. The last state of each
// counts, what was taken back does not, and the reported state says what became of it, whoever listens when.
func TestDesiredWhileAway(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	p := newPlace(t, c)
	for _, name := range []string{"anna", "ben"} {
		grant(t, p.people, name, access.Installer)
	}
	grant(t, p.people, "kim", access.Member)
	p.connect()
	p.stop()
	phones := map[string]*phone{}
	for _, name := range []string{"owner", "anna", "ben", "kim"} {
		phones[name] = newPhone(t, p, name, m.address, nil)
	}
	phones["owner"].leave(`{"bitrate":"1M"}`)
	phones["anna"].leave(`{"bitrate":"3M"}`)
	phones["anna"].leave("")
	want := map[string]Settled{
		"owner": {ID: phones["owner"].leave(`{"bitrate":"2M"}`), Code: CodeOK},
		"ben":   {ID: phones["ben"].leave(`{"bitrate":"4M","base":7}`), Code: "conflict", Text: "another was there before"},
		"kim":   {ID: phones["kim"].leave(`{"bitrate":"5M"}`), Code: CodeDenied, Text: `role "member" may not configure`},
	}
	check := func() {
		t.Helper()
		for name, s := range want {
			eventually(t, "it is reported to "+name, func() bool {
				got := phones[name].settled()
				s.Counter = got.Counter
				return got == s
			})
		}
		if done := p.table.list(); !reflect.DeepEqual(done, []string{"owner config.set 2M"}) {
			t.Errorf("done: %v", done)
		}
		if s, ok := p.receiver.Settled(public(key("anna"))); ok {
			t.Errorf("what anna took back: %+v", s)
		}
	}
	p.connect()
	check()
	p.stop() // a power cut: the next session is another process's, and the broker brings everything again
	p.end()
	p.start()
	for _, f := range phones {
		f.mu.Lock()
		f.report = envelope.Event{}
		f.mu.Unlock()
	}
	p.connect()
	check()
	id := phones["anna"].leave(`{"bitrate":"6M"}`)
	eventually(t, "it is done", func() bool { s := phones["anna"].settled(); return s.ID == id && s.Code == CodeOK })
	if done := p.table.list(); !slices.Contains(done, "anna config.set 6M") {
		t.Errorf("done: %v", done)
	}
}

// TestSettledWhileItGoesOn: what is being done is not yet interrupted.
func TestSettledWhileItGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := &memory{}
	id := [envelope.IDSize]byte{7}
	m.begin(id)
	m.keep(id, done{Counter: 9, Code: CodeInterrupted})
	w.receiver.ledger.of(envelope.Camera(w.camera), "x", noon)
	w.receiver.ledger.sources[envelope.Client(public(key("owner")))+desiredLane] = m
	for _, want := range []string{CodeAccepted, "rolled_back"} {
		if s, ok := w.receiver.Settled(public(key("owner"))); !ok || s.Code != want || s.Counter != 9 {
			t.Errorf("got %+v, want %s", s, want)
		}
		m.keep(id, done{Counter: 9, Code: "rolled_back"})
		m.end(id, Outcome{Code: "rolled_back"})
	}
}

// TestHeld: what a broker brings before it is quiet has a bound; the last of each topic is held, and what was taken back
// is not.
func TestHeld(t *testing.T) {
	t.Parallel()
	h := newHeld()
	big := make([]byte, envelope.MaxCommand)
	for i := range 20 {
		if h.put(Message{Topic: "a", Raw: big}) != true {
			t.Fatalf("time %d: no room in place of the one before", i)
		}
	}
	n := 1
	for ; h.put(Message{Topic: envelope.Topic(fmt.Sprint(n)), Raw: big}); n++ {
		if n > maxHeld/len(big) {
			t.Fatal("no bound")
		}
	}
	if !h.put(Message{Topic: "a"}) || !h.put(Message{Topic: "b", Raw: big}) {
		t.Error("what was taken back keeps its room")
	}
	all := h.all()
	if _, back := all["a"]; back || len(all) != n || len(h.all()) != 0 || h.size != 0 {
		t.Errorf("%d are held, a is one: %v", len(all), back)
	}
}

// TestDesiredIsTakenAway: what somebody left lies there no longer than the camera knows him.
func TestDesiredIsTakenAway(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	p := newPlace(t, c)
	anna := grant(t, p.people, "anna", access.Installer)
	p.connect()
	phones := map[string]*phone{"owner": newPhone(t, p, "owner", m.address, nil), "anna": newPhone(t, p, "anna", m.address, nil)}
	lies := func(name string) bool {
		return phones["owner"].look(string(envelope.DesiredTopic(p.camera, public(key(name))))) != ""
	}
	for name, f := range phones {
		id := f.leave(`{"bitrate":"1M"}`)
		eventually(t, "taken from "+name, func() bool { return f.settled().ID == id })
		eventually(t, "lies there", func() bool { return lies(name) })
	}
	if err := p.people.Revoke(anna); err != nil {
		t.Fatal(err)
	}
	eventually(t, "who was put out has nothing there", func() bool { return !lies("anna") })
	if !lies("owner") {
		t.Error("what the owner left is gone")
	}
	if _, err := p.people.Disown(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nor has an owner of before", func() bool { return !lies("owner") })
}
