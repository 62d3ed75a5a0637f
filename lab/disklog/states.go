package disklog

import (
	"iter"
	"math/rand/v2"
	"slices"
)

// Plan says how many states of each cut point are looked at. The zero value is a good one.
type Plan struct {
	Exhaustive int // of so many unflushed writes every combination is lost; 4 if not given
	Samples    int // combinations by chance, the same ones each time, where there are more; 8 if not given
	Tears      int // a write of so many sectors is torn at each of them, a longer one at some; 8 if not given
	// Only the cut points from From to To, To not among them; To is behind the end if not given. So a part of a run is
	// looked at, or each of some machines looks at its part.
	From, To int
}

func (p Plan) whole() Plan {
	for _, n := range []struct {
		value *int
		usual int
	}{{&p.Exhaustive, 4}, {&p.Samples, 8}, {&p.Tears, 8}} {
		if *n.value == 0 {
			*n.value = n.usual
		}
	}
	return p
}

// State is a disk as a power cut may have left it.
type State struct {
	Cut  Cut
	Disk *Disk
}

// States is the disk of every cut point of the run, many for each: the writes that no flush covers lost in every
// combination, or none, all, and some combinations by chance; then the write in flight torn at its head and at its
// tail, with all the others there, with all of them lost, and with a garbled sector; then mixtures of lost and torn
// ones by chance. It rebuilds step by step, so that a long run is walked in the time of reading it. The disks are the
// caller's. An error, which comes with no state, ends it.
func (l *Log) States(base *Disk, plan Plan) iter.Seq2[State, error] {
	plan = plan.whole()
	return func(yield func(State, error) bool) {
		w := &walker{log: l, durable: base.Clone()}
		for n := 0; n <= len(l.Entries) && (plan.To == 0 || n < plan.To); n++ {
			if err := w.reach(n); err != nil {
				yield(State{}, err)
				return
			}
			if n < plan.From {
				continue
			}
			for _, c := range l.cuts(w.losable(), n, plan) {
				d, err := w.rebuild(c)
				if !yield(State{c, d}, err) || err != nil {
					return
				}
			}
		}
	}
}

// walker goes through a log.
type walker struct {
	log      *Log
	durable  *Disk  // all that is surely there
	open     []open // what no flush covers yet
	inFlight *piece // of the next entry; nil where it is no write
}

type open struct {
	entry int
	fua   bool // durable by itself, behind others that are not
	*piece
}

// reach gives the entry before n to the disk and makes n the one in flight.
func (w *walker) reach(n int) (err error) {
	if n > 0 {
		if err := w.settle(n - 1); err != nil {
			return err
		}
	}
	w.inFlight = nil
	if n < len(w.log.Entries) && w.log.Entries[n].Writes() {
		w.inFlight, err = w.log.load(w.log.Entries[n], w.durable.size)
	}
	return err
}

// settle gives the entry in flight to the disk: a flush makes the open entries durable.
func (w *walker) settle(n int) error {
	e := w.log.Entries[n]
	if e.Flags&Flush != 0 {
		for _, o := range w.open {
			if err := w.durable.put(o.piece, 0, int64(len(o.data))); err != nil {
				return err
			}
		}
		w.open = nil
	}
	if w.inFlight == nil {
		return nil
	}
	if e.Flags&FUA != 0 && len(w.open) == 0 {
		return w.durable.put(w.inFlight, 0, int64(len(w.inFlight.data)))
	}
	w.open = append(w.open, open{n, e.Flags&FUA != 0, w.inFlight})
	return nil
}

// losable lists the entries that a power cut may take.
func (w *walker) losable() []int {
	var entries []int
	for _, o := range w.open {
		if !o.fua {
			entries = append(entries, o.entry)
		}
	}
	return entries
}

func (w *walker) rebuild(c Cut) (*Disk, error) {
	d := w.durable.Clone()
	lost, torn := c.Lost, c.Torn
	for _, o := range w.open {
		var err error
		switch {
		case len(lost) > 0 && lost[0] == o.entry:
			lost = lost[1:]
		case len(torn) > 0 && torn[0].Entry == o.entry:
			err = w.log.tear(d, o.piece, torn[0])
			torn = torn[1:]
		default:
			err = d.put(o.piece, 0, int64(len(o.data)))
		}
		if err != nil {
			return nil, err
		}
	}
	if len(torn) > 0 { // the one in flight
		return d, w.log.tear(d, w.inFlight, torn[0])
	}
	return d, nil
}

// cuts lists the states of the cut before entry n.
func (l *Log) cuts(losable []int, n int, plan Plan) []Cut {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	var cuts []Cut
	for _, lost := range losses(losable, plan, random) {
		cuts = append(cuts, Cut{Before: n, Lost: lost})
	}
	extremes := [][]int{nil}
	if len(losable) > 0 {
		extremes = append(extremes, losable)
	}
	for _, torn := range l.tears(n, plan, random) {
		for _, lost := range extremes {
			cuts = append(cuts, Cut{n, lost, []Torn{torn}})
		}
		torn.Garbled = true
		cuts = append(cuts, Cut{n, nil, []Torn{torn}})
	}
	if n < len(l.Entries) && l.Entries[n].Writes() {
		cuts = append(cuts, Cut{n, nil, []Torn{{Entry: n, Garbled: true}}})
	}
	for i := range min(plan.Samples, plan.Samples*len(losable)) {
		if c := l.mixture(losable, n, plan, random, i%2 == 1); len(c.Torn) > 0 {
			cuts = append(cuts, c)
		}
	}
	return cuts
}

// mixture leaves each of the open entries and the one in flight whole, takes it away or tears it, by chance.
func (l *Log) mixture(losable []int, n int, plan Plan, random *rand.Rand, garbled bool) Cut {
	c := Cut{Before: n}
	for _, entry := range append(slices.Clone(losable), n) {
		switch choice := random.IntN(3); {
		case choice == 0 && entry < n:
			c.Lost = append(c.Lost, entry)
		case choice == 1:
			if ways := l.tears(entry, plan, random); len(ways) > 0 {
				torn := ways[random.IntN(len(ways))]
				torn.Garbled = garbled
				c.Torn = append(c.Torn, torn)
			}
		}
	}
	return c
}

// losses lists which unflushed writes never arrived: none, all, then others.
func losses(entries []int, plan Plan, random *rand.Rand) [][]int {
	n := len(entries)
	if n == 0 {
		return [][]int{nil}
	}
	all := [][]int{nil, entries}
	if n <= plan.Exhaustive {
		for mask := 1; mask < 1<<n-1; mask++ {
			var lost []int
			for i, entry := range entries {
				if mask>>i&1 == 1 {
					lost = append(lost, entry)
				}
			}
			all = append(all, lost)
		}
		return all
	}
	for i := range plan.Samples {
		one := random.IntN(n)
		switch i % 3 {
		case 0:
			all = append(all, []int{entries[one]})
		case 1:
			all = append(all, slices.Concat(entries[:one], entries[one+1:]))
		case 2:
			all = append(all, some(entries, random))
		}
	}
	return all
}

// some chooses half of the entries by chance.
func some(entries []int, random *rand.Rand) []int {
	return slices.DeleteFunc(slices.Clone(entries), func(int) bool { return random.IntN(2) == 0 })
}

// tears lists the ways in which entry n arrived in part.
func (l *Log) tears(n int, plan Plan, random *rand.Rand) []Torn {
	if n == len(l.Entries) || !l.Entries[n].Writes() {
		return nil
	}
	sectors := l.Entries[n].Length / l.SectorSize
	var at []int64
	switch {
	case sectors < 2:
	case sectors <= int64(plan.Tears):
		for k := int64(1); k < sectors; k++ {
			at = append(at, k)
		}
	default:
		at = []int64{1, sectors / 2, sectors - 1, 1 + random.Int64N(sectors-1)}
	}
	var ways []Torn
	for _, k := range at {
		ways = append(ways, Torn{Entry: n, To: k}, Torn{Entry: n, From: k, To: sectors})
	}
	return ways
}
