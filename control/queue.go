package control

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/envelope"
)

// Class sorts events by what may be lost last.
type Class string

// The classes, the most important first. They are wire format.
const (
	Security  Class = "security"
	Alarm     Class = "alarm"
	Lifecycle Class = "lifecycle"
	Telemetry Class = "telemetry"
)

// Bounds of the queue.
const (
	maxQueued    = 512
	maxBytes     = 1 << 20 // of details
	maxDetail    = 8 << 10
	maxRecent    = 128      // told or not, for whoever asks by the LAN door; as many are in an answer
	maxAsked     = 64 << 10 // of details, in an answer
	telemetryAge = 10 * time.Minute
)

// rank is higher for what may be lost earlier.
func (c Class) rank() int { return slices.Index([]Class{Security, Alarm, Lifecycle, Telemetry}, c) }

// QueueOptions are what a Queue needs.
type QueueOptions struct {
	Store Store
	// Camera is the identity for whose owner something happens; without an owner nothing is told.
	Camera func() (id [envelope.IDSize]byte, err error)
	Clock  Clock
	Log    *slog.Logger
}

// Queue holds what happened until those who may know have it. Everything but telemetry outlives power cuts: it is told
// at least once, with the same id and number. The queue is bounded; where it is full, the oldest of the least important
// goes first, and is counted. OpenQueue is the only door.
type Queue struct {
	QueueOptions
	wake chan struct{} // something is there; capacity 1, a second one is the first

	change sync.Mutex // one change at a time, over its writes too
	mu     sync.Mutex // guards the rest
	camera [envelope.IDSize]byte
	seq    uint64 // of the last event that outlives a power cut
	lost   uint64
	bytes  int
	queued []*queued
	recent []envelope.Event
	byRank [4]uint64 // lost, by class
	todo   []job     // for the store, once mu is free
}

// job is something for the store: content to write, or nil for a record that goes.
type job struct {
	name    string
	content []byte
}

// queued is an event that somebody has still to be told.
type queued struct {
	envelope.Event
	class Class
	name  string // in the store; empty for telemetry
}

// OpenQueue reads what was not told before the restart. Damaged entries are left out: one is no reason to lose the
// others.
func OpenQueue(o QueueOptions) (*Queue, error) {
	o.Log = o.Log.With("part", "events")
	q := &Queue{QueueOptions: o, wake: make(chan struct{}, 1)}
	names, err := o.Store.List()
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	for _, name := range names {
		e, err := q.load(name)
		if err != nil {
			q.Log.Error("an event can't be read, it is left out", "name", name, "err", err)
			_ = o.Store.Remove(name)
			continue
		}
		q.restore(name, e)
	}
	slices.SortFunc(q.queued, func(a, b *queued) int { return cmp.Compare(a.Seq, b.Seq) })
	q.signal()
	return q, nil
}

// record is an event on the disk. Fields are only added.
type record struct {
	Version int       `json:"version"`
	Camera  []byte    `json:"camera"`
	ID      []byte    `json:"id"`
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Sure    bool      `json:"sure"`
	Class   Class     `json:"class"`
	Name    string    `json:"name"`
	Detail  []byte    `json:"detail"`
	Lost    uint64    `json:"lost"`
	Told    bool      `json:"told"` // kept for its number alone
}

func (q *Queue) load(name string) (record, error) {
	var r record
	raw, err := q.Store.Load(name)
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err == nil && (len(r.Camera) != envelope.IDSize || len(r.ID) != envelope.IDSize || r.Class.rank() < 0) {
		err = errors.New("no event")
	}
	return r, err
}

func (q *Queue) restore(name string, r record) {
	q.camera = [envelope.IDSize]byte(r.Camera)
	q.seq, q.lost = max(q.seq, r.Seq), max(q.lost, r.Lost)
	if r.Told {
		return
	}
	q.queued = append(q.queued, &queued{envelope.Event{
		Camera: q.camera, ID: [envelope.IDSize]byte(r.ID), Seq: r.Seq, Time: r.Time, Sure: r.Sure,
		Class: string(r.Class), Name: r.Name, Detail: r.Detail, Lost: r.Lost,
	}, r.Class, name})
	q.bytes += len(r.Detail)
}

// Tell says that something happened. What is not telemetry is on the disk when Tell returns. detail becomes JSON; it
// holds no secret.
func (q *Queue) Tell(class Class, name string, detail any) {
	id, err := q.Camera()
	if err != nil {
		return
	}
	raw, err := json.Marshal(detail)
	if err != nil || len(raw) > maxDetail {
		q.Log.Error("event without its detail", "name", name, "bytes", len(raw), "err", err)
		raw = []byte("{}")
	}
	e := &queued{Event: envelope.Event{Camera: id, Class: string(class), Name: name, Detail: raw}, class: class}
	e.Time, e.Sure = q.Clock()
	_, _ = rand.Read(e.ID[:])
	q.change.Lock()
	defer q.change.Unlock()
	q.mu.Lock()
	another := q.camera != id
	q.mu.Unlock()
	var his []string
	if another {
		his, _ = q.Store.List()
	}
	q.mu.Lock()
	q.take(e, his)
	q.mu.Unlock()
	q.work()
	q.signal()
}

// take takes an event in.
func (q *Queue) take(e *queued, his []string) {
	q.belong(e.Camera, his)
	q.expire(e.Time)
	if e.class == Telemetry {
		q.merge(e.Name)
	} else {
		q.seq++
		e.Seq, e.name = q.seq, fmt.Sprintf("%016x", q.seq)
	}
	if !q.makeRoom(e) {
		return
	}
	e.Lost = q.lost
	if e.name != "" {
		q.write(e, false)
	}
	q.queued = append(q.queued, e)
	q.bytes += len(e.Detail)
	q.recent = append(q.recent, e.Event)
	q.recent = q.recent[max(0, len(q.recent)-maxRecent):]
}

// work does what the store has to do. The caller holds change.
func (q *Queue) work() {
	q.mu.Lock()
	todo := q.todo
	q.todo = nil
	q.mu.Unlock()
	for _, j := range todo {
		if j.content == nil {
			_ = q.Store.Remove(j.name) // it is told again, at worst
			continue
		}
		if err := q.Store.Store(j.name, j.content); err != nil {
			q.Log.Error("event not stored: a power cut would lose it or tell it again", "name", j.name, "err", err)
		}
	}
}

// belong forgets what happened for an earlier owner: these records are his.
func (q *Queue) belong(id [envelope.IDSize]byte, his []string) {
	if q.camera == id {
		return
	}
	for _, name := range his {
		q.todo = append(q.todo, job{name, nil})
	}
	q.camera, q.seq, q.lost, q.bytes = id, 0, 0, 0
	q.queued, q.recent, q.byRank = nil, nil, [4]uint64{}
}

// merge drops what was measured before: of each kind of telemetry the last one counts.
func (q *Queue) merge(name string) {
	q.dropAll(func(e *queued) bool { return e.class == Telemetry && e.Name == name })
}

func (q *Queue) expire(now time.Time) {
	q.dropAll(func(e *queued) bool { return e.class == Telemetry && now.Sub(e.Time) > telemetryAge })
}

func (q *Queue) dropAll(which func(e *queued) bool) {
	q.queued = slices.DeleteFunc(q.queued, func(e *queued) bool {
		gone := which(e)
		if gone {
			q.bytes -= len(e.Detail)
		}
		return gone
	})
}

// makeRoom drops the oldest of the least important class until e finds room; false: e is the least important itself.
func (q *Queue) makeRoom(e *queued) bool {
	for len(q.queued) >= maxQueued || q.bytes+len(e.Detail) > maxBytes {
		worst := slices.MaxFunc(q.queued, func(a, b *queued) int {
			return cmp.Or(cmp.Compare(a.class.rank(), b.class.rank()), cmp.Compare(b.Seq, a.Seq))
		})
		q.lost++
		if worst.class.rank() < e.class.rank() {
			q.byRank[e.class.rank()]++
			return false
		}
		q.byRank[worst.class.rank()]++
		q.drop(worst)
	}
	return true
}

func (q *Queue) drop(e *queued) {
	q.queued = slices.DeleteFunc(q.queued, func(other *queued) bool { return other == e })
	q.bytes -= len(e.Detail)
	if e.name != "" && e.Seq != q.seq {
		q.todo = append(q.todo, job{e.name, nil})
	}
}

func (q *Queue) write(e *queued, told bool) {
	raw, _ := json.Marshal(record{ // texts, numbers and bytes always can
		1, e.Camera[:], e.ID[:], e.Seq, e.Time, e.Sure, e.class, e.Name, e.Detail, e.Lost, told,
	})
	q.todo = append(q.todo, job{e.name, raw})
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next returns the event to tell now: the oldest of the most important class. nil: there is none.
func (q *Queue) next(now time.Time) *queued {
	id, err := q.Camera()
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil || id != q.camera {
		return nil
	}
	q.expire(now)
	var best *queued
	for _, e := range q.queued {
		if best == nil || e.class.rank() < best.class.rank() {
			best = e
		}
	}
	return best
}

// told takes an event out that everybody has. The last one is kept, marked, since its number is the next one's start.
func (q *Queue) told(e *queued) {
	q.change.Lock()
	defer q.change.Unlock()
	names, _ := q.Store.List()
	q.mu.Lock()
	if slices.Contains(q.queued, e) {
		q.drop(e)
		if e.name != "" && e.Seq == q.seq {
			q.write(e, true)
		}
		q.sweep(names)
	}
	q.mu.Unlock()
	q.work()
}

// sweep removes the records of what is told already, but the last one's.
func (q *Queue) sweep(names []string) {
	waits := map[string]bool{fmt.Sprintf("%016x", q.seq): true}
	for _, e := range q.queued {
		waits[e.name] = true
	}
	for _, name := range names {
		if !waits[name] {
			q.todo = append(q.todo, job{name, nil})
		}
	}
}

// Since returns the events with a number above after, the oldest first, for whoever asks for them: those that wait to be
// told, from before a power cut, too, and the last ones of this process, told or not. So many at once as find room in an
// answer; who asks again with the last number has the next ones. Telemetry has no number, and is not among them.
func (q *Queue) Since(after uint64) []envelope.Event {
	q.mu.Lock()
	list := slices.Clone(q.recent)
	for _, e := range q.queued {
		list = append(list, e.Event)
	}
	camera := q.camera
	q.mu.Unlock()
	list = slices.DeleteFunc(list, func(e envelope.Event) bool { return e.Seq <= after || e.Camera != camera })
	slices.SortFunc(list, func(a, b envelope.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	list = slices.CompactFunc(list, func(a, b envelope.Event) bool { return a.Seq == b.Seq })
	size := 0
	for i, e := range list {
		if size += len(e.Detail); i >= maxRecent || size > maxAsked {
			return list[:i]
		}
	}
	return list
}

// QueueStats are figures of the queue. Its keys are wire format.
type QueueStats struct {
	Waiting int               `json:"waiting"`
	Bytes   int               `json:"bytes"`
	Lost    map[string]uint64 `json:"lost,omitempty"` // by class, since the start
}

// Stats returns the figures of this moment.
func (q *Queue) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := QueueStats{Waiting: len(q.queued), Bytes: q.bytes, Lost: map[string]uint64{}}
	for i, class := range []Class{Security, Alarm, Lifecycle, Telemetry} {
		s.Lost[string(class)] = q.byRank[i]
	}
	maps.DeleteFunc(s.Lost, func(_ string, n uint64) bool { return n == 0 })
	return s
}

// Store keeps small named records. Each is replaced whole or not at all.
type Store interface {
	List() ([]string, error) // in ascending order
	Load(name string) ([]byte, error)
	Store(name string, content []byte) error
	Remove(name string) error
}
