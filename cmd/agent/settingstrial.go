package main

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/ocellus/ocellus/control"
	"github.com/ocellus/ocellus/internal/supervise"
)

// What a change may cut off: the sender may have no other way to the camera than the one that it changes. Where it holds
// at once, tryBroker waits for it. Where it holds after a restart, it is on trial then, as with a router's "commit
// confirmed":
//
//	stored, before kept --start--> begun --somebody's command, or the broker's connection--> it holds
//	                                  |--nobody in time--> what was before holds again, and the agent starts anew
//	                                  `--another start (a power cut)--> what was before holds again

// trialAfterStart is how long a camera waits for somebody after a start with such a change.
const trialAfterStart = 10 * time.Minute

// cutting reports whether a key may cut off whoever sets it, after the next start.
func cutting(key string) bool {
	return strings.HasPrefix(key, "web.") || strings.HasPrefix(key, "network.") || key == "control.embedded"
}

// waits reports whether a change waits for the next start, to be on trial then.
func (v settingsFile) waits() bool { return v.Before != nil && v.Before.Restart && !v.Before.Begun }

// unproved is what holds again if a change does not prove itself: what was set when the first one was made that did not
// prove itself yet. afterStart: it has to after the next start.
func (v settingsFile) unproved(afterStart bool) *before {
	keys := v.Keys
	if v.waits() {
		keys = v.Before.Keys
	}
	return &before{Keys: keys, Restart: afterStart}
}

// begin goes on with a change that was stored for this start: begun is true once it is on trial, false where its trial
// began before and did not end.
func (s *settings) begin(v *settingsFile) (begun bool, err error) {
	if !v.waits() {
		return false, nil
	}
	kept := *v.Before
	kept.Begun = true
	v.Before = &kept
	return true, s.file.Store(*v)
}

// onTrial reports whether a change waits for somebody since the start.
func (s *settings) onTrial() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored.Before != nil && s.stored.Before.Begun
}

// proved ends the trial since the start: somebody reached the camera.
func (s *settings) proved() error {
	if !s.onTrial() {
		return nil
	}
	s.change.Lock()
	defer s.change.Unlock()
	c, _ := s.config()
	s.mu.Lock()
	v := s.stored
	s.mu.Unlock()
	return s.store(v, c, nil)
}

// revert puts back what held before the trial since the start; false: there is none any more.
func (s *settings) revert() (bool, error) {
	s.change.Lock()
	defer s.change.Unlock()
	if !s.onTrial() {
		return false, nil
	}
	c, _ := s.config()
	s.mu.Lock()
	v := settingsFile{Revision: s.stored.Revision + 1, Keys: maps.Clone(s.stored.Before.Keys)}
	s.mu.Unlock()
	return true, s.store(v, c, nil)
}

// reached is told of every command of somebody who may command the camera, by whatever door from outside.
func (c *controls) reached() {
	if err := c.settings.proved(); err != nil {
		c.log.Warn("the trial of the configuration goes on", "err", err)
	}
}

// watchTrial is the part that waits for somebody, where a change is on trial since the start.
func (c *controls) watchTrial(within time.Duration) {
	if !c.settings.onTrial() {
		return
	}
	c.a.supervisor.Add(supervise.Part{Name: "trial", Lasting: true, Run: func(ctx context.Context) error {
		c.awaitSomebody(ctx, within)
		<-ctx.Done()
		return nil
	}})
}

// awaitSomebody ends the trial one way or the other.
func (c *controls) awaitSomebody(ctx context.Context, within time.Duration) {
	until, look := time.NewTimer(within), time.NewTicker(time.Second)
	defer until.Stop()
	defer look.Stop()
	for c.settings.onTrial() {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if c.session != nil && c.session.State().Connected {
				c.reached()
			}
		case <-until.C:
			c.takeBack(ctx)
			return
		}
	}
}

// takeBack ends a trial to which nobody came.
func (c *controls) takeBack(ctx context.Context) {
	back, err := c.settings.revert()
	if err != nil {
		c.log.Error("the configuration of before can't be stored", "err", err)
		return
	}
	if !back {
		return
	}
	const why = "nobody reached the camera after the change"
	c.log.Warn("configuration rolled back", "why", why)
	c.queue.Tell(control.Lifecycle, "config.rolled_back", struct {
		Why string `json:"why"`
	}{why})
	c.a.again()
	<-ctx.Done()
}
