package control

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/internal/secret"
	"github.com/ocellus/ocellus/internal/statefile"
)

// mosquitto is the real peer of these tests.
type mosquitto struct {
	t       testing.TB
	dir     string
	address string
	process *exec.Cmd
}

// newMosquitto writes the configuration and starts a broker; lines are added to it.
func newMosquitto(t testing.TB, lines ...string) *mosquitto {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path = "/usr/sbin/mosquitto"; !exists(path) {
			t.Skip("mosquitto is not installed: scripts/setup test")
		}
	}
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mosquitto{t: t, dir: t.TempDir(), address: in.Addr().String()}
	_, port, _ := net.SplitHostPort(m.address)
	_ = in.Close()
	lines = append([]string{"listener " + port + " 127.0.0.1", "user root"}, lines...)
	config := filepath.Join(m.dir, "mosquitto.conf")
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.process = exec.Command(path, "-c", config)
	m.start()
	t.Cleanup(m.kill)
	return m
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func (m *mosquitto) start() {
	m.t.Helper()
	m.process = exec.Command(m.process.Path, m.process.Args[1:]...)
	if err := m.process.Start(); err != nil {
		m.t.Fatal(err)
	}
	eventually(m.t, "mosquitto listens", func() bool {
		c, err := net.Dial("tcp", m.address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (m *mosquitto) kill() {
	if m.process.ProcessState == nil {
		_ = m.process.Process.Kill()
		_ = m.process.Wait()
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, fine func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for !fine() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("never: %s", what)
		}
	}
}

// place is a whole camera: the world with a queue and a session.
type place struct {
	*world
	queue   *Queue
	session *Session
	mu      sync.Mutex // guards config and version
	config  Config
	version uint64
	stop    func()
	bridge  Bridge
	again   time.Duration // Session's; zero: short
}

func newPlace(t testing.TB, config Config) *place {
	t.Helper()
	p := &place{world: newWorld(t), config: config}
	p.clock.real = true
	events := statefile.Directory{Path: filepath.Join(t.TempDir(), "events")}
	q, err := OpenQueue(QueueOptions{Store: events, Clock: p.clock.read,
		Log: quiet(), Camera: func() ([envelope.IDSize]byte, error) {
			id, _, err := p.people.Operational()
			return id, err
		}})
	if err != nil {
		t.Fatal(err)
	}
	p.queue = q
	return p
}

func (p *place) set(edit func(c *Config)) {
	p.mu.Lock()
	edit(&p.config)
	p.mu.Unlock()
	p.session.Changed()
}

// connect runs a session, and returns when it is online.
func (p *place) connect() {
	p.t.Helper()
	p.begin()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.session.Online(ctx); err != nil {
		p.t.Fatalf("%v: %+v", err, p.session.State())
	}
}

func (p *place) begin() {
	p.session = NewSession(SessionOptions{
		Config: func() Config {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.config
		},
		People: p.people, Receiver: p.receiver, Queue: p.queue, Clock: p.clock.read, Log: quiet(), Bridge: p.bridge,
		Audience: func(now time.Time) []ed25519.PublicKey { return p.people.Keys(access.Inspect, now) },
		Report: func(person ed25519.PublicKey) (uint64, []byte) {
			p.mu.Lock()
			defer p.mu.Unlock()
			doc := reportedState{Bitrate: fmt.Sprint(p.version) + "M"}
			if s, ok := p.receiver.Settled(person); ok {
				doc.Desired = &s
			}
			raw, _ := json.Marshal(doc) // texts always can
			return p.version, raw
		},
		FirstTry: time.Millisecond, Again: cmp.Or(p.again, 20*time.Millisecond),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.session.Run(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				p.t.Error(err)
			}
		case <-time.After(time.Minute):
			p.t.Error("the session does not end")
		}
	})
	p.t.Cleanup(p.stop)
}

// reportedState is what a place reports.
type reportedState struct {
	Bitrate string   `json:"bitrate"`
	Desired *Settled `json:"desired,omitempty"`
}

func waitFor(t mqtt.Token) error {
	if !t.WaitTimeout(20 * time.Second) {
		return errors.New("no answer")
	}
	return t.Error()
}

// phone is somebody at the broker.
type phone struct {
	t       testing.TB
	place   *place
	name    string
	client  mqtt.Client
	mu      sync.Mutex // guards the rest
	replies map[[envelope.IDSize]byte][]envelope.Reply
	events  []envelope.Event
	report  envelope.Event
	plain   map[string]string // the last payload of each other topic
}

func newPhone(t testing.TB, p *place, name, address string, change func(o *mqtt.ClientOptions)) *phone {
	t.Helper()
	f := &phone{t: t, place: p, name: name, replies: map[[envelope.IDSize]byte][]envelope.Reply{},
		plain: map[string]string{}}
	listens := make(chan struct{}) // what is told before is nobody's
	heard := sync.OnceFunc(func() { close(listens) })
	o := mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID("phone of " + name).SetCleanSession(true).
		SetConnectRetry(true).SetConnectRetryInterval(20 * time.Millisecond).SetMaxReconnectInterval(50 * time.Millisecond).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { f.take(m) }).
		SetOnConnectHandler(func(c mqtt.Client) {
			if waitFor(c.Subscribe("#", 1, nil)) == nil {
				heard()
			}
		})
	if change != nil {
		change(o)
	}
	f.client = mqtt.NewClient(o)
	if err := waitFor(f.client.Connect()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.client.Disconnect(0) })
	select {
	case <-listens:
	case <-time.After(time.Minute):
		t.Fatalf("%s hears nothing", name)
	}
	return f
}

func (f *phone) take(m mqtt.Message) {
	own, err := envelope.NewOpener(key(f.name))
	if err != nil {
		f.t.Error(err)
		return
	}
	me, topic := public(key(f.name)), envelope.Topic(m.Topic())
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case topic == envelope.ReplyTopic(f.place.camera, me):
		var r envelope.Reply
		if r, err = envelope.OpenReply(topic, m.Payload(), own, f.place.key); err == nil {
			f.replies[r.ID] = append(f.replies[r.ID], r)
		}
	case topic == envelope.EventTopic(f.place.camera, me):
		var e envelope.Event
		if e, err = envelope.OpenEvent(topic, m.Payload(), own, f.place.key); err == nil {
			f.events = append(f.events, e)
		}
	case topic == envelope.ReportedTopic(f.place.camera, me) && len(m.Payload()) > 0:
		f.report, err = envelope.OpenEvent(topic, m.Payload(), own, f.place.key)
	default:
		f.plain[m.Topic()] = string(m.Payload())
	}
	if err != nil {
		f.t.Errorf("%s: %v", topic, err)
	}
}

// call sends a command until it is answered, as a phone does that does not know what got lost.
func (f *phone) call(operation, args string) envelope.Reply {
	f.t.Helper()
	f.place.mu.Lock()
	c := f.place.command(f.name, operation, args)
	f.place.mu.Unlock()
	m := f.place.sealed(f.name, c)
	var sent time.Time
	var last envelope.Reply
	eventually(f.t, operation+" is answered", func() bool {
		if time.Since(sent) > time.Second && f.client.IsConnected() {
			f.client.Publish(string(m.Topic), 1, false, m.Raw)
			sent = time.Now()
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, r := range f.replies[c.ID] {
			last = r
		}
		return last.Code != "" && last.Code != CodeAccepted
	})
	return last
}

func (f *phone) look(topic string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.plain[topic]
}

func (f *phone) told() []envelope.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]envelope.Event{}, f.events...)
}

func (f *phone) reported() envelope.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.report
}

// authority is a certificate authority for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	a.key, a.cert, a.pem, _ = issue(t, "test CA", nil)
	return a
}

// issue makes a key and its certificate, by the authority or, for nil, by itself.
func issue(t testing.TB, name string, by *authority) (*ecdsa.PrivateKey, *x509.Certificate, string, string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: by == nil,
		BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := template, k
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, k.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return k, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// file writes a file that mosquitto reads.
func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// open is a mosquitto that lets everybody in, without TLS.
func openMosquitto(t testing.TB) (*mosquitto, Config) {
	m := newMosquitto(t, "allow_anonymous true")
	c := DefaultConfig()
	c.Broker = "mqtt://" + m.address
	return m, c
}

// TestDoorsOfABroker: TLS with a password, TLS with a client certificate; and what keeps the camera away from a broker.
func TestDoorsOfABroker(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	_, _, cert, certKey := issue(t, "broker", ca)
	_, _, own, ownKey := issue(t, "camera", ca)
	_, _, other, otherKey := issue(t, "camera", newAuthority(t))
	tlsLines := []string{"cafile " + file(t, "ca.pem", ca.pem), "certfile " + file(t, "cert.pem", cert),
		"keyfile " + file(t, "key.pem", certKey), "tls_version tlsv1.2"}
	passwords := file(t, "passwords", "")
	if out, err := exec.Command("mosquitto_passwd", "-b", passwords, "camera", "right").CombinedOutput(); err != nil {
		t.Skipf("mosquitto_passwd is not installed: scripts/setup test: %v %s", err, out)
	}
	byPassword := newMosquitto(t, append(tlsLines, "password_file "+passwords)...)
	byCertificate := newMosquitto(t, append(tlsLines, "require_certificate true", "use_identity_as_username true")...)
	for name, tt := range map[string]struct {
		broker *mosquitto
		change func(c *Config)
		fine   bool
	}{
		"password":       {byPassword, func(c *Config) { c.Username, c.Password = "camera", "right" }, true},
		"wrong password": {byPassword, func(c *Config) { c.Username, c.Password = "camera", "wrong" }, false},
		"no password":    {byPassword, func(c *Config) {}, false},
		"another authority": {byPassword, func(c *Config) {
			c.Username, c.Password, c.CA = "camera", "right", newAuthority(t).pem
		}, false},
		"no TLS": {byPassword, func(c *Config) { c.Broker = "mqtt://" + byPassword.address }, false},
		"another name": {byPassword, func(c *Config) {
			c.Broker = strings.Replace(c.Broker, "127.0.0.1", "localhost", 1)
		}, false},
		"certificate":    {byCertificate, func(c *Config) { c.Certificate, c.Key = own, secret.Secret(ownKey) }, true},
		"no certificate": {byCertificate, func(c *Config) {}, false},
		"certificate of another authority": {byCertificate, func(c *Config) {
			c.Certificate, c.Key = other, secret.Secret(otherKey)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := DefaultConfig()
			c.Broker, c.CA = "mqtts://"+tt.broker.address, ca.pem
			tt.change(&c)
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			p := newPlace(t, c)
			if tt.fine {
				p.connect()
				f := newPhone(t, p, "owner", tt.broker.address, func(o *mqtt.ClientOptions) {
					o.Servers = nil
					pool, _ := c.roots()
					pairs, _ := c.certificates()
					o.AddBroker("ssl://" + tt.broker.address).SetTLSConfig(&tls.Config{RootCAs: pool, Certificates: pairs})
					o.SetUsername(c.Username).SetPassword(c.Password.Reveal())
				})
				if r := f.call("status", ""); r.Code != CodeOK {
					t.Errorf("%+v", r)
				}
				return
			}
			p.begin()
			eventually(t, "a failure", func() bool { return p.session.State().Failures >= 2 })
			if s := p.session.State(); s.Connected || s.Error == "" || strings.Contains(s.Error, "wrong") {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestBroker: commands, presence, reported state and events over a real broker.
func TestBroker(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	p := newPlace(t, c)
	p.version = 1
	grant(t, p.people, "anna", access.Member)
	grant(t, p.people, "kid", access.Watcher)
	p.connect()
	owner, anna := newPhone(t, p, "owner", m.address, nil), newPhone(t, p, "anna", m.address, nil)
	kid := newPhone(t, p, "kid", m.address, nil)
	if r := owner.call("config.set", `{"bitrate":"1M"}`); r.Code != CodeOK || string(r.Result) != `{"fine":true}` {
		t.Errorf("%+v", r)
	}
	if r := anna.call("config.set", `{"bitrate":"9M"}`); r.Code != CodeDenied {
		t.Errorf("%+v", r)
	}
	state := string(envelope.StateTopic(p.camera))
	eventually(t, "online", func() bool { return strings.Contains(owner.look(state), `"online"`) })
	for _, f := range []*phone{owner, anna} {
		eventually(t, "reported", func() bool { return f.reported().Seq == 1 })
	}
	p.mu.Lock()
	p.version = 2
	p.mu.Unlock()
	p.session.Reported()
	eventually(t, "reported again", func() bool { return string(owner.reported().Detail) == `{"bitrate":"2M"}` })
	p.queue.Tell(Alarm, "motion", map[string]int{"zone": 3})
	for _, f := range []*phone{owner, anna} {
		eventually(t, "told", func() bool { return len(f.told()) == 1 && f.told()[0].Name == "motion" })
	}
	if len(kid.told()) > 0 || kid.reported().Seq > 0 {
		t.Error("a viewer is told what he may not know")
	}
	p.stop()
	eventually(t, "offline", func() bool { return strings.Contains(owner.look(state), `"offline"`) })
}

// TestStrangeStates: a will of an old session that comes late, and another who says that it is this camera.
func TestStrangeStates(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	p := newPlace(t, c)
	p.connect()
	f := newPhone(t, p, "owner", m.address, nil)
	state := string(envelope.StateTopic(p.camera))
	eventually(t, "online", func() bool { return strings.Contains(f.look(state), `"online"`) })
	online := f.look(state)
	for _, said := range []string{`{"state":"offline","session":"OLD"}`, "junk", `{"state":"online","session":"OTHER"}`} {
		f.client.Publish(state, 1, true, said).Wait()
		eventually(t, "online again", func() bool { return f.look(state) == online })
	}
	eventually(t, "the owner is told", func() bool {
		e := f.told()
		return len(e) == 1 && e[0].Class == string(Security) && e[0].Name == "session.duplicate"
	})
}

// TestWill: a camera that loses its power is offline, by the will of its session.
func TestWill(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	proxy := newProxy(t, m.address)
	c.Broker = "mqtt://" + proxy.address
	p := newPlace(t, c)
	p.connect()
	f := newPhone(t, p, "owner", m.address, nil)
	state := string(envelope.StateTopic(p.camera))
	eventually(t, "online", func() bool { return strings.Contains(f.look(state), `"online"`) })
	first := f.look(state)
	proxy.refuse(true)
	proxy.cut()
	eventually(t, "offline", func() bool { return f.look(state) == strings.Replace(first, "online", "offline", 1) })
	proxy.refuse(false)
	eventually(t, "online", func() bool { return strings.Contains(f.look(state), `"online"`) })
	if f.look(state) == first {
		t.Error("the new session has the old one's nonce")
	}
}

// TestSameID: another client with the camera's id throws it out again and again; the owner is told.
func TestSameID(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	p := newPlace(t, c)
	p.connect()
	owner := newPhone(t, p, "owner", m.address, nil)
	thief := func() {
		o := mqtt.NewClientOptions().AddBroker("tcp://" + m.address).SetAutoReconnect(false).
			SetClientID(strings.TrimPrefix(envelope.Camera(p.camera), "ocellus/1/"))
		k := mqtt.NewClient(o)
		_ = waitFor(k.Connect())
		k.Disconnect(0)
	}
	eventually(t, "it is noticed", func() bool {
		if p.session.State().Connected {
			thief()
		}
		return len(p.queue.Since(0)) > 0
	})
	eventually(t, "the owner is told", func() bool {
		e := owner.told()
		return len(e) > 0 && e[0].Name == "session.duplicate"
	})
}

// TestUnbound: when the owner is gone, every trace of him at the broker is, too.
func TestUnbound(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	p := newPlace(t, c)
	p.version = 1
	p.connect()
	f := newPhone(t, p, "owner", m.address, nil)
	eventually(t, "reported", func() bool { return f.reported().Seq == 1 })
	if _, err := p.people.Disown(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end", func() bool { return !p.session.State().Connected })
	late := newPhone(t, p, "anna", m.address, nil)
	late.client.Publish("last", 1, true, "x").Wait()
	eventually(t, "what is retained", func() bool { return late.look("last") == "x" })
	late.mu.Lock()
	defer late.mu.Unlock()
	for topic, payload := range late.plain {
		if strings.HasPrefix(topic, "ocellus/") && payload != "" {
			t.Errorf("%s is left: %s", topic, payload)
		}
	}
}
