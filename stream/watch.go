package stream

import (
	"context"
	"time"
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
			cancel(cause)
			return
		}
	}
}

// watcher is what the watch remembers from one look to the next.
type watcher struct {
	run     *run
	stalled bool
	fits    time.Time // when the plan last was the best one
}

func (w *watcher) check(now time.Time) error {
	s := w.run.src
	if !s.wanted(now) {
		return errIdle
	}
	if err := w.stall(now); err != nil {
		return err
	}
	plan, err := Choose(s.question(w.run.modes, now))
	if err != nil {
		return err
	}
	if s.lookers.demand.count() > 0 && !plan.Luma && !w.run.plan.Luma {
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
