package ota

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota/manifest"
)

// checker cuts the power in recorded runs, and looks at what is left, lets it boot until nothing is under way, and cuts
// again.
type checker struct {
	l        *lab
	depth    int  // how many cuts in a row
	from     int  // the operation after which it begins
	rots     bool // a slot rots: what is left may be older than the floor
	all      bool // cut again in every world, until so many were visited
	until    int
	every    bool // each byte at which a boot record can be torn
	reached  map[uint64]bool
	only     bool // reached is what may be reached: more is an error
	visited  int
	distinct map[uint64]bool
	lived    map[uint64]error // by world
	deep     map[string]bool  // by what a world means
}

func newChecker(l *lab) *checker {
	return &checker{l: l, depth: 1, distinct: map[uint64]bool{}, lived: map[uint64]error{}, deep: map[string]bool{},
		reached: map[uint64]bool{}}
}

// observe tells what the places of a world hold.
func (c *checker) observe(w world) map[string]string {
	all := map[string]string{"env": c.l.env(&w.media[envDisk]).text, "area persist": c.l.area(&w.media[persistDisk]).data,
		stateName: w.files[w.names[stateName]], "grants.json": w.files[w.names["grants.json"]]}
	for place, m := range map[string]int{"slot a": slotADisk, "slot b": slotBDisk} {
		got := c.l.content(&w.media[m])
		switch {
		case got.image != nil:
			all[place] = got.image.name
		case got.verifies:
			all[place] = "broken, and the boot loader would boot it"
		default:
			all[place] = "invalid"
		}
	}
	return all
}

// explore cuts the power in a run after each of its operations.
func (c *checker) explore(start world, log []op, depth int) error {
	r := replay{durable: start.clone(), now: c.observe(start), soon: map[string]*string{},
		kept: map[string]bool{}}
	for i, o := range log {
		r.step(o)
		if depth == 1 && i < c.from {
			continue
		}
		err := r.survivors(c.every, func(w world) error { return c.visit(w, &r, depth) })
		if err != nil {
			return fmt.Errorf("power cut %d, after operation %d, %s: %w", depth, i, o, err)
		}
	}
	return nil
}

// visit looks at what a power cut left.
func (c *checker) visit(w world, r *replay, depth int) error {
	c.visited++
	seen := c.observe(w)
	c.distinct[c.key(w, seen)] = true
	for _, place := range slices.Sorted(maps.Keys(seen)) {
		if !r.allowed(place, seen[place]) {
			return fmt.Errorf("%s holds %.200q, promised is %.200q", place, seen[place], r.now[place])
		}
	}
	if r.kept["area persist"] && r.soon["area persist"] == nil && !c.l.area(&w.media[persistDisk]).both {
		return errors.New("persist still holds what was there before")
	}
	record := c.l.env(&w.media[envDisk]).record
	if t := record.Trial; t != "" && c.l.content(&w.media[slotOf(hal.Slot(t))]).image == nil {
		return fmt.Errorf("slot %s is armed, and was never whole", t)
	}
	if err := c.known(w, r); err != nil {
		return err
	}
	return c.live(w, seen, depth)
}

var errNew = errors.New("a state that the run without the mutation does not reach")

// known notes the state and what was promised in it, or refuses one that was not noted.
func (c *checker) known(w world, r *replay) error {
	var h maphash.Hash
	h.SetSeed(seed)
	maphash.WriteComparable(&h, w.hash())
	for _, place := range slices.Sorted(maps.Keys(r.now)) {
		h.WriteString(r.now[place])
		if s := r.soon[place]; s != nil {
			h.WriteString(*s)
		}
		if place == "env" && r.late != nil {
			h.WriteString(*r.late)
		}
		h.WriteByte(0)
	}
	if c.only && !c.reached[h.Sum64()] {
		return errNew
	}
	c.reached[h.Sum64()] = true
	return nil
}

func slotOf(s hal.Slot) int {
	if s == hal.SlotB {
		return slotBDisk
	}
	return slotADisk
}

// key is what makes a state a distinct one: the bytes of the record, the class of each slot, the floor and the journal.
func (c *checker) key(w world, seen map[string]string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	maphash.WriteComparable(&h, w.media[envDisk].hash)
	for _, s := range []string{c.l.content(&w.media[slotADisk]).class, c.l.content(&w.media[slotBDisk]).class,
		seen["area persist"], seen[stateName]} {
		h.WriteString(s)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// live lets a world boot until nothing is under way, and cuts the power again in the first of what means the same.
func (c *checker) live(w world, seen map[string]string, depth int) error {
	h := w.hash()
	if err, ok := c.lived[h]; ok {
		return err
	}
	meaning := strings.Join([]string{fmt.Sprint(depth), seen["env"], c.l.env(&w.media[envDisk]).copies,
		c.l.content(&w.media[slotADisk]).class, c.l.content(&w.media[slotBDisk]).class, seen["area persist"],
		seen[stateName]}, "\x00")
	first := depth < c.depth && !c.deep[meaning] || c.all && depth < c.depth && c.visited < c.until
	c.deep[meaning] = true
	c.lived[h] = nil
	for _, healthy := range []bool{true, false} {
		b := newBoard(w)
		err := c.life(b, healthy)
		if err == nil && first {
			err = c.explore(w, b.log, depth+1)
		}
		if err == nil && first && healthy {
			err = c.again(w)
		}
		if err != nil {
			c.lived[h] = err
			return err
		}
		if !first && c.l.env(&w.media[envDisk]).record.Trial == "" {
			break // nobody looks at the facts of health
		}
	}
	return nil
}

// again updates what a power cut left, once it is at rest: no cut leaves a camera that takes no more updates.
func (c *checker) again(w world) error {
	s := script{l: c.l, b: newBoard(w)}
	s.boot(true)
	if s.err == nil {
		s.install(2, 0, nil)
		s.reboot()
		s.boot(true)
	}
	if s.err != nil {
		return fmt.Errorf("the next update: %w", s.err)
	}
	runs := c.l.content(&s.b.w.media[slotOf(s.e.o.Slots.Booted())]).image
	if got := s.e.Status(); got.State != Confirmed || runs != c.l.images[2] {
		return fmt.Errorf("the next update ends with %s, %s", got.State, got.Reason)
	}
	return nil
}

// maxBoots is within how many boots a board comes to rest.
const maxBoots = 8

// life boots a board, without a network, until nothing is under way.
func (c *checker) life(b *board, healthy bool) error {
	before := c.l.env(&b.w.media[envDisk]).record.Floor
	for range maxBoots {
		s, ok := c.l.load(b)
		if !ok {
			return errors.New("nothing boots")
		}
		runs := c.l.content(&b.w.media[slotOf(s.slot)]).image
		if runs == nil {
			return fmt.Errorf("slot %s boots (%s), and is no image that was signed", s.slot, s.how)
		}
		if r := c.l.env(&b.w.media[envDisk]).record; s.how == bootstate.Confirmed && r.Trial != "" {
			return fmt.Errorf("the confirmed slot boots, and the trial of %s goes on", r.Trial)
		}
		if m := b.remembered(); s.how == bootstate.Confirmed && s.slot == m.slot() &&
			(m.State == Writing || m.State == Written || m.State == Armed) {
			return fmt.Errorf("slot %s boots as the confirmed one, and is only %s", s.slot, m.State)
		}
		e, err := c.l.start(b, s, healthy)
		if err != nil {
			return err
		}
		err = e.settle(context.Background())
		if err == nil {
			return c.rests(b, e, s, runs, before)
		}
		if !errors.Is(err, errReboot) {
			return err
		}
	}
	return fmt.Errorf("no rest within %d boots", maxBoots)
}

// remembered is what the engine has stored, nothing where it can't be read.
func (b *board) remembered() memory {
	d := directory{b}
	m, _, err := statefile.At[memory](statefile.On(d, d.read, stateName), memoryVersion).Load()
	if err != nil {
		return memory{}
	}
	return m
}

// rests looks at a board on which nothing is under way.
func (c *checker) rests(b *board, e *Engine, s started, runs *image, before uint32) error {
	r := c.l.env(&b.w.media[envDisk]).record
	rescued := s.how == bootstate.Rescue // the confirmed slot is gone, and this is all there is
	persist := c.l.area(&b.w.media[persistDisk]).data
	switch {
	case !e.Status().State.atRest():
		return fmt.Errorf("at rest, and %s", e.Status().State)
	case r.Trial != "" || hal.Slot(r.Confirmed) != s.slot && !rescued:
		return fmt.Errorf("slot %s runs (%s), the record says %+v", s.slot, s.how, r)
	case r.Floor < before:
		return fmt.Errorf("floor %s, before %s", manifest.FloorVersion(r.Floor), manifest.FloorVersion(before))
	case runs.version.Compare(manifest.FloorVersion(r.Floor)) < 0 && !c.rots:
		return fmt.Errorf("%s runs, the floor is %s", runs.version, manifest.FloorVersion(r.Floor))
	case !strings.Contains(persist, "the pairing of this camera"):
		return fmt.Errorf("pairing lost: %q", persist)
	case b.w.files[b.w.names["grants.json"]] != grants:
		return errors.New("data lost")
	}
	return nil
}

// script is a run that is recorded.
type script struct {
	l   *lab
	b   *board
	e   *Engine
	err error

	asked func(at int64) // called for each ask for the image
	delta bool           // install by a delta from what runs
}

// boot boots until nothing is under way, or until the first reboot.
func (s *script) boot(healthy bool) {
	for range maxBoots {
		if s.err != nil {
			return
		}
		from, ok := s.l.load(s.b)
		if !ok {
			s.err = errors.New("nothing boots")
			return
		}
		if s.e, s.err = s.l.start(s.b, from, healthy); s.err != nil {
			return
		}
		err := s.e.settle(context.Background())
		clear(s.b.shadow[:])
		if err == nil {
			return
		}
		if !errors.Is(err, errReboot) {
			s.err = err
		}
	}
}

// crash boots, and the power fails before Linux starts.
func (s *script) crash() {
	_, ok := s.l.load(s.b)
	if !ok && s.err == nil {
		s.err = errors.New("nothing boots")
	}
	s.b.log = append(s.b.log, op{kind: opBoot})
}

// install writes an image and arms it; the line breaks at a byte, 0: it holds.
func (s *script) install(i int, breaks int64, want error) {
	if s.err != nil {
		return
	}
	img := s.l.images[i]
	s.b.intend = img.name
	if s.e, s.err = s.l.start(s.b, started{s.e.o.Slots.Booted(), bootstate.Confirmed}, true); s.err != nil {
		return
	}
	if s.err = s.e.step(look, nil); s.err != nil {
		return
	}
	var from Source = memorySource{image: img, fail: breaks, asked: s.asked}
	o := offer{release: img.release(), path: img.name}
	if s.delta {
		from, o.shortcuts, s.err = deltaFrom(s.l.images[0].data, img.data)
		if s.err != nil {
			return
		}
	}
	err := s.e.put(context.Background(), from, o)
	if !errors.Is(err, want) {
		s.err = fmt.Errorf("install %s: got %w, want %v", img.name, err, want)
	}
}

// reboot goes into what is armed.
func (s *script) reboot() {
	if s.err != nil {
		return
	}
	if err := s.e.settle(context.Background()); !errors.Is(err, errReboot) {
		s.err = fmt.Errorf("no reboot: %w", err)
	}
	clear(s.b.shadow[:])
}

// rot spoils the head of a slot.
func (s *script) rot(slot hal.Slot) {
	if s.err != nil {
		return
	}
	d := disk{s.b, slotOf(slot)}
	s.err = s.b.keep("slot "+string(slot), func() error {
		_, err := d.WriteAt(bytes.Repeat([]byte{0xff}, sectorSize), 4*sectorSize)
		return errors.Join(err, d.Sync())
	}, func() string { return "invalid" })
}

func (s *script) do(f func(context.Context) error) {
	if s.err == nil {
		s.err = f(context.Background())
	}
}

// scenario is a run, and what it ends with.
type scenario struct {
	name  string
	run   func(s *script)
	state State
	why   Reason
	runs  string
}

// rotting is the scenario in which a disk forgets.
const rotting = "the confirmed slot rots, and the next update mends it"

func scenarios() []scenario {
	update := func(s *script) { s.boot(true); s.install(1, 0, nil); s.reboot(); s.boot(true) }
	twice := func(s *script) { update(s); s.install(2, 0, nil); s.reboot(); s.boot(true) }
	return []scenario{
		{"update", update, Confirmed, "", "second"},
		{"two updates", twice, Confirmed, "", "third"},
		{"not healthy on trial", func(s *script) { s.boot(true); s.install(1, 0, nil); s.reboot(); s.boot(false) },
			Failed, Unhealthy, "first"},
		{"crashes on trial", func(s *script) {
			s.boot(true)
			s.install(1, 0, nil)
			s.reboot()
			s.crash()
			s.crash()
			s.boot(true)
		}, Failed, Tries, "first"},
		{"the line breaks, and the next look goes on", func(s *script) {
			s.boot(true)
			s.install(1, 2*segmentSize+100, Carrier)
			s.install(1, 0, nil)
			s.reboot()
			s.boot(true)
		}, Confirmed, "", "second"},
		{"cancelled while armed, then another one", func(s *script) {
			s.boot(true)
			s.install(1, 0, nil)
			s.do(func(ctx context.Context) error { return s.e.Cancel(ctx) })
			s.install(2, 0, nil)
			s.reboot()
			s.boot(true)
		}, Confirmed, "", "third"},
		{"a delta", func(s *script) { s.delta = true; update(s) }, Confirmed, "", "second"},
		{"the owner goes back", func(s *script) {
			twice(s)
			s.do(func(ctx context.Context) error { return s.e.RollBack(ctx) })
			s.reboot()
			s.boot(true)
		}, Confirmed, "", "second"},
		{rotting, func(s *script) {
			update(s)
			s.rot(hal.SlotB)
			s.boot(true)
			s.install(2, 0, nil)
			s.reboot()
			s.boot(true)
		}, Confirmed, "", "third"},
	}
}

// record runs a scenario.
func (l *lab) record(s scenario) (start world, b *board, err error) {
	if start, err = l.outOfBox(); err != nil {
		return start, nil, err
	}
	p := script{l: l, b: newBoard(start)}
	s.run(&p)
	if p.err != nil {
		return start, p.b, fmt.Errorf("%s: %w", s.name, p.err)
	}
	st := p.e.Status()
	runs := l.content(&p.b.w.media[slotOf(p.e.o.Slots.Booted())]).image
	if st.State != s.state || st.Reason != s.why || runs == nil || runs.name != s.runs {
		return start, p.b, fmt.Errorf("%s: ends with %s, %s, want %s, %s", s.name, st.State, st.Reason, s.state, s.why)
	}
	return start, p.b, nil
}

// TestCrash cuts the power after every operation of every scenario, and once more in what the board does after it.
// OCELLUS_CRASH_STATES=1000000 goes on, three cuts deep, until so many states were visited (make crash).
func TestCrash(t *testing.T) {
	t.Parallel()
	l := newLab()
	l.boots = boots{}
	c := newChecker(l)
	c.depth, c.every = 2, true
	want := 20000
	if raceDetector { // ten times as slow, and there is one goroutine
		c.depth, c.every, want = 1, false, 400
	}
	for _, s := range scenarios() {
		before := c.visited
		c.explored(t, s)
		t.Logf("%-45s %8d states", s.name, c.visited-before)
	}
	t.Logf("%d states visited, %d distinct, %d worlds lived through", c.visited, len(c.distinct), len(c.lived))
	if len(c.distinct) < want {
		t.Errorf("%d distinct states, want %d", len(c.distinct), want)
	}
	l.boots.check(t)
	c.further(t)
}

// explored cuts the power in a scenario.
func (c *checker) explored(t *testing.T, s scenario) {
	t.Helper()
	start, b, err := c.l.record(s)
	c.rots = s.name == rotting
	if err == nil {
		err = c.explore(start, b.log, 1)
	}
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
}

// further is the long form: every world is cut again, not only the first of what means the same.
func (c *checker) further(t *testing.T) {
	t.Helper()
	text := os.Getenv("OCELLUS_CRASH_STATES")
	if text == "" {
		return
	}
	want, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	c.depth, c.all = 3, true
	for i, s := range scenarios() {
		c.lived = map[uint64]error{}
		c.until = c.visited + (want-c.visited)/(len(scenarios())-i)
		c.explored(t, s)
		t.Logf("%-45s %8d states, %d distinct", s.name, c.visited, len(c.distinct))
	}
	if c.visited < want {
		t.Errorf("%d states visited, want %d", c.visited, want)
	}
}
