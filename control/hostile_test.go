package control

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/ocellus/ocellus/codec/envelope"
)

// villain is a broker that does what it likes. It records every byte of the camera.
type villain struct {
	t       testing.TB
	address string
	in      net.Listener
	all     sync.WaitGroup
	// say is what it does with a connection once the camera has subscribed.
	say func(conn net.Conn)

	mu     sync.Mutex // guards the rest
	seen   bytes.Buffer
	got    []*packets.PublishPacket
	wanted []string // the filters that the camera subscribed to
	// deaf tells what it does not answer; nil: it answers everything.
	deaf func(p packets.ControlPacket) bool
}

func newVillain(t testing.TB, say func(conn net.Conn)) *villain {
	t.Helper()
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &villain{t: t, address: in.Addr().String(), in: in, say: say}
	v.all.Go(func() {
		for {
			conn, err := in.Accept()
			if err != nil {
				return
			}
			v.all.Go(func() {
				defer conn.Close()
				v.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = in.Close()
		v.all.Wait()
	})
	return v
}

func (v *villain) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen.Write(p)
}

// serve plays a broker as far as a camera needs one.
func (v *villain) serve(conn net.Conn) {
	from := io.TeeReader(conn, v)
	var saying sync.WaitGroup
	defer saying.Wait()
	for {
		p, err := packets.ReadPacket(from)
		if err != nil {
			return
		}
		if v.ignores(p) {
			continue
		}
		switch p := p.(type) {
		case *packets.ConnectPacket:
			_ = packets.NewControlPacket(packets.Connack).Write(conn)
		case *packets.SubscribePacket:
			v.mu.Lock()
			v.wanted = append(v.wanted, p.Topics...)
			v.mu.Unlock()
			ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket) //nolint:errcheck // its type
			ack.MessageID, ack.ReturnCodes = p.MessageID, []byte{1}
			_ = ack.Write(conn)
		case *packets.PublishPacket:
			v.mu.Lock()
			v.got = append(v.got, p)
			first := len(v.got) == 1
			v.mu.Unlock()
			if p.Qos > 0 {
				ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket) //nolint:errcheck // its type
				ack.MessageID = p.MessageID
				_ = ack.Write(conn)
			}
			if first || strings.HasSuffix(p.TopicName, "/state") && v.say != nil {
				saying.Go(func() { v.say(conn) })
			}
		case *packets.PingreqPacket:
			_ = packets.NewControlPacket(packets.Pingresp).Write(conn)
		case *packets.DisconnectPacket:
			return
		}
	}
}

func (v *villain) ignores(p packets.ControlPacket) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.deaf != nil && v.deaf(p)
}

func (v *villain) published() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.got)
}

// TestHostileBroker: the broker has recorded real commands, of the past and of now, and does everything with them. One
// of them has an effect: the one that is new, once. Nothing about the home or the picture passes by readably.
func TestHostileBroker(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex // guards tape
	var tape []Message
	var once sync.Once
	finished := make(chan struct{})
	v := newVillain(t, func(conn net.Conn) {
		once.Do(func() {
			defer close(finished)
			mu.Lock()
			defer mu.Unlock()
			for i := range 2000 {
				_ = attack(tape, i).Write(conn)
			}
		})
	})
	c := DefaultConfig()
	c.Broker = "mqtt://" + v.address
	p := newPlace(t, c)
	p.clock.real = false
	p.clock.set(noon, true)
	old := p.command("owner", "config.set", `{"bitrate":"8M"}`)
	old.Issued, old.Expires = noon.Add(-time.Hour), noon.Add(-time.Hour+time.Minute)
	stranger := p.command("stranger", "config.set", `{"bitrate":"7M"}`)
	used := p.command("owner", "config.set", `{"bitrate":"6M"}`)
	fresh := p.command("owner", "config.set", `{"bitrate":"5M"}`)
	if code, _ := p.ask("owner", p.sealed("owner", used)); code != CodeOK {
		t.Fatal(code)
	}
	tape = []Message{p.sealed("owner", old), p.sealed("stranger", stranger), p.sealed("owner", used),
		p.sealed("owner", fresh)}
	p.queue.Tell(Alarm, "motion in the nursery", map[string]string{"person": "grandmother"})
	p.version = 3
	p.begin()
	<-finished
	eventually(t, "the new command is done", func() bool { return len(p.table.list()) >= 2 })
	eventually(t, "answers and events", func() bool { return v.published() >= 4 })
	p.stop()
	for _, deed := range p.table.list() {
		if deed != "owner config.set 6M" && deed != "owner config.set 5M" {
			t.Errorf("the broker got an effect: %s", deed)
		}
	}
	if n := len(p.table.list()); n != 2 {
		t.Errorf("%d effects: %v", n, p.table.list())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, word := range []string{"motion", "nursery", "grandmother", "bitrate", "config", "alarm", "security",
		"fine"} {
		if bytes.Contains(v.seen.Bytes(), []byte(word)) {
			t.Errorf("%q is there to be read", word)
		}
	}
	tree := envelope.Camera(p.camera) + "/"
	for _, m := range v.got {
		if !strings.HasPrefix(m.TopicName, tree) {
			t.Errorf("published at %s, outside of its tree", m.TopicName)
		}
	}
	for _, filter := range v.wanted {
		if !strings.HasPrefix(filter, tree) {
			t.Errorf("subscribed to %s, outside of its tree", filter)
		}
	}
}

// attack is the i-th thing that the broker does with what it has recorded.
func attack(tape []Message, i int) *packets.PublishPacket {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	m := tape[r.IntN(len(tape))]
	p := publish(string(m.Topic), byte(r.IntN(3)), uint16(i+1), string(m.Raw))
	switch r.IntN(8) {
	case 0: // as it was
	case 1:
		p.Retain = true
	case 2:
		p.Payload[r.IntN(len(p.Payload))] ^= 1 << r.IntN(8)
	case 3:
		p.Payload = p.Payload[:r.IntN(len(p.Payload))]
	case 4:
		p.TopicName = strings.Replace(p.TopicName, "/cmd/", "/desired/", 1)
		p.Retain = r.IntN(2) == 0
	case 5:
		p.TopicName = string(tape[r.IntN(len(tape))].Topic)
	case 6:
		p.Payload = append(p.Payload, p.Payload...)
	case 7:
		parts := strings.Split(p.TopicName, "/")
		p.TopicName = strings.Join(parts[:3], "/") + []string{"/state", "/rsp/x", "/cmd", "/ha/restart/set"}[r.IntN(4)]
	}
	return p
}

// FuzzSession: a broker sends any bytes after the camera has connected. The session goes on or ends, and so does the
// camera: nothing is done, nothing panics.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0x90, 4, 0, 1, 0, 0}, false)
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}, true)
	f.Add([]byte{0x20, 2, 0, 0, 0x20, 2, 0, 0, 0x40, 2, 0, 1, 0x62, 2, 0, 9, 0xd0, 0}, false)
	f.Fuzz(func(t *testing.T, raw []byte, early bool) {
		in, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		served := make(chan struct{})
		go func() {
			defer close(served)
			conn, err := in.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			if _, err := packets.ReadPacket(conn); err != nil {
				return
			}
			if !early {
				_ = packets.NewControlPacket(packets.Connack).Write(conn)
			}
			_, _ = conn.Write(raw)
		}()
		c := DefaultConfig()
		c.Broker = "mqtt://" + in.Addr().String()
		p := newPlace(t, c)
		p.begin()
		<-served
		eventually(t, "the connection ends", func() bool { return p.session.State().Failures > 0 })
		p.stop()
		if done := p.table.list(); len(done) > 0 {
			t.Errorf("done: %v", done)
		}
	})
}

// FuzzConversation: a broker lets the camera in and then sends any packets in any order: three bytes of the script are
// one. What the owner once asked is among them, and is not done again.
func FuzzConversation(f *testing.F) {
	f.Add([]byte{3, 0, 0x10, 3, 1, 0x42, 4, 9, 0, 13, 0, 0, 3, 3, 0x33, 14, 0, 0})
	f.Add([]byte{2, 2, 0, 9, 3, 0, 11, 2, 0, 5, 2, 0, 6, 2, 2, 7, 2, 0, 3, 2, 0x21, 3, 4, 0x11})
	f.Add([]byte{1, 5, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		script = script[:min(len(script), 300)]
		said := make(chan struct{})
		var once sync.Once
		var used Message
		v := newVillain(t, func(conn net.Conn) {
			once.Do(func() {
				defer close(said)
				defer conn.Close()
				for ; len(script) >= 3; script = script[3:] {
					if _, err := conn.Write(anyPacket(script[0], script[1], script[2], used)); err != nil {
						return
					}
				}
			})
		})
		c := DefaultConfig()
		c.Broker = "mqtt://" + v.address
		p := newPlace(t, c)
		p.clock.real = false
		used = p.sealed("owner", p.command("owner", "config.set", `{"bitrate":"6M"}`))
		if code, _ := p.ask("owner", used); code != CodeOK {
			t.Fatal(code)
		}
		p.begin()
		<-said
		eventually(t, "the connection ends", func() bool { return p.session.State().Failures > 0 })
		p.stop()
		if done := p.table.list(); len(done) != 1 {
			t.Errorf("done: %v", done)
		}
	})
}

// anyPacket is a packet of each kind there is, whoever may send it: a PUBLISH at a topic that means something, and of the
// others whatever the bytes say.
func anyPacket(kind, a, b byte, used Message) []byte {
	kind &= 0x0f
	if kind != packetPUBLISH {
		body := []byte{a >> 4, a, b, a, b}[:a%6]
		return append([]byte{kind<<4 | b&0x0f, byte(len(body))}, body...)
	}
	tree, _, _ := strings.Cut(string(used.Topic), "/cmd/")
	topic := []string{string(used.Topic), tree + "/cmd/x", strings.Replace(string(used.Topic), "/cmd/", "/desired/", 1),
		tree + "/state", tree + "/ha/restart/set", "elsewhere"}[a%6]
	said := []string{string(used.Raw), string(used.Raw[:len(used.Raw)/2]), "", `{"state":"online","session":"x"}`}[b>>4&3]
	p := publish(topic, b>>1&3, uint16(b>>3)+1, said)
	p.Retain, p.Dup = b&1 != 0, b>>3&1 != 0
	var raw bytes.Buffer
	_ = p.Write(&raw) // to memory
	return raw.Bytes()
}
