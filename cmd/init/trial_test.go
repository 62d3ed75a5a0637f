package main

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestTrial: a trial ends in a reset when nobody confirms it, or when its agent ends too often; not else, and once.
func TestTrial(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		story func(*trial)
		want  string
	}{
		{"silence", func(*trial) { time.Sleep(time.Hour) }, "not confirmed in time"},
		{"a crash", func(tr *trial) { tr.ended("agent", 3); tr.ended("agent", 3) }, ""},
		{"crashes", func(tr *trial) { tr.ended("agent", 3); tr.ended("agent", 3); tr.ended("agent", 3) },
			"agent ends again and again"},
		{"crashes of another", func(tr *trial) { tr.ended("look", 0); tr.ended("look", 0); tr.ended("look", 0) }, ""},
		{"confirmed", func(tr *trial) { tr.confirmed(); time.Sleep(time.Hour) }, ""},
		{"crashes later", func(tr *trial) { tr.confirmed(); tr.ended("agent", 1) }, ""},
		{"crashes, then silence", func(tr *trial) { tr.ended("agent", 1); time.Sleep(time.Hour) },
			"agent ends again and again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var said string
				tr := newTrial(trialLimit, func(why string) { said += why })
				c.story(tr)
				synctest.Wait()
				tr.stop()
				if said != c.want {
					t.Errorf("got %q, want %q", said, c.want)
				}
			})
		})
	}
	var none *trial
	none.ended("agent", 1)
	none.confirmed()
}
