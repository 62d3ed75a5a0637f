package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/console"
	"github.com/ocellus/ocellus/console/link"
	"github.com/ocellus/ocellus/console/link/wire"
	"github.com/ocellus/ocellus/control"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/supervise"
	"github.com/ocellus/ocellus/provision"
)

// openLink lets programs speak on the serial line, and returns what takes their frames out of what comes. The link
// lives as long as the agent, so that a file that comes goes on when the port was away for a moment.
func (a *agent) openLink(factory ed25519.PublicKey, log *slog.Logger) func(line io.Writer) console.Binary {
	out := &outlet{}
	o := link.Options{Out: out, Envelope: a.serialEnvelope, Do: a.answer, Take: a.takeBundle, Network: serialNetwork{a},
		About: func() wire.Welcome {
			return wire.Welcome{Model: model(a.board), Release: release, Claimed: a.owned()}
		}, Log: log}
	if a.owner != nil {
		o.NewLock = func() link.Lock { return serialLock{a.owner.NewLock(factory)} }
		o.Penalty = a.owner.Penalty
		o.Gate = a.owner
	}
	l := link.New(o)
	a.supervisor.Add(supervise.Part{Name: "link", Run: l.Run, Lasting: true})
	return func(line io.Writer) console.Binary { return &plugged{l, out, line} }
}

// outlet is where the link writes: the line that is open now, or nowhere.
type outlet struct {
	mu   sync.Mutex // guards line
	line io.Writer
}

var errNoLine = errors.New("no line is open")

// Write implements io.Writer.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	line := o.line
	o.mu.Unlock()
	if line == nil {
		return 0, errNoLine
	}
	return line.Write(p)
}

// use makes a line the one that is open; nil: there is none.
func (o *outlet) use(line io.Writer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.line = line
}

// plugged is the link on a line that was opened. It implements console.Binary.
type plugged struct {
	link *link.Link
	out  *outlet
	line io.Writer
}

// Feed implements console.Binary.
func (p *plugged) Feed(b []byte) []byte { return p.link.Feed(b) }

// Run implements console.Binary.
func (p *plugged) Run(ctx context.Context) error {
	p.out.use(p.line)
	defer p.out.use(nil)
	<-ctx.Done()
	return nil
}

// serialLock is a lock of access, as the link knows it.
type serialLock struct{ *access.Lock }

// Open implements link.Lock.
func (l serialLock) Open(answer []byte, now time.Time) (link.Pass, error) {
	return l.Lock.Open(answer, now)
}

// serialEnvelope judges a sealed command. Nobody has to say for whom the line is: whoever sealed it says who he is.
func (a *agent) serialEnvelope(_ context.Context, raw []byte, answer func(reply []byte, last bool)) error {
	if a.control == nil || a.control.receiver == nil {
		return errNoAnswer
	}
	id, _, err := a.owner.Operational()
	if err != nil {
		return err
	}
	c, err := envelope.ParseCommand("", raw)
	if err != nil {
		return err
	}
	m := control.Message{Topic: envelope.CommandTopic(id, c.Source), Raw: raw}
	return a.control.receiver.Receive(m, func(_ envelope.Topic, reply []byte, last bool) { answer(reply, last) })
}

// serialNetwork is where Improv leads to. It implements link.Network.
type serialNetwork struct{ a *agent }

// Claimed implements link.Network. A camera whose network is not the agent's business is given none either.
func (n serialNetwork) Claimed() bool { return n.a.network == nil || n.a.owner == nil || n.a.owned() }

// Joined implements link.Network.
func (n serialNetwork) Joined() bool {
	s := n.a.network.Status()
	return s.State == provision.Provisioned && s.Link.Address.IsValid()
}

// Trying implements link.Network.
func (n serialNetwork) Trying() bool { return trying(n.a.network.Status()) }

func trying(s provision.Status) bool {
	return s.State == provision.Joining || s.State == provision.Checking
}

// Device implements link.Network.
func (n serialNetwork) Device() []string {
	return []string{"Ocellus", release, model(n.a.board), "Ocellus " + n.a.board.Title}
}

// How a trial that Improv began is watched.
const (
	trialLook    = 250 * time.Millisecond
	trialLongest = 90 * time.Second
)

// Join implements link.Network, by the row of the table that a person's console uses, too.
func (n serialNetwork) Join(ctx context.Context, ssid, password []byte) error {
	args, err := json.Marshal(struct {
		SSID     []byte `json:"ssid"`
		Password string `json:"password,omitempty"`
	}{ssid, string(password)})
	if err == nil {
		_, err = do(ctx, n.a.commands(), access.Bystander(n.a.owned()), "network.join", args)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, trialLongest)
	defer cancel()
	look := time.NewTicker(trialLook)
	defer look.Stop()
	for {
		s := n.a.network.Status()
		switch {
		case s.State == provision.Provisioned && s.Reason == provision.NoReason && string(s.SSID) == string(ssid):
			return nil
		case !trying(s):
			return fmt.Errorf("network not joined: %s", s.Reason)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Networks implements link.Network.
func (n serialNetwork) Networks(ctx context.Context) ([]link.Seen, error) {
	seen, err := n.a.network.Networks(ctx)
	var list []link.Seen
	for _, s := range seen {
		list = append(list, link.Seen{SSID: string(s.SSID), SignalDB: s.Signal, Secured: s.Security != hal.SecurityOpen})
	}
	return list, err
}
