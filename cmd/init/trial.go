package main

import (
	"sync"
	"time"
)

// trialLimit is how long a slot on trial may run without being told good. The agent's own limit is shorter.
const trialLimit = 15 * time.Minute

// trial watches over a slot on trial (ocellus.boot=trial), so that one whose agent can't even judge itself is left all the
// same: a reset costs it a try. It is over when the agent says that the slot is confirmed. Nil: no trial goes on.
type trial struct {
	reset func(why string)

	mu    sync.Mutex // guards the rest
	timer *time.Timer
	over  bool
	ends  int
}

func newTrial(limit time.Duration, reset func(why string)) *trial {
	t := &trial{reset: reset}
	t.mu.Lock() // its end waits until the timer stands in it
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(limit, func() { t.end("not confirmed in time") })
	return t
}

// ended counts the ends of a service, of which there may be fewer than most.
func (t *trial) ended(name string, most int) {
	if t == nil || most == 0 {
		return
	}
	t.mu.Lock()
	t.ends++
	enough := t.ends >= most
	t.mu.Unlock()
	if enough {
		t.end(name + " ends again and again")
	}
}

// confirmed ends the trial well.
func (t *trial) confirmed() { t.stop() }

// end ends it with a reset, once.
func (t *trial) end(why string) {
	if t.stop() {
		t.reset(why)
	}
}

// stop reports whether the trial went on until now.
func (t *trial) stop() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	was := !t.over
	t.over = true
	t.timer.Stop()
	return was
}
