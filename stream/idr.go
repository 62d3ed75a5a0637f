package stream

import "time"

// Patience with a source that was asked for an IDR.
const (
	idrPatience   = time.Second // how long an IDR that was asked for may take
	idrUnanswered = 3           // after so many that never came the source counts as one that can't
)

// idrGate decides whether a request for an IDR reaches the source: one serves all who wait, and none comes sooner than
// the interval after the last.
type idrGate struct {
	interval   time.Duration
	running    bool // an access unit was published since the source started
	last       time.Time
	asked      time.Time // zero: none is awaited
	unanswered int
	requests   uint64 // how many reached the source
}

// seen notes an IDR that was published.
func (g *idrGate) seen(now time.Time) {
	if !g.asked.IsZero() {
		g.unanswered = 0
	}
	g.running, g.last, g.asked = true, now, time.Time{}
}

// restart forgets everything about the source before. The first access unit of the next one is an IDR.
func (g *idrGate) restart() {
	g.running, g.asked, g.unanswered = false, time.Time{}, 0
}

// deaf reports whether the source ignores what it is asked.
func (g *idrGate) deaf() bool { return g.unanswered >= idrUnanswered }

// request says whether an IDR is on its way, and whether the source has to be asked for that.
func (g *idrGate) request(now time.Time, canForce bool) (coming, ask bool) {
	if !g.running {
		return true, false
	}
	if !g.asked.IsZero() {
		if now.Sub(g.asked) < idrPatience {
			return true, false
		}
		g.asked = time.Time{}
		g.unanswered++
	}
	if !canForce || g.deaf() || now.Sub(g.last) < g.interval {
		return false, false
	}
	g.asked = now
	g.requests++
	return true, true
}

// RequestIDR asks the source for an IDR. True: one comes within a picture or two, because it was asked for now, or was
// already and has not been seen yet, or because the source is not running and begins with one. False: the last IDR is
// younger than the interval, or the source can't make one on demand: whoever joins replays the GOP.
func (h *Hub) RequestIDR() bool {
	h.mu.Lock()
	force := h.force
	coming, ask := h.idr.request(time.Now(), force != nil)
	h.mu.Unlock()
	if !ask || force() {
		return coming
	}
	h.mu.Lock()
	h.idr.asked, h.idr.unanswered = time.Time{}, idrUnanswered
	h.mu.Unlock()
	return false
}
