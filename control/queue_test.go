package control

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/envelope"
	"github.com/ocellus/ocellus/internal/sealed"
	"github.com/ocellus/ocellus/internal/statefile"
)

// house is a queue on a disk, with a clock and an owner that a test sets.
type house struct {
	dir   statefile.Directory
	shelf Store // in the place of dir, where it is set: without the time that a disk takes
	clock wall
	id    [envelope.IDSize]byte
}

func newHouse(t *testing.T) *house {
	h := &house{dir: statefile.Directory{Path: filepath.Join(t.TempDir(), "events")}, id: [envelope.IDSize]byte{1}}
	h.clock.set(noon, true)
	return h
}

func (h *house) open(t *testing.T) *Queue {
	t.Helper()
	var store Store = h.dir
	if h.shelf != nil {
		store = h.shelf
	}
	q, err := OpenQueue(QueueOptions{Store: store, Clock: h.clock.read, Log: quiet(),
		Camera: func() ([envelope.IDSize]byte, error) {
			if h.id == ([envelope.IDSize]byte{}) {
				return h.id, errors.New("no owner")
			}
			return h.id, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// shelf is a Store in memory.
type shelf map[string][]byte

func (s shelf) List() ([]string, error)                 { return slices.Sorted(maps.Keys(s)), nil }
func (s shelf) Load(name string) ([]byte, error)        { return s[name], nil }
func (s shelf) Store(name string, content []byte) error { s[name] = content; return nil }
func (s shelf) Remove(name string) error                { delete(s, name); return nil }

// drain tells everything and returns the names in the order in which they were told.
func drain(q *Queue, now time.Time) (names []string) {
	for e := q.next(now); e != nil; e = q.next(now) {
		names = append(names, e.Name)
		q.told(e)
	}
	return names
}

func TestQueueOrder(t *testing.T) {
	t.Parallel()
	q := newHouse(t).open(t)
	for _, e := range []struct {
		class Class
		name  string
	}{{Telemetry, "load"}, {Lifecycle, "start"}, {Alarm, "motion 1"}, {Telemetry, "load"}, {Security, "duplicate"},
		{Alarm, "motion 2"}} {
		q.Tell(e.class, e.name, struct{}{})
	}
	want := []string{"duplicate", "motion 1", "motion 2", "start", "load"}
	if got := drain(q, noon); !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

// TestQueueRestart: what was not told is told after a power cut, once more with the same id and number; numbers go on.
func TestQueueRestart(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	q := h.open(t)
	for i := range 4 {
		q.Tell(Alarm, fmt.Sprint(i), i)
	}
	first, last := q.next(noon), envelope.Event{}
	q.told(first)
	second := *q.next(noon)
	q = h.open(t)
	if got := *q.next(noon); got.ID != second.ID || got.Seq != second.Seq || got.Time != second.Time ||
		string(got.Detail) != "1" {
		t.Errorf("got %+v, want %+v", got, second)
	}
	if got := drain(q, noon); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("told %v", got)
	}
	if names, _ := h.dir.List(); len(names) != 1 {
		t.Errorf("%v are left, want the last number alone", names)
	}
	q = h.open(t)
	if e := q.next(noon); e != nil {
		t.Errorf("%s is told again", e.Name)
	}
	q.Tell(Lifecycle, "next", nil)
	if last = q.next(noon).Event; last.Seq != 5 {
		t.Errorf("number %d, want 5", last.Seq)
	}
	if got := q.Since(4); len(got) != 1 || got[0].Name != "next" {
		t.Errorf("since 4: %v", got)
	}
}

// TestQueueWeek: a broker that is away for a week. Memory and disk stay in their bounds, alarms are kept before what
// matters less, and what was lost is counted.
func TestQueueWeek(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shelf = shelf{}
	q := h.open(t)
	alarms, told := 0, 0
	for hour := range 7 * 24 {
		now := noon.Add(time.Duration(hour) * time.Hour)
		h.clock.set(now, true)
		if hour%4 == 0 {
			q.Tell(Alarm, "motion", hour)
			alarms++
		}
		for i := range 10 {
			q.Tell(Lifecycle, fmt.Sprint("restart ", i), hour)
			q.Tell(Telemetry, fmt.Sprint("load ", i), hour)
			told += 2
		}
	}
	names, _ := h.shelf.List()
	s := q.Stats()
	if s.Waiting > maxQueued || len(names) > maxQueued+1 {
		t.Errorf("%d in memory, %d on the disk", s.Waiting, len(names))
	}
	if s.Lost["alarm"] != 0 || s.Lost["lifecycle"] == 0 {
		t.Errorf("lost %v", s.Lost)
	}
	q = h.open(t)
	got := drain(q, noon.Add(7*24*time.Hour))
	if n := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s != "motion" })); n != alarms {
		t.Errorf("%d alarms of %d", n, alarms)
	}
	q.Tell(Security, "after", nil)
	if e := q.next(noon); e.Lost == 0 {
		t.Error("nobody is told that events were lost")
	}
}

// TestQueueAsked: who asks has what happened before a power cut, too, piece by piece, and nothing twice.
func TestQueueAsked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shelf = shelf{}
	q := h.open(t)
	const before, after = 200, 60
	for i := range before {
		q.Tell(Alarm, fmt.Sprint(i), make([]byte, 1<<10))
	}
	q.told(q.next(noon))
	q = h.open(t) // the power was away
	for i := range after {
		q.Tell(Security, fmt.Sprint(before+i), nil)
	}
	q.Tell(Telemetry, "load", nil)
	seen := uint64(1) // the one that was told before the power cut
	for asked := 0; seen < before+after; asked++ {
		list := q.Since(seen)
		if len(list) == 0 || len(list) > maxRecent || asked > 10 {
			t.Fatalf("%d events since %d, at question %d", len(list), seen, asked)
		}
		for _, e := range list {
			if e.Seq != seen+1 || e.Name != fmt.Sprint(seen) {
				t.Fatalf("number %d, %s, after %d", e.Seq, e.Name, seen)
			}
			seen = e.Seq
		}
	}
	if more := q.Since(seen); len(more) > 0 {
		t.Errorf("and %v", more)
	}
}

func TestQueueBytes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shelf = shelf{}
	q := h.open(t)
	for range 300 {
		q.Tell(Alarm, "big", make([]byte, 5<<10))
	}
	if s := q.Stats(); s.Bytes > maxBytes || s.Lost["alarm"] == 0 {
		t.Errorf("%+v", s)
	}
	q.Tell(Telemetry, "less", make([]byte, 5<<10))
	if s := q.Stats(); s.Lost["telemetry"] != 1 {
		t.Errorf("telemetry pushed an alarm out: %+v", s)
	}
	q.Tell(Alarm, "too big", make([]byte, maxDetail))
	for e := q.next(noon); e != nil; e = q.next(noon) {
		if e.Name == "too big" && string(e.Detail) != "{}" {
			t.Errorf("a detail of %d bytes", len(e.Detail))
		}
		q.told(e)
	}
}

// TestQueueOwner: what happened for one owner is not told to the next, and nothing is told to nobody.
func TestQueueOwner(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	q := h.open(t)
	q.Tell(Alarm, "the first owner's", nil)
	h.id = [envelope.IDSize]byte{2}
	if e := q.next(noon); e != nil {
		t.Errorf("%s is told to the next owner", e.Name)
	}
	q.Tell(Alarm, "the second's", nil)
	if e := q.next(noon); e == nil || e.Name != "the second's" || e.Seq != 1 {
		t.Errorf("got %+v", e)
	}
	if names, _ := h.dir.List(); len(names) != 1 {
		t.Errorf("%v on the disk", names)
	}
	h.id = [envelope.IDSize]byte{}
	q.Tell(Alarm, "nobody's", nil)
	if s := q.Stats(); s.Waiting != 1 {
		t.Errorf("%+v", s)
	}
}

// TestQueueSealed: what happened is unreadable on the disk, and an entry that is damaged costs itself alone.
func TestQueueSealed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.dir.Place = func(name string, file statefile.Place) statefile.Place {
		return sealed.New("event "+name, [32]byte{1}, file)
	}
	q := h.open(t)
	q.Tell(Alarm, "motion", nil)
	q.Tell(Alarm, "sound", nil)
	names, err := h.dir.List()
	if err != nil || len(names) != 2 {
		t.Fatal(names, err)
	}
	if err := os.WriteFile(filepath.Join(h.dir.Path, names[0]), []byte("motion"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := drain(h.open(t), noon); !slices.Equal(got, []string{"sound"}) {
		t.Errorf("told %v", got)
	}
}

// TestGoldenRecord pins the names of the fields on the disk.
func TestGoldenRecord(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	q := h.open(t)
	e := &queued{envelope.Event{Camera: [16]byte{1}, ID: [16]byte{2}, Seq: 3, Time: noon, Sure: true, Class: "alarm",
		Name: "motion", Detail: []byte("{}"), Lost: 4}, Alarm, "0000000000000003"}
	q.write(e, true)
	q.work()
	const want = `{"version":1,"camera":"AQAAAAAAAAAAAAAAAAAAAA==","id":"AgAAAAAAAAAAAAAAAAAAAA==","seq":3,` +
		`"time":"2026-05-01T12:00:00Z","sure":true,"class":"alarm","name":"motion","detail":"e30=","lost":4,"told":true}`
	if raw, _ := h.dir.Load("0000000000000003"); string(raw) != want {
		t.Errorf("got\n%s", raw)
	}
}
