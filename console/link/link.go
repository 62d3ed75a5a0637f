// Package link lets programs speak on the serial line on which a person may type: camctl by frames (console/link/wire,
// docs/serial-protocol.md), and any page or app by Improv Wi-Fi (codec/improv) while the camera has no owner.
//
//	port --bytes--> Feed --text--> the person's console
//	                  \--frames, packets--> Run --> the command table, the update engine, provision
//	                                          \--frames--> the port, each in one Write
//
// Its laws:
//
//   - Whoever is at the line may disturb it, and nothing else: an envelope has its own signature, and everything else
//     but Improv and a claim needs a key that answered a riddle in the same conversation.
//   - While a conversation goes on, nothing on the line is text: what is left of a damaged frame never becomes a
//     command.
//   - A camera with an owner parses no Improv packet.
//   - What comes costs bounded memory, however it comes: a message, a window of a file, a few requests at a time.
package link

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/frame"
	"github.com/ocellus/ocellus/codec/improv"
	"github.com/ocellus/ocellus/console/link/wire"
)

// Lock finds out who is in one conversation; it is for one goroutine. The camera's are of access.
type Lock interface {
	// Ask is the riddle that the next answer has to solve; it replaces an earlier one.
	Ask(now time.Time) []byte
	// Open judges an answer: access.ErrDenied, among others.
	Open(answer []byte, now time.Time) (Pass, error)
}

// Pass is what who opened a lock has.
type Pass interface {
	// Identity is who holds it as of now: access.ErrDenied once he may nothing any more.
	Identity(now time.Time) (access.Identity, error)
}

// Gate makes the sender of a claim the owner; *access.Ownership is one.
type Gate interface {
	Claimed() bool
	Challenge() claim.Challenge
	Claim(raw []byte) (receipt []byte, err error)
}

// Options are what a Link needs. Out, About, Envelope and Log are.
type Options struct {
	// Out takes frames and packets, each in one Write; it keeps text of others out of them.
	Out io.Writer
	// About is what the camera says of itself to whoever greets it. Its Session means nothing.
	About func() wire.Welcome
	// Envelope judges a sealed command and answers it, once or more; the error says that there will be no answer.
	Envelope func(ctx context.Context, raw []byte, answer func(reply []byte, last bool)) error
	// NewLock makes a lock for a conversation. Nil: envelopes alone.
	NewLock func() Lock
	// Gate takes claims. Nil: none are taken.
	Gate Gate
	// Penalty is how long a wrong answer, or a claim's wrong proof, is held back now.
	Penalty func() time.Duration
	// Do runs a command, given as JSON, on behalf of somebody, and returns the answer as JSON.
	Do func(ctx context.Context, who access.Identity, request []byte) []byte
	// Take installs an update out of a bundle on behalf of somebody, and returns the answer as JSON. Nil: none is taken.
	Take func(ctx context.Context, who access.Identity, bundle io.Reader, now bool) []byte
	// Network is where Improv leads to. Nil: nowhere.
	Network Network
	Log     *slog.Logger
}

// quiet is a silence in which no frame and no packet pauses: what comes after it is a beginning.
const quiet = 500 * time.Millisecond

// Link is the programs' side of a serial line. New is the only door; then Feed and Run.
type Link struct {
	Options
	// frames and packets are what Feed found. Capacity 64 and 4; full: what comes is dropped, as a bad line would; who
	// sent it sends it again.
	frames  chan frame.Frame
	packets chan improv.Packet
	calls   chan func() // unbuffered: what other goroutines want done in that of Run

	mu     sync.Mutex // guards the rest, which is Feed's
	split  frame.Splitter
	finder improv.Finder
	heard  time.Time // when something came last
	until  time.Time // until then the line is a conversation's
}

// New makes a link.
func New(o Options) *Link {
	o.Log = o.Log.With("part", "link")
	return &Link{Options: o, frames: make(chan frame.Frame, 64), packets: make(chan improv.Packet, 4),
		calls: make(chan func())}
}

// Feed takes what came over the line, cut anywhere, and returns what of it a person typed. It never waits.
func (l *Link) Feed(b []byte) (text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	take := func(p frame.Piece) { text = l.piece(p, now, text) }
	if now.Sub(l.heard) > quiet {
		l.split.Quiet(take)
		l.finder.Quiet()
	}
	l.heard = now
	l.split.Push(b, take)
	return text
}

// piece is one piece of what came.
func (l *Link) piece(p frame.Piece, now time.Time, text []byte) []byte {
	if p.Frame != nil {
		l.frame(*p.Frame, now)
		return text
	}
	if now.Before(l.until) {
		return text
	}
	if l.Network == nil || l.Network.Claimed() {
		l.finder.Quiet()
		return append(text, p.Text...)
	}
	l.finder.Push(p.Text, func(t []byte, packet *improv.Packet) {
		text = append(text, t...)
		if packet == nil {
			return
		}
		select {
		case l.packets <- improv.Packet{Type: packet.Type, Data: slices.Clone(packet.Data)}:
		default:
		}
	})
	return text
}

// frame hands a frame to Run, and sees whose the line is. An echo of the camera's own frames is nobody's.
func (l *Link) frame(f frame.Frame, now time.Time) {
	switch {
	case f.Kind&wire.FromCamera != 0:
		return
	case f.Kind == wire.HelloKind, now.Before(l.until):
		l.until = now.Add(wire.Hold)
	}
	if f.Kind == wire.Bye {
		l.until = time.Time{}
	}
	f.Payload = slices.Clone(f.Payload)
	select {
	case l.frames <- f:
	default:
	}
}

// write sends a frame or a packet. A line that is gone is the port's to tell of.
func (l *Link) write(raw []byte) {
	if _, err := l.Out.Write(raw); err != nil {
		l.Log.Debug("not written", "err", err)
	}
}

// Run holds conversations until ctx ends. What was begun has ended when it returns.
func (l *Link) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var jobs sync.WaitGroup
	d := &desk{Link: l, ctx: ctx, jobs: &jobs}
	defer jobs.Wait()
	defer cancel()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(d.pause(time.Now()))
		select {
		case <-ctx.Done():
			return nil
		case f := <-l.frames:
			d.frame(f, time.Now())
		case p := <-l.packets:
			d.packet(p)
		case call := <-l.calls:
			call()
		case <-timer.C:
			d.tick(time.Now())
		}
	}
}

// call does something in the goroutine of Run, and returns when it is done; false: ctx ended before it began.
func (l *Link) call(ctx context.Context, do func()) bool {
	done := make(chan struct{})
	select {
	case l.calls <- func() { do(); close(done) }:
		<-done // Run does at once what it takes
		return true
	case <-ctx.Done():
		return false
	}
}
