package ota

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/codec/bootstate/enumerated"
)

// bootsFile is what boot loaders found in the crash test: states of the record and of the slots' FITs, at least one of
// each class. codec/bootstate has the real boot script judge all of them.
const bootsFile = "../codec/bootstate/testdata/enumerated.gz"

// bootsKept is how many states are kept.
const bootsKept = 600

// boots are the states that a boot loader found, each once: by the hash of the record's medium, and the FITs.
type boots map[bootKey]enumerated.State

type bootKey struct {
	env   uint64
	slots [2]string
}

func (b boots) note(l *lab, m *[media]medium) {
	key := bootKey{env: m[envDisk].hash}
	for i, at := range []int{slotADisk, slotBDisk} {
		switch c := l.content(&m[at]); {
		case c.verifies:
			key.slots[i] = enumerated.Good
		case m[at].pages[0] == nil:
			key.slots[i] = enumerated.Empty
		default:
			key.slots[i] = enumerated.Flipped
		}
	}
	if _, ok := b[key]; !ok {
		b[key] = enumerated.State{Slots: key.slots, Copies: l.copies(&m[envDisk])}
	}
}

// classOf is what a boot script could tell apart: which copies are whole and which counts, what the record says, and the
// FITs.
func classOf(s enumerated.State) string {
	text := fmt.Sprint(s.Slots)
	for _, c := range s.Copies {
		_, err := bootstate.Parse(c)
		text += fmt.Sprint(" ", err == nil)
	}
	current, at, err := bootstate.Current(s.Copies)
	if err != nil {
		return text
	}
	r, _ := bootstate.Read(current.Env)
	return text + fmt.Sprint(" ", at, r.Confirmed, r.Trial, r.Tries, r.Failed, r.Why)
}

// kept chooses states for the file, of each class some.
func (b boots) kept() []enumerated.State {
	byClass := map[string][]enumerated.State{}
	order := func(x, y enumerated.State) int { return bytes.Compare(x.Bytes(), y.Bytes()) }
	for _, s := range slices.SortedFunc(maps.Values(b), order) {
		byClass[classOf(s)] = append(byClass[classOf(s)], s)
	}
	var all []enumerated.State
	for round := 0; len(all) < bootsKept; round++ {
		before := len(all)
		for _, c := range slices.Sorted(maps.Keys(byClass)) {
			if round < len(byClass[c]) && (round == 0 || len(all) < bootsKept) {
				all = append(all, byClass[c][round])
			}
		}
		if len(all) == before {
			break
		}
	}
	return all
}

// check compares the file with what this run has found; -update writes it anew.
func (b boots) check(t *testing.T) {
	t.Helper()
	if *updateGolden {
		var file bytes.Buffer
		if err := enumerated.Write(&file, b.kept()); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(bootsFile, file.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have := map[string]bool{}
	for _, s := range readBoots(t) {
		have[classOf(s)] = true
	}
	missing := map[string]bool{}
	for _, s := range b {
		if c := classOf(s); !have[c] {
			missing[c] = true
		}
	}
	t.Logf("boot loaders found %d states of record and FITs, %d classes are in %s", len(b), len(have), bootsFile)
	if len(missing) > 0 {
		t.Errorf("%d classes are not in %s (-update writes it anew): %q", len(missing), bootsFile,
			slices.Sorted(maps.Keys(missing))[0])
	}
}

func readBoots(t *testing.T) []enumerated.State {
	t.Helper()
	f, err := os.Open(bootsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := enumerated.Read(f, bootstate.CopySize)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
