// Package console is the camera's serial port: a person's way in when there is no other, and nobody else's.
//
// Any terminal at 115200 baud, 8N1, sees a banner and a prompt. Without proof it may look: status, help, version,
// selftest, and the Wi-Fi of a camera that nobody owns. Whoever answers a riddle with a key that the owner granted
// (access.Lock) gets the verbs of verbs.go; they are thin: what they do are rows of the agent's command table, through
// the same gate as every other door. There is no shell.
//
// On the same line programs speak frames; a Binary takes them out of what comes, and what is left is a person's.
//
// A serial line has no beginning and no end, so a session ends by itself: after a while without a key, and where what
// comes is no person's work: an echoing line, a wrong baud rate, a flood. It is then silent until it is quiet, so that
// two machines never talk to one another without end, and locked.
package console

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
)

// Camera is what the console asks of the agent.
type Camera interface {
	// Facts are what anybody may know.
	Facts() Facts
	// Do runs a row of the command table on behalf of somebody.
	Do(ctx context.Context, who access.Identity, name string, args json.RawMessage) (json.RawMessage, error)
	// Reset forgets the owner for whoever has the board in his hands, by what he asked at an instant, and returns the erase
	// receipt. access.ErrDenied: he has not switched the power on just before, or the board has a button for that.
	Reset(ctx context.Context, asked time.Time) (receipt []byte, err error)
	// Follow tells each line of the log that passes a filter as it comes, until ctx ends. tell must not block.
	Follow(ctx context.Context, f LogFilter, tell func(line string)) error
}

// Gate decides who may do what; *access.Ownership is one.
type Gate interface {
	Claimed() bool
	NewLock(factory ed25519.PublicKey) *access.Lock
	Penalty() time.Duration
}

// Facts are what anybody may know of a camera: nothing secret, and nothing by which it is told from all others but to
// its owner.
type Facts struct {
	Model   string
	Release string
	Mark    string // what sets this image apart, such as developer; empty for a release
	Code    string // support code
	State   string // in words
	Healthy bool
	Up      time.Duration
}

// LogFilter says which lines of the log are meant.
type LogFilter struct {
	Level slog.Level
	Part  string // empty: all
}

// Binary is what speaks frames on the line.
type Binary interface {
	// Feed takes what came and returns what of it is text. It does not block.
	Feed(b []byte) (text []byte)
	// Run works until ctx ends.
	Run(ctx context.Context) error
}

// Options are what a console needs.
type Options struct {
	Config  Config
	Serial  hal.Serial
	Camera  Camera
	Gate    Gate              // nil: the camera does not know who it is, and nobody gets in
	Factory ed25519.PublicKey // of who makes the cameras; nil for none
	// Binary makes what speaks frames on a line that was opened; nil: nothing does. What it writes in one call goes out
	// whole, with no text in it.
	Binary func(line io.Writer) Binary
	Log    *slog.Logger
}

// Console is the serial console. New is the only door.
type Console struct {
	Options
	told bool // that the port can't be opened
}

// New makes a console; its port is opened by Run.
func New(o Options) *Console {
	o.Log = o.Log.With("part", "console")
	return &Console{Options: o}
}

// Between two tries to open a port that is not there.
const (
	firstRetry = time.Second
	lastRetry  = 15 * time.Second
)

// Run serves the port until ctx ends. A port that goes away is opened again when it is back.
func (c *Console) Run(ctx context.Context) error {
	for wait := firstRetry; ctx.Err() == nil; {
		began := time.Now()
		err := c.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !c.told {
			c.told = true
			c.Log.Warn("serial port lost", "port", c.Serial.Name(), "err", err)
		}
		if time.Since(began) > lastRetry {
			wait = firstRetry
		}
		_ = monotime.Pause(ctx, wait) // the loop looks at ctx
		wait = min(2*wait, lastRetry)
	}
	return nil
}

// serve opens the port and serves whoever is there, until the port is gone.
func (c *Console) serve(ctx context.Context) error {
	line, err := c.Serial.Open(c.Config.Baud)
	if err != nil {
		return err
	}
	c.told = false
	c.Log.Info("console", "port", c.Serial.Name(), "baud", c.Config.Baud)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = line.Close() })
	defer stop()
	out := &wire{to: line}
	var binary Binary = plain{}
	if c.Binary != nil {
		binary = c.Binary(out)
	}
	keys := make(chan []byte) // the reader waits for the session: what is too much stays in the kernel
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	var lost error
	all.Go(func() {
		defer cancel()
		lost = read(ctx, line, binary, keys)
	})
	all.Go(func() {
		if err := binary.Run(ctx); err != nil && ctx.Err() == nil {
			c.Log.Warn("frames end", "err", err)
		}
	})
	err = newSession(c, line, out, keys).run(ctx)
	cancel()
	closeErr := line.Close()
	all.Wait()
	if lost != nil {
		return lost
	}
	return errors.Join(err, closeErr)
}

// A pseudo terminal has no speed of its own: what comes faster than any UART sends waits, so that a flood takes no
// processor from the stream.
const (
	maxRate  = 1 << 20                // bytes a second
	maxAhead = 250 * time.Millisecond // of a burst
)

// read hands on what comes, until the line is gone.
func read(ctx context.Context, line hal.Line, binary Binary, keys chan<- []byte) error {
	buffer := make([]byte, 1024)
	due := time.Now().Add(-maxAhead)
	for {
		n, err := line.Read(buffer)
		if err != nil {
			return err
		}
		due = due.Add(time.Duration(n) * time.Second / maxRate)
		if ahead := time.Until(due); ahead < -maxAhead {
			due = time.Now().Add(-maxAhead)
		} else if ahead > 0 && monotime.Pause(ctx, ahead) != nil {
			return nil
		}
		text := binary.Feed(buffer[:n])
		if len(text) == 0 {
			continue
		}
		select {
		case keys <- append([]byte(nil), text...):
		case <-ctx.Done():
			return nil
		}
	}
}

// wire keeps what is written in one call in one piece, whoever writes.
type wire struct {
	mu sync.Mutex // held while it writes: the line is what it guards
	to io.Writer
}

// Write implements io.Writer.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

// plain is a line without frames.
type plain struct{}

// Feed implements Binary.
func (plain) Feed(b []byte) []byte { return b }

// Run implements Binary.
func (plain) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Config is the section console of the configuration.
type Config struct {
	Enabled bool `yaml:"enabled"`
	Baud    int  `yaml:"baud"` // of a session's beginning; the verb speed changes it for a while
}

// The speeds that a console takes.
const (
	minBaud = 1200
	maxBaud = 4_000_000
)

// DefaultConfig is what holds where nobody says otherwise.
func DefaultConfig() Config { return Config{Enabled: true, Baud: 115200} }

// Validate reports all faults at once.
func (c Config) Validate() error {
	if c.Baud < minBaud || c.Baud > maxBaud {
		return fmt.Errorf("baud: %d: want %d to %d", c.Baud, minBaud, maxBaud)
	}
	return nil
}
