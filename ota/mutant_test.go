package ota

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/bootstate"
)

// mutant is a recorded run with one thing wrong.
type mutant struct {
	name string
	at   int // where it begins to differ
	log  []op
}

// mutants makes them from a run: each flush left out, and each two operations of one program that follow one another swapped. What the
// agent promised between them stays where it is.
func mutants(log []op) []mutant {
	var all []mutant
	last := -1
	for i, o := range log {
		if !o.storage() {
			if o.kind == opBoot || o.kind == opNone {
				last = -1
			}
			continue
		}
		if o.kind == opSync || o.kind == opFsync || o.kind == opDir {
			m := mutant{name: fmt.Sprintf("%3d without %s", i, o), at: i, log: slices.Clone(log)}
			m.log[i] = op{kind: opNone}
			all = append(all, m)
		}
		if last >= 0 {
			m := mutant{name: fmt.Sprintf("%3d %s <-> %s", last, log[last], o), at: last, log: slices.Clone(log)}
			m.log[last], m.log[i] = log[i], log[last]
			all = append(all, m)
		}
		last = i
	}
	return all
}

// TestMutants: whatever is wrong with the order of writes and flushes, the checker finds it, or there is no state that
// only the mutant reaches, or it is named as harmless. -v prints what killed each.
func TestMutants(t *testing.T) {
	t.Parallel()
	l := newLab()
	verdicts := map[string]int{}
	some, least := scenarios(), 700
	if raceDetector { // ten times as slow, and there is one goroutine
		some, least = some[:1], 50
	}
	for _, s := range some {
		start, b, err := l.record(s)
		if err != nil {
			t.Fatal(err)
		}
		c := newChecker(l)
		c.rots = s.name == rotting
		if err := c.explore(start, b.log, 1); err != nil {
			t.Fatalf("%s: without a mutation: %v", s.name, err)
		}
		for _, m := range mutants(b.log) {
			verdict, why := c.judge(start, m)
			if reason := harmless()[s.name+": "+m.name]; reason != "" && verdict == "ALIVE" {
				verdict, why = "harmless", reason
			}
			t.Logf("%-10s %s: %s: %s", verdict, s.name, m.name, why)
			if verdict == "ALIVE" {
				t.Errorf("%s: %s: nobody notices", s.name, m.name)
			}
			verdicts[verdict]++
		}
	}
	t.Logf("%v", verdicts)
	if verdicts["killed"] < least {
		t.Error("hardly any mutants: the recorder is broken")
	}
}

// harmless names the mutants that reach states of their own and break no law in them, and why.
func harmless() map[string]string {
	const again, head = "the line breaks, and the next look goes on: ", "the head boots nobody: it is zeros since then"
	const rotten = "the head boots nobody: it has rotted"
	return map[string]string{
		again + " 19 write slot b, 65536 bytes at 0x10000 <-> create .ota.json.tmp": "no segment is promised: the next look " +
			"hashes what is there",
		again + " 38 without flush slot b":                                      head,
		again + " 37 write slot b, 65536 bytes at 0x0 <-> flush slot b":         head,
		again + " 38 flush slot b <-> write slot b, 65536 bytes at 0x20000":     head,
		rotting + ": 100 without flush slot b":                                  rotten,
		rotting + ":  99 write slot b, 65536 bytes at 0x0 <-> flush slot b":     rotten,
		rotting + ": 100 flush slot b <-> write slot b, 65536 bytes at 0x10000": rotten,
	}
}

// judge says what becomes of a mutant.
func (c *checker) judge(start world, m mutant) (verdict, why string) {
	c.from, c.only = m.at, false
	reached := c.reached
	c.reached = map[uint64]bool{}
	err := c.explore(start, m.log, 1)
	c.reached = reached
	if err != nil {
		return "killed", err.Error()
	}
	c.only = true
	if err := c.explore(start, m.log, 1); err != nil {
		return "ALIVE", err.Error()
	}
	return "equivalent", "it reaches no state of its own"
}

// TestChecks takes one of the checks away on which the law stands.
func TestChecks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		take func(*lab)
	}{
		{"the CRC of the boot record", func(l *lab) { l.noCRC = true }},
		{"the second copy of the boot record", func(l *lab) { l.oneCopy = true }},
	} {
		l := newLab()
		c.take(l)
		start, b, err := l.record(scenarios()[0])
		if err == nil {
			err = newChecker(l).explore(start, b.log, 1)
		}
		if err == nil {
			t.Errorf("without %s: nobody notices", c.name)
		}
		t.Logf("killed: without %s: %v", c.name, err)
	}
}

// TestLostWrites: a disk that loses one write and says that all is well is found out by reading back, and what it
// spoilt does not boot. Where it gives back what it was told in place of what it holds, the engine believes it: so
// reading back is what finds it.
func TestLostWrites(t *testing.T) {
	t.Parallel()
	for _, honest := range []bool{true, false} {
		fooled := 0
		lose := 1
		for ; ; lose++ {
			l := newLab()
			start, err := l.outOfBox()
			if err != nil {
				t.Fatal(err)
			}
			s := script{l: l, b: newBoard(start)}
			s.boot(true)
			s.b.lose, s.b.writes, s.b.noRead = lose, 0, !honest
			s.install(1, 0, nil)
			if s.b.writes < lose {
				break
			}
			s.b.noRead = false
			armed := l.env(&s.b.w.media[envDisk]).record.Trial == bootstate.B
			whole := l.images.classify(&s.b.w.media[slotBDisk]).image == l.images[1]
			if s.err == nil && !(armed && whole) {
				fooled++
			}
			if err := newChecker(l).life(newBoard(s.b.w), true); err != nil && honest {
				t.Errorf("write %d lost: %v", lose, err)
			}
			t.Logf("write %d lost, read back %v: armed %v, whole %v, told: %s", lose, honest, armed, whole, reasonIn(s.err))
		}
		if want := lose - 2; honest && fooled > 0 || !honest && fooled < want { // the first one is overwritten later
			t.Errorf("read back %v: %d of %d lost writes went unnoticed", honest, fooled, lose-1)
		}
	}
}

func reasonIn(err error) string {
	if err == nil {
		return "success"
	}
	return string(Why(err)) + ": " + strings.SplitN(err.Error(), "\n", 2)[0]
}

// TestPowerCycles: a hundred boots whose power fails before Linux starts, at every stage of an update, cost no more
// than the tries of a trial, and none of the confirmed slot.
func TestPowerCycles(t *testing.T) {
	t.Parallel()
	l := newLab()
	start, b, err := l.record(scenarios()[1])
	if err != nil {
		t.Fatal(err)
	}
	w := start.clone()
	for i, o := range b.log {
		w.apply(o)
		if !o.storage() {
			continue
		}
		again := newBoard(w)
		for n := range 100 {
			s, ok := l.load(again)
			if !ok || l.content(&again.w.media[slotOf(s.slot)]).image == nil {
				t.Fatalf("after operation %d, boot %d: slot %q boots", i, n, s.slot)
			}
		}
		if err := newChecker(l).life(again, true); err != nil {
			t.Fatalf("after operation %d and 100 boots: %v", i, err)
		}
	}
}
