package stream

import (
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
)

// timeline keeps PTS growing, over every start of the camera, whatever the driver says: a reader that sees time go
// back gives up. The zero timeline is ready.
type timeline struct {
	last  time.Duration
	shift time.Duration // added since the driver's clock jumped back
	begun bool
}

// jumpBack is the step back from which the driver's clock counts as set anew rather than one frame as late.
const jumpBack = time.Second

// forward returns the PTS to use, and whether the driver's had to be changed now.
func (t *timeline) forward(pts time.Duration) (_ time.Duration, late bool) {
	p := pts + t.shift
	if t.begun && p <= t.last {
		late = true
		if t.last-p > jumpBack {
			t.shift += t.last - p + 40*time.Millisecond
		}
		p = max(pts+t.shift, t.last+time.Millisecond)
	}
	t.last, t.begun = p, true
	return p, late
}

// goesBack reports whether the PTS is before the last one, by less than a clock that was set anew would make it.
func (t *timeline) goesBack(pts time.Duration) bool {
	back := t.last - pts
	return t.begun && t.shift == 0 && back > 0 && back < jumpBack
}

// reordered reports whether the frame is a B picture: it is shown before one that was sent already, so its PTS goes
// back by right. No camera codes so; recorded files do.
func reordered(f hal.Frame) bool {
	if !f.Format.Coded() {
		return false
	}
	var room [32][]byte
	for _, u := range h264.SplitAnnexB(room[:0], f.Data) {
		if h264.TypeOf(u).VCL() {
			slice, err := h264.ParseSliceStart(u)
			return err == nil && slice.Type == h264.SliceB
		}
	}
	return false
}

// decimator picks the pictures that an output of a lower rate takes, by their PTS.
type decimator struct {
	interval time.Duration // between two pictures of the output; 0 takes them all
	slack    time.Duration // half an interval of the camera
	next     time.Duration
	begun    bool
}

// newDecimator returns one that takes the wanted rate out of the camera's; all, where that is not clearly higher.
func newDecimator(camera, want hal.Rate) decimator {
	if camera.Float() > 0 && camera.Float() <= want.Float()*1.05 || want.Float() == 0 {
		return decimator{}
	}
	return decimator{interval: want.Interval(), slack: camera.Interval() / 2}
}

// take reports whether the picture at pts is one to take.
func (d *decimator) take(pts time.Duration) bool {
	if d.interval == 0 {
		return true
	}
	if !d.begun || pts-d.next > d.interval { // the first one, or after a gap
		d.begun, d.next = true, pts+d.interval
		return true
	}
	if pts+d.slack < d.next {
		return false
	}
	d.next += d.interval
	return true
}
