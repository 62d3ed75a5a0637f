package console

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/hal"
)

// port is a serial port whose other end is the test. It implements hal.Serial, and hal.Line while it is open.
type port struct {
	in     chan []byte // what the person types
	echoes bool        // the line echoes what the camera says
	deaf   bool        // nobody takes what the camera says

	mu     sync.Mutex // guards the rest
	out    bytes.Buffer
	all    int // bytes that the camera said
	left   []byte
	gone   chan struct{} // closed with the line
	opened int
	baud   int
}

func newPort() *port { return &port{in: make(chan []byte)} }

func (p *port) Name() string { return "/dev/test" }

func (p *port) Open(baud int) (hal.Line, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened++
	p.gone, p.baud, p.left = make(chan struct{}), baud, nil
	return p, nil
}

func (p *port) closed() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

func (p *port) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		select {
		case p.left = <-p.in:
		case <-p.closed():
			return 0, hal.ErrClosed
		}
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}

func (p *port) Write(b []byte) (int, error) {
	if p.deaf {
		<-p.closed()
		return 0, hal.ErrClosed
	}
	p.mu.Lock()
	p.out.Write(b)
	p.all += len(b)
	p.mu.Unlock()
	if p.echoes {
		echo := bytes.Clone(b)
		go func() {
			select {
			case p.in <- echo:
			case <-p.closed():
			}
		}()
	}
	return len(b), nil
}

func (p *port) SetSpeed(baud int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.baud = baud
	return nil
}

func (p *port) speed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.baud
}

func (p *port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gone:
	default:
		close(p.gone)
	}
	return nil
}

// said returns what the camera said since the last call.
func (p *port) said() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.out.String()
	p.out.Reset()
	return s
}

// camera is what the console asks; it notes what was asked, and for whom.
type camera struct {
	asked   []string
	answers map[string]string // by row; none: unknown
	slow    bool              // a row takes an hour
	on      time.Time         // when the power was switched on; zero: long ago
	lines   chan string       // of the log
}

func (c *camera) Facts() Facts {
	return Facts{Model: "TEST-1", Release: "1.2.3", State: "healthy, has an owner", Healthy: true,
		Up: time.Hour, Code: "ABCD-EFGH"}
}

func (c *camera) Do(ctx context.Context, who access.Identity, name string, args json.RawMessage) (
	json.RawMessage, error,
) {
	c.asked = append(c.asked, fmt.Sprintf("%s %s %s", who.Role, name, args))
	if c.slow {
		select {
		case <-time.After(time.Hour):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	answer, ok := c.answers[name]
	if !ok {
		return nil, errors.New("unknown command")
	}
	return json.RawMessage(answer), nil
}

func (c *camera) Reset(_ context.Context, asked time.Time) ([]byte, error) {
	if asked.Sub(c.on) > 10*time.Second {
		return nil, fmt.Errorf("reset: switch the power off and on: %w", access.ErrDenied)
	}
	c.asked = append(c.asked, "reset by hand")
	return []byte{0}, nil
}

func (c *camera) Follow(ctx context.Context, f LogFilter, tell func(line string)) error {
	for {
		select {
		case l := <-c.lines:
			tell(f.Level.String() + " " + f.Part + " " + l)
		case <-ctx.Done():
			return nil
		}
	}
}

// place is memory.
type place struct{ content []byte }

func (p *place) Load() ([]byte, error) {
	if p.content == nil {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(p.content), nil
}

func (p *place) Store(content []byte) error {
	p.content = bytes.Clone(content)
	return nil
}

func (*place) String() string { return "memory" }

// gate is a camera's ownership, with an owner if it is owned.
func gate(t *testing.T, owned bool) (*access.Ownership, ed25519.PrivateKey) {
	t.Helper()
	var persist, sealed place
	h, _, err := access.OpenHardware(&persist, "TEST-1")
	if err != nil {
		t.Fatal(err)
	}
	o, err := access.OpenOwnership(h, &persist, &sealed, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	if owned {
		secret, err := h.Label().ClaimKey()
		if err != nil {
			t.Fatal(err)
		}
		c := claim.Claim{Challenge: o.Challenge(), Owner: key.Public().(ed25519.PublicKey), Proof: claim.BySecret}
		if _, err := o.Claim(c.Sign(key, secret[:])); err != nil {
			t.Fatal(err)
		}
	}
	return o, key
}

// bench is a console that runs, and who sits before it.
type bench struct {
	*port
	camera *camera
	owner  *access.Ownership
	key    ed25519.PrivateKey
}

// sit starts a console, in a bubble of its own time, and ends it.
func sit(t *testing.T, owned bool, change func(b *bench, o *Options), test func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{port: newPort(), camera: &camera{answers: map[string]string{}, lines: make(chan string)}}
		b.owner, b.key = gate(t, owned)
		o := Options{Config: DefaultConfig(), Serial: b.port, Camera: b.camera, Gate: b.owner,
			Log: slog.New(slog.DiscardHandler)}
		if change != nil {
			change(b, &o)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1) // capacity 1: the console's last word
		go func() { done <- New(o).Run(ctx) }()
		test(t, b)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// types types keys and returns what comes of it.
func (b *bench) types(keys string) string {
	b.in <- []byte(keys)
	return b.said()
}

// challenge asks for a riddle and answers it with a key.
func (b *bench) answer(t *testing.T, key ed25519.PrivateKey) string {
	t.Helper()
	said := b.types("unlock\r")
	_, text, ok := strings.Cut(said, "challenge ")
	if !ok {
		t.Fatalf("no challenge: %q", said)
	}
	text, _, _ = strings.Cut(text, "\r\n")
	raw, err := encoding().DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := claim.ParseRiddle(raw)
	if err != nil {
		t.Fatal(err)
	}
	u := claim.Unlock{Nonce: r.Nonce, Hardware: label.FingerprintOf(b.owner.Hardware().Public())}
	if r.ID != nil {
		u.ID = *r.ID
	}
	return "unlock " + encoding().EncodeToString(u.Sign(key)) + "\r"
}

func (b *bench) unlock(t *testing.T) {
	t.Helper()
	if said := b.types(b.answer(t, b.key)); !strings.Contains(said, "Unlocked for owner") {
		t.Fatalf("not unlocked: %q", said)
	}
}

func wants(t *testing.T, said string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("no %q in %q", w, said)
		}
	}
}

// TestStranger: who has proved nothing sees how the camera is, and nothing else.
func TestStranger(t *testing.T) {
	sit(t, true, nil, func(t *testing.T, b *bench) {
		b.camera.answers["selftest"] = `{"storage":"pass"}`
		wants(t, b.said(), "TEST-1", "1.2.3", "healthy", "ABCD-EFGH", "ocellus> ")
		wants(t, b.types("status\r"), "healthy, has an owner, up 1h0m0s")
		wants(t, b.types("version\r"), "release 1.2.3, camera TEST-1")
		wants(t, b.types("help\r"), "selftest", "camctl console")
		wants(t, b.types("selftest\r"), "storage: pass")
		wants(t, b.types("selftest\r"), "a moment ago")
		wants(t, b.types("nonsense\r"), `"nonsense" is no verb`)
		wants(t, b.types("\"half\r"), "no end")
		for _, v := range verbs() {
			if v.open {
				continue
			}
			time.Sleep(verbInterval) // of the bubble
			wants(t, b.types(v.name+" get\r"), "is for whoever has unlocked the console")
		}
		if got := strings.Join(b.camera.asked, ";"); got != "bystander selftest " {
			t.Errorf("asked: %s", got)
		}
	})
}

// TestResetByHand: who has just switched the board on resets it without a key; when he typed it counts, and not how long
// he thought about it.
func TestResetByHand(t *testing.T) {
	sit(t, true, nil, func(t *testing.T, b *bench) {
		b.camera.on = time.Now()
		b.types("reset\r")
		b.types("n\r")
		wants(t, b.types("reset AAAQE\r"), "is for whoever has unlocked")
		wants(t, b.types("reset\r"), "for good. Go on?")
		time.Sleep(time.Minute)
		wants(t, b.types("y\r"), "receipt AA\r\n", "as from its box")
		b.types("reset\r")
		wants(t, b.types("y\r"), "switch the power off and on")
		if got := strings.Join(b.camera.asked, ";"); got != "reset by hand" {
			t.Errorf("asked: %s", got)
		}
	})
}

// TestStrangersNetwork: the gate decides whether a stranger may bring the camera into a network.
func TestStrangersNetwork(t *testing.T) {
	sit(t, false, nil, func(t *testing.T, b *bench) {
		b.camera.answers["network.status"] = `{"state":"joined","ssid":"SG9tZQ==","address":"192.0.2.7"}`
		b.camera.answers["network.scan"] = `[{"ssid":"SG9tZQ==","security":"wpa","signal_dbm":-50},` +
			`{"ssid":"G1sySg==","security":"open"}]`
		b.camera.answers["network.join"] = `{}`
		wants(t, b.types("network\r"), `joined, network "Home", address 192.0.2.7`)
		wants(t, b.types("network scan\r"), `-50 dBm  wpa       "Home"`, `open      "\x1b[2J"`)
		wants(t, b.types("network join \"My Home\"\r"), "Password")
		said := b.types("geheim\r")
		wants(t, said, "******", "Trying it")
		time.Sleep(2 * time.Second)
		if said += b.said(); strings.Contains(said, "geheim") {
			t.Errorf("the password is on the screen: %q", said)
		}
		wants(t, said, "joined")
		wants(t, strings.Join(b.camera.asked, "\n"), `network.join {"ssid":"TXkgSG9tZQ==","password":"geheim"}`)
		wants(t, b.types("network wander\r"), "want: network")
	})
}

func TestOwner(t *testing.T) {
	sit(t, true, nil, func(t *testing.T, b *bench) {
		for name, answer := range map[string]string{
			"status": `{"healthy":true,"streams":[{"name":"main","state":"live","fps":25}],` +
				`"parts":[{"name":"rtsp","up":true},{"name":"web"}],"camera":{"driver":"vivid"},"rtsp":{}}`,
			"config.get":   `{"revision":3,"config":{"log":"info"}}`,
			"config.set":   `{"revision":4}`,
			"reboot":       `{}`,
			"ota.status":   `{"state":"idle"}`,
			"capabilities": `{"commands":["idr","identify"]}`,
			"idr":          `{"coming":true}`,
			"owner.ask":    `{"nonce":"AAEC","challenge":"AwQF"}`,
			"owner.unbind": `{"receipt":"AAAA"}`,
			"logs":         `[{"time":"2026-11-26T10:00:00Z","level":"INFO","part":"rtsp","text":"hello\u001b[2J"}]`,
		} {
			b.camera.answers[name] = answer
		}
		b.unlock(t)
		wants(t, b.types("status\r"), "up 1h0m0s", "stream main: live, 25.0 pictures/s", "part web: up false", "ocellus# ")
		wants(t, b.types("streams\r"), "fps 25", "driver: vivid")
		wants(t, b.types("config get log\r"), "log: info")
		wants(t, b.types("config set log debug\r"), "revision: 4")
		b.types("config set control.password\r")
		if said := b.types("geheim\r"); strings.Contains(said, "geheim") {
			t.Errorf("seen: %q", said)
		}
		wants(t, b.types("reboot\r"), "Go on?")
		wants(t, b.types("n\r"), "ocellus# ")
		b.types("reboot\r")
		wants(t, b.types("y\r"), "done")
		time.Sleep(time.Second)
		wants(t, b.types("update status\r"), "state: idle")
		wants(t, b.types("call i\t\t\tr\t\r"), "identify", "coming: yes")
		wants(t, b.types("call idr stream=main n=3\r"), "coming")
		wants(t, b.types("logs warn rtsp\r"), "10:00:00 INFO rtsp: hello.[2J")
		wants(t, b.types("reset\r"), "for good. Go on?")
		wants(t, b.types("y\r"), "order AAAQE AMCAK")
		wants(t, b.types("reset AAAQE\r"), "receipt AAAA")
		time.Sleep(time.Second)
		wants(t, b.types("support\r"), "camctl support")
		b.types("help\r")
		wants(t, b.types(" "), "rollback")
		wants(t, b.types("exit\r"), "Locked")
		wants(t, b.types("\r"), "TEST-1", "ocellus> ")
		wants(t, b.types("\x1b[A\r"), "ocellus> ") // nobody reads what he typed
		asked := strings.Join(b.camera.asked, "\n")
		wants(t, asked, "owner status ", `owner config.get {"prefix":"log"}`, `owner config.set {"set":{"log":"debug"}}`,
			`owner config.set {"set":{"control.password":"geheim"}}`, `owner idr {"n":3,"stream":"main"}`,
			`owner logs {"level":"warn","part":"rtsp"}`, `owner owner.unbind {"order":"AAEC"}`)
		if n := strings.Count(asked, "owner reboot"); n != 1 {
			t.Errorf("rebooted %d times", n)
		}
	})
}

// TestUnlockReplayed: what somebody recorded on the line opens nothing.
func TestUnlockReplayed(t *testing.T) {
	sit(t, true, nil, func(t *testing.T, b *bench) {
		answer := b.answer(t, b.key)
		wants(t, b.types(answer), "Unlocked")
		b.types("exit\r")
		b.types("\r")
		wants(t, b.types(answer), "answers another challenge", "ocellus> ")
		b.types("unlock\r")
		wants(t, b.types(answer), "answers another challenge")
		wants(t, b.types("unlock !!!\r"), "not base32")
		wants(t, b.types("unlock AAAA\r"), "malformed")
		late := b.answer(t, b.key)
		time.Sleep(time.Minute)
		wants(t, b.types(late), "answers another challenge")
	})
}

// TestGuesses: wrong keys wait longer and longer, the right one never does.
func TestGuesses(t *testing.T) {
	sit(t, true, nil, func(t *testing.T, b *bench) {
		var last time.Duration
		for i := range 12 {
			_, wrong, _ := ed25519.GenerateKey(rand.Reader)
			began := time.Now()
			said := b.types(b.answer(t, wrong))
			for !strings.Contains(said, "opens nothing") {
				time.Sleep(100 * time.Millisecond)
				said += b.said()
			}
			took := time.Since(began)
			if i > 4 && took < last {
				t.Errorf("guess %d was answered after %v, the one before after %v", i, took, last)
			}
			last = took
		}
		if last < 29*time.Second {
			t.Errorf("the last one waits for %v", last)
		}
		began := time.Now()
		b.unlock(t)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the right key waits for %v", took)
		}
	})
}

// TestSessionEnds: a session that its person left ends, and so does one whose person may not be here any more.
func TestSessionEnds(t *testing.T) {
	sit(t, true, nil, func(t *testing.T, b *bench) {
		b.unlock(t)
		b.types("stat")
		time.Sleep(idleLimit)
		wants(t, b.said(), "session has ended")
		if said := b.types("us"); said != "" {
			t.Errorf("said %q to a key", said)
		}
		wants(t, b.types("\r"), "TEST-1", "ocellus> ")

		b.unlock(t)
		for began := time.Now(); time.Since(began) < longest; time.Sleep(idleLimit / 2) {
			b.types("\r")
		}
		wants(t, b.types("reboot\r"), "whoever has unlocked")

		b.unlock(t)
		if _, err := b.owner.Disown(func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		b.camera.answers["status"] = `{}`
		b.types("status\r")
		wants(t, strings.Join(b.camera.asked, ";"), "bystander status")
	})
}

// TestNoise: what is nobody's work is answered by little and then by nothing, and ends a session. A person who comes
// afterwards finds the console as it was.
func TestNoise(t *testing.T) {
	junk := make([]byte, 10<<20)
	_, _ = rand.Read(junk)
	text := bytes.Repeat([]byte("wrong password\r\n"), len(junk)/16)
	for name, flood := range map[string][]byte{
		"binary": junk, "lines": text, "one line of 10 MB": bytes.Repeat([]byte("x"), len(junk)),
		"breaks": make([]byte, 1<<20), "returns": bytes.Repeat([]byte("\r"), 1<<20),
		"tabs":    bytes.Repeat([]byte("\t"), 1<<20),
		"escapes": bytes.Repeat([]byte("\x1b[6n\x1b[A"), 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			sit(t, true, nil, func(t *testing.T, b *bench) {
				b.unlock(t)
				b.port.mu.Lock()
				before := b.all
				b.port.mu.Unlock()
				for at := 0; at < len(flood); at += 4096 {
					b.in <- flood[at:min(at+4096, len(flood))]
				}
				synctest.Wait()
				b.said()
				if n := b.all - before; n > 512<<10 {
					t.Errorf("answered by %d bytes", n)
				}
				time.Sleep(2 * quiet)
				b.said()
				wants(t, b.types("\r"), "TEST-1", "ocellus> ")
				wants(t, b.types("status\r"), "healthy")
				wants(t, b.types("reboot\r"), "whoever has unlocked")
			})
		})
	}
}

// TestEcho: on a line that sends back what the camera says, the camera does not talk to itself for ever.
func TestEcho(t *testing.T) {
	sit(t, true, func(b *bench, _ *Options) { b.echoes = true }, func(t *testing.T, b *bench) {
		for range 3 {
			b.in <- []byte("status\r")
			time.Sleep(time.Minute)
			b.said()
			b.port.mu.Lock()
			n := b.all
			b.port.mu.Unlock()
			time.Sleep(time.Hour)
			b.said()
			if b.all != n {
				t.Fatalf("it goes on: %d bytes, then %d", n, b.all)
			}
			if n > 256<<10 {
				t.Fatalf("%d bytes", n)
			}
		}
	})
}

// TestFloodOfVerbs: whoever sends verbs as fast as the line goes does not get the processor. For a stranger the line is
// still after some seconds, and as it was once the flood has ended; who has unlocked it has them done, one after the
// other.
func TestFloodOfVerbs(t *testing.T) {
	const many = 1000
	flood := func(b *bench) (done int, took time.Duration) {
		b.said()
		began := time.Now()
		for range many {
			b.in <- []byte("unlock\r")
		}
		took = time.Since(began)
		time.Sleep(2 * quiet)
		return strings.Count(b.said(), riddleWord), took
	}
	sit(t, true, nil, func(t *testing.T, b *bench) {
		if done, took := flood(b); done != verbsAtOnce+mostHeld || took != mostHeld*verbInterval {
			t.Errorf("%d verbs were done in %v, want %d", done, took, verbsAtOnce+mostHeld)
		}
		wants(t, b.types("\r"), "TEST-1", "ocellus> ")
		wants(t, b.types("status\r"), "up 1h0m0s", "ocellus> ")
	})
	sit(t, true, nil, func(t *testing.T, b *bench) {
		b.unlock(t)
		if done, took := flood(b); done != many || took < (many-2*verbsAtOnce)*verbInterval {
			t.Errorf("unlocked: %d verbs were done in %v", done, took)
		}
		wants(t, b.types("\r"), "ocellus# ")
	})
}

func TestInterrupt(t *testing.T) {
	sit(t, true, func(b *bench, _ *Options) { b.camera.slow = true }, func(t *testing.T, b *bench) {
		b.unlock(t)
		b.types("probe\r")
		wants(t, b.types("\x03"), "Interrupted", "ocellus# ")
		wants(t, b.types("version\r"), "1.2.3")
		b.types("prob")
		wants(t, b.types("\x03"), "^C", "ocellus# ")
	})
}

func TestPaging(t *testing.T) {
	sit(t, true, nil, func(t *testing.T, b *bench) {
		var lines []string
		for i := range 60 {
			lines = append(lines, fmt.Sprintf(`"line %d"`, i))
		}
		b.camera.answers["probe"] = "[" + strings.Join(lines, ",") + "]"
		b.unlock(t)
		said := b.types("probe\r")
		wants(t, said, "line 22", "-- more")
		if strings.Contains(said, "line 23") {
			t.Errorf("more than a screen: %q", said)
		}
		if late := b.types("\x1b[24;80R"); late != "" { // the terminal tells its size only now
			t.Errorf("said %q", late)
		}
		wants(t, b.types(" "), "line 23", "line 45", "-- more")
		wants(t, b.types("\r"), "line 46", "-- more")
		wants(t, b.types("q"), "ocellus# ")
		b.types("\x1b[10;40R")
		said = b.types("probe\r")
		if wants(t, said, "line 8", "-- more"); strings.Contains(said, "line 9") {
			t.Errorf("more than a screen of 10 rows: %q", said)
		}
		wants(t, b.types("G"), "line 59", "ocellus# ")
	})
}

func TestFollow(t *testing.T) {
	sit(t, true, nil, func(t *testing.T, b *bench) {
		b.unlock(t)
		b.types("logs -f warn rtsp\r")
		b.camera.lines <- "msg=\"one\x1b[2J\""
		wants(t, b.said(), "WARN rtsp msg=\"one.[2J\"\r\n")
		b.types("x")
		b.camera.lines <- "two"
		wants(t, b.said(), "two")
		wants(t, b.types("\x03"), "ocellus# ")
		wants(t, b.types("logs -x\r"), "want: logs")
	})
}

// TestSpeed: a speed at which nobody is heard does not last, and none outlives its session.
func TestSpeed(t *testing.T) {
	sit(t, true, nil, func(t *testing.T, b *bench) {
		wants(t, b.types("speed 9600\r"), "9600 baud from now on")
		if b.speed() != 9600 {
			t.Errorf("at %d baud", b.speed())
		}
		b.types("\xff\x00junk")
		time.Sleep(speedLimit)
		wants(t, b.said(), "Nobody was there at 9600 baud")
		if b.speed() != 115200 {
			t.Errorf("at %d baud", b.speed())
		}
		b.types("speed 1500000\r")
		wants(t, b.types("\r"), "1500000 baud")
		time.Sleep(idleLimit)
		b.said()
		if b.speed() != 115200 {
			t.Errorf("at %d baud after the session", b.speed())
		}
		b.types("\r")
		wants(t, b.types("speed 12\r"), "want 1200 to")
		wants(t, b.types("speed fast\r"), "want 1200 to")
	})
}

// TestPortGoesAway: the port is opened again, and the session before is over.
func TestPortGoesAway(t *testing.T) {
	sit(t, true, nil, func(t *testing.T, b *bench) {
		b.unlock(t)
		b.types("half a li")
		_ = b.Close()
		time.Sleep(3 * time.Second)
		wants(t, b.said(), "TEST-1", "ocellus> ")
		wants(t, b.types("reboot\r"), "whoever has unlocked")
	})
}

// TestDeafPeer: nobody takes what the camera says, and the console ends all the same.
func TestDeafPeer(t *testing.T) {
	sit(t, true, func(b *bench, _ *Options) { b.deaf = true }, func(t *testing.T, b *bench) {
		time.Sleep(time.Hour)
	})
}

// TestNobodysCamera: a camera that does not know whose it is lets nobody in.
func TestNobodysCamera(t *testing.T) {
	sit(t, true, func(_ *bench, o *Options) { o.Gate = nil }, func(t *testing.T, b *bench) {
		wants(t, b.types("unlock\r"), "nobody gets in")
		wants(t, b.types("status\r"), "healthy")
	})
}

// frames takes what stands between < and > out of the line, and answers it.
type frames struct{ line io.Writer }

func (f frames) Feed(b []byte) (text []byte) {
	before, rest, ok := strings.Cut(string(b), "<")
	if !ok {
		return b
	}
	frame, after, _ := strings.Cut(rest, ">")
	_, _ = f.line.Write([]byte("<" + strings.ToUpper(frame) + ">"))
	return []byte(before + after)
}

func (f frames) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func TestFrames(t *testing.T) {
	sit(t, true, func(_ *bench, o *Options) {
		o.Binary = func(line io.Writer) Binary { return frames{line} }
	}, func(t *testing.T, b *bench) {
		b.said()
		if said := b.types("<hello>"); said != "<HELLO>" {
			t.Errorf("got %q", said)
		}
		said := b.types("stat<again>us\r")
		wants(t, said, "<AGAIN>", "healthy")
	})
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                       `[]`,
		"  a  b ":                `["a" "b"]`,
		`join "My Home" x`:       `["join" "My Home" "x"]`,
		`join My\ Home`:          `["join" "My Home"]`,
		`set a ""`:               `["set" "a" ""]`,
		`a"b c"d \"`:             `["ab cd" "\""]`,
		`join "with \"quotes\""`: `["join" "with \"quotes\""]`,
	} {
		if words, err := split(line); err != nil || fmt.Sprintf("%q", words) != want {
			t.Errorf("%s: got %q, %v, want %s", line, words, err, want)
		}
	}
	for _, line := range []string{`"`, `a\`, `a "b`} {
		if words, err := split(line); err == nil {
			t.Errorf("%s: got %q", line, words)
		}
	}
}

func TestShown(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{}`:   "done\n",
		`null`: "-\n",
		`{"b":1,"a":{"x":true,"y":""},"l":[],"m":[1,2],"n":[{"k":"v","a":[1,2]}]}`: "b: 1\na:\n  x: yes\n  y: -\nl: none\nm:\n  1\n  2\nn:\n  a 1, 2; k v\n",
		`[]`:                         "none\n",
		`["a"]`:                      "a\n",
		`{"a":12345678901234567890}`: "a: 12345678901234567890\n",
	} {
		if got := shown(json.RawMessage(in)); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	deep := strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50)
	if got := shown(json.RawMessage(deep)); got != deep {
		t.Errorf("got %q", got)
	}
}
