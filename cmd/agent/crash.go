package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/board"
	"github.com/ocellus/ocellus/control"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/blackbox"
	"github.com/ocellus/ocellus/internal/logring"
)

// Names of the black box, and of the file that the Go runtime writes its last words to.
const (
	boxName   = "blackbox"
	wordsName = "crash.raw"
)

// lastWords is where the Go runtime writes what a program died of. It lies open, since nothing can be sealed by who is
// dying: on a board of ours in memory, which outlives the agent and no power cut; elsewhere in the state directory. The
// next start reads it, keeps the redacted part of it sealed, and empties it.
type lastWords struct {
	path string
	file *os.File // nil: it can't be opened
	tail *os.File // of the log; nil: it can't be opened
	died string   // what the agent before died of; empty for none
}

// listenForLastWords reads what the agent before said, and lets the runtime say the same of this one.
func listenForLastWords(state string) (*lastWords, error) {
	w := &lastWords{path: outliving(state, wordsName)}
	var raw []byte
	var err error
	if w.file, raw, err = openOutliving(w.path, blackbox.MaxDied); err != nil {
		return w, err
	}
	w.died = string(raw)
	return w, debug.SetCrashOutput(w.file, debug.CrashOptions{})
}

// outliving is the path of a file that outlives the agent: on a board of ours in memory, where it leaves no trace.
func outliving(state, name string) string {
	if state == defaultState {
		return filepath.Join(os.TempDir(), "agent."+name)
	}
	return filepath.Join(state, name)
}

// openOutliving opens such a file and returns what is in it, at most most bytes. The folder may be everybody's: a link,
// or another user's file, is refused.
func openOutliving(path string, most int64) (*os.File, []byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, nil, err
	}
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil || s.Mode&unix.S_IFMT != unix.S_IFREG || int(s.Uid) != os.Geteuid() {
		return nil, nil, errors.Join(fmt.Errorf("open %s: it is another user's: %w", path, fs.ErrPermission), err, f.Close())
	}
	raw, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, raw, nil
}

// kept empties the file: what was in it is in the black box.
func (w *lastWords) kept() error {
	if w.file == nil {
		return nil
	}
	w.died = ""
	return w.file.Truncate(0)
}

// close ends it: who ends without a crash has no last words. Those of the agent before stay, if nobody kept them.
func (w *lastWords) close() {
	if w.tail != nil {
		if info, err := w.tail.Stat(); err == nil && info.Size() == 0 {
			_ = os.Remove(w.tail.Name())
		}
		_ = w.tail.Close()
	}
	if w.file == nil {
		return
	}
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{}) // nothing is left that it could say
	_ = w.file.Close()
	if w.died == "" {
		_ = os.Remove(w.path)
	}
}

// openBox remembers this start, and finds out how the one before ended. A camera that can't remember streams all the
// same.
func (a *agent) openBox(dog hal.Watchdog) {
	a.dogged = dog != nil
	if a.safe == nil {
		return
	}
	f := blackbox.Facts{Kernel: bootID(a.root), Build: a.program(), Init: a.hidden.Text(board.LastEnd(a.root)),
		Died: a.hidden.Text(a.words.died), Panicked: a.hidden.Text(board.LastPanic(a.root))}
	f.Time, f.Sure = clock()
	if cause, ok := dog.(hal.ResetCause); ok {
		f.Watchdog, _ = cause.Fired()
	}
	if a.logged > 0 {
		f.Log = texts(a.journal.Lines(logring.Filter{Level: slog.LevelDebug, Before: a.logged + 1, Last: 20}))
	}
	var err error
	var crash *blackbox.Crash
	if a.box, a.start, crash, err = blackbox.Open(a.safe.sealed(boxName), f); err == nil {
		err = a.words.kept()
	}
	if err != nil {
		a.log.Error("not remembered how the agent began", "err", err)
	}
	a.crash = crash
	log := a.log.With("start", a.start.Number, "why", a.start.Why, "text", a.start.Text, "board", a.start.Board)
	if a.start.Why.Bad() || a.start.Why == blackbox.Power {
		log.Warn("the start before did not end in order")
	} else {
		log.Info("start")
	}
}

// tellStart tells the owner why the agent began, and of a crash before that.
func (c *controls) tellStart() {
	s := c.a.start
	c.queue.Tell(control.Lifecycle, "agent.started", struct {
		Release string         `json:"release"`
		Start   uint32         `json:"start,omitempty"`
		Why     blackbox.Cause `json:"why,omitempty"`
		Text    string         `json:"text,omitempty"`
		Board   bool           `json:"board,omitempty"`
	}{release, s.Number, s.Why, s.Text, s.Board})
	if c.a.crash != nil {
		c.queue.Tell(control.Alarm, "agent.crashed", *c.a.crash)
	}
}

// panicked keeps the record of a part that is started again, or of a command, after a panic.
func (a *agent) panicked(part, died string) {
	if a.box == nil {
		return
	}
	c := blackbox.Crash{Part: part, Build: a.start.Build, Log: texts(a.journal.Lines(logring.Filter{Last: 20}))}
	c.Time, c.Sure = clock()
	if err := a.box.Crashed(c, a.hidden.Text(died)); err != nil {
		a.log.Error("crash not kept", "crashed", part, "err", err)
	}
}

// guarded lets commands leave a record of their panics, which are failures of that one command.
func (a *agent) guarded(table []command) []command {
	for i, row := range table {
		table[i].run = func(ctx context.Context, args json.RawMessage) (any, error) {
			defer func() {
				if p := recover(); p != nil {
					a.panicked("command "+row.name, fmt.Sprintf("panic: %v\n%s", p, debug.Stack()))
					panic(p)
				}
			}()
			return row.run(ctx, args)
		}
	}
	return table
}

// ended notes an orderly end.
func (a *agent) ended(why error) {
	text := "stopped"
	if said := a.ending.Load(); said != nil {
		text = *said
	} else if why != nil {
		text = why.Error()
	}
	if a.box != nil {
		if err := a.box.End(text); err != nil {
			a.log.Error("orderly end not kept", "err", err)
		}
	}
	a.words.close()
}

// program is which program this is.
func (a *agent) program() blackbox.Build {
	b := blackbox.Build{Release: release, ID: buildID(filepath.Join(a.root, "proc/self/exe"))}
	if a.updates != nil && a.updates.boot.Slots != nil {
		b.Slot = string(a.updates.boot.Slots.Booted())
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	return b
}

// buildID is the last part of a Go program's build ID, the hash of its content, out of the ELF note that the linker puts
// before everything else (cmd/internal/buildid: within 32 KiB); empty where there is none.
func buildID(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 32<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return ""
	}
	const typeAndName = "\x04\x00\x00\x00Go\x00\x00"
	at := bytes.Index(head[:n], []byte(typeAndName))
	if at < 4 {
		return ""
	}
	size := binary.NativeEndian.Uint32(head[at-4:])
	id := head[at+len(typeAndName) : n]
	if uint64(size) > uint64(len(id)) {
		return ""
	}
	text := string(id[:size])
	return text[strings.LastIndex(text, "/")+1:]
}

// bootID names the running kernel, at random (random(4)); empty where nobody knows.
func bootID(root string) string {
	raw, err := os.ReadFile(filepath.Join(root, "proc/sys/kernel/random/boot_id"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

func texts(lines []logring.Line) []string {
	list := make([]string, 0, len(lines))
	for _, l := range lines {
		list = append(list, fmt.Sprintf("%s %s %s: %s", l.Time.Format("15:04:05.000"), l.Level, l.Part, l.Text()))
	}
	return list
}

// rebooted is the answer to boots.
type rebooted struct {
	Starts  []blackbox.Start `json:"starts"`  // the newest first
	Crashes []blackbox.Crash `json:"crashes"` // likewise
}

func (a *agent) boots(context.Context, none) (any, error) {
	if a.box == nil {
		return nil, errNoControl
	}
	return rebooted{a.box.Starts(), a.box.Crashes()}, nil
}
