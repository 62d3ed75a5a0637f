package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/codec/stamp"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
)

// Options are what a Source is made of. Camera, Config and Log are needed; the zero value of the others is useful.
type Options struct {
	Camera   hal.Camera
	Encoders []hal.Encoder // in the order of preference
	Config   Config
	Log      *slog.Logger
	Stamp    bool          // what capture_sei: auto means on this board
	Linger   time.Duration // how long the camera goes on when nobody wants it; 0 means DefaultLinger
	// Wall is CLOCK_REALTIME of a PTS; nil means monotime.Wall.
	Wall func(pts time.Duration) time.Time
}

// Source runs one camera for its outputs, while somebody wants one of them.
type Source struct {
	camera   hal.Camera
	encoders []hal.Encoder
	facts    []EncoderFacts
	log      *slog.Logger
	linger   time.Duration
	wall     func(pts time.Duration) time.Time
	outputs  []*output
	lookers  lookers
	faults   faults
	pool     h264.Pool     // of the camera's own access units
	timeline timeline      // used by the goroutine of Run alone
	wake     chan struct{} // capacity 1; a token means "somebody came"; full: the token is there already

	mu      sync.Mutex // guards what follows
	modes   []hal.Mode // as the camera said last
	current *run       // nil while the camera is closed
	starts  uint64
	fails   uint64
	failed  string // why the last one that failed did
}

// Reasons for which a run of the camera ends, besides an error of its own.
var (
	errIdle    = errors.New("nobody wants the camera")
	errReplan  = errors.New("the camera has to run in another mode")
	errStalled = errors.New("camera stands still")
	// errUndecodable: opened anew, a camera that sends its parameter sets once may send them again.
	errUndecodable = errors.New("camera sends H.264 without an IDR and its parameter sets")
)

// NewSource makes a source with one hub for each enabled output. Run brings it to life.
func NewSource(o Options) *Source {
	if o.Linger <= 0 {
		o.Linger = DefaultLinger
	}
	if o.Wall == nil {
		o.Wall = monotime.Wall
	}
	s := &Source{
		camera: o.Camera, encoders: o.Encoders, facts: FactsOf(o.Encoders), linger: o.Linger, wall: o.Wall,
		log: o.Log.With("part", "stream"), wake: make(chan struct{}, 1),
	}
	s.lookers.demand.changed = s.poke
	for _, named := range []struct {
		name string
		out  Output
	}{{"main", o.Config.Main}, {"sub", o.Config.Sub}} {
		if named.out.Enabled {
			s.outputs = append(s.outputs, newOutput(s, named.name, named.out, o))
		}
	}
	return s
}

// stamperFor returns what marks the pictures of an output, nil where it wants none.
func stamperFor(c CaptureSEI, o Options) stamper {
	if c == CaptureOff || c == CaptureAuto && !o.Stamp {
		return nil
	}
	return func(dst []byte, frame uint64, pts time.Duration) []byte {
		return stamp.Append(dst, stamp.Stamp{Frame: frame, Captured: o.Wall(pts)})
	}
}

// Hubs returns the streams, the most important first.
func (s *Source) Hubs() []*Hub {
	hubs := make([]*Hub, len(s.outputs))
	for i, o := range s.outputs {
		hubs[i] = o.hub
	}
	return hubs
}

// Hub returns the stream of that name, nil if there is none.
func (s *Source) Hub(name string) *Hub {
	if o := s.output(name); o != nil {
		return o.hub
	}
	return nil
}

func (s *Source) output(name string) *output {
	for _, o := range s.outputs {
		if o.name == name {
			return o
		}
	}
	return nil
}

// poke tells Run that somebody came.
func (s *Source) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run serves until ctx ends. A camera that fails or goes away is opened again with a back-off, for as long as somebody
// wants it; the subscriptions stay.
func (s *Source) Run(ctx context.Context) error {
	var retry backoff
	for s.awaitDemand(ctx) == nil {
		frames, err := s.serve(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errIdle), errors.Is(err, errReplan):
			s.settle(Idle, "")
			s.log.Info("camera closed", "reason", err)
			retry = backoff{}
		default:
			if frames > 0 {
				retry = backoff{}
			}
			s.failure(err, frames > 0)
			if monotime.Pause(ctx, retry.next()) != nil {
				return nil
			}
		}
	}
	return nil
}

// awaitDemand returns nil once somebody wants something, ctx's error when it ends.
func (s *Source) awaitDemand(ctx context.Context) error {
	for !s.wanted(time.Now()) {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// wanted reports whether the camera has to run.
func (s *Source) wanted(now time.Time) bool {
	for _, o := range s.outputs {
		if o.hub.wanted(now, s.linger) {
			return true
		}
	}
	return s.lookers.demand.wanted(now, s.linger)
}

// settle gives all outputs one state.
func (s *Source) settle(state State, reason string) {
	for _, o := range s.outputs {
		o.hub.detach(state, reason)
	}
}

// failure tells hubs and log why the camera failed; the log once only, while the same thing fails again.
func (s *Source) failure(err error, ran bool) {
	s.settle(Failed, err.Error())
	s.mu.Lock()
	news := ran || s.failed != err.Error()
	s.failed = err.Error()
	s.fails++
	s.mu.Unlock()
	if news {
		s.log.Warn("camera failed, trying again", "error", err)
	}
}

// question asks what the camera should do now.
func (s *Source) question(modes []hal.Mode, now time.Time) Question {
	q := Question{Modes: modes, Encoders: s.facts, Luma: s.lookers.demand.wanted(now, s.linger)}
	for _, o := range s.outputs {
		q.Wishes = append(q.Wishes, Wish{o.name, o.settings(), o.hub.wanted(now, s.linger)})
	}
	return q
}

// SetBitrate changes the bit rate of a running stream, and of its next runs. Where the camera itself codes and can't,
// it fails with hal.ErrUnsupported.
func (s *Source) SetBitrate(name string, b Bitrate) error {
	return s.change(name, func(o *Output) { o.Bitrate = b }, hal.Bitrate)
}

// SetGOP changes the time from one IDR to the next as SetBitrate does the bit rate.
func (s *Source) SetGOP(name string, every time.Duration) error {
	return s.change(name, func(o *Output) { o.GOPSeconds = every.Seconds() }, hal.GOP)
}

// SetStopped stops a stream, or lets it be had again, now and in its next runs.
func (s *Source) SetStopped(name string, stopped bool) error {
	o := s.output(name)
	switch {
	case o == nil:
		return fmt.Errorf("stop %s: %w", name, hal.ErrUnsupported)
	case stopped:
		o.hub.Stop()
	default:
		o.hub.Start()
	}
	return nil
}

func (s *Source) change(name string, edit func(*Output), c hal.Control) error {
	o := s.output(name)
	if o == nil {
		return fmt.Errorf("set %v of %s: %w", c, name, hal.ErrUnsupported)
	}
	s.mu.Lock()
	settings, r := o.settings(), s.current
	edit(&settings)
	err := settings.validate(name)
	if err == nil {
		o.wish.Store(&settings) // an encoder follows with its next picture
	}
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("set %v: %w", c, err)
	}
	if r == nil || !r.mode.Format.Coded() {
		return nil
	}
	if err := r.tune(c, settings); !errors.Is(err, hal.ErrClosed) {
		return err
	}
	return nil // it is being closed: the next run has the setting
}

// backoff is the time between two tries to open the camera. The zero backoff begins with the shortest.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, 250*time.Millisecond), 4*time.Second)
	return b.last
}
