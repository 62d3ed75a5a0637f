package control

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/envelope"
)

// proxy stands between the camera and the broker and does harm: it cuts connections, holds bytes back, says messages
// twice, lets everything go silent.
type proxy struct {
	address string
	mu      sync.Mutex // guards the rest
	open    map[net.Conn]bool
	no      bool // connections are refused
	silent  bool // nothing passes, nothing is closed: half-open
	twice   bool // each message for the camera comes twice
	doubled int  // those that did
	slow    time.Duration
	in      net.Listener
	all     sync.WaitGroup
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: in.Addr().String(), open: map[net.Conn]bool{}, in: in}
	p.all.Go(func() {
		for {
			c, err := in.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.carry(c, to) })
		}
	})
	t.Cleanup(func() {
		_ = in.Close()
		p.set(func() { p.silent = false })
		p.cut()
		p.all.Wait()
	})
	return p
}

func (p *proxy) set(edit func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	edit()
}

func (p *proxy) refuse(no bool) { p.set(func() { p.no = no }) }

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // as a cable that is pulled: no FIN, no DISCONNECT
		}
		_ = c.Close()
	}
}

func (p *proxy) carry(from net.Conn, to string) {
	p.mu.Lock()
	no := p.no
	p.mu.Unlock()
	there, err := net.Dial("tcp", to)
	if err != nil || no {
		_ = from.Close()
		if err == nil {
			_ = there.Close()
		}
		return
	}
	p.set(func() { p.open[from], p.open[there] = true, true })
	var both sync.WaitGroup
	both.Go(func() { p.pipe(there, from) })
	both.Go(func() { p.pipe(from, &repeating{Conn: there, p: p}) })
	both.Wait()
	p.set(func() { delete(p.open, from); delete(p.open, there) })
}

func (p *proxy) pipe(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 512)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		slow := p.slow
		p.mu.Unlock()
		if slow > 0 {
			<-time.After(rand.N(slow))
		}
		for p.isSilent() {
			<-time.After(time.Millisecond)
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// repeating reads whole packets of a broker, and messages twice while the proxy says so.
type repeating struct {
	net.Conn
	p     *proxy
	ready bytes.Buffer
}

func (r *repeating) Read(b []byte) (int, error) {
	if r.ready.Len() == 0 {
		packet, err := packets.ReadPacket(r.Conn)
		if err != nil {
			return 0, err
		}
		times := 1
		r.p.set(func() {
			if _, message := packet.(*packets.PublishPacket); message && r.p.twice {
				times = 2
				r.p.doubled++
			}
		})
		for range times {
			if err := packet.Write(&r.ready); err != nil {
				return 0, err
			}
		}
	}
	return r.ready.Read(b)
}

func (p *proxy) isSilent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.silent
}

// storm cuts, delays, repeats and silences thirty times, or until the function that it returns is called. Behind it the
// line is as fast as before: one that stayed slow would carry less than is said, and never catch up.
func (p *proxy) storm() (calm func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer p.set(func() { p.slow, p.twice = 0, false })
		for i := range 30 {
			select {
			case <-stop:
				return
			case <-time.After(rand.N(300 * time.Millisecond)):
			}
			switch i % 4 {
			case 0:
				p.cut()
			case 1:
				p.set(func() { p.slow, p.twice = rand.N(30*time.Millisecond), true })
			case 3:
				p.set(func() { p.twice = false })
			case 2:
				p.set(func() { p.silent = true })
				<-time.After(rand.N(200 * time.Millisecond))
				p.set(func() { p.silent = false })
			}
		}
	}()
	return sync.OnceFunc(func() { close(stop); <-ended })
}

// TestRulesInStorm: the whole suite of what a message may be wrong in, over a real broker and a line that is cut, slow,
// silent, and says things twice by turns, each message again and again as phones and brokers do. The verdicts are the
// same; what is right is done once.
func TestRulesInStorm(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	for name, tt := range rules() {
		if name == "no owner" {
			continue // a camera without an owner has no session
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := newProxy(t, m.address)
			c := c
			c.Broker = "mqtt://" + proxy.address
			p := newPlace(t, c)
			p.clock.real = false
			grant(t, p.people, "anna", access.Member)
			said := tt.spoken(p.world)
			if tt.setUp != nil {
				tt.setUp(p.world)
			}
			sender := newPhone(t, p, tt.who, m.address, func(o *mqtt.ClientOptions) { o.SetClientID(t.Name()) })
			say := func() { sender.client.Publish(string(said.Topic), 1, said.Retained, said.Raw) }
			if said.Retained {
				say() // a live one is none that the broker kept
			}
			p.connect()
			calm := proxy.storm()
			defer calm()
			p.verdict(sender, tt, said, say)
			calm()
			if done := p.table.list(); len(done) > 1 || (len(done) == 1) != (tt.code == CodeOK) {
				t.Errorf("done: %v", done)
			}
		})
	}
}

// verdict says a message until it is judged, and looks whether that is right. What is not at a topic of the camera's
// never comes to it. A command that comes again while it is being done has an answer of its own before the verdict.
func (p *place) verdict(sender *phone, tt rule, said Message, say func()) {
	p.t.Helper()
	ours := strings.HasPrefix(string(said.Topic), envelope.Camera(p.camera)+"/")
	var last time.Time
	times := 0
	eventually(p.t, tt.code, func() bool {
		if !said.Retained && sender.client.IsConnected() && time.Since(last) > 300*time.Millisecond {
			say()
			last = time.Now()
			times++
		}
		sender.mu.Lock()
		defer sender.mu.Unlock()
		for _, replies := range sender.replies {
			for _, r := range replies {
				if r.Code == CodeAccepted && tt.runs() {
					continue
				}
				if !tt.answered || r.Code != tt.code && r.Code != CodeReplay && r.Code != CodeRateLimited {
					p.t.Errorf("answered %s", r.Code)
				}
				lost := r.Code == CodeReplay && p.receiver.Refusals()[tt.code] > 0 // the answer that said so first
				if r.Code == tt.code || lost {
					return true
				}
			}
		}
		return !tt.answered && (p.receiver.Refusals()[tt.code] > 0 || !ours && times > 3)
	})
}

// TestChaos: delays, cuts at any byte, messages that come twice, half-open connections. Each command is done once and
// answered, in the end; each event is told at least once, in numbers without a gap.
func TestChaos(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	proxy := newProxy(t, m.address)
	c.Broker, c.KeepAlive = "mqtt://"+proxy.address, 5*time.Second
	p := newPlace(t, c)
	grant(t, p.people, "anna", access.Member)
	p.connect()
	owner := newPhone(t, p, "owner", m.address, nil)
	var want []string
	const times = 15
	say := func(i int) {
		p.queue.Tell(Alarm, fmt.Sprint("motion ", i), i)
		if r := owner.call("config.set", fmt.Sprintf(`{"bitrate":"%dM"}`, i)); r.Code != CodeOK {
			t.Errorf("%d: %s %s", i, r.Code, r.Text)
		}
		want = append(want, fmt.Sprintf("owner config.set %dM", i))
	}
	proxy.set(func() { proxy.twice = true })
	say(0) // a quick machine is through with the others before the storm repeats anything
	calm := proxy.storm()
	for i := 1; i < times; i++ {
		say(i)
	}
	calm()
	if done := p.table.list(); !slices.Equal(done, want) {
		t.Errorf("done %v", done)
	}
	proxy.set(func() {
		if proxy.doubled == 0 {
			t.Error("nothing came twice")
		}
	})
	eventually(t, "every event is told", func() bool {
		seen := map[uint64]bool{}
		for _, e := range owner.told() {
			if strings.HasPrefix(e.Name, "motion") {
				seen[e.Seq] = true
			}
		}
		return len(seen) == times
	})
}

// TestOutage: the broker goes away and comes back with nothing remembered; what happened meanwhile is told.
func TestOutage(t *testing.T) {
	t.Parallel()
	m, c := openMosquitto(t)
	p := newPlace(t, c)
	p.version = 7
	p.connect()
	m.kill()
	eventually(t, "lost", func() bool { return !p.session.State().Connected })
	for i := range 30 {
		p.queue.Tell(Alarm, fmt.Sprint(i), nil)
	}
	m.start()
	f := newPhone(t, p, "owner", m.address, nil)
	eventually(t, "told", func() bool { return len(f.told()) >= 30 })
	eventually(t, "reported", func() bool { return f.reported().Seq == 7 })
}
