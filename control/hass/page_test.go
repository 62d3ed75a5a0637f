package hass

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// described is what of an entity stands on the page.
type described struct {
	P, Name     string
	DeviceClass string `json:"device_class"`
	Unit        string `json:"unit_of_measurement"`
}

func describe(t *testing.T, lamp bool, f Facts) map[string]described {
	t.Helper()
	_, b := newHome(lamp)
	var d struct{ Cmps map[string]described }
	if err := json.Unmarshal(b.Discovery(camera, f), &d); err != nil {
		t.Fatal(err)
	}
	return d.Cmps
}

// TestPage: docs/home-assistant.md lists what the camera announces and what a plain message may do, and nothing else. Where
// it fails, it prints what belongs there.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "home-assistant.md"))
	if err != nil {
		t.Fatal(err)
	}
	needs := map[string]string{
		"identify": "a lamp", "signal": "a Wi-Fi connection", "temperature": "a sensor of the processor",
		"storage": "a file system that tells it", "update": "slots for updates",
	}
	var entities, actions strings.Builder
	all, always := describe(t, true, full()), describe(t, false, Facts{Bitrate: "2M"})
	for _, key := range slices.Sorted(maps.Keys(all)) {
		e, need := all[key], needs[key]
		if _, ok := always[key]; ok != (need == "") {
			t.Errorf("%s: always there %v, but it needs %q", key, ok, need)
		}
		fmt.Fprintf(&entities, "| %s | %s | %s | %s | %s |\n", e.Name, e.P, e.DeviceClass, e.Unit, cmp.Or(need, "nothing"))
	}
	for _, a := range slices.Sorted(maps.Keys(Actions())) {
		fmt.Fprintf(&actions, "| `ha/%s/set` | %d in %v |\n", a, Actions()[a].Times, Actions()[a].In)
	}
	for _, table := range []string{entities.String(), actions.String()} {
		if !strings.Contains(string(page), "|---|\n"+table+"\n") {
			t.Errorf("the page lacks\n%s", table)
		}
	}
}
