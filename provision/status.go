package provision

import (
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/provision/qr"
)

// Status is how the camera stands, for its owner.
type Status struct {
	State State
	// Reason is why the last trial failed, or why the network can't be joined now. Likely: of the trial that is under
	// way, by its first sign.
	Reason Reason
	Likely bool
	Hint   string   // what would help to read the code that is before the lens: closer, darker, still
	SSID   hal.SSID // of the network that is tried, or that worked
	Link   hal.Link // zero while no network is joined
}

// Status tells it.
func (e *Engine) Status() Status {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	m, g := e.memory, e.sight
	s := Status{State: m.State, Reason: m.Reason, Link: e.link}
	if g.failing(now) {
		s.Reason, s.Likely = g.why, g.likely
	}
	if now.Before(g.hinted) {
		s.Hint = g.hint.String()
	}
	switch {
	case m.Trial != nil:
		s.SSID = hal.SSID(m.Trial.SSID)
	case m.Network != nil:
		s.SSID = hal.SSID(m.Network.SSID)
	}
	return s
}

// sight is what is shown for a while.
type sight struct {
	why    Reason
	likely bool
	until  time.Time // why is shown
	hint   qr.Hint
	hinted time.Time // until which hint is shown
}

func (g sight) failing(now time.Time) bool { return g.why != NoReason && now.Before(g.until) }

func (e *Engine) glance() sight {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sight
}

// fail shows a reason for a while.
func (e *Engine) fail(why Reason, long time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sight.why, e.sight.likely, e.sight.until = why, false, time.Now().Add(long)
}

// fear shows what is likely to be the reason, before the radio is sure.
func (e *Engine) fear(why Reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sight.why, e.sight.likely, e.sight.until = why, true, time.Now().Add(showFailure)
}

// forgive ends the showing of a reason.
func (e *Engine) forgive() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sight = sight{}
}

// coach shows that a code is seen and can't be read.
func (e *Engine) coach(h qr.Hint, long time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sight.hint, e.sight.hinted = h, time.Now().Add(long)
}

// linked notes how the radio stands.
func (e *Engine) linked(l hal.Link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.link = l
}

func (e *Engine) glimpse() hal.Link {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.link
}

// light makes the lamp show how the camera stands, and the beeper say what is new.
func (e *Engine) light() {
	now := time.Now()
	e.mu.Lock()
	v := view{state: e.memory.State, why: e.sight.why, failing: e.sight.failing(now), hinted: now.Before(e.sight.hinted),
		linked: e.link.Address.IsValid()}
	e.mu.Unlock()
	v.claimed = e.o.Owner.Claimed()
	p, before := v.pattern(), e.lit
	if p == before {
		return
	}
	e.lit = p
	if e.o.LED != nil {
		if err := e.o.LED.Show(p); err != nil {
			e.o.Log.Warn("lamp does not show it", "pattern", p, "err", err)
		}
	}
	if t := tune(p); e.o.Sounder != nil && len(t) > 0 && sounding(before, p, v.claimed) {
		if err := e.o.Sounder.Play(t); err != nil {
			e.o.Log.Warn("beeper does not sound it", "pattern", p, "err", err)
		}
	}
}

// view is what the lamp goes by.
type view struct {
	state   State
	why     Reason
	failing bool // show why
	hinted  bool
	linked  bool
	claimed bool
}

// pattern is the table of the lamp. A hint helps now, a reason tells of before.
func (v view) pattern() hal.Pattern {
	switch {
	case v.hinted && !v.claimed && (v.state == Listening || v.state == Provisioned):
		return hal.Unread
	case v.failing:
		return v.why.pattern()
	case v.state == Listening:
		return hal.Listening
	case v.state == Joining, v.state == Checking, v.state == Provisioned && !v.linked:
		return hal.Joining
	case !v.claimed:
		return hal.Unclaimed
	}
	return hal.Ready
}
