package trust_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/ocellus/ocellus/ota/trust"
)

// seeds are files of testdata, and a few bytes that are none.
func seeds(f *testing.F, names ...string) {
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"signed":{"_type":"root","spec_version":"1.0","version":1,"expires":"2030-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"signed":{"_type":"timestamp","spec_version":"1.0","version":-1,"meta":{"snapshot.json":null}}}`))
}

// FuzzRoot: whatever it is, it is adopted only if the keys in it signed it; then a session can begin with it.
func FuzzRoot(f *testing.F) {
	seeds(f, "1.root.json", "timestamp.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		var trusted trust.Trusted
		err := trusted.Adopt(data)
		if (err == nil) != bytes.Equal(trusted.Root, data) && len(data) > 0 {
			t.Fatalf("adopted %q with %v", trusted.Root, err)
		}
		if err != nil && trust.ReasonOf(err) == "" {
			t.Fatalf("no reason in %v", err)
		}
		if err != nil {
			return
		}
		if _, err := trust.Begin(trusted, trust.Rules{}); err != nil {
			t.Fatalf("adopted, but no beginning: %v", err)
		}
	})
}

// fuzzStage serves bytes in place of one role's metadata: as they are, which is accepted only where somebody signed
// them, and as what the role's own key signs, which gets past the signatures.
func fuzzStage(f *testing.F, role string) {
	name := map[string]string{"timestamp": "timestamp.json", "snapshot": "1.snapshot.json",
		"targets": "1.targets.json"}[role]
	seeds(f, name)
	known, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w := newWorld()
		w.hashes, w.lengths = nil, false
		w.publish()
		good := w.files[w.path(role)].Data
		err := serveRole(t, w, role, data)
		if part := signedPart(data); err == nil && !bytes.Equal(part, signedPart(good)) && !bytes.Equal(part,
			signedPart(known)) {
			t.Fatal("accepted, though nobody signed it")
		}
		if e, err := parseAny(data); err == nil {
			if signed, ok := e["signed"].(doc); ok && canonicalOrNil(signed) != nil {
				_ = serveRole(t, w, role, mustJSON(envelope(signed, w.teams[role].keys...)))
			}
		}
	})
}

// serveRole lets a camera look at a world with other metadata of a role.
func serveRole(t *testing.T, w *world, role string, data []byte) error {
	t.Helper()
	w.files[w.path(role)] = file{Data: data}
	w.look()
	trusted, _, _, err := refresh(t.Context(), trust.Trusted{Root: w.root}, trust.Rules{Now: w.now, Strict: true},
		w.steps[len(w.steps)-1])
	if err != nil && trust.ReasonOf(err) == "" {
		t.Fatalf("no reason in %v", err)
	}
	if !bytes.Equal(trusted.Root, w.root) {
		t.Fatal("lost its root")
	}
	return err
}

// signedPart is what go-tuf's reader takes the signed part for, in its canonical form.
func signedPart(data []byte) []byte {
	e, err := parseAny(data)
	if err != nil {
		return nil
	}
	return canonicalOrNil(e["signed"])
}

func FuzzTimestamp(f *testing.F) { fuzzStage(f, "timestamp") }

func FuzzSnapshot(f *testing.F) { fuzzStage(f, "snapshot") }

func FuzzTargets(f *testing.F) { fuzzStage(f, "targets") }
