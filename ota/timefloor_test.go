package ota

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/internal/timefloor"
)

// TestSharedTimeFloor: what the engine knows for sure all parts know, and the other way round; a system on trial proves
// nothing.
func TestSharedTimeFloor(t *testing.T) {
	t.Parallel()
	floor, err := timefloor.Open(statefile.Path(filepath.Join(t.TempDir(), "persist")))
	if err != nil {
		t.Fatal(err)
	}
	built := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	cam := newCamera(t, nil, func(o *Options) { o.Floor, o.Built = floor, built })
	if got := floor.Time(); !got.Equal(built) {
		t.Errorf("the build time of a confirmed system: %v", got)
	}
	signed := built.Add(30 * 24 * time.Hour)
	if err := floor.Raise(signed); err != nil {
		t.Fatal(err)
	}
	cam.start(hal.SlotA, bootstate.Confirmed, "1.0.0")
	if got := cam.engine.remembered().Trusted.Floor; !got.Equal(signed) {
		t.Errorf("the engine has %v, want %v", got, signed)
	}
	built = signed.Add(time.Hour)
	env, err := bootstate.Record{Confirmed: bootstate.A, Trial: bootstate.B, Tries: 1}.Apply(nil)
	if err == nil {
		err = cam.storage.Set(env)
	}
	if err != nil {
		t.Fatal(err)
	}
	cam.start(hal.SlotB, bootstate.OnTrial, "1.1.0")
	if got := floor.Time(); !got.Equal(signed) {
		t.Errorf("a system on trial moved the floor to %v", got)
	}
}
