package rtsp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/internal/monotime"
	"github.com/ocellus/ocellus/stream"
	"github.com/ocellus/ocellus/stream/rtp"
)

const (
	payloadType = 96
	// hubQueue is how many access units may wait for the fan-out: more than a second at 25 a second.
	hubQueue = 32
	// joinPatience is how long a reader that joins waits for the IDR that was asked for.
	joinPatience = 150 * time.Millisecond
	// linger keeps the stream up between a DESCRIBE and the PLAY that follows, and when the last reader has left: who
	// comes next finds a GOP that can be replayed.
	linger = 5 * time.Second
	// askInterval is how often a slow reader may ask for an IDR: it must not cost the others their picture quality.
	askInterval = 2 * time.Second
	// reportInterval is the time between two sender reports to a reader (RFC 3550 6.2).
	reportInterval = 5 * time.Second
)

// fanout brings one stream to its readers. What is below "owned" belongs to the goroutine of run, which lives from the
// first DESCRIBE or PLAY until a while after the last reader has gone. Everybody else hands it functions (do).
type fanout struct {
	name   string
	index  int // among the streams
	hub    *stream.Hub
	log    *slog.Logger
	config *Config
	cname  string // RFC 3550 6.5.1
	counts *counters
	mode   *atomic.Int32  // a sendMode, to begin with
	wg     sync.WaitGroup // of run
	ctx    func() context.Context

	packets, octets atomic.Uint64 // sent, counted for each reader

	groupMu sync.Mutex // guards opened, and the opening: a bind, which does not wait
	opened  *group

	mu      sync.Mutex // guards calls and running
	calls   []func()
	running bool
	wake    chan struct{} // capacity 1; a token means "look at calls"; full: the token is there already

	// owned
	packetizer *rtp.Packetizer
	pool       sync.Pool // of *delivery
	tcp, udp   []*reader
	joining    []*reader // of tcp and udp: those whose PLAY is not answered
	unicast    *udpSender
	pacer      pacer
	group      *group
	gop        []*delivery // since the last IDR; nil if none came or they are too many
	gopBytes   int
	largestIDR int
	offset     uint32 // of the RTP timestamps, random (RFC 3550 5.1)
	last       lastUnit
	keep       time.Time // not to be stopped before
	timer      *time.Timer
	sr         []byte
}

// lastUnit is where the media clock stood when the last access unit was captured.
type lastUnit struct {
	known     bool
	pts       time.Duration
	timestamp uint32
}

func newFanout(s *Server, index int, hub *stream.Hub) *fanout {
	var random [10]byte
	_, _ = rand.Read(random[:]) // never fails
	f := &fanout{
		name: hub.Name(), index: index, hub: hub, log: s.log.With("stream", hub.Name()), config: &s.config,
		counts: &s.counts, mode: &s.mode, ctx: s.context, wake: make(chan struct{}, 1),
		offset: binary.BigEndian.Uint32(random[:]),
	}
	f.cname = fmt.Sprintf("%s@%x", f.name, random[4:])
	f.packetizer = rtp.NewPacketizer(rtp.Config{
		PayloadType: payloadType,
		SSRC:        binary.BigEndian.Uint32(random[4:]),
		FirstSeq:    binary.BigEndian.Uint16(random[8:]) >> 1, // far from the wrap, for SRTP's and old receivers' sake
	})
	return f
}

// do runs fn on the fan-out's goroutine, which it starts if need be. False: the server has stopped.
func (f *fanout) do(fn func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx := f.ctx()
	if ctx.Err() != nil {
		return false
	}
	f.calls = append(f.calls, fn)
	if !f.running {
		f.running = true
		f.wg.Go(func() { f.run(ctx) })
		return true
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return true
}

// call is do that waits until fn has run, or the server has stopped.
func (f *fanout) call(fn func()) {
	done := make(chan struct{})
	if !f.do(func() { fn(); close(done) }) {
		return
	}
	select {
	case <-done:
	case <-f.ctx().Done():
	}
}

// wait returns when run has ended. The context of the server has: nobody starts it again.
func (f *fanout) wait() {
	f.mu.Lock()
	f.calls = nil
	f.mu.Unlock()
	f.wg.Wait()
}

// take returns the functions that wait to be run.
func (f *fanout) take() []func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// needless reports whether nobody is served and nothing waits to be done.
func (f *fanout) needless() bool {
	if len(f.tcp) > 0 || len(f.udp) > 0 || time.Now().Before(f.keep) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls) == 0
}

// touch keeps the stream up for a while, since somebody is about to play it. On its return the hub is subscribed to,
// so that no IDR passes unseen.
func (f *fanout) touch() {
	f.call(func() { f.keep = time.Now().Add(linger) })
}

// run serves the readers until none is left, the stream ends, or ctx does. Whoever calls while it is winding up makes
// it begin again: there are never two of it.
func (f *fanout) run(ctx context.Context) {
	for {
		f.serveOnce(ctx)
		f.mu.Lock()
		if len(f.calls) == 0 || ctx.Err() != nil {
			f.running = false
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
	}
}

// serveOnce subscribes to the hub and serves.
func (f *fanout) serveOnce(ctx context.Context) {
	pumping, cancel := context.WithCancel(ctx)
	subscription := f.hub.Subscribe(hubQueue)
	units := make(chan *h264.AccessUnit) // closed by the pump; unbuffered: the subscription is the queue
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		f.pump(pumping, subscription, units)
	}()
	f.timer = time.NewTimer(time.Hour)
	f.serve(ctx, units)
	f.timer.Stop()
	cancel()
	subscription.Close()
	<-pumped
	f.forgetGOP()
}

// pump hands the access units of the hub to serve, which has other things to wait for too.
func (f *fanout) pump(ctx context.Context, s *stream.Subscription, units chan<- *h264.AccessUnit) {
	defer close(units)
	for {
		au, err := s.Next(ctx)
		if err != nil {
			return
		}
		select {
		case units <- au:
		case <-ctx.Done():
			au.Release()
			return
		}
	}
}

func (f *fanout) serve(ctx context.Context, units <-chan *h264.AccessUnit) {
	for {
		for _, call := range f.take() {
			call()
		}
		f.flush()
		if f.needless() {
			return
		}
		f.arm()
		select {
		case au, ok := <-units:
			if !ok {
				f.log.Info("stream ended")
				f.end()
				return
			}
			f.distribute(au)
		case <-f.wake:
		case <-f.timer.C:
			f.tick(time.Now())
		case <-ctx.Done():
			f.end()
			return
		}
	}
}

// distribute brings one access unit to every reader and gives it back.
func (f *fanout) distribute(au *h264.AccessUnit) {
	timestamp := f.offset + rtpTime(au.PTS)
	burst := f.packetizer.Packetize(au.NALUs, timestamp)
	if au.IDR {
		f.forgetGOP()
		f.largestIDR = max(f.largestIDR, len(burst.Interleaved()))
	}
	d := newDelivery(&f.pool, burst, au.IDR, max(f.config.SessionBytes, 2*f.largestIDR))
	f.last = lastUnit{true, au.PTS, timestamp}
	au.Release()
	if burst.Len() == 0 {
		d.release()
		return
	}
	now := time.Now()
	sent := uint64(0)
	for _, r := range f.tcp {
		sent += f.serveReader(r, d, now)
	}
	for _, r := range f.udp {
		sent += f.serveReader(r, d, now)
	}
	if f.group != nil {
		f.group.remind(f, d.idr)
	}
	f.flush()
	f.packets.Add(sent * uint64(burst.Len()))
	f.octets.Add(sent * uint64(burst.Octets()))
	f.remember(d)
}

// rtpTime converts to the 90 kHz clock of video, rounded.
func rtpTime(pts time.Duration) uint32 {
	return uint32((int64(pts)*9 + 50000) / 100000)
}

// flush sends what was put into the UDP batches.
func (f *fanout) flush() {
	if f.unicast != nil {
		f.unicast.flush()
	}
	if f.group != nil {
		f.group.sender.flush()
	}
}

// remember takes over the caller's reference and keeps the delivery as part of the current GOP.
func (f *fanout) remember(d *delivery) {
	if !d.idr && len(f.gop) == 0 || f.gopBytes+d.size > f.config.GOPBytes {
		d.release()
		f.forgetGOP()
		return
	}
	f.gop = append(f.gop, d)
	f.gopBytes += d.size
}

func (f *fanout) forgetGOP() {
	for i, d := range f.gop {
		d.release()
		f.gop[i] = nil
	}
	f.gop, f.gopBytes = f.gop[:0], 0
}

// arm sets the timer to the next thing to do.
func (f *fanout) arm() {
	next := time.Time{}
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, r := range f.joining {
		sooner(r.deadline)
	}
	if len(f.tcp) == 0 && len(f.udp) == 0 {
		sooner(f.keep)
	}
	if len(f.pacer.lagging) > 0 {
		f.timer.Reset(paceInterval)
		return
	}
	if !next.IsZero() {
		f.timer.Reset(max(time.Until(next), 0))
	}
}

// tick does what is due.
func (f *fanout) tick(now time.Time) {
	for _, r := range slices.Clone(f.joining) {
		if !now.Before(r.deadline) {
			f.replay(r, now)
		}
	}
	f.pacer.step()
	f.flush()
}

// report sends a sender report (RFC 3550 6.4.1): the wall time at which the last access unit was captured, and what
// the RTP clock showed then.
func (f *fanout) report(r *reader, now time.Time) {
	if !f.last.known {
		return
	}
	r.nextReport = now.Add(reportInterval)
	wall := monotime.Wall(f.last.pts)
	f.sr = rtp.AppendSR(f.sr[:0], f.packetizer.SSRC(), wall, f.last.timestamp, r.packets, r.octets, f.cname)
	r.outlet.report(f.sr)
}
