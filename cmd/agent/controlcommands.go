package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/control"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/stream"
)

// controlCommands are the rows of the control plane.
func (a *agent) controlCommands() []command {
	return []command{
		{"boots", access.Configure, 2 * time.Second, with(a.boots)},
		{"capabilities", access.Watch, 2 * time.Second, with(a.capabilities)},
		{"config.get", access.Inspect, 2 * time.Second, with(a.configGet)},
		{"config.set", access.Configure, 2 * time.Minute, with(a.configSet)},
		{"control.status", access.Inspect, 2 * time.Second, with(a.controlStatus)},
		{"events", access.Inspect, 2 * time.Second, with(a.events)},
		{"identify", access.Inspect, 15 * time.Second, with(a.identify)},
		{"idr", access.Watch, 2 * time.Second, with(a.idr)},
		{"logs", access.Configure, 2 * time.Second, with(a.logs)},
		{"probe", access.Inspect, 5 * time.Second, with(a.probeCommand)},
		{"selftest", access.Test, 60 * time.Second, with(a.selftest)},
		{"support", access.Configure, 30 * time.Second, with(a.support)},
		{"reboot", access.Configure, 5 * time.Second, with(a.reboot)},
		{"stream.start", access.Configure, 5 * time.Second, with(a.streamStart)},
		{"stream.stop", access.Configure, 5 * time.Second, with(a.streamStop)},
	}
}

// errNoControl: the camera does not know who it is, so it has nothing of this.
var errNoControl = fmt.Errorf("the control plane: %w", hal.ErrUnsupported)

// ability is the answer to capabilities.
type ability struct {
	Commands []string    `json:"commands"` // of the table, in its order
	Table    []rowStatus `json:"table"`    // the same with what there is to know of each
	Streams  []string    `json:"streams"`
	Lamp     bool        `json:"lamp"`
	Updates  bool        `json:"updates"`
}

// rowStatus is what there is to know of a row of the command table.
type rowStatus struct {
	Name      string        `json:"name"`
	Needs     access.Action `json:"needs"`
	Roles     []access.Role `json:"roles"` // which have it
	DeadlineS float64       `json:"deadline_s"`
	Once      bool          `json:"once"`  // it changes something: under one id it is never done twice
	Final     bool          `json:"final"` // it can't be taken back: it needs a clock that is set
}

func (row command) status() rowStatus {
	s := rowStatus{Name: row.name, Needs: row.needs, DeadlineS: row.deadline.Seconds(), Once: row.once(),
		Final: final(row.name)}
	for _, role := range access.Roles() {
		if role.May(row.needs) {
			s.Roles = append(s.Roles, role)
		}
	}
	return s
}

func (a *agent) capabilities(context.Context, none) (any, error) {
	r := ability{Lamp: a.control != nil && a.control.lamp != nil, Updates: a.updates.ready() == nil}
	for _, row := range a.commands() {
		r.Commands, r.Table = append(r.Commands, row.name), append(r.Table, row.status())
	}
	for _, h := range a.source.Hubs() {
		r.Streams = append(r.Streams, h.Name())
	}
	return r, nil
}

type configArgs struct {
	Prefix string `json:"prefix,omitempty"` // of the keys that are meant; empty: all
}

// configured is the answer to config.get and config.set.
type configured struct {
	Revision uint64            `json:"revision"`
	Config   map[string]string `json:"config"`
	Restart  []string          `json:"restart,omitempty"` // keys that hold after a restart
}

func (a *agent) configGet(_ context.Context, args configArgs) (any, error) {
	if a.control == nil {
		return nil, errNoControl
	}
	c, revision := a.control.settings.config()
	all := flat(reflect.ValueOf(c), "")
	maps.DeleteFunc(all, func(key, _ string) bool { return !strings.HasPrefix(key, args.Prefix) })
	if len(all) == 0 {
		return nil, fmt.Errorf("key %s: %w", clip(args.Prefix), errNotFound)
	}
	return configured{Revision: revision, Config: all}, nil
}

// setArgs change the configuration. Base, where it is there, is the revision that the sender has seen; another one is a
// conflict. A null puts a key back to what config.yaml says.
type setArgs struct {
	Set  map[string]*string `json:"set"`
	Base *uint64            `json:"base,omitempty"`
}

// errRolledBack: the change cut the connection to the broker, so what was before holds again.
var errRolledBack = errors.New("rolled back")

// trial is how long a change of the broker may take to connect.
const trial = 30 * time.Second

// configSet changes keys, all of them or none. What the running agent can take holds at once, the rest after a restart.
func (a *agent) configSet(ctx context.Context, args setArgs) (any, error) {
	switch {
	case a.control == nil:
		return nil, errNoControl
	case len(args.Set) == 0:
		return nil, fmt.Errorf("%w: set: want keys and values", errBadRequest)
	}
	s := a.control.settings
	s.change.Lock()
	defer s.change.Unlock()
	was, old := s.held()
	v, next, err := s.next(args.Base, args.Set)
	if err != nil {
		return nil, err
	}
	changed := differing(was, next)
	a.hideConfig(next)
	connected := a.control.session != nil && a.control.session.State().Connected
	onTrial := connected && next.Control.Broker != control.Off &&
		slices.ContainsFunc(changed, func(key string) bool { return strings.HasPrefix(key, "control.") })
	if err := a.take(was, next); err != nil {
		return nil, err
	}
	var later *before // what has to prove itself after the next start
	if old.waits() || slices.ContainsFunc(changed, cutting) {
		later = old.unproved(true)
	}
	now := later
	if onTrial {
		now = old.unproved(false)
	}
	if err := s.store(v, next, now); err != nil {
		return nil, errors.Join(err, a.take(next, was))
	}
	if onTrial {
		err = a.tryBroker(ctx, change{was, next, old, v, later})
	} else {
		a.control.changed(changed)
	}
	if err != nil {
		return nil, err
	}
	_, revision := s.config()
	r := configured{Revision: revision, Config: map[string]string{}}
	all := flat(reflect.ValueOf(next), "")
	for key := range args.Set {
		r.Config[key] = all[key]
	}
	r.Restart = slices.DeleteFunc(changed, liveKey)
	return r, nil
}

// changed tells the session what changed.
func (c *controls) changed(keys []string) {
	if c.session == nil {
		return
	}
	if slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, "control.") }) {
		c.session.Changed()
	}
	c.session.Reported()
}

// liveKey reports whether a key holds at once.
func liveKey(key string) bool {
	return key == "log" ||
		strings.HasPrefix(key, "control.") && key != "control.embedded" && key != "control.time_servers" ||
		strings.HasPrefix(key, "streams.") &&
			(strings.HasSuffix(key, ".bitrate") || strings.HasSuffix(key, ".gop_seconds") || strings.HasSuffix(key, ".stopped"))
}

// take makes the running streams follow: all of them or none.
func (a *agent) take(was, next Config) error {
	for _, o := range []struct {
		name      string
		was, next stream.Output
	}{{"main", was.Streams.Main, next.Streams.Main}, {"sub", was.Streams.Sub, next.Streams.Sub}} {
		if a.source.Hub(o.name) == nil {
			continue
		}
		var err error
		if o.was.Bitrate != o.next.Bitrate {
			err = a.source.SetBitrate(o.name, o.next.Bitrate)
		}
		if err == nil && o.was.GOPSeconds != o.next.GOPSeconds {
			err = a.source.SetGOP(o.name, gop(o.next))
		}
		if err == nil && o.was.Stopped != o.next.Stopped {
			err = a.source.SetStopped(o.name, o.next.Stopped)
		}
		if err != nil {
			back := was
			return errors.Join(err, a.undo(back))
		}
	}
	return nil
}

// undo puts the running streams back; what they can't be put back to they never left.
func (a *agent) undo(to Config) error {
	var faults []error
	for name, o := range map[string]stream.Output{"main": to.Streams.Main, "sub": to.Streams.Sub} {
		if a.source.Hub(name) == nil {
			continue
		}
		for _, err := range []error{a.source.SetBitrate(name, o.Bitrate), a.source.SetGOP(name, gop(o))} {
			if err != nil && !errors.Is(err, hal.ErrUnsupported) {
				faults = append(faults, err)
			}
		}
		faults = append(faults, a.source.SetStopped(name, o.Stopped))
	}
	return errors.Join(faults...)
}

func gop(o stream.Output) time.Duration { return time.Duration(o.GOPSeconds * float64(time.Second)) }

// change is one of the configuration.
type change struct {
	was, next Config
	old, file settingsFile
	later     *before // what of it has to prove itself after the next start; nil: nothing
}

// tryBroker waits for the new connection, and goes back to the old one where none comes: the sender may have nothing
// else by which to reach the camera.
func (a *agent) tryBroker(ctx context.Context, to change) error {
	c := a.control
	began := time.Now()
	toldProgress(ctx, 50)
	c.session.Changed()
	ctx, cancel := context.WithTimeout(ctx, trial)
	defer cancel()
	err := c.session.OnlineSince(ctx, began)
	if err == nil {
		return c.settings.store(to.file, to.next, to.later)
	}
	back := settingsFile{Revision: to.file.Revision + 1, Keys: to.old.Keys}
	why := c.session.State().Error
	err = errors.Join(fmt.Errorf("%w: no connection within %v: %s", errRolledBack, trial, why),
		c.settings.store(back, to.was, to.old.Before), a.take(to.next, to.was))
	c.session.Changed()
	c.queue.Tell(control.Lifecycle, "config.rolled_back", struct {
		Why string `json:"why"`
	}{why})
	return err
}

// controlState is the answer to control.status.
type controlState struct {
	Session  control.SessionState `json:"session"`
	Events   control.QueueStats   `json:"events"`
	Refusals map[string]uint64    `json:"refusals"`
	ClockSet bool                 `json:"clock_set"`
	// ClockErrorMS is by how much the clock may be wrong at most.
	ClockErrorMS int64 `json:"clock_error_ms,omitempty"`
}

func (a *agent) controlStatus(context.Context, none) (any, error) {
	c := a.control
	if c == nil || c.session == nil {
		return nil, errNoControl
	}
	_, sure := c.clock()
	return controlState{c.session.State(), c.queue.Stats(), c.receiver.Refusals(), sure, clockError().Milliseconds()}, nil
}

type eventArgs struct {
	After uint64 `json:"after,omitempty"` // the number of the last event that was seen
}

// happened is an event as JSON has it.
type happened struct {
	ID     string        `json:"id"`
	Seq    uint64        `json:"seq,omitempty"` // telemetry has none
	Time   time.Time     `json:"time"`
	Sure   bool          `json:"sure"`
	Class  control.Class `json:"class"`
	Name   string        `json:"name"`
	Detail any           `json:"detail"`
	Lost   uint64        `json:"lost,omitempty"`
}

func (a *agent) events(_ context.Context, args eventArgs) (any, error) {
	if a.control == nil || a.control.queue == nil {
		return nil, errNoControl
	}
	list := []happened{}
	for _, e := range a.control.queue.Since(args.After) {
		list = append(list, happenedOf(e))
	}
	return list, nil
}

func happenedOf(e envelope.Event) happened {
	return happened{hex.EncodeToString(e.ID[:]), e.Seq, e.Time, e.Sure, control.Class(e.Class), e.Name,
		json.RawMessage(e.Detail), e.Lost}
}

// identify lets the lamp show for a while which camera this is.
func (a *agent) identify(ctx context.Context, _ none) (any, error) {
	if a.control == nil || a.control.lamp == nil {
		return nil, fmt.Errorf("identify: the board has no lamp: %w", hal.ErrUnsupported)
	}
	if err := a.control.lamp.showOver(hal.Unread); err != nil {
		return nil, err
	}
	t := time.NewTimer(10 * time.Second)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return none{}, a.control.lamp.showOver("")
}

func (a *agent) idr(_ context.Context, args streamArgs) (any, error) {
	if args.Stream == "" {
		args.Stream = "main"
	}
	h, err := a.showing(args.Stream)
	if err != nil {
		return nil, err
	}
	return struct {
		Coming bool `json:"coming"` // false: the last IDR is too young, or the source can't make one on demand
	}{h.RequestIDR()}, nil
}

func (a *agent) reboot(ctx context.Context, _ none) (any, error) {
	if a.control == nil {
		return nil, errNoControl
	}
	done := a.begin(ctx, "reboot")
	var err error
	if !a.control.later(a.control.restart) {
		err = errors.New("reboot: too much is under way")
	}
	done(err)
	return none{}, err
}
