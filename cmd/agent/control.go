package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/control"
	"github.com/ocellus/ocellus/control/broker"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/internal/supervise"
)

// brokerName is the certificate of the broker in the process, in the state directory.
const brokerName = "broker.pem"

// controls tie the control plane to the command table and to the other features.
type controls struct {
	a        *agent
	settings *settings
	lamp     *lamp // nil where the board has none
	receiver *control.Receiver
	queue    *control.Queue
	session  *control.Session
	broker   *broker.Broker             // in the process; nil: there is none
	errands  chan func(context.Context) // capacity 4; what finds no room is refused
	jobs     *jobs                      // nil where there are no events
	log      *slog.Logger

	mu      sync.Mutex // guards strange
	strange control.Seldom
}

// openControl opens what judges and runs commands, and the session with a broker. A camera whose counters can't be read
// streams all the same, and obeys nobody from afar. It returns
// where the broker in the process listens, nil for nowhere.
func (a *agent) openControl(state string, led hal.LED, log *slog.Logger) net.Addr {
	c := &controls{a: a, settings: a.settings, errands: make(chan func(context.Context), 4),
		log: log.With("part", "control")}
	c.lamp, _ = led.(*lamp)
	a.control = c
	a.supervisor.Add(supervise.Part{Name: "errands", Run: c.runErrands, Lasting: true})
	if a.safe == nil {
		return nil
	}
	if err := c.open(state, log); err != nil {
		c.log.Error("no commands over a broker", "err", err)
		return nil
	}
	c.openBroker(state, log)
	c.jobs = openJobs(a.safe.sealed(jobsName), c.queue.Tell, log)
	a.supervisor.Add(supervise.Part{Name: "control", Run: c.receiver.Run, Lasting: true})
	a.supervisor.Add(supervise.Part{Name: "broker", Run: c.session.Run, Lasting: true})
	c.tellStart()
	a.supervisor.Add(supervise.Part{Name: "jobs", Run: c.runJobs, Lasting: true})
	c.watchTrial(trialAfterStart)
	if c.broker == nil {
		return nil
	}
	return c.broker.Addr()
}

func (c *controls) open(state string, log *slog.Logger) (err error) {
	owner := c.a.owner
	c.queue, err = control.OpenQueue(control.QueueOptions{
		Store: statefile.Directory{Path: filepath.Join(state, "events"), Place: c.a.safe.over}, Clock: c.clock, Log: log,
		Camera: func() ([envelope.IDSize]byte, error) {
			id, _, err := owner.Operational()
			return id, err
		},
	})
	if err != nil {
		return err
	}
	c.receiver, err = control.OpenReceiver(control.ReceiverOptions{
		People: owner, Table: c, Clock: c.clock, Log: log, Refused: c.refused,
		Counters: c.a.safe.sealed("counters"),
	})
	if err != nil {
		return err
	}
	c.session = control.NewSession(control.SessionOptions{
		Config: c.config, Bridge: c.bridge(state, log),
		People: owner, Receiver: c.receiver, Queue: c.queue, Clock: c.clock, Log: log, Report: c.report,
		Audience: func(now time.Time) []ed25519.PublicKey { return owner.Keys(access.Inspect, now) },
	})
	return nil
}

// clock is the time as far as it is known: a simulated board has its machine's, and no board is older than its release,
// so that a certificate of a broker is valid before anybody told the time.
func (c *controls) clock() (now time.Time, sure bool) {
	now, sure = clock()
	for _, least := range []time.Time{c.a.updates.boot.System.Built, c.a.floor.Time()} {
		if !sure && now.Before(least) {
			now = least
		}
	}
	return now, sure || c.a.board.Simulated
}

// openBroker starts the broker in the process, where it is wanted. Its certificate lies beside the other state, for
// whoever wants to connect.
func (c *controls) openBroker(state string, log *slog.Logger) {
	config, _ := c.settings.config()
	if config.Control.Embedded == broker.Off {
		return
	}
	b, err := broker.Open(config.Control.Embedded, log)
	if err == nil {
		err = statefile.WriteBytes(filepath.Join(state, brokerName), b.Root(), 0o600)
	}
	if err != nil {
		c.log.Error("no broker in the process", "err", err)
		return
	}
	c.broker = b
	c.a.supervisor.Add(supervise.Part{Name: "mqtt", Run: b.Run, Lasting: true})
}

// config is the control plane's own of this moment. Where no broker is named, the one in the process is it.
func (c *controls) config() control.Config {
	now, _ := c.settings.config()
	config := now.Control
	if config.Broker == control.Off && c.broker != nil {
		config.Broker, config.CA = "mqtts://"+c.broker.Addr().String(), string(c.broker.Root())
	}
	return config
}

// noBroker says why the camera has no connection to the broker that its configuration names; nil where it names none.
func (a *agent) noBroker() error {
	if a.control.config().Broker == control.Off {
		return nil
	}
	if a.control.session == nil {
		return errors.New("no commands over a broker")
	}
	s := a.control.session.State()
	return told(s.Connected, "no connection to the broker: "+cmp.Or(s.Error, "not yet"))
}

// refused tells the owner of what strangers try, from time to time.
func (c *controls) refused(r *control.Refusal, _ control.Message) {
	if r.Known {
		return
	}
	c.mu.Lock()
	times, tell := c.strange.Take(time.Now())
	c.mu.Unlock()
	if !tell {
		return
	}
	c.queue.Tell(control.Security, "command.refused", struct {
		Code  string `json:"code"`  // of the last one
		Times uint64 `json:"times"` // that came since the event before
	}{r.Code, times})
}

// report is the state that those who may know are left at the broker.
func (c *controls) report(person ed25519.PublicKey) (uint64, []byte) {
	config, revision := c.settings.config()
	state := struct {
		Board   string           `json:"board"`
		Release string           `json:"release"`
		Config  json.RawMessage  `json:"config"`
		Desired *control.Settled `json:"desired,omitempty"` // what became of what that person left
	}{c.a.board.Name, release, document(config), nil}
	if s, ok := c.receiver.Settled(person); ok {
		state.Desired = &s
	}
	raw, _ := json.Marshal(state) // texts always can
	return revision, raw
}

// Look tells what the command table says of a row. What only looks may be done twice.
func (c *controls) Look(name string) (control.Operation, bool) {
	for _, row := range c.a.commands() {
		if row.name == name {
			return control.Operation{Needs: row.needs, Once: row.once(), Final: final(name)}, true
		}
	}
	return control.Operation{}, false
}

// once reports whether a row changes something.
func (row command) once() bool { return row.needs != access.Watch && row.needs != access.Inspect }

// final reports whether a row can't be taken back.
func final(name string) bool {
	switch name {
	case "ota.install", "ota.rollback", "owner.handover", "owner.unbind":
		return true
	}
	return false
}

// Do runs a row and turns its answer into what travels in an envelope.
func (c *controls) Do(ctx context.Context, who access.Identity, name string, args []byte, progress func(int)) (
	o control.Outcome,
) {
	c.reached()
	ctx = context.WithValue(ctx, progressKey{}, progress)
	result, err := do(ctx, c.a.commands(), who, name, args)
	if err != nil {
		return control.Outcome{Code: codeOf(err), Text: err.Error()}
	}
	if p, ok := result.(apart); ok {
		result, o.Blob = p.apart()
	}
	o.Code = codeOK
	if o.Result, err = json.Marshal(result); err != nil {
		return control.Outcome{Code: codeFailed, Text: err.Error()}
	}
	return o
}

// progressKey is the key of what hears how far a long job is, in its context.
type progressKey struct{}

// toldProgress tells whoever asked how far a long job is, by the doors that can.
func toldProgress(ctx context.Context, percent int) {
	if tell, ok := ctx.Value(progressKey{}).(func(int)); ok {
		tell(percent)
	}
}

// answerSoon is how long the LAN door lets somebody wait for the end of what takes long.
const answerSoon = 20 * time.Second

var errNoAnswer = errors.New("the envelope is refused")

// envelope is what the LAN door does with a sealed command.
func (a *agent) envelope(ctx context.Context, key ed25519.PublicKey, raw []byte) ([]byte, error) {
	if a.control == nil {
		return nil, errNoAnswer
	}
	return a.control.lastAnswer(ctx, key, raw)
}

// lastAnswer waits for the last answer to a sealed command, or so long that its sender may rather ask again: what goes on
// then is told by an answer that it does.
func (c *controls) lastAnswer(ctx context.Context, key ed25519.PublicKey, raw []byte) ([]byte, error) {
	if c.receiver == nil {
		return nil, errNoAnswer
	}
	id, _, err := c.a.owner.Operational()
	if err != nil {
		return nil, err
	}
	answers, goesOn := make(chan []byte, 1), make(chan []byte, 1) // one each; of what goes on, the newest
	// The connection is the key's, so whoever has it is there.
	m := control.Message{Topic: envelope.CommandTopic(id, key), Raw: raw, Present: true}
	err = c.receiver.Receive(m, func(_ envelope.Topic, reply []byte, last bool) {
		if last {
			select {
			case answers <- reply:
			default:
			}
			return
		}
		select {
		case <-goesOn:
		default:
		}
		select {
		case goesOn <- reply:
		default:
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	soon := time.NewTimer(answerSoon)
	defer soon.Stop()
	var going chan []byte // nil until then
	for {
		select {
		case reply := <-answers:
			return reply, nil
		case reply := <-going:
			return reply, nil
		case <-soon.C:
			going = goesOn
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// later lets something be done that its asker does not wait for; false: too much waits already.
func (c *controls) later(errand func(ctx context.Context)) bool {
	select {
	case c.errands <- errand:
		return true
	default:
		return false
	}
}

// runErrands does what nobody waits for.
func (c *controls) runErrands(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case errand := <-c.errands:
			all.Go(func() { errand(ctx) })
		}
	}
}

// restart restarts the board a moment after somebody asked for it, so that he has his answer.
func (c *controls) restart(ctx context.Context) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
		if err := c.a.updates.restart(ctx, "asked by a command"); err != nil && ctx.Err() == nil {
			c.log.Error("no restart", "err", err)
		}
	}
}
