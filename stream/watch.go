package stream

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// The watch over a running camera.
const (
	watchEvery  = 500 * time.Millisecond
	restartCure = 3           // after so many stall limits a camera that stands still is closed and opened again
	settleAfter = time.Minute // a mode that is more than what is needed is left after so long
)

// watch ends the run when nobody wants it any more, when another mode is needed, or when the camera stands still for
// long. It also tells the log what the run counted.
func (r *run) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	w := watcher{run: r, fits: time.Now()}
	for {
		select {
		case <-r.src.wake:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		r.src.faults.tell(r.src.log, now)
		if cause := w.check(now); cause != nil {
			r.ended.Store(int64(now.Sub(r.started)))
			cancel(cause)
			return
		}
	}
}

// watcher is what the watch remembers from one look to the next.
type watcher struct {
	run     *run
	stalled bool
	told    bool      // that the stream is undecodable
	fits    time.Time // when the plan last was the best one
}

func (w *watcher) check(now time.Time) error {
	s := w.run.src
	if !s.wanted(now) {
		return errIdle
	}
	if err := cmp.Or(w.stall(now), w.undecodable(now)); err != nil {
		return err
	}
	q := s.question(w.run.modes, now)
	plan, err := Choose(q)
	if err != nil {
		return err
	}
	if q.Luma && !plan.Luma && !w.run.plan.Luma {
		s.lookers.refuse(unsupported(s.camera, plan.Why))
	}
	switch {
	case w.run.plan.lacks(plan):
		return errReplan
	case plan.Mode == w.run.plan.Mode:
		w.fits = now
	case now.Sub(w.fits) > settleAfter:
		return errReplan
	}
	return nil
}

// lacks reports whether a running plan can't do what the one that is needed now can.
func (p Plan) lacks(needed Plan) bool {
	area := func(m Plan) int { return m.Mode.Width * m.Mode.Height }
	switch {
	case needed.Luma && !p.Luma, needed.Streams && !p.Streams:
		return true
	case p.Straight:
		return !needed.Straight || area(needed) > area(p)
	}
	return false
}

// stall notices that the camera stands still and that it moves again.
func (w *watcher) stall(now time.Time) error {
	r := w.run
	silent := now.Sub(r.started) - time.Duration(r.last.Load())
	limit := stallLimit(r.mode.Rate)
	switch stalled := silent > limit; {
	case stalled && !w.stalled:
		r.src.log.Warn("camera stalled", "last_frame_age_ms", silent.Milliseconds(), "frames", r.frames.Load())
	case !stalled && w.stalled:
		r.src.log.Info("camera moves again", "frames", r.frames.Load())
	}
	w.stalled = silent > limit
	if silent > restartCure*limit {
		return errStalled
	}
	return nil
}

// undecodable notices a camera that sends H.264 which no decoder can begin with: no parameter sets, or no IDR.
func (w *watcher) undecodable(now time.Time) error {
	r := w.run
	if !r.mode.Format.Coded() || r.decodable.Load() || r.frames.Load() == 0 || now.Sub(r.started) < stallAfter {
		return nil
	}
	if !w.told {
		w.told = true
		r.src.log.Warn("camera undecodable", "reason", errUndecodable, "buffers", r.frames.Load())
	}
	for _, o := range r.src.outputs {
		o.hub.setState(Failed, errUndecodable.Error())
	}
	_ = r.capture.Control(hal.ForceIDR, 1) // one that can't goes on as it does
	if now.Sub(r.started) > restartCure*stallAfter {
		return errUndecodable
	}
	return nil
}

// wedged is how long a camera or an encoder may take to let go after the run was ended.
const wedged = 10 * time.Second

// Alive returns an error while a camera or an encoder does not return from a call that it should have left long ago:
// nothing in this process can help then. The supervisor asks it before it pets the watchdog.
func (s *Source) Alive() error {
	s.mu.Lock()
	r := s.current
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	if ended := time.Duration(r.ended.Load()); ended > 0 && time.Since(r.started)-ended > wedged {
		return fmt.Errorf("camera %s: does not come back since %v", s.camera.Info().Path, wedged)
	}
	return nil
}
