package link

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/console/link/caller"
	"github.com/ocellus/ocellus/console/link/wire"
)

// world is a camera with a serial line, and somebody who plugs cables into it. It lives in a bubble of synctest.
type world struct {
	*testing.T
	link *Link
	role access.Role // of who solves the riddle

	skips func(bundle io.Reader) ([]byte, error) // reads a file in another way; nil: to its end

	// Of the goroutine of Run.
	guesses int // that were judged
	gate    gate

	mu   sync.Mutex // guards the rest
	port net.Conn   // the camera's end of the cable; nil: nothing is plugged in
	text bytes.Buffer
	took [][]byte // what was installed
}

// inWorld runs a test with a camera.
func inWorld(t *testing.T, network Network, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, role: access.Owner}
		w.link = New(Options{Out: w, Log: slog.New(slog.DiscardHandler), Network: network, Do: w.do, Take: w.install,
			About:   func() wire.Welcome { return wire.Welcome{Model: "SIM", Release: "1.0"} },
			NewLock: func() Lock { return &lock{world: w} }, Gate: &w.gate, Penalty: func() time.Duration { return 8 * time.Second },
			Envelope: func(_ context.Context, raw []byte, answer func([]byte, bool)) error {
				if string(raw) == "junk" {
					return errors.New("no envelope")
				}
				go func() {
					answer([]byte("accepted"), false)
					answer(bytes.Repeat(raw, 100), true)
				}()
				return nil
			}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.link.Run(ctx) }()
		test(w)
		w.unplug()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// lock opens to the answer "right".
type lock struct {
	world *world
	asked bool
}

func (l *lock) Ask(time.Time) []byte {
	l.asked = true
	return []byte("riddle")
}

func (l *lock) Open(answer []byte, _ time.Time) (Pass, error) {
	l.world.guesses++
	if !l.asked || string(answer) != "right" {
		return nil, fmt.Errorf("unlock: %w", access.ErrDenied)
	}
	return l, nil
}

func (l *lock) Identity(time.Time) (access.Identity, error) {
	return access.Identity{Name: "somebody", Role: l.world.role}, nil
}

func (w *world) do(_ context.Context, who access.Identity, request []byte) []byte {
	if string(request) == "long" {
		return make([]byte, maxResult+1)
	}
	return fmt.Appendf(nil, "%s: %s", who.Role, request)
}

// install reads to the end, as the update engine does.
func (w *world) install(_ context.Context, _ access.Identity, bundle io.Reader, now bool) []byte {
	if now { // it does not want it
		_, hears := bundle.(interface{ Hears() })
		return fmt.Appendf(nil, "refused, hears %v", hears)
	}
	read := io.ReadAll
	if w.skips != nil {
		read = w.skips
	}
	raw, err := read(bundle)
	if err != nil {
		return fmt.Appendf(nil, "%v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, raw)
	return fmt.Appendf(nil, "installed %d", len(raw))
}

// Write is the camera's way to the port; into nothing where no cable is.
func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	port := w.port
	w.mu.Unlock()
	if port == nil {
		return len(b), nil
	}
	return port.Write(b)
}

// plug plugs a cable in and returns its other end.
func (w *world) plug() net.Conn {
	w.unplug()
	here, there := net.Pipe()
	w.mu.Lock()
	w.port = here
	w.mu.Unlock()
	go func() {
		b := make([]byte, 300)
		for {
			n, err := here.Read(b)
			text := w.link.Feed(b[:n])
			w.mu.Lock()
			w.text.Write(text)
			w.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return there
}

func (w *world) unplug() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.port != nil {
		_ = w.port.Close()
		w.port = nil
	}
}

// typed is what was text since it was asked last.
func (w *world) typed() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.text.Reset()
	return w.text.String()
}

func (w *world) installed() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.took
}

func (w *world) dial(port io.ReadWriteCloser) *caller.Caller {
	w.Helper()
	c, err := caller.Dial(w.Context(), port, caller.Options{Chunk: wire.MaxChunk, Patience: 10 * time.Second})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// ask asks, and returns the kinds and bodies of the answers up to the last.
func (w *world) ask(c *caller.Caller, kind uint8, body string) (answers []string) {
	w.Helper()
	err := c.Ask(w.Context(), kind, []byte(body), func(m wire.Message) (bool, error) {
		text := string(m.Body)
		if no, err := wire.ParseNo(m.Body); m.Kind == wire.Refused && err == nil {
			text = no.Code
		}
		answers = append(answers, fmt.Sprintf("%d %.40s", m.Kind, text))
		return m.Kind != wire.Reply || text != "accepted", nil
	})
	if err != nil {
		w.Error(err)
	}
	return answers
}

func (w *world) unlock(c *caller.Caller) {
	w.Helper()
	w.ask(c, wire.Challenge, "")
	if got := w.ask(c, wire.Unlock, "right"); len(got) != 1 || got[0] != `9 {"code":"ok"}` {
		w.Fatalf("not unlocked: got %q", got)
	}
}

// push sends a file as far as the line goes; done: the camera has said how it ended.
func push(ctx context.Context, c *caller.Caller, file []byte) (result string, err error) {
	return c.Push(ctx, wire.File{Sum: sha256.Sum256(file), Size: int64(len(file))}, bytes.NewReader(file), nil)
}

// busy reports whether a program has the line.
func (l *Link) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.until)
}
