// Package caller is camctl's end of the framed mode of a serial line (console/link/wire): it greets a camera, asks, and
// hears answers, over anything that reads and writes. Text that the camera writes between frames is overlooked.
package caller

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/frame"
	"github.com/ocellus/ocellus/console/link/wire"
)

// How long things take, at most.
const (
	greetEvery = 700 * time.Millisecond
	quiet      = 500 * time.Millisecond // in which no frame pauses
	pingEvery  = time.Second            // while nothing else is said
	goneAfter  = 10 * time.Second       // without a frame from the camera
)

// Errors that callers branch on, beside wire.ErrVersion.
var (
	// ErrNobody: no camera answers: another speed, another program on the line, no camera.
	ErrNobody = errors.New("no camera answers")
	// ErrEcho: what is sent comes back.
	ErrEcho = errors.New("the port sends back what it is sent")
	// ErrGone: the port went away, or the camera fell silent.
	ErrGone = errors.New("the line is gone")
)

// Options of a Dial.
type Options struct {
	Chunk    int           // bytes of a message in one frame; ChunkFor
	Patience time.Duration // for somebody to answer
}

// ChunkFor is a chunk that takes a tenth of a second at this speed, so that a damaged frame costs little.
func ChunkFor(baud int) int { return min(max(baud/100, wire.MinChunk), wire.MaxChunk) }

// Caller is a conversation. Dial is the only door; its methods may be called from several goroutines.
type Caller struct {
	port   io.ReadWriteCloser
	camera wire.Welcome
	hello  wire.Hello
	frames chan frame.Frame // unbuffered: who reads waits
	says   chan []byte      // unbuffered: messages to send
	cancel context.CancelFunc
	all    sync.WaitGroup
	broken error // why it is over; set before over is closed
	over   chan struct{}

	mu      sync.Mutex // guards the rest
	number  uint16
	waiting map[uint16]*ask
}

// ask is a request that waits for answers.
type ask struct {
	answers chan wire.Message // unbuffered: who asked takes them at once
	left    chan struct{}     // closed when nobody waits any more
}

// Dial greets until a camera answers. Close closes the port; so does a Dial that fails.
func Dial(ctx context.Context, port io.ReadWriteCloser, o Options) (*Caller, error) {
	c := &Caller{port: port, hello: wire.Hello{Chunk: o.Chunk}, frames: make(chan frame.Frame), says: make(chan []byte),
		over: make(chan struct{}), waiting: map[uint16]*ask{}}
	_, _ = rand.Read(c.hello.Session[:]) // never fails
	ctx, c.cancel = context.WithCancel(ctx)
	failed := make(chan error, 1) // one, of the reader's end
	c.all.Go(func() { failed <- c.read(ctx) })
	if err := c.greet(ctx, failed, o.Patience); err != nil {
		c.cancel()
		_ = port.Close()
		c.all.Wait()
		return nil, err
	}
	c.all.Go(func() {
		defer close(c.over)
		c.broken = c.talk(ctx, failed)
	})
	return c, nil
}

// Camera is what the camera says of itself.
func (c *Caller) Camera() wire.Welcome { return c.camera }

// Close ends the conversation, and closes the port.
func (c *Caller) Close() error {
	c.cancel()
	<-c.over
	err := c.port.Close()
	c.all.Wait()
	return err
}

// read hands on each frame of the camera until the port ends.
func (c *Caller) read(ctx context.Context) error {
	var s frame.Splitter
	b := make([]byte, 4096)
	take := func(p frame.Piece) {
		if p.Frame == nil {
			return
		}
		f := *p.Frame
		f.Payload = slices.Clone(f.Payload)
		select {
		case c.frames <- f:
		case <-ctx.Done():
		}
	}
	for heard := time.Now(); ; heard = time.Now() {
		n, err := c.port.Read(b)
		if time.Since(heard) > quiet {
			s.Quiet(take)
		}
		s.Push(b[:n], take)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", ErrGone, err)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

func (c *Caller) write(f []byte) { _, _ = c.port.Write(f) } // a port that is gone says so when it is read

// greet says hello until somebody welcomes. An echo of a line that has a camera on it, too, is no hindrance.
func (c *Caller) greet(ctx context.Context, failed <-chan error, patience time.Duration) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	again := time.NewTicker(greetEvery)
	defer again.Stop()
	own := frame.Frame{Kind: wire.HelloKind, Payload: c.hello.Marshal()}
	hello, nobody := own.Append(nil), ErrNobody
	c.write(hello)
	for {
		select {
		case f := <-c.frames:
			if f.Kind == own.Kind && bytes.Equal(f.Payload, own.Payload) {
				nobody = ErrEcho
			}
			if f.Kind != wire.HelloKind|wire.FromCamera {
				continue
			}
			w, err := wire.ParseWelcome(f.Payload)
			if err == nil && w.Session != c.hello.Session { // of a greeting of before
				continue
			}
			c.camera = w
			return err
		case <-again.C:
			c.write(hello)
		case err := <-failed:
			return err
		case <-late.C:
			return nobody
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// conversation is the state of talk.
type conversation struct {
	*Caller
	end   *wire.End
	queue [][]byte // messages for which the end had no room
	heard time.Time
	spoke time.Time
}

// talk carries messages until ctx ends, or the line is gone.
func (c *Caller) talk(ctx context.Context, failed <-chan error) error {
	t := &conversation{Caller: c, heard: time.Now(), spoke: time.Now()}
	t.end = wire.NewEnd(c.hello, false, t.say, t.message)
	defer c.write(frame.Frame{Kind: wire.Bye, Payload: c.hello.Session[:]}.Append(nil))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(t.pause(time.Now()))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case f := <-c.frames:
			now := time.Now()
			switch {
			case t.end.Frame(f, now):
				t.heard = now
				t.flush(now)
			case t.end.Ended(f):
				return fmt.Errorf("%w: the camera knows nothing of it any more", ErrGone)
			}
		case m := <-c.says:
			t.queue = append(t.queue, m)
			t.flush(time.Now())
		case <-timer.C:
			if err := t.tick(time.Now()); err != nil {
				return err
			}
		}
	}
}

func (t *conversation) say(f []byte) {
	t.spoke = time.Now()
	t.write(f)
}

func (t *conversation) flush(now time.Time) {
	for len(t.queue) > 0 && t.end.Room() {
		m := t.queue[0]
		t.queue = t.queue[1:]
		t.end.Send(m, now)
	}
}

// message takes a message of the camera's.
func (t *conversation) message(raw []byte) {
	m, err := wire.ParseMessage(raw)
	if err != nil {
		return
	}
	t.mu.Lock()
	a := t.waiting[m.Number]
	t.mu.Unlock()
	if a == nil {
		return
	}
	select {
	case a.answers <- m:
	case <-a.left:
	}
}

func (t *conversation) pause(now time.Time) time.Duration {
	next := t.spoke.Add(pingEvery)
	if at := t.end.Next(); !at.IsZero() && (at.Before(next) || !t.end.Idle()) {
		next = at
	}
	return max(next.Sub(now), 0)
}

func (t *conversation) tick(now time.Time) error {
	if now.Sub(t.heard) > goneAfter {
		return fmt.Errorf("%w: nothing heard for %v", ErrGone, goneAfter)
	}
	t.end.Tick(now)
	if t.end.Idle() && now.Sub(t.spoke) >= pingEvery {
		t.end.Ping()
	}
	return nil
}

// Ask sends a request and hands each answer to take, until take is through with it or says what is wrong. take must not
// send: it keeps everybody waiting. The request's number is made here.
func (c *Caller) Ask(ctx context.Context, kind uint8, body []byte,
	take func(answer wire.Message) (done bool, err error),
) error {
	number, a := c.begin()
	defer c.end(number, a)
	if err := c.Say(ctx, wire.Message{Kind: kind, Number: number, Body: body}); err != nil {
		return err
	}
	return c.hear(ctx, a, take)
}

// hear hands each answer to take.
func (c *Caller) hear(ctx context.Context, a *ask, take func(answer wire.Message) (done bool, err error)) error {
	for {
		select {
		case answer := <-a.answers:
			if done, err := take(answer); done || err != nil {
				return err
			}
		case <-c.over:
			return c.broken
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin makes a number by which answers come.
func (c *Caller) begin() (uint16, *ask) {
	a := &ask{make(chan wire.Message), make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number++
	c.waiting[c.number] = a
	return c.number, a
}

func (c *Caller) end(number uint16, a *ask) {
	close(a.left)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, number)
}

// Say sends a message that nobody answers by itself.
func (c *Caller) Say(ctx context.Context, m wire.Message) error {
	select {
	case c.says <- m.Marshal():
		return nil
	case <-c.over:
		return c.broken
	case <-ctx.Done():
		return ctx.Err()
	}
}
