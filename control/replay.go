package control

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/internal/statefile"
)

// Bounds of what is remembered of each source.
const (
	maxSources   = 128
	maxRemember  = 64      // answers, in memory
	maxKept      = 16      // answers to what is done once, on the disk
	maxAnswer    = 8 << 10 // a larger one is forgotten
	countersName = "control.json"
)

// counters is control.json: what replay protection has to know after a power cut. Fields are only added.
type counters struct {
	Camera  string            `json:"camera"` // operational identity; of another owner's camera nothing counts
	Sources map[string]source `json:"sources"`
}

// source is one entry, by envelope.Client. What is left at the topic of the desired state has an entry of its own: it
// may come long after what was asked later. No counter up to Top is taken again.
type source struct {
	Top  uint64          `json:"top"`
	Used time.Time       `json:"used"`
	Done map[string]done `json:"done,omitempty"` // by the command's id
}

// done is an operation that is not done again. Code is CodeInterrupted until its answer is known.
type done struct {
	Counter uint64 `json:"counter"`
	Code    string `json:"code"`
	Text    string `json:"text,omitempty"`
}

const countersVersion = 1

// window is the counters of a source that were seen: the largest, and which of the 64 up to it (RFC 4303 3.4.3).
type window struct {
	top  uint64
	seen uint64 // bit i: top-i was seen
}

const windowSize = 64

// fresh reports whether a counter was never seen.
func (w window) fresh(n uint64) bool {
	if n > w.top {
		return true
	}
	age := w.top - n
	return age < windowSize && w.seen>>age&1 == 0
}

func (w *window) add(n uint64) {
	if n <= w.top {
		w.seen |= 1 << (w.top - n)
		return
	}
	if shift := n - w.top; shift < windowSize {
		w.seen = w.seen<<shift | 1
	} else {
		w.seen = 1
	}
	w.top = n
}

// memory is what is known of a source while the process lives.
type memory struct {
	window
	stored  uint64 // the top on the disk
	used    time.Time
	budget  budget
	answers []answered // the most recent last
	kept    map[string]done
}

// answered is an answer, for the same command that comes again; nil while it is being done.
type answered struct {
	id       [envelope.IDSize]byte
	outcome  *Outcome // nil: it is being done
	progress int      // in percent, while it is being done
}

// named reports whether it is the answer to the command with this id, in hexadecimal digits.
func (a answered) named(id string) bool { return hex.EncodeToString(a.id[:]) == id }

func (m *memory) find(id [envelope.IDSize]byte) *answered {
	for i := range m.answers {
		if m.answers[i].id == id {
			return &m.answers[i]
		}
	}
	if d, ok := m.kept[hex.EncodeToString(id[:])]; ok {
		return &answered{id: id, outcome: &Outcome{Code: d.Code, Text: d.Text}}
	}
	return nil
}

func (m *memory) begin(id [envelope.IDSize]byte) {
	if len(m.answers) >= maxRemember {
		m.answers = slices.Delete(m.answers, 0, 1)
	}
	m.answers = append(m.answers, answered{id: id})
}

func (m *memory) end(id [envelope.IDSize]byte, o Outcome) {
	if len(o.Result)+len(o.Blob) > maxAnswer {
		o = Outcome{Code: CodeReplay, Text: "answered already; the answer was too large to be kept"}
	}
	for i := range m.answers {
		if m.answers[i].id == id {
			m.answers[i].outcome = &o
		}
	}
}

// ledger is the memory of all sources. The Receiver's mutex guards it.
type ledger struct {
	file    *statefile.File[counters]
	camera  string
	sources map[string]*memory
}

// openLedger reads what was known before the restart. A damaged file is an error: going on without it would let
// everything be said again.
func openLedger(place statefile.Place) (*ledger, error) {
	l := &ledger{file: statefile.At[counters](place, countersVersion), sources: map[string]*memory{}}
	v, _, err := l.file.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("replay protection: %w", err)
	}
	l.camera = v.Camera
	for name, s := range v.Sources {
		m := &memory{window: window{top: s.Top, seen: ^uint64(0)}, stored: s.Top, used: s.Used, kept: s.Done}
		l.sources[name] = m
	}
	return l, nil
}

// of returns the memory of a source; of another owner's everything is forgotten, since no signature of then counts now.
func (l *ledger) of(camera, client string, now time.Time) *memory {
	if l.camera != camera {
		l.camera, l.sources = camera, map[string]*memory{}
	}
	m := l.sources[client]
	if m == nil {
		l.forget()
		m = &memory{}
		l.sources[client] = m
	}
	m.used = now
	return m
}

// forget makes room for one more source. There are at most 65 at a time to whom something is granted.
func (l *ledger) forget() {
	for len(l.sources) >= maxSources {
		oldest, at := "", time.Time{}
		for name, m := range l.sources {
			if oldest == "" || m.used.Before(at) {
				oldest, at = name, m.used
			}
		}
		delete(l.sources, oldest)
	}
}

// keep remembers, in memory, that something is done once.
func (m *memory) keep(id [envelope.IDSize]byte, d done) {
	if m.kept == nil {
		m.kept = map[string]done{}
	}
	for len(m.kept) >= maxKept {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(m.kept)), func(a, b string) int {
			return int(min(1, max(-1, int64(m.kept[a].Counter)-int64(m.kept[b].Counter))))
		})
		delete(m.kept, oldest)
	}
	d.Text = clip(d.Text, 200)
	m.kept[hex.EncodeToString(id[:])] = d
}

// snapshot is what goes to the disk.
func (l *ledger) snapshot() counters {
	v := counters{Camera: l.camera, Sources: map[string]source{}}
	for name, m := range l.sources {
		v.Sources[name] = source{m.top, m.used.UTC().Truncate(time.Second), maps.Clone(m.kept)}
	}
	return v
}

// stored notes what is on the disk now.
func (l *ledger) stored(v counters) {
	for name, s := range v.Sources {
		if m := l.sources[name]; m != nil && v.Camera == l.camera {
			m.stored = s.Top
		}
	}
}

// behind reports whether the disk does not know the last counters.
func (l *ledger) behind() bool {
	for _, m := range l.sources {
		if m.stored != m.top {
			return true
		}
	}
	return false
}
