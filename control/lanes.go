package control

import "sync"

// lanes let each source wait for itself alone: the commands of one source are done one after the other, in the order
// in which they came, and those of different sources side by side. Of all sources but the owner's so many are served at
// a time; the owner's lane is always.
type lanes struct {
	mu    sync.Mutex // guards open and ended
	open  map[string]*lane
	ended bool          // it was shut
	room  chan struct{} // a slot for each lane that works; full: the lane waits. The owner's takes none
	all   sync.WaitGroup
}

type lane struct{ waiting []func() }

// Bounds of the lanes.
const (
	maxWaiting = 40 // of one source; the next one is refused
	maxAtOnce  = 4  // sources that are served at a time
)

func newLanes() *lanes { return &lanes{open: map[string]*lane{}, room: make(chan struct{}, maxAtOnce)} }

// put lets work wait in its source's lane; false: the lane is full, or none is open any more.
func (l *lanes) put(source string, owner bool, work func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	in, ok := l.open[source]
	switch {
	case l.ended:
		return false
	case !ok:
		in = &lane{}
		l.open[source] = in
		l.all.Go(func() { l.drain(source, in, owner) })
	case len(in.waiting) >= maxWaiting:
		return false
	}
	in.waiting = append(in.waiting, work)
	return true
}

// drain does what waits in a lane, and closes it when nothing does.
func (l *lanes) drain(source string, in *lane, owner bool) {
	for {
		l.mu.Lock()
		if len(in.waiting) == 0 {
			delete(l.open, source)
			l.mu.Unlock()
			return
		}
		work := in.waiting[0]
		in.waiting = in.waiting[1:]
		l.mu.Unlock()
		if !owner {
			l.room <- struct{}{}
		}
		work()
		if !owner {
			<-l.room
		}
	}
}

// shut lets nobody in any more.
func (l *lanes) shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// wait returns when every lane is closed.
func (l *lanes) wait() { l.all.Wait() }
