package control

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/envelope"
)

// TestClaimBegins: a camera without an owner rests, for however long, and tries its broker in the instant in which it has
// one.
func TestClaimBegins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := DefaultConfig()
		c.Broker = "mqtt://127.0.0.1:1" // refused at once: a try is a failure
		o := unclaimed(t)
		s := NewSession(SessionOptions{Config: func() Config { return c }, People: o, Log: quiet(),
			Clock: func() (time.Time, bool) { return time.Now(), true }})
		done := make(chan error, 1)
		go func() { done <- s.Run(t.Context()) }()
		time.Sleep(time.Hour)
		if st := s.State(); st.Failures > 0 {
			t.Errorf("tried without an owner: %+v", st)
		}
		claimed := time.Now()
		become(t, o, "owner")
		synctest.Wait()
		if took := time.Since(claimed); s.State().Failures != 1 || took > 0 {
			t.Errorf("after %v: %+v", took, s.State())
		}
	})
}

// TestHandedOver: the owner gives the camera away by a command over the broker. He has its answer, what he left is gone,
// and the camera is there under the name that the new owner knows.
func TestHandedOver(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	p := newPlace(t, c)
	p.version = 1
	p.table.part = func() { handOver(t, p.people, "anna") }
	p.connect()
	f := newPhone(t, p, "owner", m.address, nil)
	eventually(t, "reported", func() bool { return f.reported().Seq == 1 })
	if r := f.call("reset", ""); r.Code != CodeOK {
		t.Errorf("answered %s %s", r.Code, r.Text)
	}
	id, own, err := p.people.Operational()
	if err != nil {
		t.Fatal(err)
	}
	old := envelope.Camera(p.camera) + "/"
	next := newPhone(t, &place{world: &world{t: t, camera: id, key: public(own)}}, "anna", m.address, nil)
	eventually(t, "online for the new owner", func() bool {
		return strings.Contains(next.look(string(envelope.StateTopic(id))), `"online"`) && next.reported().Seq == 1
	})
	next.mu.Lock()
	defer next.mu.Unlock()
	for topic, payload := range next.plain {
		if strings.HasPrefix(topic, old) && payload != "" {
			t.Errorf("%s is left: %s", topic, payload)
		}
	}
}

// handOver lets the owner give the camera to somebody.
func handOver(t testing.TB, o *access.Ownership, to string) {
	t.Helper()
	id, _, err := o.Operational()
	if err != nil {
		t.Error(err)
	}
	challenge := o.Challenge()
	given := claim.Claim{Challenge: challenge, Owner: public(key(to)), Proof: claim.ByOwner}
	raw := given.Sign(key(to), nil)
	received, err := claim.ParseClaim(raw)
	if err != nil {
		t.Error(err)
		return
	}
	order := claim.Order{Nonce: o.Ask(), Camera: id, Epoch: challenge.Epoch, Deed: claim.GiveTo, Claim: received.Sum()}
	if _, err := o.HandOver(order.Sign(key("owner")), raw); err != nil {
		t.Error(err)
	}
}

// TestLetIn: whoever is let in has the reported state at once, and whoever is put out has none left.
func TestLetIn(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	p := newPlace(t, c)
	p.version = 3
	p.connect()
	owner, anna := newPhone(t, p, "owner", m.address, nil), newPhone(t, p, "anna", m.address, nil)
	eventually(t, "reported to the owner", func() bool { return owner.reported().Seq == 3 })
	id := grant(t, p.people, "anna", access.Member)
	eventually(t, "reported to who was let in", func() bool { return anna.reported().Seq == 3 })
	hers := string(envelope.ReportedTopic(p.camera, public(key("anna"))))
	eventually(t, "it is retained", func() bool { return owner.look(hers) != "" })
	if err := p.people.Revoke(id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() bool { return owner.look(hers) == "" })
}

// plainBridge fills one topic outside of the camera's tree, as the one for Home Assistant does.
type plainBridge struct{}

func (plainBridge) Filters(HomeAssistantConfig, [envelope.IDSize]byte) []string { return nil }

func (plainBridge) Traces(c HomeAssistantConfig, _ [envelope.IDSize]byte) []string {
	return []string{c.Prefix + "/device/x/config"}
}

func (b plainBridge) Run(ctx context.Context, c HomeAssistantConfig, id [envelope.IDSize]byte, publish Publish) error {
	return publish(b.Traces(c, id)[0], []byte("{}"), true)
}

func (plainBridge) Take(string, []byte, bool) {}

// TestLateTraces: what has to go while the broker is away is gone as soon as it is there again: the bridge's device, the
// state of somebody whose grant was revoked. What stays is there.
func TestLateTraces(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	proxy := newProxy(t, m.address)
	c.Broker, c.HomeAssistant.Enabled = "mqtt://"+proxy.address, true
	p := newPlace(t, c)
	p.bridge = plainBridge{}
	anna := grant(t, p.people, "anna", access.Member)
	p.connect()
	f := newPhone(t, p, "watcher", m.address, nil)
	device := c.HomeAssistant.Prefix + "/device/x/config"
	reported := func(name string) string { return string(envelope.ReportedTopic(p.camera, public(key(name)))) }
	there := func(topics ...string) func() bool {
		return func() bool {
			return !slices.ContainsFunc(topics, func(topic string) bool { return f.look(topic) == "" })
		}
	}
	eventually(t, "all is there", there(device, reported("owner"), reported("anna")))
	proxy.refuse(true)
	proxy.cut()
	eventually(t, "lost", func() bool { return !p.session.State().Connected })
	if err := p.people.Revoke(anna); err != nil {
		t.Fatal(err)
	}
	p.set(func(c *Config) { c.HomeAssistant.Enabled = false })
	proxy.refuse(false)
	eventually(t, "what has to go is gone", func() bool { return f.look(device)+f.look(reported("anna")) == "" })
	eventually(t, "what stays is there", there(reported("owner")))
}

// TestAnotherBroker: a camera that goes to another broker leaves the one before with nothing but that it is gone.
func TestAnotherBroker(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	_, other := openMosquitto(t)
	c.HomeAssistant.Enabled = true
	p := newPlace(t, c)
	p.bridge = plainBridge{}
	p.connect()
	f := newPhone(t, p, "watcher", m.address, nil)
	device, mine := c.HomeAssistant.Prefix+"/device/x/config", string(envelope.ReportedTopic(p.camera, public(key("owner"))))
	eventually(t, "all is there", func() bool { return f.look(device) != "" && f.look(mine) != "" })
	p.set(func(c *Config) { c.Broker = other.Broker })
	state := string(envelope.StateTopic(p.camera))
	eventually(t, "it is gone", func() bool {
		return f.look(device)+f.look(mine) == "" && strings.Contains(f.look(state), `"offline"`)
	})
}
