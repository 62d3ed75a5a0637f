package ota

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/ocellus/ocellus/codec/bootstate"
)

// bootsFile is what boot loaders found in the crash test: states of the record and of the slots' FITs, at least one of
// each class. codec/bootstate has the real boot script judge all of them.
const bootsFile = "../codec/bootstate/testdata/enumerated.gz"

// bootsKept is how many states are kept.
const bootsKept = 600

// boots are the states that a boot loader found, each once: by the hash of the record's medium, and the FITs.
type boots map[bootKey]boot

type bootKey struct {
	env   uint64
	slots [2]string
}

// boot is one: what the FITs of the slots are ("good", "empty", "flipped"), and the copies of the record.
type boot struct {
	slots  [2]string
	copies [2][]byte
}

func (b boots) note(l *lab, m *[media]medium) {
	key := bootKey{env: m[envDisk].hash}
	for i, at := range []int{slotADisk, slotBDisk} {
		switch c := l.content(&m[at]); {
		case c.verifies:
			key.slots[i] = "good"
		case m[at].pages[0] == nil:
			key.slots[i] = "empty"
		default:
			key.slots[i] = "flipped"
		}
	}
	if _, ok := b[key]; !ok {
		b[key] = boot{key.slots, l.copies(&m[envDisk])}
	}
}

// bytes is a state as the file has it.
func (s boot) bytes() []byte {
	return slices.Concat([]byte{s.slots[0][0], s.slots[1][0]}, s.copies[0], s.copies[1])
}

// class is what a boot script could tell apart: which copies are whole and which counts, what the record says, and the
// FITs.
func (s boot) class() string {
	text := fmt.Sprint(s.slots)
	for _, c := range s.copies {
		_, err := bootstate.Parse(c)
		text += fmt.Sprint(" ", err == nil)
	}
	current, at, err := bootstate.Current(s.copies)
	if err != nil {
		return text
	}
	r, _ := bootstate.Read(current.Env)
	return text + fmt.Sprint(" ", at, r.Confirmed, r.Trial, r.Tries, r.Failed, r.Why)
}

// kept chooses states for the file, of each class some.
func (b boots) kept() []boot {
	byClass := map[string][]boot{}
	for _, s := range slices.SortedFunc(maps.Values(b), func(x, y boot) int { return bytes.Compare(x.bytes(), y.bytes()) }) {
		byClass[s.class()] = append(byClass[s.class()], s)
	}
	var all []boot
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
		w, _ := gzip.NewWriterLevel(&file, gzip.BestCompression)
		for _, s := range b.kept() {
			_, _ = w.Write(s.bytes())
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(bootsFile, file.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have := map[string]bool{}
	for _, s := range readBoots(t) {
		have[s.class()] = true
	}
	missing := map[string]bool{}
	for _, s := range b {
		if c := s.class(); !have[c] {
			missing[c] = true
		}
	}
	t.Logf("boot loaders found %d states of record and FITs, %d classes are in %s", len(b), len(have), bootsFile)
	if len(missing) > 0 {
		t.Errorf("%d classes are not in %s (-update writes it anew): %q", len(missing), bootsFile,
			slices.Sorted(maps.Keys(missing))[0])
	}
}

func readBoots(t *testing.T) []boot {
	t.Helper()
	f, err := os.Open(bootsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	const size = 2 + 2*bootstate.CopySize
	words := map[byte]string{'g': "good", 'e': "empty", 'f': "flipped"}
	var all []boot
	for s := range slices.Chunk(raw, size) {
		all = append(all, boot{[2]string{words[s[0]], words[s[1]]},
			[2][]byte{s[2:][:bootstate.CopySize], s[2+bootstate.CopySize:]}})
	}
	return all
}
