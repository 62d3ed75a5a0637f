package stream

import (
	"errors"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
)

// Errors of a Hub and its subscriptions.
var (
	// ErrClosed is what a Subscription or a Hub that was closed answers.
	ErrClosed = errors.New("stream closed")
	// ErrStopped is what a Hub answers whose owner wants nobody to have its pictures.
	ErrStopped = errors.New("stream stopped")
)

// DefaultIDRInterval is the shortest time between an IDR and the next one that is made because somebody asked.
const DefaultIDRInterval = 500 * time.Millisecond

// Info says what a stream carries, or will carry once it runs.
type Info struct {
	Width, Height int      // in pixels; 0 until known
	Rate          hal.Rate // nominal; the real timing is each access unit's PTS
	BitrateBPS    int      // what the encoder was asked for; 0 unknown
	GOP           int      // pictures from one IDR to the next; 0 unknown
	Encoder       string   // who codes: an encoder's name, or the camera's where the driver hands out H.264
	CanForceIDR   bool     // RequestIDR can work
	// Generation grows whenever the parameter sets come to say something else than before (another size, another
	// profile), more than new ids. The new ones stand in band in front of the IDR that they are for.
	Generation uint64
}

// HubOptions are what a Hub is made with. The zero value is useful.
type HubOptions struct {
	IDRInterval time.Duration // see RequestIDR; 0 means DefaultIDRInterval
	ForceIDR    func() bool   // asks the source for an IDR, false: it can't; nil: a Source sets it, or nobody can
	Info        Info          // what Describe answers before the source runs

	demandChanged func() // called without a lock when demand rises from nothing
}

// Hub is one named stream: one goroutine publishes, any number subscribe.
type Hub struct {
	name   string
	demand demand

	mu       sync.Mutex // guards what follows; taken for a few assignments, never while calling out
	subs     []*Subscription
	closed   bool
	stopped  bool
	info     Info
	force    func() bool
	idr      idrGate
	params   paramCache
	counters counters
	status   status
}

// NewHub makes a hub. A Source makes its own; a program that publishes by itself (a test) calls this.
func NewHub(name string, o HubOptions) *Hub {
	if o.IDRInterval <= 0 {
		o.IDRInterval = DefaultIDRInterval
	}
	h := &Hub{name: name, info: o.Info, force: o.ForceIDR}
	h.demand.changed = o.demandChanged
	h.idr.interval = o.IDRInterval
	h.params.ready = make(chan struct{})
	h.status.state = Idle
	return h
}

// Name returns the stream's name: "main", "sub".
func (h *Hub) Name() string { return h.name }

// Describe returns what the stream carries.
func (h *Hub) Describe() Info {
	h.mu.Lock()
	defer h.mu.Unlock()
	info := h.info
	info.CanForceIDR = h.force != nil && !h.idr.deaf()
	info.Generation = h.params.generation
	return info
}

// Publish hands one access unit to every subscription and takes over the caller's reference. One goroutine at a time
// publishes. It never blocks and allocates nothing.
func (h *Hub) Publish(au *h264.AccessUnit) {
	now := time.Now()
	size := au.Size()
	h.mu.Lock()
	subs := h.subs
	h.counters.add(now, au, size)
	h.status.published(now)
	if au.IDR {
		h.idr.seen(now)
		h.params.learn(au)
	}
	h.mu.Unlock()

	wantIDR, dropped := false, uint64(0)
	for _, s := range subs {
		n, ask := s.offer(au, now)
		dropped += n
		wantIDR = wantIDR || ask
	}
	au.Release()
	if dropped > 0 {
		h.mu.Lock()
		h.counters.dropped += dropped
		h.mu.Unlock()
	}
	if wantIDR {
		h.RequestIDR()
	}
}

// Subscribe adds a reader whose queue holds capacity access units (1 at least). It counts as demand until its Close.
// The first access unit that it delivers is an IDR, which is asked for.
func (h *Hub) Subscribe(capacity int) *Subscription {
	s := newSubscription(h, max(capacity, 1))
	h.demand.raise() // first: whoever closes it at once gives back what is there
	h.mu.Lock()
	if h.closed || h.stopped {
		s.closed = true
		close(s.done)
	} else {
		h.subs = append(h.subs[:len(h.subs):len(h.subs)], s) // a copy: Publish walks the old slice without the lock
	}
	h.mu.Unlock()
	if s.closed {
		h.demand.lower()
		return s
	}
	h.RequestIDR()
	return s
}

// remove takes a subscription off the list and gives its demand back.
func (h *Hub) remove(s *Subscription) {
	h.mu.Lock()
	kept := make([]*Subscription, 0, len(h.subs))
	for _, other := range h.subs {
		if other != s {
			kept = append(kept, other)
		}
	}
	h.subs = kept
	h.mu.Unlock()
	h.demand.lower()
}

// Close ends every subscription and makes Params fail with ErrClosed. The publisher stops before.
func (h *Hub) Close() {
	h.mu.Lock()
	subs := h.subs
	if !h.closed {
		h.closed = true
		h.params.close()
	}
	h.mu.Unlock()
	for _, s := range subs {
		s.Close()
	}
}

// Stop ends every subscription, and lets nobody have pictures until Start.
func (h *Hub) Stop() {
	h.mu.Lock()
	subs := h.subs
	if !h.stopped {
		h.stopped = true
		h.params.wake()
	}
	h.mu.Unlock()
	for _, s := range subs {
		s.Close()
	}
}

// Start takes Stop back.
func (h *Hub) Start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = false
}

// Stopped reports whether nobody may have pictures.
func (h *Hub) Stopped() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopped
}

// wanted reports whether the source has to make pictures for the hub.
func (h *Hub) wanted(now time.Time, linger time.Duration) bool {
	return !h.Stopped() && h.demand.wanted(now, linger)
}

// attach tells the hub that a source begins to publish: what, and how to ask it for an IDR (nil: it can't).
func (h *Hub) attach(info Info, force func() bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if info.Width != h.info.Width || info.Height != h.info.Height || info.Encoder != h.info.Encoder {
		h.params.forget()
	}
	h.info, h.force = info, force
	h.idr.restart()
	h.status.set(Starting, "", time.Now())
}

// detach tells the hub that its source has stopped, and why.
func (h *Hub) detach(state State, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.force = nil
	h.idr.restart()
	h.status.set(state, reason, time.Now())
}

// setState tells what the source is about to do.
func (h *Hub) setState(state State, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.status.state != state || h.status.reason != reason {
		h.status.set(state, reason, time.Now())
	}
}

// starting tells that the source is being opened. One that has failed stays failed until it works.
func (h *Hub) starting() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.status.state == Idle {
		h.status.set(Starting, "", time.Now())
	}
}

// resize notes that the pictures have another size from now on.
func (h *Hub) resize(width, height int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.info.Width, h.info.Height = width, height
}

// retune notes settings that changed while the source runs.
func (h *Hub) retune(bitrateBPS, gop int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.info.BitrateBPS, h.info.GOP = bitrateBPS, gop
}

// encoded adds what the encoder needed for one picture.
func (h *Hub) encoded(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counters.encoderLast = d
	h.counters.encoderTotal += d
}
