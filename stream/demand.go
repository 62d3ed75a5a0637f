package stream

import (
	"sync"
	"time"
)

// DefaultLinger is how long a camera goes on after the last one who wanted it left, so that a DESCRIBE and the PLAY
// that follows, or a reader that reconnects, meet a running camera.
const DefaultLinger = 5 * time.Second

// demand counts who wants something: subscriptions, waiters for parameter sets, lookers. The zero demand is ready.
type demand struct {
	changed func() // called without a lock when the count rises from zero; set before first use

	mu   sync.Mutex // guards what follows
	n    int
	left time.Time // when the count last fell to zero; zero: it never did
}

func (d *demand) raise() {
	d.mu.Lock()
	d.n++
	first := d.n == 1
	d.mu.Unlock()
	if first && d.changed != nil {
		d.changed()
	}
}

func (d *demand) lower() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n--
	if d.n < 0 {
		panic("stream: demand lowered more often than raised")
	}
	if d.n == 0 {
		d.left = time.Now()
	}
}

// count returns how many want it now.
func (d *demand) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

// wanted reports whether somebody wants it now or did within the linger.
func (d *demand) wanted(now time.Time, linger time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n > 0 || !d.left.IsZero() && now.Sub(d.left) < linger
}
