// Package ota updates a camera: it fills the other slot with a release that the publisher's keys vouch for (ota/trust)
// and that is for this camera (ota/manifest), boots it on trial, and keeps it once every fact that was good before is
// good again. Else the system of before comes back, by the agent's hand or the boot loader's.
//
// Its law: at any instant the power may fail, and a whole system boots. What makes that so:
//
//   - The booted slot is never written. The head of the other one is invalid while it is filled (hal.SlotWriter).
//   - Every segment is verified before it is written, the whole slot is read back before its head is.
//   - One atomic write of the boot record arms a slot, one leaves it, one confirms it.
//   - The version floor is raised by the write that confirms, and never by an offer.
//   - What the engine is about to do is stored before it does it; recovered says what each state means at a start.
//
// The engine knows no network: a Source brings bytes, whatever it is. Its tests cut the power at every write and flush
// (crash_test.go), and find each flush that is missing (mutant_test.go).
package ota

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/internal/timefloor"
	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/ota/trust"
)

// Source brings an update: a repository on the web, a bundle (ota/bundle). Nothing that it says is believed.
type Source interface {
	// Metadata returns a file of metadata, f.Most bytes and one more of it at most; fs.ErrNotExist where there is none.
	Metadata(ctx context.Context, f trust.File) ([]byte, error)
	// Target returns the bytes of a target from an offset on. path is relative, as trust.Target.Path says it. A reader
	// gives up by itself when its carrier hangs, and when ctx ends.
	Target(ctx context.Context, path string, offset int64) (io.ReadCloser, error)
}

// Fact is something that a camera can see of its own health: frames come, RTSP answers, the network is there.
type Fact struct {
	Name   string
	OK     bool
	Detail string // for a person, where it is not
}

// Options are what an engine works with.
type Options struct {
	Env     hal.BootEnv
	Slots   hal.Slots
	State   statefile.Place  // ota.json
	Persist statefile.Place  // the version floor lies there, beside what others keep in it
	Root    []byte           // the update root in the camera's own verified system
	Built   time.Time        // when that system was built
	Floor   *timefloor.Floor // the time floor that all parts share; nil: the engine's own, in State, alone
	How     string           // ocellus.boot of the kernel's command line (bootstate.How), empty if not told
	Log     *slog.Logger

	// Device is what the camera knows of itself. Floor, SlotBytes, Reached and Asked are the engine's to fill in.
	Device manifest.Device

	Facts  func(ctx context.Context) []Fact
	Reboot func(ctx context.Context, why string) error // returns when it can't, or ctx has ended
	// Moment returns when the camera may reboot into a release: nobody watches, the owner's window is open. Nil: now.
	Moment func(ctx context.Context, s Status) error
	// Source is where Run looks for updates; nil: nowhere.
	Source Source
	// Automatic installs what Run finds; else it is offered (Status.Offer), and Install takes it.
	Automatic bool
	Now       func() (t time.Time, believed bool) // the clock; nil: there is none
	Notify    func(Status)                        // called after each change, from the engine's goroutines; may be nil

	Every      time.Duration // between looks, give or take a quarter; zero: 6 h
	TrialLimit time.Duration // how long a trial may take to prove itself; zero: 5 min
	Settle     time.Duration // how long all facts have to be good; zero: 20 s
	Tries      int           // boots of a trial, 1 to bootstate.MaxTries; zero: 3
}

// Engine updates one camera. Its methods may be called from several goroutines.
type Engine struct {
	o     Options
	file  *statefile.File[memory]
	floor *statefile.File[floors]
	work  chan struct{} // holds one: whoever took it may change slots, record and memory
	poke  chan struct{} // holds one: look, or go on, at once

	mu       sync.Mutex // guards all below; never held over I/O
	memory   memory     // as it is stored
	state    State      // memory's, or checking
	progress progress
	offer    string // version
	lookNow  bool
	refused  error
	doubt    trust.Doubt
	cancel   context.CancelFunc // of what is under way

	segment int64 // manifest.Segment, smaller in tests
	checked bool  // the slot was verified by this process; guarded by work
}

// memory is ota.json: what has to outlive a power cut. Fields are only added.
type memory struct {
	State    State         `json:"state"`
	Update   *update       `json:"update,omitempty"` // under way, or the last one
	Reason   Reason        `json:"reason,omitempty"`
	Detail   string        `json:"detail,omitempty"`
	Before   []string      `json:"facts_before,omitempty"` // names of the facts that were good when it was armed
	Reboots  int           `json:"reboots,omitempty"`      // since it was armed
	Failed   string        `json:"failed,omitempty"`       // SHA-256 of the release whose trial failed last
	Previous *previous     `json:"previous,omitempty"`     // what was confirmed before, if it is still in the other slot
	Trusted  trust.Trusted `json:"trusted"`
}

// update is what the engine must know of a release once its metadata is gone.
type update struct {
	Version  string    `json:"version"`
	From     string    `json:"from,omitempty"` // the version that ran
	Slot     hal.Slot  `json:"slot"`
	Size     int64     `json:"size"`
	Sum      string    `json:"sha256"`
	MinFloor uint32    `json:"min_floor,omitempty"`
	Issued   time.Time `json:"issued,omitzero"`
	Back     bool      `json:"back,omitempty"` // no release: the way back to the system of before
}

type previous struct {
	Slot    hal.Slot `json:"slot"`
	Version string   `json:"version"`
}

// floors is the engine's part of the persist area.
type floors struct {
	Version uint32 `json:"version_floor,omitempty"`
}

const memoryVersion, floorsVersion = 1, 1

// slot is the slot that the update is in.
func (m memory) slot() hal.Slot {
	if m.Update == nil {
		return ""
	}
	return m.Update.Slot
}

// Open reads what was remembered, repairs what a power cut left, and returns an engine that knows where it stands. It
// does not reboot and does not look for anything: Run does.
func Open(o Options) (*Engine, error) {
	if o.Slots.Booted() == "" {
		return nil, fmt.Errorf("open updates: the booted slot is not known: %w", hal.ErrUnsupported)
	}
	o.fill()
	e := &Engine{o: o, file: statefile.At[memory](o.State, memoryVersion), segment: manifest.Segment,
		floor: statefile.At[floors](o.Persist, floorsVersion), work: make(chan struct{}, 1), poke: make(chan struct{}, 1)}
	m, _, err := e.file.Load()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// A camera that forgot how far its update was still has the record. It must not be lost over this file.
		o.Log.Warn("update state unreadable, starting anew", "error", err)
		m = memory{}
	}
	if m.State == "" || !known(m.State) {
		m.State = Idle
	}
	e.memory, e.state = m, m.State
	if err := e.recover(); err != nil {
		return nil, err
	}
	return e, nil
}

// known reports whether this release knows a state. One that a newer release added means nothing here, and the record
// tells the rest.
func known(s State) bool {
	for _, r := range rows() {
		if r.to == s {
			return true
		}
	}
	return false
}

// fill puts in what was left out.
func (o *Options) fill() {
	for _, d := range []struct {
		to *time.Duration
		by time.Duration
	}{{&o.Every, 6 * time.Hour}, {&o.TrialLimit, 5 * time.Minute}, {&o.Settle, 20 * time.Second}} {
		if *d.to == 0 {
			*d.to = d.by
		}
	}
	if o.Tries == 0 {
		o.Tries = 3
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = func() (time.Time, bool) { return time.Time{}, false }
	}
	if o.Moment == nil {
		o.Moment = func(context.Context, Status) error { return nil }
	}
	if o.Facts == nil {
		o.Facts = func(context.Context) []Fact { return nil }
	}
}

// recover brings memory, record and floors together.
func (e *Engine) recover() error {
	record, err := e.mend()
	if err != nil {
		return err
	}
	f := found{e.o.Slots.Booted(), bootstate.How(e.o.How), record}
	if f.how == bootstate.Rescue || f.how == bootstate.Unrecorded {
		e.o.Log.Error("this is not the system that should run", "slot", f.booted, "boot", f.how)
	}
	for range len(rows()) {
		on, why := recovered(e.memory, f)
		if on == "" {
			return e.trustOwn()
		}
		e.o.Log.Info("update recovered", "state", e.memory.State, "event", on, "reason", why)
		if on == good {
			if err := e.confirmed(record.Floor); err != nil {
				return err
			}
			continue
		}
		if err := e.step(on, func(m *memory) { m.recover(on, why, f) }); err != nil {
			return err
		}
		if on == fellBack && record.Trial != "" { // the boot loader could not write that it is over
			if err := e.claim(); err != nil {
				e.o.Log.Error("trial not taken out of the boot record", "error", err)
			}
		}
	}
	return fmt.Errorf("recover update: %s: no end", e.memory.State)
}

// recover changes the memory by what was found.
func (m *memory) recover(on event, why Reason, f found) {
	switch {
	case on == booted:
		if m.slot() != f.booted { // the memory was lost
			m.Update, m.Before = &update{Slot: f.booted}, nil
		}
		m.Reason, m.Detail = "", ""
	case on == fellBack:
		if m.State != Leaving || m.Reason == "" { // else the trial said it better
			m.Reason, m.Detail = why, ""
		}
		m.Failed = m.Update.Sum
	case why != "":
		m.Reason, m.Detail = why, ""
	}
}

// trustOwn adopts the root of the booted system and its build time. What is on trial may be wrong about both.
func (e *Engine) trustOwn() error {
	m := e.remembered()
	if m.State == Trial || m.State == Leaving {
		return nil
	}
	t := m.Trusted
	if len(e.o.Root) > 0 {
		if err := t.Adopt(e.o.Root); err != nil {
			e.o.Log.Error("the update root of this system is none", "error", err)
		}
	}
	t.RaiseFloor(e.o.Built)
	e.shareFloor(&t)
	return e.keep(t)
}

// shareFloor brings the engine's floor and the one that all parts share to the later of the two.
func (e *Engine) shareFloor(t *trust.Trusted) {
	if e.o.Floor == nil {
		return
	}
	t.RaiseFloor(e.o.Floor.Time())
	if err := e.o.Floor.Raise(t.Floor); err != nil {
		e.o.Log.Error("the time floor is not kept", "error", err)
	}
}

// keep stores what is trusted, if it changed.
func (e *Engine) keep(t trust.Trusted) error {
	if t.Equal(e.memory.Trusted) {
		return nil
	}
	return e.store(func(m *memory) { m.Trusted = t })
}

// store changes the memory, on the disk first.
func (e *Engine) store(change func(*memory)) error {
	e.mu.Lock()
	m := e.memory
	e.mu.Unlock()
	change(&m)
	if err := e.file.Store(m); err != nil {
		return fmt.Errorf("update: %w: %w", StateFault, err)
	}
	e.mu.Lock()
	e.memory = m
	e.mu.Unlock()
	return nil
}

// step takes one arrow of the diagram: it stores where it leads, and only then the engine is there.
func (e *Engine) step(on event, change func(*memory)) error {
	e.mu.Lock()
	from := e.state
	stored := e.memory.State
	e.mu.Unlock()
	to, err := next(from, on)
	if err != nil {
		return err
	}
	switch to {
	case "":
		to = stored
	case Checking:
	default:
		err = e.store(func(m *memory) { change(m); m.State = to })
	}
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.state = to
	e.mu.Unlock()
	e.o.Log.Info("update", "state", to, "from", from, "event", on)
	e.notify()
	return nil
}

func (e *Engine) notify() {
	if e.o.Notify != nil {
		e.o.Notify(e.Status())
	}
}
