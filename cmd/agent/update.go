package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/areas"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/internal/supervise"
	"github.com/ocellus/ocellus/ota"
	"github.com/ocellus/ocellus/ota/bundle"
	"github.com/ocellus/ocellus/ota/httprepo"
	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/stream"
)

// otaName is the engine's file in the state directory.
const otaName = "ota.json"

// slotKind is how the slots of all our boards are laid out (docs/adr/0007-slot-format.md).
const slotKind = "fit-squashfs"

// errRestart: the agent ends so that its board starts anew, where there is no board around it to restart.
var errRestart = errors.New("restart")

// updates ties the update engine to the board and to the other features.
type updates struct {
	engine  *ota.Engine // nil where the board takes no updates
	unable  error       // why not
	boot    board.Boot
	secure  *tls.Config
	source  ota.Source // nil: no repository is configured
	where   string     // its URL
	health  *health
	hubs    []*stream.Hub
	window  window
	log     *slog.Logger
	again   func()                  // ends the agent so that it starts anew
	changed func(ota.Status)        // hears of each change; nil: nobody
	ending  *atomic.Pointer[string] // why the agent ends

	now    atomic.Bool // the owner wants the restart at once
	proved atomic.Bool // whoever watches over the trial knows that it is over
}

// openUpdates opens the engine. A camera that takes no updates streams all the same, and says why.
func (a *agent) openUpdates(state string, c updateConfig, rtsp string, log *slog.Logger) {
	log = log.With("part", "update")
	u := &updates{log: log, hubs: a.source.Hubs(), window: c.Window, again: a.again, changed: a.jobsChanged, ending: &a.ending,
		health: &health{hub: a.source.Hub("main"), rtsp: rtsp, state: state, petted: a.supervisor.Petted,
			down: a.partsDown, broker: a.noBroker}}
	a.updates = u
	if u.unable = u.open(a, state, c); u.unable != nil {
		log.Warn("no updates", "err", u.unable)
		return
	}
	a.supervisor.Add(supervise.Part{Name: "update", Run: u.run, Lasting: true})
	a.supervisor.Add(supervise.Part{Name: "card", Run: func(ctx context.Context) error {
		return u.cards(ctx, func() (string, error) { return board.Card(a.board, state) }, u.installCard)
	}, Lasting: true})
}

func (u *updates) open(a *agent, state string, c updateConfig) error {
	if a.lasting.persist == nil {
		return errors.New("the area persist can't be opened")
	}
	var err error
	if u.boot, err = board.OpenBoot(a.board, state); err != nil {
		return err
	}
	if len(u.boot.System.Root) == 0 { // and where it is on trial nobody confirms it: it would be the last one for ever
		return fmt.Errorf("this system was built without an update root key (make image ROOT=FILE): %w", hal.ErrUnsupported)
	}
	device, err := deviceOf(u.boot.System, a.lasting.persist, u.log)
	if err == nil {
		u.secure, err = c.secure(u.boot.System.Built)
	}
	if err == nil && c.Repository != "" {
		u.where = c.Repository
		u.source, err = httprepo.New(c.Repository, u.secure, httprepo.Limits{})
	}
	if err == nil {
		u.engine, err = ota.Open(ota.Options{
			Env: u.boot.Env, Slots: u.boot.Slots, How: u.boot.How, Floor: a.floor,
			State: statefile.Path(filepath.Join(state, otaName)), Persist: a.lasting.persist,
			Root: u.boot.System.Root, Built: u.boot.System.Built, Device: device, Log: u.log, Facts: u.health.facts,
			Reboot: u.restart, Moment: u.moment, Now: clock, Notify: u.told, Source: u.source, Automatic: c.Automatic,
			Every: c.Every, TrialLimit: c.Trial,
		})
	}
	if err != nil {
		return err
	}
	u.told(u.engine.Status())
	return nil
}

// deviceOf is what the camera knows of itself.
func deviceOf(s board.System, persist *areas.Place, log *slog.Logger) (manifest.Device, error) {
	d := manifest.Device{Compatible: []string{s.Variant}, Slot: slotKind, Storage: "block"}
	var err error
	if d.Running, err = manifest.ParseVersion(s.Version); err != nil {
		log.Warn("this system has no version that can be compared: every release is newer", "err", err)
	}
	d.ID, err = rolloutID(persist)
	return d, err
}

// rolloutID is the random number by which this camera finds its place in a rollout. Whoever sees it learns nothing else.
func rolloutID(persist *areas.Place) ([]byte, error) {
	type fields struct {
		ID []byte `json:"rollout_id,omitempty"`
	}
	file := statefile.At[fields](persist, 1)
	var id []byte
	err := file.Update(func(f *fields) error {
		if len(f.ID) == 0 {
			f.ID = make([]byte, 16)
			_, _ = rand.Read(f.ID) // never fails
		}
		id = f.ID
		return nil
	})
	return id, err
}

// clock tells the time, and whether the kernel has it from somebody who knows (adjtimex(2)).
func clock() (now time.Time, believed bool) {
	state, err := unix.Adjtimex(&unix.Timex{})
	return time.Now(), err == nil && state != unsynchronized
}

// run is the engine's life.
func (u *updates) run(ctx context.Context) error {
	defer u.health.stop()
	return u.engine.Run(ctx)
}

// close closes the devices, once nothing runs any more.
func (u *updates) close() error {
	u.health.ended.Wait()
	if u.boot.Close == nil {
		return nil
	}
	return u.boot.Close()
}

// told hears of each change: once nothing is on trial any more, init may know.
func (u *updates) told(s ota.Status) {
	if u.changed != nil {
		u.changed(s)
	}
	rests := s.State == ota.Confirmed || s.State == ota.Idle || s.State == ota.Failed
	if !rests || u.proved.Swap(true) {
		return
	}
	if err := u.boot.Proved(); err != nil {
		u.log.Error("init not told that the trial is over", "err", err)
	}
}

// restart restarts the board, and returns when that is under way.
func (u *updates) restart(ctx context.Context, why string) error {
	u.log.Info("restart", "why", why)
	u.ending.Store(&why)
	if u.boot.Restart != nil {
		return u.boot.Restart(ctx)
	}
	u.again()
	<-ctx.Done()
	return ctx.Err()
}

// moment waits until the camera may restart: nobody has watched for a moment, or the owner's window is open, or he has
// asked for it.
func (u *updates) moment(ctx context.Context, _ ota.Status) error {
	const quiet, answer = 10 * time.Second, time.Second // the owner has his answer first
	since := time.Now()
	began := since
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		now, believed := clock()
		if u.watched() {
			since = now
		}
		if u.now.Load() && time.Since(began) >= answer || time.Since(since) >= quiet || believed && u.window.holds(now) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// watched reports whether anybody takes pictures, beside the health's own eye.
func (u *updates) watched() bool {
	n := 0
	for _, h := range u.hubs {
		n += h.Stats().Subscribers
	}
	if u.health.watching() {
		n--
	}
	return n > 0
}

// ready reports why the board takes no updates.
func (u *updates) ready() error {
	switch {
	case u == nil:
		return fmt.Errorf("no updates: %w", hal.ErrUnsupported)
	case u.engine == nil:
		return fmt.Errorf("no updates: %w", u.unable)
	}
	return nil
}

// carrier is where an update comes from: a bundle that somebody sends, a repository that he names, the configured one.
func (u *updates) carrier(ctx context.Context, args otaArgs) (ota.Source, ota.Ask, error) {
	switch body := bodyOf(ctx); {
	case args.Bundle && body != nil:
		if _, skips := body.(skipper); !skips {
			body = io.LimitReader(body, maxBundle)
		}
		return bundle.NewReader(body), ota.Ask{Local: true, Owner: true}, nil
	case args.Bundle:
		return nil, ota.Ask{}, fmt.Errorf("%w: no bundle comes behind the question", errBadRequest)
	case args.URL != "":
		r, err := httprepo.New(args.URL, u.secure, httprepo.Limits{})
		if err != nil {
			return nil, ota.Ask{}, fmt.Errorf("%w: %w", errBadRequest, err)
		}
		return r, ota.Ask{Owner: true}, nil
	case u.source != nil:
		return u.source, ota.Ask{Owner: true}, nil
	}
	return nil, ota.Ask{}, fmt.Errorf("%w: no repository: name one, or set update.repository", errBadRequest)
}

// partsDown names the parts that do not run.
func (a *agent) partsDown() []string {
	var names []string
	for _, p := range a.parts() {
		if !p.Up {
			names = append(names, p.Name)
		}
	}
	return names
}
