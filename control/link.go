package control

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/internal/monotime"
)

// errChanged ends a connection because there is another configuration or another owner.
var errChanged = errors.New("changed")

var (
	errOver = errors.New("the connection has ended")
	errLate = errors.New("no answer in time")
)

const (
	patience     = 10 * time.Second       // for the broker to connect, to acknowledge
	farewell     = time.Second            // for a last word; for all of them where the session is to end
	parting      = 200 * time.Millisecond // for the packet behind them that says so
	maxReplies   = 64                     // that wait to be sent; further ones are dropped and counted
	pace         = 20 * time.Millisecond
	afterOutage  = time.Minute      // an outage of this length
	gently       = 10 * time.Second // lets the queue wait for anything up to this
	duplicateFor = 10 * time.Second // a connection that is lost sooner, three times in a row, is somebody else's doing
)

// presence is what the state topic holds, retained. Its keys are wire format.
type presence struct {
	State   string `json:"state"`   // online, offline
	Session string `json:"session"` // random for each connection, the same in its will
}

// link is one connection.
type link struct {
	s      *Session
	config Config
	id     [envelope.IDSize]byte
	key    ed25519.PrivateKey
	nonce  string
	client mqtt.Client
	lost   chan error
	up     context.Context // ends when the connection is lost
	over   context.Context // ends with the connection's work: with up, when the session is to end, or by leave
	leave  context.CancelFunc
	again  bucket // for answers to what is at our state topic
	held   *held
}

// outgoing waits to be sent.
type outgoing struct {
	topic string
	raw   []byte
	state *link // whose state it is: only that one may say it; nil: a reply
}

// connect keeps one connection until it is lost, ctx ends, or something changes (errChanged).
func (s *Session) connect(ctx context.Context, config Config, id [envelope.IDSize]byte, key ed25519.PrivateKey) error {
	u, err := config.server()
	if err != nil {
		return err
	}
	l := &link{s: s, config: config, id: id, key: key, nonce: rand.Text(), lost: make(chan error, 1), held: newHeld()}
	up, down := context.WithCancel(context.WithoutCancel(ctx)) // the last words are said behind the end of ctx
	defer down()
	l.up = up
	l.over, l.leave = context.WithCancel(ctx)
	defer l.leave()
	defer context.AfterFunc(up, l.leave)()
	l.client = mqtt.NewClient(l.options(u, down))
	began := time.Now()
	if err := wait(l.over, l.client.Connect()); err != nil {
		l.client.Disconnect(0)
		return fmt.Errorf("%s: %w", u.Host, err)
	}
	defer l.client.Disconnect(uint(parting.Milliseconds()))
	if time.Since(began) > slowBroker {
		_ = monotime.Pause(ctx, jitter(s.Again/2)) // a connection that is lost meanwhile begin finds out
	}
	began = time.Now()
	if err = l.begin(); err == nil {
		outage := s.connected(u.Host)
		defer s.set(func(st *SessionState) { st.Connected, st.Since = false, time.Now() })
		err = l.live(ctx, outage)
	}
	if ctx.Err() == nil && !errors.Is(err, errChanged) && time.Since(began) < duplicateFor {
		s.soonLost()
	}
	return fmt.Errorf("%s: %w", u.Host, err)
}

// connected notes the connection and says how long there was none.
func (s *Session) connected(host string) (outage time.Duration) {
	before := s.State()
	if !before.Since.IsZero() {
		outage = time.Since(before.Since)
	}
	s.set(func(st *SessionState) {
		*st = SessionState{Broker: host, Connected: true, Since: time.Now(), Dropped: st.Dropped}
	})
	s.Log.Info("broker connected", "broker", host)
	return outage
}

// wait waits for what a token stands for, until ctx ends. The library never ends the tokens of a connection that was
// lost.
func wait(ctx context.Context, t mqtt.Token) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-late.C:
		return errLate
	case <-ctx.Done():
		return errOver
	}
}

// sent calls the library and waits for what comes of it, until ctx ends. A call whose connection ends before its turn to
// be written is held back by the library until the write timeout, ten seconds for nothing. It is left to that: waiting
// for it would keep the camera from its next connection, and from its end. It touches nothing but a client that nobody
// uses any more.
func sent(ctx context.Context, call func() mqtt.Token) (mqtt.Token, error) {
	made := make(chan mqtt.Token, 1)
	go func() { made <- call() }()
	select {
	case t := <-made:
		return t, wait(ctx, t)
	case <-ctx.Done():
		return nil, errOver
	}
}

// options sets the library up: it reconnects nothing by itself, since its tries have no jitter. down is called when the
// connection is lost.
func (l *link) options(u *url.URL, down func()) *mqtt.ClientOptions {
	now := func() time.Time { t, _ := l.s.Clock(); return t }
	o := mqtt.NewClientOptions().AddBroker("tcp://"+u.Host).SetClientID(strings.TrimPrefix(l.topic(""), "ocellus/1/")).
		SetProtocolVersion(4).SetCleanSession(false).SetResumeSubs(false).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(patience).SetWriteTimeout(patience).
		SetKeepAlive(l.config.KeepAlive).SetPingTimeout(patience).SetOrderMatters(true).
		SetBinaryWill(l.topic("/state"), l.presence("offline"), 1, true).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { l.take(m) }).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) {
			select {
			case l.lost <- err:
			default:
			}
			down()
		}).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			conn, err := l.config.dial(u, patience, now)
			if err != nil {
				return nil, err
			}
			context.AfterFunc(l.up, func() { _ = conn.Close() }) // the library keeps one where it waits to be let in
			return newFiltered(conn), nil
		})
	if l.config.Username != "" {
		o.SetUsername(l.config.Username).SetPassword(l.config.Password.Reveal())
	}
	return o
}

// topic is one of the camera's own tree.
func (l *link) topic(end string) string { return envelope.Camera(l.id) + end }

func (l *link) presence(state string) []byte {
	raw, _ := json.Marshal(presence{state, l.nonce}) // strings always can
	return raw
}

// begin subscribes, one filter at a time, and says that the camera is there.
func (l *link) begin() error {
	filters := []string{l.topic("/cmd/+"), l.topic("/desired/+"), l.topic("/state")}
	if l.bridged() {
		filters = append(filters, l.s.Bridge.Filters(l.config.HomeAssistant, l.id)...)
	}
	for _, f := range filters {
		t, err := sent(l.over, func() mqtt.Token { return l.client.Subscribe(f, 1, nil) })
		if err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		if granted, ok := t.(*mqtt.SubscribeToken); !ok || granted.Result()[f] > 2 {
			return fmt.Errorf("the broker does not let us subscribe to %s: look at its access list", f)
		}
	}
	if err := l.publish(l.topic("/state"), l.presence("online"), true); err != nil {
		return err
	}
	return l.tidy()
}

// tidy takes away what an earlier connection left and could not take away itself: the bridge was turned off while the
// broker was not there. What it left of the reported state report sees to.
func (l *link) tidy() error {
	wanted := l.bridgeTraces()
	for _, topic := range wanted {
		l.s.leave(l, topic)
	}
	for _, topic := range l.s.leftBy(l) {
		if slices.Contains(wanted, topic) || strings.HasPrefix(topic, l.topic("/reported/")) {
			continue
		}
		if err := l.publish(topic, nil, true); err != nil {
			return err
		}
		l.s.emptied(topic)
	}
	return nil
}

// bridgeTraces are the topics that the bridge fills; none where it is off.
func (l *link) bridgeTraces() []string {
	if !l.bridged() {
		return nil
	}
	return l.s.Bridge.Traces(l.config.HomeAssistant, l.id)
}

func (l *link) bridged() bool { return l.s.Bridge != nil && l.config.HomeAssistant.Enabled }

// own reports whether a topic is the camera's to publish at: in its tree, or one that the bridge fills or filled.
func (l *link) own(topic string) bool {
	return strings.HasPrefix(topic, l.topic("/")) || slices.Contains(l.bridgeTraces(), topic) ||
		slices.Contains(l.s.leftBy(l), topic)
}

// publish sends with QoS 1 and waits until the broker has it.
func (l *link) publish(topic string, payload []byte, retained bool) error {
	if !l.own(topic) {
		return fmt.Errorf("publish: %s is not ours", topic)
	}
	_, err := sent(l.over, func() mqtt.Token { return l.client.Publish(topic, 1, retained, payload) })
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// live does what a connection is for.
func (l *link) live(ctx context.Context, outage time.Duration) error {
	inner, cancel := context.WithCancel(ctx)
	answers, silence := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { l.reply(answers) })
	all.Go(func() { l.tell(inner, outage) })
	all.Go(func() { l.report(inner) })
	all.Go(func() { l.settle(inner) })
	if l.bridged() {
		all.Go(func() {
			if err := l.s.Bridge.Run(inner, l.config.HomeAssistant, l.id, l.publish); err != nil && inner.Err() == nil {
				l.s.Log.Warn("bridge", "err", err)
			}
		})
	}
	err := l.watch(ctx)
	cancel()
	if errors.Is(err, errChanged) && l.orphan() {
		_ = monotime.Pause(ctx, farewell) // the command that made it so has an answer, at the topics of then
	}
	silence()
	l.leave()
	all.Wait()
	if ctx.Err() != nil || errors.Is(err, errChanged) {
		l.end(ctx)
	}
	return err
}

// watch returns what ends the connection.
func (l *link) watch(ctx context.Context) error {
	for {
		people := l.s.People.Changed() // asked for before they are looked at
		if l.orphan() {
			return errChanged
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-l.lost:
			return fmt.Errorf("connection lost: %w", err)
		case <-l.s.changed:
			return errChanged
		case <-people:
			l.s.Reported() // who was let in may read it, who was put out no longer
			poke(l.held.brought)
		}
	}
}

// orphan reports whether this link's owner is not the camera's any more.
func (l *link) orphan() bool {
	id, _, err := l.s.People.Operational()
	return err != nil || id != l.id
}

// end says goodbye: within farewell from the end of ctx on, since nobody waits much longer for the session to stop;
// else within patience. Where the owner is gone or the camera goes to another broker, every trace goes; where the bridge
// was turned off, its traces.
func (l *link) end(ctx context.Context) {
	words, done := context.WithTimeout(l.up, patience)
	defer done()
	defer context.AfterFunc(ctx, func() {
		_ = monotime.Pause(words, farewell)
		done()
	})()
	now, orphan := l.s.Config(), l.orphan()
	if l.bridged() && (orphan || now.HomeAssistant != l.config.HomeAssistant) {
		filters := l.s.Bridge.Filters(l.config.HomeAssistant, l.id)
		_ = word(words, func() mqtt.Token { return l.client.Unsubscribe(filters...) })
		l.empty(words, l.bridgeTraces())
	}
	if orphan || now.Broker != l.config.Broker {
		l.empty(words, l.s.leftBy(l))
	}
	if orphan {
		l.last(words, l.topic("/state"), nil)
		l.empty(words, l.held.strange(func(ed25519.PublicKey) bool { return false }))
	} else {
		l.last(words, l.topic("/state"), l.presence("offline"))
	}
}

// empty takes retained topics away.
func (l *link) empty(ctx context.Context, topics []string) {
	for _, topic := range topics {
		if l.last(ctx, topic, nil) {
			l.s.emptied(topic)
		}
	}
}

// last publishes a last word, and reports whether the broker has it.
func (l *link) last(ctx context.Context, topic string, payload []byte) bool {
	return l.own(topic) && word(ctx, func() mqtt.Token { return l.client.Publish(topic, 1, true, payload) }) == nil
}

// word is sent for what nobody waits long for.
func word(ctx context.Context, call func() mqtt.Token) error {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	_, err := sent(ctx, call)
	return err
}

// reply sends the answers to commands. One that finds its connection gone, or about to be, waits for the next one: a
// command may have been the reason.
func (l *link) reply(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-l.s.replies:
			if o.state != nil && o.state != l {
				continue
			}
			err := l.publish(o.topic, o.raw, o.state != nil)
			if err == nil {
				continue
			}
			l.s.Log.Warn("reply not sent", "err", err)
			if l.own(o.topic) && !errors.Is(err, errLate) {
				l.s.send(o)
				return
			}
		}
	}
}

// take looks at a message. It runs on the library's goroutine and must not block.
func (l *link) take(m mqtt.Message) {
	poke(l.held.brought)
	message := Message{Topic: envelope.Topic(m.Topic()), Raw: m.Payload(), Retained: m.Retained()}
	switch topic := m.Topic(); {
	case topic == l.topic("/state"):
		l.meet(m)
	case l.desires(topic):
		if !l.held.put(message) && l.judge(message, l.settled) {
			l.held.lies(message)
		}
	case strings.HasPrefix(topic, l.topic("/cmd/")):
		l.judge(message, l.s.answer)
	case l.bridged():
		l.s.Bridge.Take(topic, m.Payload(), m.Retained())
	}
}

// judge has a message judged; false: its sender is nobody.
func (l *link) judge(m Message, answer Answer) bool {
	err := l.s.Receiver.Receive(m, answer)
	if err != nil {
		l.s.Log.Debug("message refused", "err", err)
	}
	return err == nil
}

// answer lets a reply wait to be sent. The broker may have other ideas of how much we say: what finds no room is lost,
// and asked for again by whoever misses it.
func (s *Session) answer(to envelope.Topic, raw []byte, _ bool) {
	s.send(outgoing{string(to), raw, nil})
}

func (s *Session) send(o outgoing) {
	select {
	case s.replies <- o:
	default:
		s.set(func(st *SessionState) { st.Dropped++ })
	}
}

// meet looks at what somebody says at our state topic: the will of an old connection of ours that came late, or
// another who uses our id.
func (l *link) meet(m mqtt.Message) {
	var p presence
	if err := json.Unmarshal(m.Payload(), &p); err == nil && p.Session == l.nonce && p.State == "online" {
		return
	}
	now, _ := l.s.Clock()
	if m.Retained() || !l.again.take(now, 0.2, 5) {
		return // what was there before us we have replaced already
	}
	if p.State == "online" && p.Session != l.nonce {
		l.s.duplicate("another session says that it is this camera")
	}
	l.s.send(outgoing{l.topic("/state"), l.presence("online"), l})
}
