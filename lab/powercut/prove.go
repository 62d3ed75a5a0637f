package powercut

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ocellus/ocellus/lab/disklog"
)

// Run is a recorded run of a board and what is needed to judge it.
type Run struct {
	Base  io.ReaderAt // the disk before it
	Size  int64       // of the disk, in bytes
	Log   *disklog.Log
	Plan  disklog.Plan
	Story Story

	Agent string // the built agent; without it the data partition is not judged
	Dir   string // a folder for files that are soon gone; in memory is best
	// DataPerCut is how many contents of the data partition that no earlier cut had are judged at a cut, since each
	// takes some processes: nothing lost and all lost first, others by chance; 4 if not given.
	DataPerCut int
}

// Report is what a proof came to.
type Report struct {
	Cuts, States int
	Parts        []PartReport
	Classes      map[string]Class // by what a boot does and what the slots hold; by what the data partition needs
	Faults       []Fault
	Took         time.Duration
}

// PartReport counts the contents of a part of the disk.
type PartReport struct {
	Name             string
	Distinct, Judged int
}

// Class is the states that are alike.
type Class struct {
	States int
	// Sample is the one of them with the most lost and torn in it.
	Sample disklog.Cut
}

// Fault is a state that a power cut may leave and that is not as it should be.
type Fault struct {
	Cut  disklog.Cut
	What string
}

// Prove judges every cut point of a run. An error is about the proof itself; what is wrong with the board is in the
// report.
func Prove(ctx context.Context, r Run) (*Report, error) {
	begin := time.Now()
	p, err := newProof(r)
	if err != nil {
		return nil, err
	}
	p.pool = newPool()
	err = p.walk(ctx)
	if waited := p.pool.wait(); err == nil {
		err = waited
	}
	if err != nil {
		return nil, err
	}
	p.judge()
	p.report.Took = time.Since(begin)
	return p.report, nil
}

// proof is a proof under way.
type proof struct {
	run    Run
	base   *disklog.Disk
	parts  []*part
	pool   *pool
	report *Report
}

func newProof(r Run) (*proof, error) {
	if r.DataPerCut == 0 {
		r.DataPerCut = 4
	}
	l, err := readLayout(r.Base)
	if err != nil {
		return nil, err
	}
	p := &proof{run: r, base: disklog.NewDisk(r.Base, r.Size), report: &Report{Classes: map[string]Class{}}}
	p.add(l, "boot", newBootJudge(l).look, "env", "slot-a", "slot-b")
	for _, name := range []string{Persist, Keys} {
		if h := r.Story[name]; h != nil {
			p.add(l, name, (&areaJudge{l, name, h}).look, name)
		}
	}
	if _, ok := l["data"]; ok && r.Agent != "" {
		j, err := newDataJudge(l, r)
		if err != nil {
			return nil, err
		}
		data := p.add(l, "data", j.look, "data")
		data.files, data.limit = true, r.DataPerCut
	}
	return p, nil
}

func (p *proof) add(l layout, name string, look judge, partitions ...string) *part {
	one := &part{name: name, look: look, contents: map[disklog.Sum]*content{}}
	for _, partition := range partitions {
		one.ranges = append(one.ranges, span{l[partition].Start, l[partition].Size})
	}
	p.parts = append(p.parts, one)
	return one
}

// judge looks at a content of a part.
type judge func(ctx context.Context, d *disklog.Disk) (*look, error)

type span struct{ offset, length int64 }

// part is a part of the disk that is judged by its content.
type part struct {
	name     string
	ranges   []span
	files    bool // it holds a file system
	limit    int  // how many new contents of a cut are looked at; 0 for all
	look     judge
	contents map[disklog.Sum]*content
	waiting  []waiting // new contents of the cut that is being walked
}

type waiting struct {
	content *content
	disk    *disklog.Disk
}

// content is one content of a part, and where it was met.
type content struct {
	cuts   []disklog.Cut // one for each place in the log
	states int
	worst  disklog.Cut
	asked  bool // to be looked at
	look   *look
}

// walk meets every state, and gives every new content to the pool.
func (p *proof) walk(ctx context.Context) error {
	at := -1
	for s, err := range p.run.Log.States(p.base, p.run.Plan) {
		if err != nil {
			return err
		}
		if s.Cut.Before != at {
			p.next(ctx)
			at = s.Cut.Before
			p.report.Cuts++
		}
		p.report.States++
		for _, one := range p.parts {
			if one.files && garbled(s.Cut) {
				continue // ext4 leans on drives that write whole sectors
			}
			if err := one.meet(s); err != nil {
				return err
			}
		}
		if err := cmp.Or(p.pool.failed(), ctx.Err()); err != nil {
			return err
		}
	}
	p.next(ctx)
	return nil
}

// meet notes a state.
func (o *part) meet(s disklog.State) error {
	var key disklog.Sum
	for _, r := range o.ranges {
		sum, err := s.Disk.Sum(r.offset, r.length)
		if err != nil {
			return err
		}
		for i := range key {
			key[i] ^= sum[i]
		}
	}
	c := o.contents[key]
	if c == nil {
		c = &content{}
		o.contents[key] = c
	}
	c.states++
	if len(c.cuts) == 0 || c.cuts[len(c.cuts)-1].Before != s.Cut.Before {
		c.cuts = append(c.cuts, s.Cut)
	}
	if c.states == 1 || harm(s.Cut) > harm(c.worst) {
		c.worst = s.Cut
	}
	if !c.asked && !slices.ContainsFunc(o.waiting, func(w waiting) bool { return w.content == c }) {
		o.waiting = append(o.waiting, waiting{c, s.Disk})
	}
	return nil
}

// harm says how much a cut took. A garbled sector, which is not asked of a file system, comes last.
func harm(c disklog.Cut) int {
	if garbled(c) {
		return -1
	}
	return len(c.Lost) + len(c.Torn)
}

func garbled(c disklog.Cut) bool {
	return slices.ContainsFunc(c.Torn, func(t disklog.Torn) bool { return t.Garbled })
}

// next gives the new contents of a cut to the pool: the first ones, with nothing lost and with all that may be, and
// others by chance, up to the part's limit.
func (p *proof) next(ctx context.Context) {
	for _, o := range p.parts {
		random := rand.New(rand.NewPCG(uint64(p.report.Cuts), 2))
		first := min(2, o.limit)
		for o.limit > 0 && len(o.waiting) > o.limit {
			i := first + random.IntN(len(o.waiting)-first)
			o.waiting = slices.Delete(o.waiting, i, i+1)
		}
		for _, w := range o.waiting {
			w.content.asked = true
			p.pool.do(func() (err error) {
				w.content.look, err = o.look(ctx, w.disk)
				return err
			})
		}
		o.waiting = nil
	}
}

// judge holds every content against the story, at every cut where it was met.
func (p *proof) judge() {
	for _, o := range p.parts {
		count := PartReport{Name: o.name, Distinct: len(o.contents)}
		for _, c := range o.contents {
			if c.look == nil {
				continue
			}
			count.Judged++
			if c.look.class != "" {
				p.classify(c)
			}
			p.faults(c)
		}
		p.report.Parts = append(p.report.Parts, count)
	}
	slices.SortFunc(p.report.Faults, func(a, b Fault) int { return a.Cut.Before - b.Cut.Before })
}

func (p *proof) classify(c *content) {
	class := p.report.Classes[c.look.class]
	if class.States == 0 || harm(c.worst) > harm(class.Sample) {
		class.Sample = c.worst
	}
	class.States += c.states
	p.report.Classes[c.look.class] = class
}

func (p *proof) faults(c *content) {
	for _, cut := range c.cuts {
		for _, what := range c.look.judge(p.run.Story, p.run.Log.Instant(cut.Before)) {
			p.report.Faults = append(p.report.Faults, Fault{cut, what})
		}
	}
}

// String is the report as a test prints it.
func (r *Report) String() string {
	s := fmt.Sprintf("%d cut points, %d states, %v\n", r.Cuts, r.States, r.Took.Round(time.Millisecond))
	for _, p := range r.Parts {
		s += fmt.Sprintf("  %-8s %6d contents, %d judged\n", p.Name, p.Distinct, p.Judged)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Classes)) {
		s += fmt.Sprintf("  %6d states: %s\n", r.Classes[name].States, name)
	}
	for _, f := range r.Faults[:min(len(r.Faults), 20)] {
		s += fmt.Sprintf("  FAULT at %v: %s\n", f.Cut, f.What)
	}
	if len(r.Faults) > 20 {
		s += fmt.Sprintf("  and %d more\n", len(r.Faults)-20)
	}
	return s
}
