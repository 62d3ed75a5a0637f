package logring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/internal/redact"
	"github.com/ocellus/ocellus/internal/sealed"
	"github.com/ocellus/ocellus/internal/statefile"
)

func discard() slog.Handler { return slog.NewTextHandler(io.Discard, nil) }

// place is a sealed store, as the agent's.
func place(dir string) statefile.Directory {
	return statefile.Directory{Path: dir, Place: func(_ string, f statefile.Place) statefile.Place {
		return sealed.New("log", [sealed.KeySize]byte{7}, f)
	}}
}

func newRing(t *testing.T, dir string) (*Ring, *slog.Logger) {
	t.Helper()
	red := &redact.Redactor{}
	red.Know("test", "swordfish")
	r := New(red)
	if dir != "" {
		if _, err := r.Keep(place(dir), nil); err != nil {
			t.Fatal(err)
		}
	}
	return r, slog.New(r.Both(discard()))
}

func messages(lines []Line) (all []string) {
	for _, l := range lines {
		all = append(all, l.Message)
	}
	return all
}

func TestLine(t *testing.T) {
	t.Parallel()
	r, log := newRing(t, "")
	log.With("part", "stream", "camera", "vivid").WithGroup("g").Warn("stalled for swordfish", "n", 3, "rate", 2.5,
		"on", true, "after", 2*time.Second, "err", errors.New("no swordfish here"), "raw", []byte("swordfish"), "bad", math.Inf(1),
		"wifi", slog.GroupValue(slog.String("ssid", "Home"), slog.Int("signal_dbm", -60)), "text", "a b")
	got := r.Lines(Filter{})
	if len(got) != 1 {
		t.Fatalf("%d lines", len(got))
	}
	l := got[0]
	const want = `stalled for *** camera=vivid g.n=3 g.rate=2.5 g.on=true g.after=2s g.err="no *** here" ` +
		`g.raw="9 bytes" g.bad=+Inf g.wifi.ssid=*** g.wifi.signal_dbm=-60 g.text="a b"`
	if l.Text() != want || l.Part != "stream" || l.Level != "WARN" || l.Seq != 1 ||
		time.Since(l.Time).Abs() > time.Minute {
		t.Errorf("got %+v\n%s\nwant %s", l, l.Text(), want)
	}
	log.Info(strings.Repeat("ü", maxLine) + "swordfish")
	if got := r.Lines(Filter{After: 1})[0].Message; len(got) > maxLine+3 || !strings.HasSuffix(got, "ü…") {
		t.Errorf("a long line: %d bytes, ends with %q", len(got), got[len(got)-8:])
	}
}

// TestCutSecret: a line is cut behind the redaction, so that half a secret does not stay.
func TestCutSecret(t *testing.T) {
	t.Parallel()
	r, log := newRing(t, "")
	log.Info(strings.Repeat("x", maxLine-5) + "swordfish")
	if got := r.Lines(Filter{})[0].Message; strings.Contains(got, "sword") {
		t.Errorf("half of it stays: %q", got[maxLine-10:])
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	r, log := newRing(t, "")
	log = slog.New(r.Both(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})))
	began := time.Now().Add(-time.Second)
	log.Debug("one")
	log.Info("two", "part", "a")
	log.With("part", "b").Error("three")
	for name, c := range map[string]struct {
		f    Filter
		want []string
	}{
		"info":  {Filter{}, []string{"two", "three"}},
		"all":   {Filter{Level: slog.LevelDebug}, []string{"one", "two", "three"}},
		"error": {Filter{Level: slog.LevelError}, []string{"three"}},
		"part":  {Filter{Part: "a"}, []string{"two"}},
		"after": {Filter{After: 2}, []string{"three"}},
		"since": {Filter{Since: began}, []string{"two", "three"}},
		"later": {Filter{Since: began.Add(time.Hour)}, nil},
		"below": {Filter{Level: slog.LevelDebug, Before: 2}, []string{"one"}},
		"last":  {Filter{Last: 1}, []string{"three"}},
	} {
		if got := messages(r.Lines(c.f)); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestRestart: numbers go on, and what was written is there; what was not is the last moment at most.
func TestRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "log")
		r, log := newRing(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		log.Info("calm")
		time.Sleep(CalmEvery + 2*UrgentEvery)
		log.Warn("urgent")
		time.Sleep(2 * UrgentEvery)
		log.Info("too late")
		before, _ := newRing(t, dir) // the power is cut
		if got := messages(before.Lines(Filter{})); !slices.Equal(got, []string{"calm", "urgent"}) {
			t.Errorf("after a power cut: %q", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		after, log := newRing(t, dir)
		log.Info("begun")
		lines := after.Lines(Filter{})
		if got := messages(lines); !slices.Equal(got, []string{"calm", "urgent", "too late", "begun"}) || lines[3].Seq != 4 {
			t.Errorf("after an orderly end: %q %+v", got, lines)
		}
	})
}

// TestDeath: a program that dies loses no line: what is not in the store is in the tail.
func TestDeath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	path := filepath.Join(t.TempDir(), "tail")
	tailed := func() (*Ring, *slog.Logger, uint64) {
		left, _ := os.ReadFile(path)
		r := New(&redact.Redactor{})
		log := slog.New(r.Both(discard()))
		log.Info("begin")
		last, err := r.Keep(place(dir), left)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if err := r.To(f); err != nil {
			t.Fatal(err)
		}
		return r, log, last
	}
	r, log, _ := tailed()
	log.Info("stored")
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	log.Info("one", "name", "Anna")
	log.Info("two")
	if open, err := os.ReadFile(path); err != nil || bytes.Contains(open, []byte("Anna")) {
		t.Errorf("a person's name lies open: %s %v", open, err)
	}
	_, log, last := tailed() // it died
	if last != 4 {
		t.Errorf("the last line before was %d, want 4", last)
	}
	log.Info("three")
	r, _, _ = tailed() // and again, before anything was stored
	want := []string{"begin", "stored", "one", "two", "begin", "three", "begin"}
	for range 2 {
		lines := r.Lines(Filter{})
		if got := messages(lines); !slices.Equal(got, want) || lines[6].Seq != 7 {
			t.Errorf("got %q", got)
		}
		if err := r.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("the tail is not empty: %v", err)
	}
	for range 2000 {
		slog.New(r.Both(discard())).Info(strings.Repeat("x", 100))
	}
	if info, err := os.Stat(path); err != nil || info.Size() > maxTail {
		t.Errorf("%v, %d bytes", err, info.Size())
	}
	if err := os.WriteFile(path, []byte("junk\n{\"seq\":3}\n\x00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, _, _ := tailed(); r.seq != 8 {
		t.Errorf("junk in the tail: the next line is %d", r.seq)
	}
}

// TestBounds: a flood fills neither memory nor disk, keeps the newest lines, and none twice.
func TestBounds(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	r, log := newRing(t, dir)
	for i := range 6000 {
		log.Info("flood", "n", i, "text", strings.Repeat("x", 50))
		if i%700 == 0 {
			if err := r.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	if r.bytes > maxMemory {
		t.Errorf("%d bytes in memory", r.bytes)
	}
	var size int64
	names, _ := place(dir).List()
	for _, name := range names {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if len(names) > maxRecords || size > maxRecords*(maxRecord+1024) || size < 100<<10 {
		t.Errorf("%d records, %d bytes", len(names), size)
	}
	lines := r.Lines(Filter{})
	for i := range lines[1:] {
		if lines[i+1].Seq <= lines[i].Seq {
			t.Fatalf("line %d behind line %d", lines[i+1].Seq, lines[i].Seq)
		}
	}
	if lines[len(lines)-1].Seq != 6000 || len(lines) < 700 {
		t.Errorf("%d lines, the last is %d", len(lines), lines[len(lines)-1].Seq)
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	s := place(filepath.Join(t.TempDir(), "log"))
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	for i, days := range []int{30, 20, 3, -9} {
		lines := []Line{{Seq: uint64(i + 1), Time: now.AddDate(0, 0, -days)}}
		if err := s.Store(nameOf(lines[0].Seq), encode(lines)); err != nil {
			t.Fatal(err)
		}
		if err := trim(s, now); err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := s.List(); len(names) != 2 {
		t.Errorf("%d records left, want 2 of 4", len(names))
	}
}

// TestDamaged: what can't be read costs no more than itself.
func TestDamaged(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	r, log := newRing(t, dir)
	log.Info("lost")
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, nameOf(1)), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, log = newRing(t, dir)
	log.Info("new")
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	r, _ = newRing(t, dir)
	if got := messages(r.Lines(Filter{})); !slices.Equal(got, []string{"new"}) {
		t.Errorf("got %q", got)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, log := newRing(t, "")
		log.Info("before")
		ctx, cancel := context.WithCancel(t.Context())
		var seen []string
		done := make(chan error)
		go func() {
			done <- r.Follow(ctx, Filter{Part: "p"}, func(l Line, lost uint64) error {
				seen = append(seen, fmt.Sprint(l.Message, lost))
				return nil
			})
		}()
		synctest.Wait()
		log.Info("other")
		log.Info("one", "part", "p")
		synctest.Wait()
		for range 3000 { // faster than anybody looks: nothing here blocks
			log.Info("flood "+strings.Repeat("y", 60), "part", "q")
		}
		log.Info("two", "part", "p")
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if len(seen) != 2 || seen[0] != "one0" || !strings.HasPrefix(seen[1], "two") {
			t.Errorf("got %q", seen)
		}
	})
}

// TestGolden pins the form of a record.
func TestGolden(t *testing.T) {
	t.Parallel()
	lines := []Line{
		{Seq: 41, Time: time.Date(2026, 11, 26, 10, 0, 0, 5e6, time.UTC), Level: "INFO", Part: "stream", Message: "serving",
			Fields: []Field{{"n", []byte("3")}, {"on", []byte("true")}, {"text", []byte(`"a b"`)}}},
		{Seq: 42, Time: time.Date(2026, 11, 26, 10, 0, 1, 0, time.UTC), Level: "ERROR", Message: "lens <cap>"},
	}
	want, err := os.ReadFile("testdata/record.golden")
	if err != nil {
		t.Fatal(err)
	}
	if got := encode(lines); !bytes.Equal(got, want) {
		t.Errorf("got %s", got)
	}
	back, err := decode(want)
	if err != nil || len(back) != 2 || back[0].Text() != lines[0].Text() || !back[1].Time.Equal(lines[1].Time) {
		t.Errorf("got %+v, %v", back, err)
	}
	newer := bytes.Replace(want, []byte(`{"version":1}`), []byte(`{"version":2,"x":1}`), 1)
	newer = bytes.Replace(newer, []byte(`"seq":41`), []byte(`"new":{},"seq":41`), 1)
	if back, err := decode(newer); err != nil || len(back) != 2 {
		t.Errorf("a newer release's: %d lines, %v", len(back), err)
	}
}

// FuzzDecode: whatever lies there, it is read within its bounds, and what is read can be written and read again.
func FuzzDecode(f *testing.F) {
	golden, err := os.ReadFile("testdata/record.golden")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte("{\"version\":1}\n{\"seq\":1}\n{\n\n{\"seq\":2,\"fields\":[{\"name\":\"\",\"value\":{}}]}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		lines, err := decode(raw)
		if err != nil {
			return
		}
		for _, l := range lines {
			_ = l.Text()
			_ = Filter{}.takes(l)
		}
		if again, err := decode(encode(lines)); len(encode(lines)) <= maxStored && (err != nil || len(again) != len(lines)) {
			t.Errorf("%d lines become %d: %v", len(lines), len(again), err)
		}
	})
}
