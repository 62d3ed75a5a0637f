package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/ota/trust"
)

type doc = map[string]any

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

// image is a slot's image of two and a half segments.
func image() []byte { return bytes.Repeat([]byte("ocellus "), manifest.Segment/8*5/2) }

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func segments(b []byte) []any {
	var all []any
	for len(b) > 0 {
		n := min(len(b), manifest.Segment)
		all = append(all, sum(b[:n]))
		b = b[n:]
	}
	return all
}

// full is a release that says all that one can say.
func full() doc {
	b := image()
	return doc{
		"format": 1, "kind": "slot", "compatible": []any{"qemu-virt-arm64", "example,cam"}, "slot": "fit-squashfs",
		"version": "1.4.0", "min_floor": "1.3.0", "bootloader": "2023.1.0",
		"storage": doc{"kinds": []any{"block"}, "slot_bytes": 25165824}, "needs": []any{"delta-2"},
		"size": len(b), "sha256": sum(b), "segments": segments(b),
		"notes": "Night pictures are sharper.\nGrüße", "severity": "security", "downtime_s": 40,
		"deltas": []any{doc{"source": sum([]byte("old")), "target": "cam-1.3.0-1.4.0.delta",
			"segments": []any{sum([]byte("delta"))}}},
		"rollout": doc{"share": 100, "start": "2026-12-01T08:00:00Z", "halt": false}, "x-later": doc{"any": []any{"thing"}},
	}
}

// least is a release that says no more than it must.
func least() doc {
	b := image()
	return doc{"format": 1, "kind": "slot", "compatible": []any{"example,cam"}, "slot": "fit-squashfs", "version": "0.0.1",
		"size": len(b), "sha256": sum(b), "segments": segments(b), "severity": "routine"}
}

// signed is an update whose targets metadata says something of an image, through the verifier itself.
func signed(t testing.TB, custom any) trust.Update {
	t.Helper()
	return verified(t, doc{
		"cam.img":               doc{"length": len(image()), "hashes": doc{"sha256": sum(image())}, "custom": custom},
		"cam-1.3.0-1.4.0.delta": doc{"length": 5, "hashes": doc{"sha256": sum([]byte("delta"))}},
		"other":                 doc{"length": 0, "hashes": doc{"sha256": sum(nil)}, "custom": doc{"theirs": true}},
	})
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, custom := range map[string]doc{"full": full(), "least": least()} {
		b, err := json.MarshalIndent(doc{"ocellus": custom}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name+".json")
		if update() {
			if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		releases, faults := manifest.Releases(signed(t, json.RawMessage(raw)))
		if len(releases) != 1 || len(faults) > 0 {
			t.Fatalf("%s: got %v, %v", name, releases, faults)
		}
		if got, want := releases[0], wanted(t)[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%+v, want\n%+v", name, got, want)
		}
		again, err := manifest.Format(releases[0])
		if err != nil {
			t.Fatal(err)
		}
		if back, _ := manifest.Releases(signed(t, json.RawMessage(again))); !reflect.DeepEqual(back, releases) {
			t.Errorf("%s: written and read again: got\n%+v, want\n%+v", name, back, releases)
		}
	}
}

// wanted is what the golden files mean.
func wanted(t *testing.T) map[string]manifest.Release {
	t.Helper()
	version := func(s string) manifest.Version {
		v, err := manifest.ParseVersion(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	b := image()
	cut := func(from, to int) manifest.Sum { return sha256.Sum256(b[from:to]) }
	const mib = manifest.Segment
	least := manifest.Release{Target: "cam.img", Compatible: []string{"example,cam"}, Slot: "fit-squashfs",
		Version: version("0.0.1"), Size: mib * 5 / 2, Sum: sha256.Sum256(b),
		Segments: []manifest.Sum{cut(0, mib), cut(mib, 2*mib), cut(2*mib, len(b))}, Severity: manifest.Routine,
		Rollout: manifest.Rollout{Share: manifest.AllShare}}
	full := least
	full.Compatible = []string{"qemu-virt-arm64", "example,cam"}
	full.Version, full.MinFloor, full.Bootloader = version("1.4.0"), version("1.3.0"), version("2023.1.0")
	full.Storage = manifest.Storage{Kinds: []string{"block"}, SlotBytes: 25165824}
	full.Needs, full.Severity, full.Downtime = []string{"delta-2"}, manifest.Security, 40*time.Second
	full.Notes = "Night pictures are sharper.\nGrüße"
	full.Deltas = []manifest.Delta{{Source: sha256.Sum256([]byte("old")), Target: "cam-1.3.0-1.4.0.delta",
		Segments: []manifest.Sum{sha256.Sum256([]byte("delta"))}}}
	full.Rollout = manifest.Rollout{Share: 100, Start: time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)}
	return map[string]manifest.Release{"full": full, "least": least}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	var many []any
	for i := range 1025 {
		many = append(many, sum([]byte(fmt.Sprint(i))))
	}
	for _, c := range []struct {
		name  string
		value any
		want  manifest.Reason
	}{
		{"format", 2, manifest.Unknown}, {"format", "1", manifest.Malformed}, {"format", nil, manifest.Malformed},
		{"kind", "script", manifest.Unknown}, {"kind", 7, manifest.Malformed}, {"kind", "", manifest.Malformed},
		{"compatible", "example,cam", manifest.Malformed}, {"compatible", []any{""}, manifest.Malformed},
		{"compatible", []any{7}, manifest.Malformed}, {"compatible", []any{"two words"}, manifest.Malformed},
		{"compatible", many[:17], manifest.Malformed}, {"compatible", []any{long}, manifest.Malformed},
		{"slot", nil, manifest.Malformed}, {"slot", "a\x00b", manifest.Malformed},
		{"version", nil, manifest.Malformed}, {"version", "0.0.0", manifest.Malformed}, {"version", "1.2",
			manifest.Malformed},
		{"version", 12, manifest.Malformed}, {"min_floor", "1.4.1", manifest.Malformed},
		{"min_floor", "1.3.0-rc.1", manifest.Malformed}, {"bootloader", "v1", manifest.Malformed},
		{"storage", "block", manifest.Malformed}, {"storage", doc{"slot_bytes": -1}, manifest.Malformed},
		{"storage", doc{"kinds": 1}, manifest.Malformed}, {"needs", doc{}, manifest.Malformed},
		{"size", 0, manifest.Malformed}, {"size", len(image()) + 1, manifest.Malformed}, {"size", int64(10 << 30),
			manifest.Malformed},
		{"sha256", sum(nil), manifest.Malformed}, {"sha256", "00", manifest.Malformed},
		{"sha256", strings.ToUpper(sum(image())), manifest.Malformed},
		{"segments", segments(image())[:2], manifest.Malformed}, {"segments", many, manifest.Malformed},
		{"segments", []any{1, 2, 3}, manifest.Malformed}, {"segments", nil, manifest.Malformed},
		{"notes", long, manifest.Malformed}, {"notes", "bell \x07", manifest.Malformed}, {"notes", []any{},
			manifest.Malformed},
		{"severity", "urgent", manifest.Malformed}, {"severity", nil, manifest.Malformed},
		{"downtime_s", 3601, manifest.Malformed}, {"downtime_s", -1, manifest.Malformed},
		{"deltas", doc{}, manifest.Malformed}, {"deltas", []any{"x"}, manifest.Malformed}, {"deltas", many[:17],
			manifest.Malformed},
		{"deltas", []any{doc{"source": sum(nil), "target": "nowhere", "segments": []any{sum(nil)}}}, manifest.Malformed},
		{"deltas", []any{doc{"source": sum(nil), "target": "cam-1.3.0-1.4.0.delta"}}, manifest.Malformed},
		{"deltas", []any{doc{"source": "x", "target": "cam-1.3.0-1.4.0.delta", "segments": []any{sum(nil)}}},
			manifest.Malformed},
		{"deltas", []any{doc{"source": sum(nil), "source_size": -1, "target": "cam-1.3.0-1.4.0.delta",
			"segments": []any{sum(nil)}}}, manifest.Malformed},
		{"rollout", []any{}, manifest.Malformed}, {"rollout", doc{"share": 10001}, manifest.Malformed},
		{"rollout", doc{"share": -1}, manifest.Malformed}, {"rollout", doc{"halt": "yes"}, manifest.Malformed},
		{"rollout", doc{"start": "soon"}, manifest.Malformed}, {"rollout", doc{"start": 1}, manifest.Malformed},
		{"rollout", doc{"start": "2026-12-01T08:00:00+01:00"}, manifest.Malformed},
	} {
		d := full()
		if d[c.name] = c.value; c.value == nil {
			delete(d, c.name)
		}
		releases, faults := manifest.Releases(signed(t, doc{"ocellus": d}))
		if len(releases) != 0 || len(faults) != 1 || manifest.ReasonOf(faults[0]) != c.want {
			t.Errorf("%s %.40v: got %+v, %v, want %s", c.name, c.value, releases, faults, c.want)
		}
	}
}

// TestOthers: a target that says nothing of a release, or that a later publisher made, hides no other.
func TestOthers(t *testing.T) {
	t.Parallel()
	for name, custom := range map[string]any{"nothing of ours": doc{"theirs": 1}, "no object": 7, "null": nil,
		"a list": []any{}} {
		releases, faults := manifest.Releases(signed(t, custom))
		if len(releases)+len(faults) > 0 {
			t.Errorf("%s: got %v, %v", name, releases, faults)
		}
	}
	if _, err := manifest.Parse(trust.Target{Name: "x"}); !errors.Is(err, manifest.ErrNone) {
		t.Errorf("nothing: got %v", err)
	}
	if _, faults := manifest.Releases(signed(t, doc{"ocellus": 7})); len(faults) != 1 {
		t.Errorf("a number: got %v", faults)
	}
}

func TestDeltaFrom(t *testing.T) {
	t.Parallel()
	r := wanted(t)["full"]
	if d, ok := r.DeltaFrom(sha256.Sum256([]byte("old"))); !ok || d.Target != "cam-1.3.0-1.4.0.delta" {
		t.Errorf("got %+v, %v", d, ok)
	}
	if d, ok := r.DeltaFrom(manifest.Sum{}); ok {
		t.Errorf("a delta from another slot: %+v", d)
	}
}
