package trust_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/ocellus/ocellus/ota/trust"
)

// update is a flag of the test binary: it writes the golden files anew.
func update() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files")
	flag.Parse()
	os.Exit(m.Run())
}

// golden compares with a file under testdata.
func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if update() {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
	return want
}

// walked is what a camera trusts after it looked at the plain world, and what it found there.
func walked(t *testing.T, w *world) (trust.Trusted, trust.Update) {
	t.Helper()
	w.start()
	var begin trust.Trusted
	if err := begin.Adopt(w.root); err != nil {
		t.Fatal(err)
	}
	begin.RaiseFloor(epoch)
	after, u, _, err := refresh(t.Context(), begin, trust.Rules{Now: w.now, Strict: true}, w.steps[0])
	if err != nil {
		t.Fatal(err)
	}
	return after, u
}

// TestTrustedGolden: what is on the disk of every camera.
func TestTrustedGolden(t *testing.T) {
	t.Parallel()
	after, _ := walked(t, newWorld())
	b, err := json.MarshalIndent(after, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want := golden(t, "trusted.json", append(b, '\n'))
	var back trust.Trusted
	if err := json.Unmarshal(want, &back); err != nil || !back.Equal(after) || !reflect.DeepEqual(back, after) {
		t.Errorf("got %+v, %v, want %+v", back, err, after)
	}
}

// TestMetadataGolden: what a repository holds, and every released camera has to read for ever.
func TestMetadataGolden(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.teams["root"] = team{newKeys("root", 3), 2}
	w.edit["targets"] = func(s doc) { s["issued"] = "2027-03-01T11:00:00Z" }
	w.custom[w.target] = doc{"ocellus": doc{"format": 1}}
	_, u := walked(t, w)
	for _, role := range roleNames {
		golden(t, filepath.Base(w.path(role)), w.files[w.path(role)].Data)
	}
	target, err := u.Find(w.target)
	if err != nil || string(target.Custom.AppendCanonical(nil)) != `{"ocellus":{"format":1}}` ||
		!u.Issued.Equal(epoch.Add(-time.Hour)) {
		t.Errorf("got %+v, issued %s, %v", target, u.Issued, err)
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.publishRoot()
	first := w.root
	w.rotate(func() { w.teams["root"] = team{newKeys("new root", 1), 1} })
	second := w.files[w.path("root")].Data
	stranger := newWorld()
	stranger.signers["root"] = newKeys("stranger", 1)
	stranger.publishRoot()
	for _, c := range []struct {
		name       string
		have, take []byte
		want       []byte
		reason     trust.Reason
	}{
		{"the first", nil, first, first, ""},
		{"a newer one, of a newer system", first, second, second, ""},
		{"an older one, of an older system", second, first, second, ""},
		{"the same", first, first, first, ""},
		{"in place of a broken one", []byte("{"), first, first, ""},
		{"nothing", first, nil, first, trust.NoRoot},
		{"one that nobody signed", first, stranger.root, first, trust.Threshold},
		{"one that is too big", first, make([]byte, trust.MaxRoot+1), first, trust.TooBig},
	} {
		got := trust.Trusted{Root: c.have}
		err := got.Adopt(c.take)
		if trust.ReasonOf(err) != c.reason || !bytes.Equal(got.Root, c.want) {
			t.Errorf("%s: got %v, %.40q", c.name, err, got.Root)
		}
	}
}

func TestFloor(t *testing.T) {
	t.Parallel()
	var got trust.Trusted
	for _, at := range []time.Time{epoch, epoch.Add(-time.Hour), {}} {
		got.RaiseFloor(at)
	}
	if !got.Floor.Equal(epoch) {
		t.Errorf("got %s, want %s", got.Floor, epoch)
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	a, _ := walked(t, newWorld())
	for name, change := range map[string]func(*trust.Trusted){
		"root":      func(b *trust.Trusted) { b.Root = []byte("x") },
		"version":   func(b *trust.Trusted) { b.Timestamp.Version++ },
		"sum":       func(b *trust.Trusted) { b.Snapshot.Sum = "" },
		"signers":   func(b *trust.Trusted) { b.Snapshot.Signers = nil },
		"lists":     func(b *trust.Trusted) { b.Timestamp.Lists++ },
		"the floor": func(b *trust.Trusted) { b.Floor = b.Floor.Add(1) },
	} {
		b := a
		if change(&b); a.Equal(b) || !a.Equal(a) {
			t.Errorf("another %s: taken for equal", name)
		}
	}
}

// TestSessionEnds: after a refusal a session takes nothing more, and what it trusts is what was good before.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.publish()
	w.rotate(func() {})
	s, err := trust.Begin(trust.Trusted{Root: w.root}, trust.Rules{Now: w.now, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Take(w.files["2.root.json"].Data); err != nil {
		t.Fatal(err)
	}
	if err := s.Absent(); err != nil {
		t.Fatal(err)
	}
	var refusal *trust.Refusal
	if err := s.Take([]byte("{}")); !errors.As(err, &refusal) || refusal.File != "timestamp.json" {
		t.Errorf("got %v, want a refusal of timestamp.json", err)
	}
	if f, more := s.Want(); more {
		t.Errorf("wants %s after a refusal", f.Name)
	}
	if err := s.Take(w.files["timestamp.json"].Data); err == nil {
		t.Error("takes a file after a refusal")
	}
	if _, err := s.Result(); err == nil {
		t.Error("has a result after a refusal")
	}
	if !bytes.Equal(s.Trusted().Root, w.files["2.root.json"].Data) {
		t.Errorf("trusts %.60q, want the root that was good", s.Trusted().Root)
	}
}

// TestResume: a carrier that fails on the way costs no more than the way back to where it failed.
func TestResume(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.publishRoot()
	for i := range 50 {
		w.rotate(func() { w.teams["root"] = team{newKeys(fmt.Sprint("root", i), 2), 2} })
	}
	w.publish()
	var asked []string
	fetch := func(broken string) trust.Fetch {
		asked = nil
		return func(_ context.Context, f trust.File) ([]byte, error) {
			asked = append(asked, f.Name)
			served, ok := w.files[f.Name]
			if !ok {
				return nil, fs.ErrNotExist
			}
			if f.Name == broken {
				return nil, errCarrier
			}
			return served.read(int64(f.Most))
		}
	}
	rules := trust.Rules{Now: w.now, Strict: true}
	after, _, err := trust.Refresh(t.Context(), trust.Trusted{Root: w.root}, rules, fetch("20.root.json"))
	if !errors.Is(err, errCarrier) || !bytes.Equal(after.Root, w.files["19.root.json"].Data) {
		t.Fatalf("got %v, trusts %.60q, want the error of the carrier and root 19", err, after.Root)
	}
	if _, u, err := trust.Refresh(t.Context(), after, rules, fetch("")); err != nil || u.Root != 51 ||
		asked[0] != "20.root.json" {
		t.Errorf("got root %d, %v, asked for %q first", u.Root, err, asked[0])
	}
}

// BenchmarkLargestTargets is the most memory that metadata can take: targets metadata of nearly 1 MiB.
func BenchmarkLargestTargets(b *testing.B) {
	w := newWorld()
	for i := range 200 {
		var segments []any
		for j := range 64 {
			segments = append(segments, fmt.Sprintf("%064x", i*64+j))
		}
		name := fmt.Sprintf("board/cam-1.%d.0.img", i)
		w.targets[name], w.custom[name] = []byte(name), doc{"segments": segments}
	}
	w.publish()
	w.look()
	b.SetBytes(int64(len(w.files[w.path("targets")].Data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := refresh(b.Context(), trust.Trusted{Root: w.root},
			trust.Rules{Now: w.now, Strict: true}, w.steps[0]); err != nil {
			b.Fatal(err)
		}
	}
}
