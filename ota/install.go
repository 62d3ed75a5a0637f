package ota

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/ota/trust"
)

// Ask says who wants an update.
type Ask struct {
	Local bool // the owner brought it: an expired timestamp is waived
	Owner bool // the owner asked for it: start and cohort are waived, and so is a trial that failed before
}

// maxSessions bounds the walks through one repository's roots: 64 of trust.MaxRoots each.
const maxSessions = 64

// offer is a release that is for this camera, now.
type offer struct {
	release   manifest.Release
	path      string
	issued    time.Time
	shortcuts []shortcut
	again     bool // it was written before, at least in part: what is there may be kept
}

// Check looks for an update and installs nothing. The error says why there is none.
func (e *Engine) Check(ctx context.Context, src Source, ask Ask) (manifest.Release, error) {
	ctx, done, err := e.begin(ctx)
	if err != nil {
		return manifest.Release{}, err
	}
	defer done()
	if !e.resting() {
		return manifest.Release{}, fmt.Errorf("check for updates: %w: %s", Busy, e.Status().State)
	}
	found, err := e.look(ctx, src, ask)
	if err != nil {
		return manifest.Release{}, err
	}
	return found.release, e.step(nothing, nil)
}

// Install verifies what a source brings, fills the other slot with it, and arms it. It returns once the next boot tries
// it: Run reboots at the right moment. Whatever it returns, the booted slot is untouched.
func (e *Engine) Install(ctx context.Context, src Source, ask Ask) error {
	ctx, done, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if ask.Owner { // whoever looks by himself leaves alone what waits for its moment
		if err := e.drop(Cancelled); err != nil {
			return err
		}
	}
	if !e.resting() {
		return fmt.Errorf("install update: %w: %s", Busy, e.Status().State)
	}
	found, err := e.look(ctx, src, ask)
	if err != nil {
		return err
	}
	return e.put(ctx, src, found)
}

// put installs a release that was chosen.
func (e *Engine) put(ctx context.Context, src Source, o offer) error {
	if err := e.prepare(&o); err != nil {
		return err
	}
	if err := e.fill(ctx, src, o); err != nil {
		return e.fail(err)
	}
	if err := e.step(verified, func(*memory) {}); err != nil {
		return err
	}
	e.checked = true
	if err := e.arm(ctx); err != nil {
		return e.fail(err)
	}
	e.nudge()
	return nil
}

// patience is how long somebody waits for a look that the camera takes by itself just then.
const patience = 3 * time.Second

// begin takes the work, and lets Cancel end it.
func (e *Engine) begin(ctx context.Context) (context.Context, func(), error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case e.work <- struct{}{}:
	case <-late.C:
		return nil, nil, fmt.Errorf("update: %w", Busy)
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	e.mu.Lock()
	e.cancel = cancel
	e.mu.Unlock()
	return ctx, func() {
		cancel()
		e.mu.Lock()
		e.cancel = nil
		e.mu.Unlock()
		<-e.work
	}, nil
}

func (e *Engine) resting() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.atRest()
}

// look verifies the metadata of a source and chooses a release. Nothing but what is trusted changes.
func (e *Engine) look(ctx context.Context, src Source, ask Ask) (offer, error) {
	if err := e.step(look, nil); err != nil {
		return offer{}, err
	}
	found, err := e.choose(ctx, src, ask)
	e.mu.Lock()
	e.refused, e.offer = err, ""
	if err == nil {
		e.offer = found.release.Version.String()
	}
	e.mu.Unlock()
	if err != nil {
		return offer{}, errors.Join(err, e.step(nothing, nil))
	}
	return found, nil
}

func (e *Engine) choose(ctx context.Context, src Source, ask Ask) (offer, error) {
	u, err := e.refresh(ctx, src, ask)
	if err != nil {
		return offer{}, err
	}
	releases, faults := manifest.Releases(u)
	for _, f := range faults {
		e.o.Log.Warn("a release that this camera can't read", "error", f)
	}
	d := e.o.Device
	d.Floor, d.Reached, d.Asked = e.versionFloor(), u.Reached, ask.Owner
	if d.SlotBytes, err = e.slotBytes(); err != nil {
		return offer{}, err
	}
	r, err := manifest.Choose(releases, d)
	if errors.Is(err, manifest.NoRelease) && len(faults) > 0 {
		err = faults[0]
	}
	if err != nil {
		return offer{}, err
	}
	if !ask.Owner && e.remembered().Failed == hexOf(r.Sum) {
		return offer{}, fmt.Errorf("release %s: %w", r.Version, FailedBefore)
	}
	t, err := u.Find(r.Target)
	return offer{release: r, path: t.Path(u.Consistent), issued: u.Issued, shortcuts: shortcuts(u, r)}, err
}

// refresh walks through the metadata, and keeps what it trusts on the way.
func (e *Engine) refresh(ctx context.Context, src Source, ask Ask) (trust.Update, error) {
	now, believed := e.o.Now()
	if !believed {
		now = time.Time{}
	}
	for range maxSessions {
		trusted, u, err := trust.Refresh(ctx, e.remembered().Trusted, trust.Rules{Now: now, Local: ask.Local}, src.Metadata)
		if kept := e.keep(trusted); kept != nil {
			return trust.Update{}, kept
		}
		if err == nil {
			e.mu.Lock()
			e.doubt = u.Doubt
			e.mu.Unlock()
			return u, nil
		}
		if !errors.Is(err, trust.ErrMore) {
			return trust.Update{}, carrier(ctx, err)
		}
	}
	return trust.Update{}, fmt.Errorf("update: %w: no end of roots", Carrier)
}

// carrier names an error that is nobody else's.
func carrier(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("update: %w: %w", Cancelled, ctx.Err())
	case Why(err) != "":
		return err
	}
	return fmt.Errorf("update: %w: %w", Carrier, err)
}

// slotBytes is the size of the other slot.
func (e *Engine) slotBytes() (int64, error) {
	r, err := e.o.Slots.Read(e.o.Slots.Other())
	if err != nil {
		return 0, fmt.Errorf("update: %w: %w", SlotFault, err)
	}
	return r.Size(), r.Close()
}

func hexOf(s manifest.Sum) string { return hex.EncodeToString(s[:]) }

// prepare stores what is going to be installed, then sees to it that nothing boots the slot while it is filled.
func (e *Engine) prepare(o *offer) error {
	u := &update{Version: o.release.Version.String(), From: e.running(), Slot: e.o.Slots.Other(), Size: o.release.Size,
		Sum: hexOf(o.release.Sum), MinFloor: o.release.MinFloor.Floor(), Issued: o.issued}
	e.checked = false
	before := e.remembered().Update
	o.again = before != nil && before.Sum == u.Sum && before.Slot == u.Slot
	err := e.step(chosen, func(m *memory) {
		m.Update, m.Before, m.Reboots, m.Reason, m.Detail, m.Previous = u, nil, 0, "", "", nil
	})
	if err != nil {
		return errors.Join(err, e.step(nothing, nil))
	}
	if err := e.claim(); err != nil {
		return e.fail(err)
	}
	return nil
}

// running is the version that runs, empty if it is not known.
func (e *Engine) running() string {
	if v := e.o.Device.Running; !v.IsZero() {
		return v.String()
	}
	return ""
}

// fail ends an update and tells why. What somebody cancelled did not fail.
func (e *Engine) fail(err error) error {
	why, on := Why(err), fault
	if why == "" {
		why = SlotFault
	}
	if why == Cancelled {
		on = dropped
	}
	stored := e.step(on, func(m *memory) { m.Reason, m.Detail = why, err.Error() })
	return errors.Join(err, stored)
}

// arm makes the next boot try the slot. Nothing is armed that was not read back and found whole by this very process.
func (e *Engine) arm(ctx context.Context) error {
	if !e.checked {
		if err := e.verify(ctx); err != nil {
			return err
		}
		e.checked = true
	}
	before, slot := e.goodFacts(ctx), e.remembered().slot()
	if err := e.step(armed, func(m *memory) { m.Before, m.Reboots = before, 0 }); err != nil {
		return err
	}
	if err := e.tryNext(slot); err != nil {
		return errors.Join(err, e.step(unarmed, func(*memory) {}))
	}
	return nil
}

// drop takes back what is written or armed.
func (e *Engine) drop(why Reason) error {
	if s := e.Status().State; s != Written && s != Armed {
		return nil
	}
	if err := e.claim(); err != nil {
		return err
	}
	return e.step(dropped, func(m *memory) { m.Reason, m.Detail = why, "" })
}

// Cancel ends what is under way: a look, an install, or a slot that waits for its reboot. A trial is not cancelled but
// rolled back.
func (e *Engine) Cancel(ctx context.Context) error {
	e.mu.Lock()
	if e.cancel != nil {
		e.cancel()
	}
	e.mu.Unlock()
	if err := e.take(ctx); err != nil {
		return err
	}
	defer e.leave()
	return e.drop(Cancelled)
}

// take waits for the work.
func (e *Engine) take(ctx context.Context) error {
	select {
	case e.work <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Engine) leave() { <-e.work }

// RollBack goes back to the system of before: from a trial at once, from a confirmed update by a trial of the slot that
// was confirmed before, as long as that is still there and not below the version floor.
func (e *Engine) RollBack(ctx context.Context) error {
	if err := e.take(ctx); err != nil {
		return err
	}
	defer e.leave()
	switch s := e.Status().State; {
	case s == Trial:
		return e.giveUp(ctx, ByOwner, "")
	case !s.atRest():
		return e.drop(ByOwner)
	}
	p := e.remembered().Previous
	if p == nil || p.Slot != e.o.Slots.Other() {
		return fmt.Errorf("roll back: %w", NoPrevious)
	}
	if e.belowFloor(p.Version) {
		return fmt.Errorf("roll back to %s: %w", p.Version, manifest.BelowFloor)
	}
	u := &update{Version: p.Version, From: e.running(), Slot: p.Slot, Back: true}
	before := e.goodFacts(ctx)
	err := e.step(back, func(m *memory) {
		m.Update, m.Before, m.Reboots, m.Reason, m.Detail = u, before, 0, "", ""
	})
	if err != nil {
		return err
	}
	if err := e.tryNext(p.Slot); err != nil {
		return errors.Join(err, e.step(dropped, func(m *memory) { m.Reason = RecordFault }))
	}
	e.nudge()
	return nil
}
