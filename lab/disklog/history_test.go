package disklog

import (
	"errors"
	"slices"
	"testing"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	h := NewHistory("old")
	h.Add(Version{"one", 10, 20})
	h.Add(Version{"two", 30, 0}) // nobody answered
	h.Add(Version{"one", 40, 50})
	h.Add(Version{"three", 60, 70})
	for _, c := range []struct {
		at      Instant
		allowed []string
		gone    []string
		found   string
		want    error
	}{
		{0, []string{"old"}, nil, "one", ErrNeverStored},
		{10, []string{"old", "one"}, nil, "one", nil},
		{19, []string{"old", "one"}, nil, "old", nil},
		{20, []string{"one"}, []string{"old"}, "old", ErrLost},
		{35, []string{"one", "two"}, []string{"old"}, "two", nil},
		{50, []string{"one"}, []string{"old", "two"}, "two", ErrLost},
		{65, []string{"one", "three"}, []string{"old", "two"}, "thr", ErrNeverStored},
		{70, []string{"three"}, []string{"old", "one", "two", "one"}, "one", ErrLost},
	} {
		if got := h.Allowed(c.at); !slices.Equal(slices.Compact(got), c.allowed) {
			t.Errorf("at %d: got %q allowed, want %q", c.at, got, c.allowed)
		}
		if got := h.Gone(c.at); !slices.Equal(got, c.gone) {
			t.Errorf("at %d: got %q gone, want %q", c.at, got, c.gone)
		}
		if err := h.Judge(c.at, c.found); !errors.Is(err, c.want) {
			t.Errorf("at %d, %q: got %v, want %v", c.at, c.found, err, c.want)
		}
	}
}

// TestRecorder: what was written in odd pieces is read back, and the log rebuilds the same disk.
func TestRecorder(t *testing.T) {
	t.Parallel()
	base := NewDisk(new(zeros), 1<<16)
	r := NewRecorder(base)
	p := r.Part(1<<12, 1<<14)
	for i, c := range []struct{ at, length int64 }{{0, 5}, {510, 4}, {4095, 5000}, {1 << 13, 512}, {1<<14 - 1, 1}} {
		b := make([]byte, c.length)
		for j := range b {
			b[j] = byte(i + 1)
		}
		if n, err := p.WriteAt(b, c.at); n != len(b) || err != nil {
			t.Fatalf("write: got %d, %v", n, err)
		}
		if err := p.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Discard(4096, 1024); err != nil {
		t.Fatal(err)
	}
	if _, err := p.WriteAt([]byte{1}, 1<<14); err == nil {
		t.Error("a write behind the partition's end: got no error")
	}
	l, err := r.Log()
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Rebuild(base, Cut{Before: len(l.Entries)})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 1<<16)
	if _, err := r.ReadAt(want, 0); err != nil {
		t.Fatal(err)
	}
	if got := content(t, d); !slices.Equal(got, want) || got[1<<12] != 1 || got[1<<12+4096] != 0 {
		t.Error("the log rebuilds another disk")
	}
	for n := range l.Entries {
		if logged, reached := l.Logged(l.Instant(n)), l.Reached(l.Instant(n)); logged != n || reached != n {
			t.Errorf("after %d entries: got %d logged, reached with %d", n, logged, reached)
		}
		middle := l.Instant(n+1) - 1
		if logged, reached := l.Logged(middle), l.Reached(middle); logged != n || reached != n+1 {
			t.Errorf("in the middle of entry %d: got %d logged, reached with %d", n, logged, reached)
		}
	}
	if got := l.Reached(l.Instant(len(l.Entries)) + 1); got != len(l.Entries) {
		t.Errorf("behind the end: reached with %d of %d entries", got, len(l.Entries))
	}
	if r.Now() != l.Instant(len(l.Entries)) || len(l.Entries) != 11 {
		t.Errorf("got mark %d, %d entries; the log ends at %d", r.Now(), len(l.Entries), l.Instant(len(l.Entries)))
	}
}

// zeros is a base.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}
