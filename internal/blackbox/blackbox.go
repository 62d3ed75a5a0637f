// Package blackbox remembers how the agent began and ended, and what it said last when it ended badly.
//
// Each start of the agent is an entry; why it began is how the one before it ended, judged from what survives: the mark
// of an orderly end, what the Go runtime wrote when it died, what the board's init saw, whether the kernel is the same
// as before, and what the watchdog says of the last reset (judge, a table). What ended by a crash leaves a record:
// which build, where in it, the last lines of its log.
//
// It is one small file by internal/statefile, written once at a start, once at an orderly end, and at each crash of a
// part. The caller redacts what goes in.
package blackbox

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ocellus/ocellus/internal/statefile"
)

// Bounds.
const (
	maxStarts  = 20
	maxCrashes = 10
	maxStack   = 32  // frames of a crash
	maxLog     = 20  // lines of a crash
	maxText    = 400 // bytes of a text
)

// Cause is why the agent began, which is how the one before it ended. The words are wire format.
type Cause string

// The causes.
const (
	First    Cause = "first"    // nothing is known of any before: the camera is new, or was reset
	Ordered  Cause = "ordered"  // somebody asked for it, and it ended in order
	Panic    Cause = "panic"    // the program died of its own fault
	Killed   Cause = "killed"   // it was ended from outside: a signal, no memory
	Watchdog Cause = "watchdog" // it hung, and the watchdog reset the board
	Kernel   Cause = "kernel"   // the kernel died, and its last words outlived the reset
	Power    Cause = "power"    // the board began anew without an orderly end: power cut, reset, or the kernel died
)

// Bad reports whether a cause is worth a look.
func (c Cause) Bad() bool { return c == Panic || c == Killed || c == Watchdog || c == Kernel }

// Build is which program it was.
type Build struct {
	Release  string `json:"release"`
	ID       string `json:"build_id,omitempty"` // of the very file: what the linker made of its content
	Revision string `json:"revision,omitempty"` // of the source; empty where it was not built from a repository
	Slot     string `json:"slot,omitempty"`
}

// Start is one start of the agent. Its JSON is the form on the disk and on the wire: fields are only added.
type Start struct {
	Number uint32    `json:"number"`
	Time   time.Time `json:"time"`
	Sure   bool      `json:"sure"`  // the clock was set
	Board  bool      `json:"board"` // the whole board began with it, and not the agent alone
	Why    Cause     `json:"why"`
	Text   string    `json:"text,omitempty"` // more of why
	Build  Build     `json:"build"`
	Ended  string    `json:"ended,omitempty"` // its orderly end, in words; empty: it runs, or had none
}

// Crash is what is left of what ended badly: the program, or a part of it that was started again.
type Crash struct {
	Number uint32    `json:"number"`
	Start  uint32    `json:"start"` // number of the start that ended so
	Time   time.Time `json:"time"`  // of the report
	Sure   bool      `json:"sure"`
	Cause  Cause     `json:"cause"`
	Part   string    `json:"part,omitempty"` // that was started again; empty: the whole program
	Text   string    `json:"text"`
	Build  Build     `json:"build"` // that crashed
	Stack  []string  `json:"stack,omitempty"`
	Log    []string  `json:"log,omitempty"`
	Times  int       `json:"times"` // the same, one after the other
}

// file is what is stored. Members of a list could not grow fields, so they are maps.
type file struct {
	Kernel  string           `json:"kernel,omitempty"` // boot_id of the newest start
	Starts  map[string]Start `json:"starts,omitempty"`
	Crashes map[string]Crash `json:"crashes,omitempty"`
	Last    uint32           `json:"last"`       // number of the newest start
	Count   uint32           `json:"last_crash"` // number of the newest crash
}

const fileVersion = 1

// Box is the memory. Open is the only door; its methods may be called at once from many goroutines.
type Box struct {
	file *statefile.File[file]

	mu  sync.Mutex // guards the rest; held over the write, so that what is told is what is stored
	now file
}

// Facts are what a start finds of the one before.
type Facts struct {
	Time   time.Time
	Sure   bool
	Build  Build
	Kernel string // boot_id of the running kernel (random(4)); empty: unknown
	Died   string // what the Go runtime wrote at the end of the program
	Init   string // what the board's init saw of its end: "signal 9"
	// Panicked is what the kernel before said when it died, where its memory outlived the reset.
	Panicked string
	// Watchdog: the last reset of the board was the watchdog's.
	Watchdog bool
	Log      []string // the last lines that are kept of the one before
}

// Open reads the box, adds this start, and returns it with the record of the crash before it, nil for none. A box that
// can't be read, or written, begins empty and lives in memory; the error says so.
func Open(p statefile.Place, f Facts) (*Box, Start, *Crash, error) {
	b := &Box{file: statefile.At[file](p, fileVersion)}
	was, _, err := b.file.Load()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	b.now = was
	if b.now.Starts == nil {
		b.now.Starts = map[string]Start{}
	}
	if b.now.Crashes == nil {
		b.now.Crashes = map[string]Crash{}
	}
	before := b.now.Starts[key(b.now.Last)]
	same := f.Kernel != "" && f.Kernel == was.Kernel
	s := Start{Number: was.Last + 1, Time: f.Time, Sure: f.Sure, Board: !same, Build: f.Build}
	s.Why, s.Text = judge(before, f, same)
	var crash *Crash
	if s.Why.Bad() {
		c := Crash{Start: before.Number, Time: f.Time, Sure: f.Sure, Cause: s.Why, Text: s.Text, Build: before.Build,
			Log: lastOf(f.Log, maxLog)}
		switch s.Why {
		case Panic:
			_, c.Stack = parse(f.Died)
		case Kernel:
			_, c.Stack, c.Log = parseKernel(f.Panicked)
		}
		crash = b.add(c)
	}
	b.now.Last, b.now.Kernel = s.Number, f.Kernel
	b.now.Starts[key(s.Number)] = s
	trim(b.now.Starts, maxStarts)
	return b, s, crash, errors.Join(err, b.store())
}

// judge says how the start before ended.
func judge(before Start, f Facts, same bool) (Cause, string) {
	switch {
	case f.Died != "":
		text, _ := parse(f.Died)
		return Panic, text
	case before.Number == 0:
		return First, ""
	case before.Ended != "":
		return Ordered, before.Ended
	case same && f.Init != "":
		return Killed, f.Init
	case same:
		return Killed, "ended without a word"
	case f.Panicked != "":
		text, _, _ := parseKernel(f.Panicked)
		return Kernel, text
	case f.Watchdog:
		return Watchdog, "the watchdog reset the board: the agent hung, or nobody petted it"
	}
	return Power, "no orderly end: the power was cut, the board was reset, or the kernel died"
}

// End notes an orderly end, in words.
func (b *Box) End(why string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.now.Starts[key(b.now.Last)]
	if !ok {
		return nil
	}
	s.Ended = cut(why)
	b.now.Starts[key(s.Number)] = s
	return b.store()
}

// Crashed keeps the record of a part that was started again after a panic: what is said of it, its stack among that, as
// the Go runtime writes it. The same crash again and again is one record, which is written when its count doubles.
func (b *Box) Crashed(c Crash, died string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.Text, c.Stack = parse(died)
	c.Start, c.Cause, c.Log = b.now.Last, Panic, lastOf(c.Log, maxLog)
	kept := b.add(c)
	if kept.Times&(kept.Times-1) != 0 {
		return nil
	}
	return b.store()
}

// add adds a record, or counts the newest one up if it is the same, and returns it.
func (b *Box) add(c Crash) *Crash {
	last, ok := b.now.Crashes[key(b.now.Count)]
	if ok && last.same(c) {
		c.Number, c.Times = last.Number, last.Times+1
	} else {
		b.now.Count++
		c.Number, c.Times = b.now.Count, 1
	}
	c.Text = cut(c.Text)
	b.now.Crashes[key(c.Number)] = c
	trim(b.now.Crashes, maxCrashes)
	return &c
}

// same reports whether two crashes have one cause. Two resets by the watchdog are two: nobody knows where they hung.
func (c Crash) same(o Crash) bool {
	return c.Cause == Panic && c.Cause == o.Cause && c.Part == o.Part && c.Build == o.Build &&
		slices.Equal(c.Stack, o.Stack)
}

func (b *Box) store() error {
	if err := b.file.Store(b.now); err != nil {
		return fmt.Errorf("keep how it began and ended: %w", err)
	}
	return nil
}

// Starts returns the last starts, the newest first.
func (b *Box) Starts() []Start {
	b.mu.Lock()
	defer b.mu.Unlock()
	return newestFirst(b.now.Starts)
}

// Crashes returns the last crashes, the newest first.
func (b *Box) Crashes() []Crash {
	b.mu.Lock()
	defer b.mu.Unlock()
	return newestFirst(b.now.Crashes)
}

func key(number uint32) string { return fmt.Sprintf("%010d", number) }

func newestFirst[V any](m map[string]V) []V {
	list := make([]V, 0, len(m))
	for _, k := range slices.Backward(slices.Sorted(maps.Keys(m))) {
		list = append(list, m[k])
	}
	return list
}

// trim leaves the newest entries.
func trim[V any](m map[string]V, most int) {
	for _, k := range slices.Sorted(maps.Keys(m))[:max(0, len(m)-most)] {
		delete(m, k)
	}
}

func lastOf(lines []string, n int) []string {
	lines = slices.Clone(lines[max(0, len(lines)-n):])
	for i := range lines {
		lines[i] = cut(lines[i])
	}
	return lines
}
