package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/control"
	"github.com/ocellus/ocellus/internal/statefile"
)

// TestSettingsAfterStart: a change that may cut off who made it is on trial after the next start, and holds only if
// somebody comes.
func TestSettingsAfterStart(t *testing.T) {
	t.Parallel()
	set := func(t *testing.T, s *settings, address string) {
		t.Helper()
		_, old := s.held()
		s.mustSet(t, changes("web.address", address), old.unproved(true))
	}
	start := func(t *testing.T, dir, address string, onTrial bool) *settings {
		t.Helper()
		s, _ := newSettings(t, dir)
		if c, _ := s.config(); c.Web.Address != address || s.onTrial() != onTrial {
			t.Errorf("after a start: %s, on trial %v; want %s, %v", c.Web.Address, s.onTrial(), address, onTrial)
		}
		return s
	}
	const good, second, third = "192.0.2.7:8443", "192.0.2.7:8444", "192.0.2.7:8445"
	for name, end := range map[string]func(t *testing.T, dir string){
		"somebody comes": func(t *testing.T, dir string) {
			if err := start(t, dir, third, true).proved(); err != nil {
				t.Fatal(err)
			}
			start(t, dir, third, false)
		},
		"a power cut": func(t *testing.T, dir string) {
			start(t, dir, third, true)
			start(t, dir, good, false)
			start(t, dir, good, false)
		},
		"nobody comes": func(t *testing.T, dir string) {
			if back, err := start(t, dir, third, true).revert(); err != nil || !back {
				t.Fatal(back, err)
			}
			s := start(t, dir, good, false)
			if back, err := s.revert(); err != nil || back {
				t.Error("taken back a second time", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, _ := newSettings(t, dir)
			s.mustSet(t, changes("web.address", good), nil)
			set(t, s, second)
			set(t, s, third)
			if s.onTrial() {
				t.Error("on trial before it holds")
			}
			end(t, dir)
		})
	}
}

// TestNobodyComes: the agent waits ten minutes, takes the change back, tells it, and starts anew.
func TestNobodyComes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSettings(t, dir)
		s.mustSet(t, changes("web.address", "off"), s.stored.unproved(true))
		s, _ = newSettings(t, dir)
		q, err := control.OpenQueue(control.QueueOptions{
			Store: statefile.Directory{Path: filepath.Join(dir, "events")}, Log: silent(),
			Clock:  func() (time.Time, bool) { return time.Now(), true },
			Camera: func() ([envelope.IDSize]byte, error) { return [envelope.IDSize]byte{1}, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		c := &controls{a: &agent{again: func() { cancel(errRestart) }}, settings: s, queue: q, log: silent()}
		began := time.Now()
		c.awaitSomebody(ctx, trialAfterStart)
		if took := time.Since(began); took != trialAfterStart || !errors.Is(context.Cause(ctx), errRestart) {
			t.Errorf("after %v: %v", took, context.Cause(ctx))
		}
		if told := q.Since(0); len(told) != 1 || told[0].Name != "config.rolled_back" {
			t.Errorf("told %v", told)
		}
		if again, _ := newSettings(t, dir); again.now.Web.Address == "off" {
			t.Error("the door stays shut")
		}
	})
}
