package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/codec/claim"
	"github.com/ocellus/ocellus/codec/label"
	"github.com/ocellus/ocellus/internal/statefile"
)

// consoleCommand is a terminal on a camera's serial line, unlocked by the key that we hold.
type consoleCommand struct {
	homeFlag
	speedFlag
	Port   string `arg:"" help:"The serial line: /dev/ttyUSB0, a pseudo terminal, HOST:PORT or tcp:HOST:PORT."`
	Locked bool   `help:"Stay a stranger: prove nothing."`
}

// Words of the camera's console (package console), and how long it may take to say them.
const (
	riddleWord     = "challenge "
	orderWord      = "order "
	receiptWord    = "receipt "
	openPrompt     = "ocellus# "
	lockedPrompt   = "ocellus> "
	promptPatience = 2 * time.Second  // of a camera that is not busy
	answerPatience = 40 * time.Second // a wrong key is answered late
	leaveKey       = 0x1d             // Ctrl-]
)

// Run unlocks the console and lets the person type, until he leaves by Ctrl-]. Where standard input is no terminal,
// what comes from there is typed line by line. The console is locked again afterwards.
func (c *consoleCommand) Run(ctx context.Context, s streams) error {
	file, h, err := c.open()
	if err != nil {
		return err
	}
	name := c.Port
	if !isPort(name) {
		name = tcpPrefix + name
	}
	port, err := openPort(ctx, name, c.Speed)
	if err != nil {
		return err
	}
	t := &terminal{port: port, file: file, home: h, streams: s, lines: make(chan []byte)}
	stop := context.AfterFunc(ctx, func() { _ = port.Close() })
	defer stop()
	go t.read()
	defer func() {
		_ = port.Close()
		for range t.lines { // until the reader has ended
		}
	}()
	if err := t.begin(c.Locked); err != nil {
		return err
	}
	return t.talk(ctx)
}

// terminal is a person's side of a camera's console.
type terminal struct {
	streams
	port  io.ReadWriteCloser
	file  *statefile.File[home]
	home  home
	lines chan []byte // what comes, as it comes; closed at the end of the line
	gone  error       // why, once lines is closed
	tail  []byte      // of what came: the line that is not at its end yet
	name  string      // how we call the camera; empty: it is none of ours
	reset *resetting  // nil: the camera asked for no order
}

func (t *terminal) read() {
	defer close(t.lines)
	buffer := make([]byte, 4096)
	for {
		n, err := t.port.Read(buffer)
		if n > 0 {
			t.lines <- bytes.Clone(buffer[:n])
		}
		if err != nil {
			t.gone = err
			return
		}
	}
}

// typed types something.
func (t *terminal) typed(text string) error {
	_, err := io.WriteString(t.port, text)
	return err
}

// await takes what comes until a line begins with one of these words, and returns that line as far as it has come. A
// prompt is such a word: no line ends behind it.
func (t *terminal) await(limit time.Duration, words ...string) (string, error) {
	end := time.NewTimer(limit)
	defer end.Stop()
	for {
		select {
		case p, ok := <-t.lines:
			if !ok {
				return "", t.lost()
			}
			t.tail = append(t.tail, p...)
		case <-end.C:
			return "", errSilence
		}
		for {
			line, rest, whole := bytes.Cut(t.tail, []byte("\n"))
			text := strings.TrimLeft(strings.TrimSuffix(plainLine(string(line)), "\r"), "\r")
			for _, w := range words {
				if strings.HasPrefix(text, w) && (whole || w == openPrompt || w == lockedPrompt) {
					t.tail = bytes.Clone(rest)
					return text, nil
				}
			}
			if !whole {
				break
			}
			t.tail = bytes.Clone(rest)
		}
	}
}

// plainLine takes the escape sequences out of a line (ECMA-48 5.4).
func plainLine(line string) string {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		if line[i] != 0x1b {
			b.WriteByte(line[i])
			continue
		}
		if i++; i < len(line) && line[i] == '[' {
			for i++; i < len(line) && line[i] < '@'; i++ {
			}
		}
	}
	return b.String()
}

var errSilence = errors.New("the camera says nothing")

func (t *terminal) lost() error {
	return &fault{exitUnreachable, fmt.Errorf("the line is gone: %w", t.gone)}
}

// begin finds a camera's prompt and unlocks the console. A key that opens nothing is no reason not to go on: a
// stranger may look.
func (t *terminal) begin(locked bool) error {
	prompt, err := "", error(nil)
	for range 3 { // the first Enter may end what somebody else began
		if err = t.typed("\r"); err != nil {
			return t.lost()
		}
		if prompt, err = t.await(promptPatience, lockedPrompt, openPrompt); !errors.Is(err, errSilence) {
			break
		}
	}
	switch {
	case errors.Is(err, errSilence):
		return &fault{exitUnreachable, errors.New("no camera answers on this line: is it switched on, are the wires " +
			"crossed, is the speed right (--speed)?")}
	case err != nil:
		return err
	case strings.HasPrefix(prompt, openPrompt):
		fmt.Fprintf(t.err, "the console stands open: somebody did not lock it\r\n")
	case !locked:
		if err := t.unlock(); err != nil {
			fmt.Fprintf(t.err, "locked: %v\r\n", err)
		}
	}
	fmt.Fprintf(t.err, "Ctrl-] leaves, and locks the console\r\n")
	return t.typed("\r")
}

// unlock answers the camera's riddle.
func (t *terminal) unlock() error {
	if len(t.home.Key) != ed25519.SeedSize {
		return errors.New("there is no key here: camctl pair makes you the owner of a camera")
	}
	if err := t.typed("unlock\r"); err != nil {
		return t.lost()
	}
	line, err := t.await(promptPatience, riddleWord, "the camera does not")
	if err != nil {
		return err
	}
	text, ok := strings.CutPrefix(line, riddleWord)
	if !ok {
		return errors.New(line)
	}
	raw, err := lineEncoding().DecodeString(strings.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	r, err := claim.ParseRiddle(raw)
	if err != nil {
		return err
	}
	answer, err := t.answer(r)
	if err != nil {
		return err
	}
	if err := t.typed("unlock " + lineEncoding().EncodeToString(answer) + "\r"); err != nil {
		return t.lost()
	}
	line, err = t.await(answerPatience, "Unlocked", "this ", "unlock:", lockedPrompt+"\r")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "Unlocked") {
		return errors.New(line)
	}
	_, err = fmt.Fprintf(t.err, "%s\r\n", strings.TrimSpace(line))
	return err
}

// answer signs for the camera that the riddle is of. One with an owner has to be known here; one without shows the
// fingerprint of its label, and is the factory's, if it is new.
func (t *terminal) answer(r claim.Riddle) ([]byte, error) {
	u := claim.Unlock{Nonce: r.Nonce}
	if r.ID == nil {
		u.Hardware = *r.Hardware
		return u.Sign(ed25519.NewKeyFromSeed(t.home.Key)), nil
	}
	name, camera, err := t.home.withID(r.ID[:])
	if err != nil {
		return nil, err
	}
	t.name, u.ID = name, *r.ID
	if len(camera.Hardware) == ed25519.PublicKeySize {
		u.Hardware = label.FingerprintOf(camera.Hardware)
	}
	return u.Sign(ed25519.NewKeyFromSeed(t.home.Key)), nil
}

// talk lets the person type.
func (t *terminal) talk(ctx context.Context) error {
	keys := make(chan []byte)
	ended := make(chan struct{})
	defer close(ended)
	interactive := false
	resized := make(chan os.Signal, 1) // capacity 1: the last size counts
	if f, ok := t.in.(*os.File); ok {
		restore, err := rawTerminal(f)
		if interactive = err == nil; interactive {
			defer restore()
			signal.Notify(resized, unix.SIGWINCH)
			defer signal.Stop(resized)
			resized <- unix.SIGWINCH
		}
	}
	go func() { // it ends with the process, or at the next key: nothing ends a read of a terminal
		defer close(keys)
		readKeys(t.in, interactive, keys, ended)
	}()
	if !interactive {
		if err := t.settle(); err != nil {
			return err
		}
	}
	for {
		next, silence := keys, (<-chan time.Time)(nil)
		if !interactive && !t.asks() {
			next, silence = nil, time.After(answerPatience)
		}
		select {
		case p, ok := <-t.lines:
			if !ok {
				return t.lost()
			}
			if err := t.show(p); err != nil {
				return err
			}
		case p, ok := <-next:
			at := bytes.IndexByte(p, leaveKey)
			if !ok || interactive && at >= 0 {
				return t.leave(interactive)
			}
			if err := t.send(p); err != nil {
				return err
			}
		case <-silence:
			return errSilence
		case <-resized:
			if err := t.tellSize(); err != nil {
				return t.lost()
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// What a script types before all: the size of its screen, which a program can't see asked for, and a remark.
const (
	scriptRows, scriptColumns = 300, 200
	scriptRemark              = "# a script"
)

// settle waits until the camera has read a remark. Every prompt before that is an old one: a line that was sent for it
// would be one too early for all that follows.
func (t *terminal) settle() error {
	if err := t.typed(fmt.Sprintf("\x1b[%d;%dR%s\r", scriptRows, scriptColumns, scriptRemark)); err != nil {
		return t.lost()
	}
	end := time.NewTimer(answerPatience)
	defer end.Stop()
	for {
		before, after, whole := bytes.Cut(t.tail, []byte("\n"))
		switch {
		case whole && strings.Contains(plainLine(string(before)), scriptRemark):
			t.tail = bytes.Clone(after)
			return nil
		case whole:
			t.tail = bytes.Clone(after)
			continue
		}
		select {
		case p, ok := <-t.lines:
			if !ok {
				return t.lost()
			}
			t.tail = append(t.tail, p...)
		case <-end.C:
			return errSilence
		}
	}
}

// asks reports whether the camera, or we, wait for a line.
func (t *terminal) asks() bool {
	if t.reset != nil {
		return !t.reset.sent
	}
	row := plainLine(string(t.tail))
	row = row[strings.LastIndexByte(row, '\r')+1:]
	for _, question := range []string{"[y/N] ", "open network): ", "at that speed: ", "q --"} {
		if strings.HasSuffix(row, question) {
			return true
		}
	}
	return row == openPrompt || row == lockedPrompt || row == "Value: "
}

// send types what somebody typed, where it is not for us.
func (t *terminal) send(p []byte) error {
	if t.reset != nil && !t.reset.sent {
		p = t.confirm(p)
	}
	if len(p) > 0 {
		t.tail = nil
	}
	if _, err := t.port.Write(p); err != nil {
		return t.lost()
	}
	return nil
}

// tellSize tells the camera how large the screen is, as a terminal does that is asked for the place of its cursor (CPR,
// ECMA-48 8.3.14).
func (t *terminal) tellSize() error {
	size, err := unix.IoctlGetWinsize(int(t.in.(*os.File).Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Row == 0 {
		return nil // it keeps what it knows
	}
	return t.typed(fmt.Sprintf("\x1b[%d;%dR", size.Row, size.Col))
}

// readKeys hands on what is typed: keys as they come, or whole lines.
func readKeys(in io.Reader, interactive bool, keys chan<- []byte, ended <-chan struct{}) {
	lines := bufio.NewReader(in)
	buffer := make([]byte, 256)
	for {
		var p []byte
		var err error
		if interactive {
			var n int
			n, err = in.Read(buffer)
			p = bytes.Clone(buffer[:n])
		} else if p, err = lines.ReadBytes('\n'); len(p) > 0 {
			p = append(bytes.TrimRight(p, "\r\n"), '\r')
		}
		if len(p) > 0 {
			select {
			case keys <- p:
			case <-ended:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// show shows what comes, and signs the order that reset asks for.
func (t *terminal) show(p []byte) error {
	if _, err := t.out.Write(p); err != nil {
		return err
	}
	t.tail = append(t.tail, p...)
	for {
		line, rest, whole := bytes.Cut(t.tail, []byte("\n"))
		if !whole {
			t.tail = t.tail[max(len(t.tail)-4096, 0):]
			return nil
		}
		t.tail = bytes.Clone(rest)
		if err := t.resets(strings.TrimSpace(plainLine(string(line)))); err != nil {
			fmt.Fprintf(t.err, "%v\r\n", err)
		}
	}
}

// leave locks the console. Of what is typed by a program the answers are awaited first.
func (t *terminal) leave(interactive bool) error {
	if interactive {
		return t.typed("\x03\x15exit\r")
	}
	if err := t.typed("exit\r"); err != nil {
		return t.lost()
	}
	end := time.NewTimer(answerPatience)
	defer end.Stop()
	var said []byte
	for !bytes.Contains(said, []byte("Locked.")) && !bytes.Contains(said, []byte("exit is for")) {
		select {
		case p, ok := <-t.lines:
			if !ok {
				return t.lost()
			}
			said = append(said[max(len(said)-4096, 0):], p...)
			if err := t.show(p); err != nil {
				return err
			}
		case <-end.C:
			return errSilence
		}
	}
	return nil
}

// lineEncoding is how bytes travel in a line of the console: RFC 4648 base32 without padding.
func lineEncoding() *base32.Encoding { return base32.StdEncoding.WithPadding(base32.NoPadding) }

// rawTerminal hands every key on as it is (cfmakeraw, termios(3)); the error says that it is no terminal.
func rawTerminal(f *os.File) (restore func(), err error) {
	fd := int(f.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	raw := *was
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) }, nil
}
