package manifest_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ocellus/ocellus/codec/cjson"
	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/ota/trust"
)

// FuzzCustom: whatever is said of a target, it is a release that keeps its bounds, or refused with a reason.
func FuzzCustom(f *testing.F) {
	for _, name := range []string{"full.json", "least.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"ocellus":{"format":1,"kind":"slot","rollout":{"share":5}}}`))
	target, err := signed(f, full()).Find("cam.img")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, custom []byte) {
		var err error
		if target.Custom, err = cjson.Parse(custom); err != nil {
			return
		}
		r, err := manifest.Parse(target)
		if err != nil {
			if !errors.Is(err, manifest.ErrNone) && manifest.ReasonOf(err) == "" {
				t.Fatalf("no reason in %v", err)
			}
			return
		}
		if r.Size != target.Length || r.Version.IsZero() || len(r.Segments) != 3 || r.MinFloor.Compare(r.Version) > 0 {
			t.Fatalf("got %+v", r)
		}
		if again, err := manifest.ParseVersion(r.Version.String()); err != nil || again != r.Version {
			t.Fatalf("version %s: %v", r.Version, err)
		}
		_ = manifest.Judge(r, device())
	})
}

func ExampleParse() {
	custom, err := cjson.Parse([]byte(`{"ocellus":{"format":2}}`))
	if err != nil {
		fmt.Println(err)
	}
	_, err = manifest.Parse(trust.Target{Name: "notes.txt", Custom: custom}) // trust.Update.Find returns such a target
	fmt.Println(err)
	// Output: release notes.txt: unknown format: format 2
}

func ExampleJudge() {
	r := manifest.Release{Compatible: []string{"example,cam"}, Slot: "fit-squashfs", Version: manifest.Version{Major: 1,
		Minor: 4},
		Rollout: manifest.Rollout{Share: 100}}
	id := sha256.Sum256([]byte("a camera's random id"))
	camera := manifest.Device{Compatible: []string{"example,cam"}, Slot: "fit-squashfs", ID: id[:16]}
	fmt.Println(manifest.Judge(r, camera))
	camera.Asked = true // the owner brings it
	fmt.Println(manifest.Judge(r, camera))
	// Output:
	// release 1.4.0: not in cohort yet: it goes to 100 of 10000 first
	// <nil>
}
