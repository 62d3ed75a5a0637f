// Package logring keeps the last lines of the log for whoever looks later: from afar, at the console, after a crash.
//
// A line has a number, a time, a level, the part that says it, a message and typed fields. What must not be read is
// taken out before a line is kept (redaction at the sink), so that no reader has to think of it.
//
// The newest lines are in memory. Run writes them to a store: records of some kilobytes, each replaced whole, the
// oldest removed by size and by age. After a power cut the store holds every line up to the last write: at most
// CalmEvery behind, UrgentEvery where a line was a warning or worse. What is not written yet stands in a Tail as well,
// which outlives the program, if not the power: a program that dies loses no line.
//
// A record is text: a first line {"version":1}, then a line of JSON for each line of the log. Fields are only added.
package logring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds, in bytes of JSON where nothing else is said.
const (
	maxLine    = 1000      // of a message and of a field's value each
	maxFields  = 24        // of a line
	maxMemory  = 96 << 10  // of lines that are not only in the store
	maxRecord  = 16 << 10  // of a record
	maxRecords = 16        // in the store: 256 KiB
	maxInput   = 8 << 10   // of what is looked through before it is cut
	maxTail    = 96 << 10  // of what is not in the store yet
	maxStored  = 128 << 10 // of a record that is read: a newer release may make larger ones
)

// How often Run writes.
const (
	CalmEvery   = 30 * time.Second
	UrgentEvery = 2 * time.Second
	maxAge      = 14 * 24 * time.Hour // of a record, by the times of its lines
)

// Line is one line of the log. Its JSON is the form in the store and on the wire: never renamed.
type Line struct {
	Seq     uint64    `json:"seq"` // grows by one a line, over restarts too
	Time    time.Time `json:"time"`
	Level   string    `json:"level"` // DEBUG, INFO, WARN, ERROR; between them as slog prints it: INFO+2
	Part    string    `json:"part,omitempty"`
	Message string    `json:"message"`
	Fields  []Field   `json:"fields,omitempty"`
}

// Field is a fact of a line. Its value is a number, a truth or a text in JSON.
type Field struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// Text is message and fields in one line of plain text.
func (l Line) Text() string {
	var b strings.Builder
	b.WriteString(l.Message)
	for _, f := range l.Fields {
		value := string(f.Value)
		var text string
		if json.Unmarshal(f.Value, &text) == nil && text != "" && !strings.ContainsAny(text, " \"=\n\t") {
			value = text
		}
		fmt.Fprintf(&b, " %s=%s", f.Name, value)
	}
	return b.String()
}

// Console is the line as a person reads it.
func (l Line) Console() string {
	if l.Part == "" {
		return fmt.Sprintf("%s %s %s", l.Time.Format("15:04:05.000"), l.Level, l.Text())
	}
	return fmt.Sprintf("%s %s %s: %s", l.Time.Format("15:04:05.000"), l.Level, l.Part, l.Text())
}

// Filter says which lines are meant; the zero Filter means all.
type Filter struct {
	Level  slog.Level // and what is worse; the zero value is INFO, slog.LevelDebug means all
	Part   string     // empty: every part
	Since  time.Time
	After  uint64 // lines with a larger number
	Before uint64 // and with a smaller one; 0: all
	Last   int    // so many of them, the newest; 0: all
}

func (f Filter) takes(l Line) bool {
	var level slog.Level
	if level.UnmarshalText([]byte(l.Level)) != nil {
		level = slog.LevelError // of another release: shown rather than lost
	}
	return level >= f.Level && (f.Part == "" || f.Part == l.Part) && l.Seq > f.After &&
		(f.Before == 0 || l.Seq < f.Before) && !l.Time.Before(f.Since)
}

// Redactor takes out what nobody may read; *redact.Redactor does.
type Redactor interface {
	Text(text string) string
	Secret(name string) bool // of a field whose value is never kept
}

// Store keeps small named records; statefile.Directory does. Names are 16 hexadecimal digits.
type Store interface {
	List() ([]string, error) // in ascending order
	Load(name string) ([]byte, error)
	Store(name string, content []byte) error
	Remove(name string) error
}

// Ring is the log's memory. New is the only door; its methods may be called at once from many goroutines.
type Ring struct {
	redactor Redactor

	writing sync.Mutex // one write at a time; held over I/O

	tailing sync.Mutex // guards tail and tailed; held over I/O
	tail    Tail       // nil: none
	tailed  int        // bytes in it

	mu     sync.Mutex // guards the rest
	store  Store      // nil: memory alone
	lines  []kept     // ascending, without a gap
	bytes  int
	seq    uint64        // of the newest line
	record uint64        // number of the first line of the record that is filled now
	dirty  uint64        // number of the first line that is not in the store yet
	urgent bool          // one of those is a warning or worse
	more   chan struct{} // closed at the next line; nil: nobody waits
}

// kept is a line with its size.
type kept struct {
	Line
	size int
}

// New makes a ring that keeps lines in memory until Keep gives it a store.
func New(r Redactor) *Ring { return &Ring{redactor: r, record: 1, dirty: 1} }

// Keep gives the ring its store. Numbers go on behind the lines that are in it already, and behind those that the Tail
// of before has left; last is the last of them. What can't be read is left out.
func (r *Ring) Keep(s Store, left []byte) (last uint64, err error) {
	names, err := s.List()
	if err != nil {
		return 0, fmt.Errorf("open log: %w", err)
	}
	for _, name := range slices.Backward(names) {
		if old, err := load(s, name); err == nil && len(old) > 0 {
			last = old[len(old)-1].Seq
			break
		}
	}
	if len(names) > 0 { // whatever a damaged record holds, its number is taken
		first, _ := strconv.ParseUint(names[len(names)-1], 16, 64) // of another form: no number
		last = max(last, first)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store, r.record, r.dirty = s, last+1, last+1
	var before []kept
	for _, l := range unstored(left, last) {
		last++
		l.Seq = last
		before = append(before, kept{l, l.size()})
		r.bytes += before[len(before)-1].size
	}
	for i := range r.lines {
		r.lines[i].Seq += last
	}
	r.seq += last
	r.lines = append(before, r.lines...)
	return last, nil
}

// json is the line as it is stored.
func (l Line) json() []byte {
	raw, _ := json.Marshal(l) // texts and numbers always can
	return append(raw, '\n')
}

func (l Line) size() int { return len(l.json()) }

// add keeps a line.
func (r *Ring) add(l Line, urgent bool) {
	l = r.remember(l, urgent)
	r.tailing.Lock()
	defer r.tailing.Unlock()
	_ = r.append(l.public()) // who would be told, in which log?
}

func (r *Ring) remember(l Line, urgent bool) Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	l.Seq = r.seq
	size := l.size()
	r.lines = append(r.lines, kept{l, size})
	r.bytes += size
	r.urgent = r.urgent || urgent
	drop := 0
	for ; r.bytes > maxMemory; drop++ {
		r.bytes -= r.lines[drop].size
	}
	r.lines = slices.Delete(r.lines, 0, drop)
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
	return l
}

// Lines returns the lines that a filter takes, from the store too, the oldest first.
func (r *Ring) Lines(f Filter) []Line {
	r.mu.Lock()
	s, oldest := r.store, r.seq+1
	var fresh []Line
	for _, l := range r.lines {
		oldest = min(oldest, l.Seq)
		if f.takes(l.Line) {
			fresh = append(fresh, l.Line)
		}
	}
	r.mu.Unlock()
	var all []Line
	if s != nil && f.After+1 < oldest && (f.Last == 0 || len(fresh) < f.Last) {
		all = stored(s, f, oldest)
	}
	all = append(all, fresh...)
	if f.Last > 0 {
		all = all[max(0, len(all)-f.Last):]
	}
	return all
}

// stored returns what the store has below a number.
func stored(s Store, f Filter, below uint64) (all []Line) {
	names, err := s.List()
	if err != nil {
		return nil
	}
	seen := uint64(0) // records overlap where the log was flooded
	for _, name := range names {
		lines, err := load(s, name)
		if err != nil {
			continue
		}
		for _, l := range lines {
			if l.Seq > seen && l.Seq < below && f.takes(l) {
				all = append(all, l)
			}
			seen = max(seen, l.Seq)
		}
	}
	return all
}

// Follow shows each line that a filter takes as it comes, until ctx ends or see returns an error. Who is slower than
// the log loses lines, never holds it up: lost is how many went by unseen before this one.
func (r *Ring) Follow(ctx context.Context, f Filter, see func(l Line, lost uint64) error) error {
	r.mu.Lock()
	next := r.seq + 1
	r.mu.Unlock()
	for {
		lines, lost, wait := r.from(next)
		for _, l := range lines {
			next = l.Seq + 1
			if !f.takes(l) {
				continue
			}
			if err := see(l, lost); err != nil {
				return err
			}
			lost = 0
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait:
		}
	}
}

// from returns the lines from a number on, how many of them are gone, and what is closed when there is another one.
func (r *Ring) from(next uint64) (lines []Line, lost uint64, wait <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if l.Seq >= next {
			lines = append(lines, l.Line)
		}
	}
	if len(lines) > 0 {
		lost = lines[0].Seq - next
		closed := make(chan struct{})
		close(closed)
		return lines, lost, closed
	}
	if r.more == nil {
		r.more = make(chan struct{})
	}
	return nil, 0, r.more
}

// errSize: a record is larger than any that we write.
var errSize = errors.New("too large")
