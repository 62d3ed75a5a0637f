package provision

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/statefile"
)

// cutStory is something in which the power fails. It runs until the camera is at rest or the power is out.
type cutStory struct {
	name    string
	settled bool // in HomeNet, with an owner, before it begins
	play    func(w *world, e *Engine)
	// may are the networks in which the camera may be afterwards; "" is none, and listening.
	may []hal.SSID
	// done is where it is when the power never fails.
	done hal.SSID
}

func cutStories() []cutStory {
	return []cutStory{
		{"first network", false, func(w *world, _ *Engine) { w.lens.hold(w.t, homeCode) },
			[]hal.SSID{"", "HomeNet"}, "HomeNet"},
		{"first network, wrong password", false, func(w *world, _ *Engine) { w.lens.hold(w.t, wrongCode) },
			[]hal.SSID{""}, ""},
		{"another network", true, change("Office", "another one"), []hal.SSID{"HomeNet", "Office"}, "Office"},
		{"another network, wrong password", true, change("Office", "not that one"), []hal.SSID{"HomeNet"}, "HomeNet"},
		{"another network, not there", true, change("Nowhere", "not that one"), []hal.SSID{"HomeNet"}, "HomeNet"},
	}
}

func change(name, password string) func(w *world, e *Engine) {
	return func(w *world, e *Engine) {
		if !w.within(10*time.Second, w.in("HomeNet")) {
			return
		}
		_ = e.Change(w.t.Context(), Offer{Networks: []qrtext.Network{wpa(name, password)}}) // the power may be out
	}
}

// within waits until something holds or the power is out.
func (w *world) within(limit time.Duration, holds func() bool) bool {
	for begin := time.Now(); !holds(); <-time.After(10 * time.Millisecond) {
		if w.disk.out() || time.Since(begin) > limit {
			return false
		}
	}
	return true
}

// out reports whether the power is out.
func (d *disk) out() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cut == 0
}

// TestPowerCuts cuts the power at every operation on the state's disk and on the radio, with unflushed names lost or
// kept, and once more in every life that follows: the camera is in the old network or in the new one within 60 s, and
// nothing of a trial is left.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	for _, s := range cutStories() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			cuts, lives, ended := 0, 0, false
			for cut := 1; !ended; cut++ {
				for _, kept := range []bool{true, false} {
					synctest.Test(t, func(t *testing.T) { ended = s.cutAt(t, cut, kept, &lives) })
				}
				cuts++
			}
			if cuts < 10 {
				t.Errorf("the story has %d operations", cuts)
			}
			t.Logf("%d cut points, %d lives judged", cuts, lives)
		})
	}
}

// cutAt plays the story with so many operations until the power fails, and counts the lives that it judged; ended: it
// does not come to that.
func (s cutStory) cutAt(t *testing.T, cut int, kept bool, lives *int) (ended bool) {
	w := s.world(t)
	if s.settled {
		settled(t, w)
		w.lens.hold(t, "")
	}
	ended = w.life(cut, s.play)
	s.judge(w, kept, ended, fmt.Sprintf("cut %d, names kept %v", cut, kept))
	*lives++
	for again := 1; !ended; again++ {
		*lives++
		next := w.after(t, kept)
		done := next.life(again, nil)
		s.judge(next, kept, false, fmt.Sprintf("cut %d, then %d, names kept %v", cut, again, kept))
		if done {
			break
		}
	}
	return ended
}

func (s cutStory) world(t *testing.T) *world {
	w := newWorld(t)
	w.radio.networks["HomeNet"] = home()
	w.radio.networks["Office"] = &place{password: "another one", takes: time.Second, channel: 1}
	w.o.Monitor, w.o.EasyConnect = nil, nil // what they do to the radio changes nothing that is stored
	return w
}

// lifetime is when all is over, and before a code that failed is tried again.
const lifetime = showFailure - time.Second

// life plays a story until the power is out, or all is over.
func (w *world) life(cut int, play func(w *world, e *Engine)) (ended bool) {
	w.disk.mu.Lock()
	w.disk.cut = cut
	w.disk.mu.Unlock()
	w.radio.power = w.disk.operate
	e, stop := w.start()
	if play != nil {
		play(w, e)
	}
	w.within(lifetime, w.disk.out)
	_ = stop()
	return !w.disk.out()
}

// after is the same camera once the power is back.
func (w *world) after(t *testing.T, kept bool) *world {
	next := *w
	next.t, next.disk, next.lens, next.lamp = t, w.disk.after(kept), &lens{}, &lamp{}
	next.radio = &radio{t: t, networks: w.radio.networks}
	next.o.Radio, next.o.Lens, next.o.LED = next.radio, next.lens, next.lamp
	next.o.State = next.state()
	return &next
}

// judge lets the power come back and looks where the camera is.
func (s cutStory) judge(w *world, kept, whole bool, when string) {
	w.t.Helper()
	next := w.after(w.t.(*testing.T), kept)
	e, stop := next.start()
	next.within(time.Minute, func() bool {
		st := e.Status().State
		return next.radio.joined() != "" && st == Provisioned || st == Listening
	})
	<-time.After(tick) // a lamp and a link later
	where, status := next.radio.joined(), e.Status()
	_ = stop()
	m, _, err := statefile.At[memory](next.state(), memoryVersion).Load()
	switch {
	case err != nil || m.Trial != nil:
		w.t.Errorf("%s: file: %v, a trial is left: %v", when, err, m.Trial != nil)
	case !slices.Contains(s.may, where):
		w.t.Errorf("%s: in %q, may be %q", when, where, s.may)
	case whole && where != s.done:
		w.t.Errorf("%s: in %q, want %q: the power did not fail", when, where, s.done)
	case where != "" && (status.State != Provisioned || status.SSID != where):
		w.t.Errorf("%s: in %q, and says %+v", when, where, status)
	case where == "" && (status.State != Listening || m.Network != nil):
		w.t.Errorf("%s: nowhere, and says %+v", when, status)
	}
}
