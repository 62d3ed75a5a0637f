package lab

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// hostileBroker is a real broker in the hands of somebody who owns it: everything between it and the camera goes through
// him. He records both ways, and puts packets of his own in the camera's way.
type hostileBroker struct {
	t       *testing.T
	address string
	real    string // the honest broker behind it
	all     sync.WaitGroup

	mu    sync.Mutex // guards the rest
	seen  bytes.Buffer
	said  []*packets.PublishPacket // by the camera
	tape  []*packets.PublishPacket // for the camera
	wants []string                 // the filters that the camera subscribed to
	lines []*hostileLine           // of the camera
}

// hostileLine is a connection to the camera.
type hostileLine struct {
	net.Conn
	mu sync.Mutex // one packet at a time
}

func (l *hostileLine) send(p packets.ControlPacket) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.Write(l.Conn)
}

func newHostileBroker(t *testing.T, broker string) *hostileBroker {
	t.Helper()
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hostileBroker{t: t, address: "mqtt://" + in.Addr().String(), real: strings.TrimPrefix(broker, "mqtt://")}
	h.all.Go(func() {
		for {
			conn, err := in.Accept()
			if err != nil {
				return
			}
			h.all.Go(func() { h.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = in.Close()
		h.mu.Lock()
		for _, l := range h.lines {
			_ = l.Close()
		}
		h.mu.Unlock()
		h.all.Wait()
	})
	return h
}

// Write records what the camera sends, byte by byte.
func (h *hostileBroker) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen.Write(p)
}

// foreign is where the identifiers of his own packets begin: the broker behind him does not know them.
const foreign = 40_000

// serve carries packets both ways.
func (h *hostileBroker) serve(conn net.Conn) {
	defer conn.Close()
	there, err := net.Dial("tcp", h.real)
	if err != nil {
		return
	}
	line := &hostileLine{Conn: conn}
	h.mu.Lock()
	h.lines = append(h.lines, line)
	h.mu.Unlock()
	var down sync.WaitGroup
	down.Go(func() {
		defer conn.Close()
		for {
			p, err := packets.ReadPacket(there)
			if err != nil {
				return
			}
			if m, ok := p.(*packets.PublishPacket); ok && len(m.Payload) > 0 &&
				(strings.Contains(m.TopicName, "/cmd/") || strings.Contains(m.TopicName, "/desired/")) {
				h.mu.Lock()
				h.tape = append(h.tape, m.Copy())
				h.mu.Unlock()
			}
			if line.send(p) != nil {
				return
			}
		}
	})
	h.up(io.TeeReader(conn, h), there)
	_ = there.Close()
	down.Wait()
}

func (h *hostileBroker) up(camera io.Reader, there net.Conn) {
	for {
		p, err := packets.ReadPacket(camera)
		if err != nil {
			return
		}
		if ack, ok := p.(*packets.PubackPacket); ok && ack.MessageID >= foreign {
			continue
		}
		if m, ok := p.(*packets.PublishPacket); ok {
			h.mu.Lock()
			h.said = append(h.said, m.Copy())
			h.mu.Unlock()
		}
		if s, ok := p.(*packets.SubscribePacket); ok {
			h.mu.Lock()
			h.wants = append(h.wants, s.Topics...)
			h.mu.Unlock()
		}
		if p.Write(there) != nil {
			return
		}
	}
}

// attack puts a packet in the camera's way.
func (h *hostileBroker) attack(p *packets.PublishPacket) {
	h.mu.Lock()
	line := h.lines[len(h.lines)-1]
	h.mu.Unlock()
	_ = line.send(p) // a camera that hangs up comes again
}

// tree is the camera's.
func (h *hostileBroker) tree() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.said {
		if tree, ok := strings.CutSuffix(m.TopicName, "/state"); ok && strings.Count(tree, "/") == 2 {
			return tree + "/"
		}
	}
	return ""
}

// evil is the i-th thing that he does with what he has.
func (h *hostileBroker) evil(i int, tree string) *packets.PublishPacket {
	r := rand.New(rand.NewPCG(7, uint64(i))) //nolint:gosec // to be repeatable
	h.mu.Lock()
	p := h.tape[r.IntN(len(h.tape))].Copy()
	h.mu.Unlock()
	p.Payload = bytes.Clone(p.Payload)
	p.Qos, p.MessageID = byte(r.IntN(2)), uint16(foreign+i%20_000) //nolint:gosec // small
	plain := func(topic, payload string) { p.TopicName, p.Payload = topic, []byte(payload) }
	switch r.IntN(9) {
	case 0: // as it was
	case 1:
		p.Retain = true
	case 2:
		p.Payload[r.IntN(len(p.Payload))] ^= 1 << r.IntN(8)
	case 3:
		p.Payload = p.Payload[:r.IntN(len(p.Payload))]
	case 4:
		p.TopicName = strings.NewReplacer("/cmd/", "/desired/", "/desired/", "/cmd/").Replace(p.TopicName)
		p.Retain = r.IntN(2) == 0
	case 5:
		p.Payload = append(p.Payload, p.Payload...)
	case 6:
		plain(tree+"state", []string{`{"state":"offline","session":"x"}`, `{"state":"online","session":"y"}`, ""}[r.IntN(3)])
	case 7:
		action := []string{"bitrate", "snapshot", "identify", "restart", "install"}[r.IntN(5)]
		plain(tree+"ha/"+action+"/set", []string{"3M", "17M", "press", "install"}[r.IntN(4)])
	case 8:
		action := []string{"privacy", "config", "reboot", "viewer.add", "stream.stop", "../cmd"}[r.IntN(6)]
		plain(tree+"ha/"+action+"/set", []string{"OFF", `{"log":"debug"}`, "press"}[r.IntN(3)])
	}
	return p
}

// useBridge does what the list allows, to show that the rest is refused for a reason.
func (h *hostileBroker) useBridge(a *agent, tree string) {
	h.t.Helper()
	for action, value := range map[string]string{"bitrate": "3M", "snapshot": "press"} {
		p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket) //nolint:errcheck // its type
		p.TopicName, p.Payload = tree+"ha/"+action+"/set", []byte(value)
		h.attack(p)
	}
	until(h.t, 20*time.Second, "what the bridge allows is done", func() bool {
		<-time.After(100 * time.Millisecond) // no faster than a camera lets anybody ask
		h.mu.Lock()
		picture := slices.ContainsFunc(h.said, func(m *packets.PublishPacket) bool { return m.TopicName == tree+"ha/picture" })
		h.mu.Unlock()
		return picture && strings.Contains(a.call(h.t, "get", "prefix=streams.main.bitrate").out, `"3M"`)
	})
}

// standing is what a stranger must not change.
type standing struct {
	config          map[string]string
	viewers, grants string
	uptime          float64
}

func (a *agent) standing(t *testing.T) (s standing) {
	t.Helper()
	var doc struct {
		Config map[string]string
		Uptime float64 `json:"uptime_seconds"`
	}
	for _, operation := range []string{"get", "status"} {
		r := a.call(t, operation)
		if err := json.Unmarshal([]byte(r.out), &doc); err != nil {
			t.Fatalf("%s: %v %s", operation, err, r.errs)
		}
	}
	return standing{doc.Config, a.call(t, "viewer.list").out, a.call(t, "grant.list").out, doc.Uptime}
}

// TestHostileBroker: whoever owns the broker of the built agent records, replays, reorders, rewrites and invents
// everything, with the bridge for Home Assistant off and on. Off, nothing comes of it. On, at most what the list allows:
// the bit rate, the lamp, a snapshot. What passes by tells nothing that the bridge was not told to tell.
func TestHostileBroker(t *testing.T) {
	t.Parallel()
	for _, bridge := range []string{"false", "true"} {
		t.Run("bridge "+bridge, func(t *testing.T) {
			t.Parallel()
			a := startAgent(t, agentOptions{})
			honest := mosquitto(t)
			h := newHostileBroker(t, honest)
			r := a.call(t, "set", "control.broker="+h.address, "control.home_assistant.enabled="+bridge)
			if r.code != 0 {
				t.Fatal(r.errs)
			}
			a.reached(t, "--broker", honest)
			for _, words := range [][]string{{"snapshot", "-o", filepath.Join(t.TempDir(), "p.jpg")}, {"logs"},
				{"set", "streams.sub.bitrate=300k"}, {"stream.stop", "stream=sub"}, {"stream.start", "stream=sub"},
				{"set", "streams.sub.bitrate=412345"}, {"viewer.add", "name=grandmother"}} {
				if r := a.call(t, append(words, "--broker", honest)...); r.code != 0 {
					t.Fatalf("%s: %s", words, r.errs)
				}
			}
			for _, left := range []string{"streams.sub.gop_seconds=3", "streams.sub.gop_seconds=4"} {
				if r := (desirer{a.home, honest}).desires(t, left); r.code != 0 {
					t.Fatalf("%s: %s", left, r.errs)
				}
			}
			was, tree := a.standing(t), h.tree()
			if bridge == "true" {
				h.useBridge(a, tree)
			}
			for i := range 2000 {
				h.attack(h.evil(i, tree))
			}
			a.reached(t, "--broker", honest)
			a.unmoved(t, was, bridge == "true")
			h.tellsNothing(tree, bridge == "true")
		})
	}
}

// unmoved says what changed that must not.
func (a *agent) unmoved(t *testing.T, was standing, bridge bool) {
	t.Helper()
	is := a.standing(t)
	if bridge {
		was.config["streams.main.bitrate"] = is.config["streams.main.bitrate"]
	}
	for key, value := range is.config {
		if was.config[key] != value {
			t.Errorf("%s went from %q to %q", key, was.config[key], value)
		}
	}
	if is.viewers != was.viewers || is.grants != was.grants {
		t.Errorf("people: %s %s, were %s %s", is.viewers, is.grants, was.viewers, was.grants)
	}
	if is.uptime < was.uptime {
		t.Error("the camera restarted")
	}
	if s, r := watch(t, time.Second, a.url("main")); r.code != 0 || !s.whole() {
		t.Errorf("the stream afterwards: %+v %s", s, r.errs)
	}
	if r := a.call(t, "events"); !strings.Contains(r.out, `"command.refused"`) {
		t.Errorf("the owner is not told: %s", r.out)
	}
}

// jpegHead is how the pictures begin: SOI and DQT (ITU-T T.81, B.1.1.3), longer than chance makes in what is sealed.
const jpegHead = "\xff\xd8\xff\xdb\x00\x84"

// tellsNothing looks for words in what the camera said, and for topics that are not its own.
func (h *hostileBroker) tellsNothing(tree string, bridge bool) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	words := []string{jpegHead, "bitrate", "412345", "grandmother", "streams", "viewer", "session.", "refused"}
	clear := func(topic string) bool {
		return bridge && (strings.HasPrefix(topic, tree+"ha/") || strings.HasPrefix(topic, "homeassistant/device/"))
	}
	pictures := 0
	for _, m := range h.said {
		if clear(m.TopicName) {
			pictures += bytes.Count(m.Payload[:min(len(jpegHead), len(m.Payload))], []byte(jpegHead))
			continue
		}
		if !strings.HasPrefix(m.TopicName, tree) {
			h.t.Errorf("published at %s, outside of its tree", m.TopicName)
		}
		if i := slices.IndexFunc(words, func(w string) bool { return bytes.Contains(m.Payload, []byte(w)) }); i >= 0 {
			h.t.Errorf("%q is there to be read at %s", words[i], m.TopicName)
		}
	}
	for _, filter := range h.wants {
		if !strings.HasPrefix(filter, tree) && (!bridge || filter != "homeassistant/status") {
			h.t.Errorf("subscribed to %s, outside of its tree", filter)
		}
	}
	if bridge != (pictures > 0) {
		h.t.Errorf("%d pictures in the clear, bridge %v", pictures, bridge)
	}
	for _, w := range words {
		if !bridge && bytes.Contains(h.seen.Bytes(), []byte(w)) {
			h.t.Errorf("%q passes by", w)
		}
	}
}
