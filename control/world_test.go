package control

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/internal/statefile"
)

// key is a key for tests, the same at each run.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("ocellus test key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// people makes a camera that belongs to key("owner"), by the claim itself.
func people(t testing.TB) *access.Ownership {
	t.Helper()
	o := unclaimed(t)
	become(t, o, "owner")
	return o
}

// unclaimed makes a camera that has no owner yet.
func unclaimed(t testing.TB) *access.Ownership {
	t.Helper()
	dir := t.TempDir()
	persist := statefile.Path(filepath.Join(dir, "persist"))
	h, _, err := access.OpenHardware(persist, "TEST-1")
	if err != nil {
		t.Fatal(err)
	}
	o, err := access.OpenOwnership(h, persist, statefile.Path(filepath.Join(dir, "owner")), quiet())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// become makes somebody the owner of a camera that has none.
func become(t testing.TB, o *access.Ownership, name string) {
	t.Helper()
	secret, err := o.Hardware().Label().ClaimKey()
	if err != nil {
		t.Fatal(err)
	}
	c := claim.Claim{Challenge: o.Challenge(), Owner: public(key(name)), Proof: claim.BySecret}
	if _, err := o.Claim(c.Sign(key(name), secret[:])); err != nil {
		t.Fatal(err)
	}
}

// grant lets somebody in, and returns the grant's id.
func grant(t testing.TB, o *access.Ownership, name string, role access.Role) [16]byte {
	t.Helper()
	id, _, err := o.Operational()
	if err != nil {
		t.Fatal(err)
	}
	g := claim.Grant{Camera: id, Subject: public(key(name)), Role: string(role), Name: name}
	_, _ = rand.Read(g.ID[:])
	if _, err := o.Grant(g.Sign(key("owner"))); err != nil {
		t.Fatal(err)
	}
	return g.ID
}

// wall is a clock that a test sets.
type wall struct {
	mu   sync.Mutex // guards the rest
	now  time.Time
	sure bool
	real bool // it goes by itself
}

func (w *wall) read() (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.real {
		return time.Now(), w.sure
	}
	return w.now, w.sure
}

func (w *wall) set(now time.Time, sure bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.sure = now, sure
}

// deeds is a command table that writes down what it does.
type deeds struct {
	mu   sync.Mutex // guards done
	done []string
	hold chan struct{} // "wait" waits for it
	part func()        // "reset" does it
}

func (d *deeds) Look(name string) (Operation, bool) {
	op, ok := map[string]Operation{
		"status": {Needs: access.Inspect}, "look": {Needs: access.Watch}, "wait": {Needs: access.Watch},
		"config.set": {Needs: access.Configure, Once: true}, "reset": {Needs: access.Admit, Once: true, Final: true},
		"huge": {Needs: access.Watch},
	}[name]
	return op, ok
}

func (d *deeds) Do(ctx context.Context, who access.Identity, name string, args []byte, progress func(int)) Outcome {
	var a struct {
		Bitrate string `json:"bitrate"`
		Base    *int   `json:"base"`
	}
	if len(args) > 0 {
		strict := json.NewDecoder(bytes.NewReader(args))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&a); err != nil {
			return Outcome{Code: CodeBadRequest, Text: err.Error()}
		}
	}
	if a.Base != nil && *a.Base != len(d.list()) {
		return Outcome{Code: "conflict", Text: "another was there before"}
	}
	switch name {
	case "wait":
		progress(50)
		select {
		case <-d.hold:
		case <-ctx.Done():
		}
	case "reset":
		if d.part != nil {
			d.part()
		}
	case "huge":
		return Outcome{Code: CodeOK, Blob: make([]byte, envelope.MaxBlob+1)}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = append(d.done, who.Name+" "+name+" "+a.Bitrate)
	return Outcome{Code: CodeOK, Result: []byte(`{"fine":true}`)}
}

func (d *deeds) list() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.done)
}

// world is a camera's Receiver and everybody around it.
type world struct {
	t        testing.TB
	people   *access.Ownership
	camera   [envelope.IDSize]byte
	key      ed25519.PublicKey // the camera's operational one
	clock    wall
	table    deeds
	receiver *Receiver
	counters statefile.Place
	count    uint64
	end      func()
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, people: people(t), table: deeds{hold: make(chan struct{})}, count: 1000}
	w.clock.set(noon, true)
	id, own, err := w.people.Operational()
	if err != nil {
		t.Fatal(err)
	}
	w.camera, w.key = id, public(own)
	w.counters = statefile.Path(filepath.Join(t.TempDir(), "control.json"))
	w.start()
	t.Cleanup(func() { w.end() })
	return w
}

// start opens a Receiver and runs it; end stops it as an orderly stop does.
func (w *world) start() {
	w.t.Helper()
	r, err := OpenReceiver(ReceiverOptions{People: w.people, Table: &w.table, Clock: w.clock.read, Counters: w.counters,
		Log: quiet()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.receiver = r
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	w.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
}

// command is a command of somebody that nothing is wrong with.
func (w *world) command(name, operation, args string) envelope.Command {
	w.count++
	now, _ := w.clock.read()
	c := envelope.Command{
		Camera: w.camera, Source: public(key(name)), Issued: now, Expires: now.Add(time.Minute), Counter: w.count,
		Operation: operation, Arguments: []byte(args),
	}
	_, _ = rand.Read(c.ID[:])
	return c
}

// sealed makes a message of a command.
func (w *world) sealed(name string, c envelope.Command) Message {
	w.t.Helper()
	topic := envelope.CommandTopic(c.Camera, public(key(name)))
	raw, err := c.Seal(topic, key(name), w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	return Message{Topic: topic, Raw: raw}
}

// answers collects the replies to somebody's commands.
type answers struct {
	w    *world
	name string
	all  chan envelope.Reply
}

func (w *world) listen(name string) *answers {
	return &answers{w, name, make(chan envelope.Reply, 1000)}
}

func (a *answers) take(to envelope.Topic, raw []byte, _ bool) {
	opener, err := envelope.NewOpener(key(a.name))
	if err != nil {
		a.w.t.Error(err)
		return
	}
	if want := envelope.ReplyTopic(a.w.camera, public(key(a.name))); to != want {
		a.w.t.Errorf("answered at %s, want %s", to, want)
	}
	r, err := envelope.OpenReply(to, raw, opener, a.w.key)
	if err != nil {
		a.w.t.Error(err)
		return
	}
	a.all <- r
}

// next waits for an answer.
func (a *answers) next() envelope.Reply {
	a.w.t.Helper()
	select {
	case r := <-a.all:
		return r
	case <-time.After(10 * time.Second):
		a.w.t.Fatal("no answer")
		return envelope.Reply{}
	}
}

// ask sends a message and returns the code that it is answered or refused by.
func (w *world) ask(name string, m Message) (code string, answered bool) {
	w.t.Helper()
	a := w.listen(name)
	if err := w.receiver.Receive(m, a.take); err != nil {
		return err.(*Refusal).Code, false //nolint:errorlint // its one type
	}
	return a.next().Code, true
}
