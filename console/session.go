package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/console/edit"
	"github.com/ocellus/ocellus/hal"
)

// How a session ends by itself.
const (
	idleLimit = 10 * time.Minute // without a key
	longest   = 4 * time.Hour    // whatever is typed
)

// What a person types, and what nobody does. A session has credit for so many bytes; each byte takes one, time and
// verbs give some back.
const (
	fullCredit   = 2048
	creditASec   = 128
	afterNoise   = 256
	quiet        = time.Second // of silence, after which a line is taken for a person's again
	verbsAtOnce  = 10
	verbInterval = 100 * time.Millisecond // beyond those
	mostHeld     = 50                     // so many, without a second's rest, are a flood
)

// Why a line is not there.
var (
	errIdle      = errors.New("nobody typed anything")
	errNoise     = errors.New("what came was nobody's work")
	errInterrupt = errors.New("interrupted")
	errLeft      = errors.New("left")
)

// session is the conversation on an open line. It is for one goroutine.
type session struct {
	c     *Console
	line  hal.Line
	out   io.Writer
	keys  <-chan []byte
	input []byte // that came and was not looked at yet
	edit  *edit.Editor
	idle  *time.Timer

	lock  *access.Lock
	pass  access.Pass
	open  bool      // somebody has proved who he is: pass
	until time.Time // of that

	credit  float64
	counted time.Time // when credit was right
	pace    int       // verbs that may be done at once
	paced   time.Time // when pace was right
	held    int       // verbs that had to wait since pace was full
	tested  time.Time // when a bystander had the board test itself
	baud    int       // of now
	greeted bool      // the size of the screen was asked for
}

func newSession(c *Console, line hal.Line, out io.Writer, keys <-chan []byte) *session {
	now := time.Now()
	s := &session{c: c, line: line, out: out, keys: keys, edit: edit.New(), credit: fullCredit, counted: now,
		pace: verbsAtOnce, paced: now, baud: c.Config.Baud}
	s.edit.Complete = s.complete
	if c.Gate != nil {
		s.lock = c.Gate.NewLock(c.Factory)
	}
	return s
}

// run serves whoever types until ctx ends or the line is gone.
func (s *session) run(ctx context.Context) error {
	s.idle = time.NewTimer(idleLimit)
	defer s.idle.Stop()
	err := s.say(s.banner())
	for err == nil && ctx.Err() == nil {
		err = s.end(ctx, s.converse(ctx))
	}
	return err
}

// end ends a session and prepares the next one. The error is that of a line that is gone.
func (s *session) end(ctx context.Context, why error) error {
	if s.open {
		s.c.Log.Info("console locked", "why", why)
	}
	was := s.open
	s.shut()
	s.edit.Forget()
	s.input, s.greeted = nil, false
	if s.baud != s.c.Config.Baud && ctx.Err() == nil {
		s.baud = s.c.Config.Baud
		if err := s.line.SetSpeed(s.baud); err != nil {
			return &lineError{err}
		}
	}
	switch {
	case errors.Is(why, errNoise):
		return s.settle(ctx)
	case errors.Is(why, errIdle) && !was:
		return s.awaitEnter(ctx)
	case errors.Is(why, errIdle):
		if err := s.say("\r\nThe session has ended: " + errIdle.Error() + ".\r\n"); err != nil {
			return err
		}
		return s.awaitEnter(ctx)
	case errors.Is(why, errLeft):
		if err := s.say("Locked.\r\n"); err != nil {
			return err
		}
		return s.awaitEnter(ctx)
	}
	return why
}

// shut forgets who was there.
func (s *session) shut() {
	s.open, s.pass = false, access.Pass{}
	if s.lock != nil {
		s.lock = s.c.Gate.NewLock(s.c.Factory)
	}
}

// settle waits until nothing comes any more, and then for a person. It says nothing.
func (s *session) settle(ctx context.Context) error {
	still := time.NewTimer(quiet)
	defer still.Stop()
	for {
		select {
		case <-s.keys:
			still.Reset(quiet)
		case <-still.C:
			s.credit, s.counted = afterNoise, time.Now()
			return s.awaitEnter(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaitEnter waits for a key that is Enter, as somebody presses it who sees an empty screen, and greets him.
func (s *session) awaitEnter(ctx context.Context) error {
	for {
		p, err := s.more(ctx)
		switch {
		case errors.Is(err, errNoise):
			return s.settle(ctx)
		case errors.Is(err, errIdle):
			continue
		case err != nil:
			return err
		}
		if at := strings.IndexAny(string(p), "\r\n"); at >= 0 {
			s.input = p[at+1:]
			return s.say(s.banner())
		}
	}
}

// converse reads lines and does what they ask for, until the session ends.
func (s *session) converse(ctx context.Context) error {
	for {
		line, err := s.read(ctx, s.prompt(), false)
		switch {
		case errors.Is(err, errInterrupt):
			continue
		case err != nil:
			return err
		}
		if !s.greeted {
			s.greeted = true
			if err := s.say(edit.AskSize); err != nil {
				return err
			}
		}
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' { // nothing, or a remark
			continue
		}
		if err := s.do(ctx, line); err != nil {
			return err
		}
	}
}

func (s *session) prompt() string {
	if s.unlocked() {
		return "ocellus# "
	}
	return "ocellus> "
}

// unlocked reports whether somebody has proved who he is, and still may be here.
func (s *session) unlocked() bool { return s.open && time.Now().Before(s.until) }

// who is on whose behalf a verb is done now.
func (s *session) who() access.Identity {
	if s.unlocked() {
		if id, err := s.pass.Identity(time.Now()); err == nil {
			return id
		}
		s.shut() // his grant has ended, or there is another owner
	}
	return access.Bystander(s.c.Gate == nil || s.c.Gate.Claimed())
}

// banner greets whoever comes.
func (s *session) banner() string {
	f := s.c.Camera.Facts()
	var b strings.Builder
	fmt.Fprintf(&b, "\r\n\r\nOcellus camera %s, release %s", edit.Plain(f.Model), edit.Plain(f.Release))
	if f.Mark != "" {
		fmt.Fprintf(&b, "\r\n*** %s ***", edit.Plain(f.Mark))
	}
	fmt.Fprintf(&b, "\r\n%s; support code %s\r\nhelp tells what can be done here.\r\n", edit.Plain(f.State), f.Code)
	return b.String()
}

// say writes to the line.
func (s *session) say(text string) error {
	if text == "" {
		return nil
	}
	if _, err := io.WriteString(s.out, text); err != nil {
		return &lineError{err}
	}
	return nil
}

// flush writes what the editor has for the screen.
func (s *session) flush() error { return s.say(string(s.edit.Screen())) }

// more waits for what comes next.
func (s *session) more(ctx context.Context) ([]byte, error) {
	if p := s.input; len(p) > 0 {
		s.input = nil
		return p, nil
	}
	s.idle.Reset(idleLimit)
	select {
	case p := <-s.keys:
		return p, s.spend(len(p))
	case <-s.idle.C:
		return nil, errIdle
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// spend takes credit for bytes that came; errNoise: there is none left.
func (s *session) spend(bytes int) error {
	now := time.Now()
	s.credit = min(fullCredit, s.credit+now.Sub(s.counted).Seconds()*creditASec) - float64(bytes)
	s.counted = now
	if s.credit < 0 {
		return errNoise
	}
	return nil
}

// read reads a line behind a prompt. errInterrupt: the person does not want to.
func (s *session) read(ctx context.Context, prompt string, masked bool) (string, error) {
	s.edit.Masked = masked
	defer func() { s.edit.Masked = false }()
	s.edit.Prompt(prompt)
	for {
		if err := s.flush(); err != nil {
			return "", err
		}
		p, err := s.more(ctx)
		if err != nil {
			return "", err
		}
		n, act := s.edit.Feed(p)
		s.input = p[n:]
		if act != edit.None {
			if err := s.flush(); err != nil {
				return "", err
			}
		}
		switch act {
		case edit.Sized:
			s.edit.Redraw()
		case edit.Entered:
			return s.edit.Line(), nil
		case edit.Interrupt:
			return "", errInterrupt
		case edit.End:
			return "", errLeft
		case edit.TooLong:
			if err := s.say(fmt.Sprintf("A line has at most %d characters.\r\n", edit.MaxLine)); err != nil {
				return "", err
			}
			s.edit.Prompt(prompt)
		}
	}
}

// work does something that may take a while, and ends it at Ctrl-C. What else is typed meanwhile waits, a little of it.
func (s *session) work(ctx context.Context, do func(ctx context.Context) (string, error)) (text string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		text, err = do(ctx)
	}()
	interrupted := false
	for {
		select {
		case <-done:
			if interrupted {
				return "", errInterrupt
			}
			return text, err
		case p := <-s.keys:
			const ctrlC = 3
			if at := strings.LastIndexByte(string(p), ctrlC); at >= 0 {
				interrupted = true
				s.input, p = nil, p[at+1:]
				cancel()
			}
			if len(s.input)+len(p) <= edit.MaxLine {
				s.input = append(s.input, p...)
			}
		}
	}
}

// show shows a text, a screen at a time.
func (s *session) show(ctx context.Context, text string) error {
	columns, rows := s.edit.Size()
	p := edit.NewPager(text, columns, rows)
	screen, more := p.Page()
	for {
		if err := s.say(screen); err != nil || !more {
			return err
		}
		if err := s.say(edit.More); err != nil {
			return err
		}
		key, err := s.key(ctx)
		if err == nil {
			err = s.say("\r\x1b[K")
		}
		if err != nil {
			return err
		}
		switch key {
		case 'q', 'Q', 3, 4:
			return nil
		case '\r', '\n':
			screen, more = p.Row()
		case 'G':
			screen, more = p.All(), false
		default:
			screen, more = p.Page()
		}
	}
}

// key waits for one key.
func (s *session) key(ctx context.Context) (byte, error) {
	for {
		p, err := s.more(ctx)
		if err != nil {
			return 0, err
		}
		n, key, ok := s.edit.Key(p)
		if s.input = p[n:]; ok {
			return key, nil
		}
	}
}
