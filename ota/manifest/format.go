package manifest

import (
	"encoding/hex"
	"encoding/json"
	"time"
)

// Format writes what Parse reads: the custom part of a release's target, as JSON. It does not look whether the release
// is sound; Parse does.
func Format(r Release) ([]byte, error) {
	type object = map[string]any
	own := object{
		"format": 1, "kind": "slot", "compatible": r.Compatible, "slot": r.Slot, "version": r.Version.String(),
		"size": r.Size, "sha256": hex.EncodeToString(r.Sum[:]), "segments": texts(r.Segments),
		"severity": r.Severity, "downtime_s": int64(r.Downtime / time.Second),
	}
	put := func(name string, value any, told bool) {
		if told {
			own[name] = value
		}
	}
	put("min_floor", r.MinFloor.String(), !r.MinFloor.IsZero())
	put("bootloader", r.Bootloader.String(), !r.Bootloader.IsZero())
	put("needs", r.Needs, len(r.Needs) > 0)
	put("notes", r.Notes, r.Notes != "")
	storage := object{"slot_bytes": r.Storage.SlotBytes}
	if len(r.Storage.Kinds) > 0 {
		storage["kinds"] = r.Storage.Kinds
	}
	put("storage", storage, len(storage) > 1 || r.Storage.SlotBytes > 0)
	var deltas []object
	for _, d := range r.Deltas {
		one := object{"source": hex.EncodeToString(d.Source[:]), "target": d.Target, "segments": texts(d.Segments)}
		if d.SourceSize > 0 {
			one["source_size"] = d.SourceSize
		}
		deltas = append(deltas, one)
	}
	put("deltas", deltas, len(deltas) > 0)
	rollout := object{"share": r.Rollout.Share}
	if !r.Rollout.Start.IsZero() {
		rollout["start"] = r.Rollout.Start.UTC().Format(time.RFC3339)
	}
	if r.Rollout.Halt {
		rollout["halt"] = true
	}
	put("rollout", rollout, true)
	return json.Marshal(object{"ocellus": own})
}

func texts(sums []Sum) []string {
	all := make([]string, len(sums))
	for i, s := range sums {
		all[i] = hex.EncodeToString(s[:])
	}
	return all
}
