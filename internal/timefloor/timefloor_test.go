package timefloor

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ocellus/ocellus/internal/statefile"
)

func TestFloor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "persist")
	if err := os.WriteFile(path, []byte(`{"version":1,"epoch":7}`), 0o600); err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 5, 1, 12, 0, 0, 5, time.UTC)
	for _, step := range []struct {
		raise, want time.Time
	}{
		{time.Time{}, time.Unix(0, 0)}, {noon, noon.Truncate(time.Second)}, {noon.Add(-time.Hour), noon.Truncate(time.Second)},
		{noon.Add(time.Hour), noon.Add(time.Hour).Truncate(time.Second)},
	} {
		f, err := Open(statefile.Path(path))
		if err == nil {
			err = f.Raise(step.raise)
		}
		if err != nil || !f.Time().Equal(step.want) {
			t.Errorf("raised to %v: %v, want %v; %v", step.raise, f.Time(), step.want, err)
		}
		if again, err := Open(statefile.Path(path)); err != nil || !again.Time().Equal(step.want) {
			t.Errorf("after a restart: %v, %v", again.Time(), err)
		}
	}
	const want = "{\n  \"version\": 1,\n  \"epoch\": 7,\n  \"time_floor\": 1777640400\n}\n"
	if raw, _ := os.ReadFile(path); string(raw) != want {
		t.Errorf("got\n%s", raw)
	}
}

// TestNotStored: a floor that did not reach the disk is none.
func TestNotStored(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	f, err := Open(brokenPlace{full})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Raise(time.Now()); !errors.Is(err, full) || f.Time().Unix() != 0 {
		t.Errorf("got %v, %v", f.Time(), err)
	}
}

type brokenPlace struct{ err error }

func (brokenPlace) Load() ([]byte, error) { return []byte(`{"version":1}`), nil }
func (b brokenPlace) Store([]byte) error  { return b.err }
func (brokenPlace) String() string        { return "broken" }
