package main

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/ocellus/ocellus/control"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota"
)

// diary collects what jobs tell.
type diary struct{ told []jobEnded }

func (d *diary) tell(_ control.Class, _ string, detail any) {
	d.told = append(d.told, detail.(jobEnded)) //nolint:errcheck,forcetypeassert // its one type
}

func (d *diary) open(place statefile.Place) *jobs { return openJobs(place, d.tell, silent()) }

// TestJobs: each way in which a job can end, told once, whatever restarts lie between.
func TestJobs(t *testing.T) {
	t.Parallel()
	type step struct {
		restart bool
		status  ota.Status
	}
	at := func(s ota.State) step { return step{false, ota.Status{State: s, Version: "1.1.0"}} }
	again := func(s ota.State) step { return step{true, ota.Status{State: s, Version: "1.1.0"}} }
	for name, tt := range map[string]struct {
		operation string
		refused   error
		steps     []step
		code      string // empty: nothing is told
	}{
		"confirmed":       {"ota.install", nil, []step{at(ota.Armed), again(ota.Trial), at(ota.Trial), at(ota.Confirmed)}, codeOK},
		"rolled back":     {"ota.install", nil, []step{at(ota.Armed), again(ota.Trial), again(ota.Failed)}, codeFailed},
		"taken back":      {"ota.install", nil, []step{at(ota.Armed), at(ota.Idle)}, control.CodeInterrupted},
		"refused":         {"ota.install", errors.New("no"), []step{at(ota.Failed), again(ota.Failed)}, ""},
		"under way":       {"ota.install", nil, []step{at(ota.Armed), again(ota.Armed)}, ""},
		"way back":        {"ota.rollback", nil, []step{at(ota.Armed), again(ota.Confirmed)}, codeOK},
		"restarted":       {"reboot", nil, []step{at(ota.Confirmed), again(ota.Confirmed)}, codeOK},
		"not restarted":   {"reboot", nil, []step{at(ota.Idle), at(ota.Confirmed)}, ""},
		"after long time": {"ota.install", nil, []step{again(ota.Trial), again(ota.Trial), again(ota.Confirmed)}, codeOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d diary
			place := statefile.Path(filepath.Join(t.TempDir(), "jobs"))
			j := d.open(place)
			done := j.begin(t.Context(), tt.operation)
			j.settle(ota.Status{State: ota.Confirmed}) // of the update before: it is not this job's end
			done(tt.refused)
			id := j.now.ID
			for _, s := range append(tt.steps, tt.steps[len(tt.steps)-1]) {
				if s.restart {
					j = d.open(place)
				}
				j.settle(s.status)
			}
			var want []jobEnded
			if tt.code != "" {
				want = []jobEnded{{Job: id, Operation: tt.operation, Code: tt.code, Version: "1.1.0"}}
			}
			if tt.operation == "reboot" && want != nil {
				want[0].Version = ""
			}
			if !reflect.DeepEqual(d.told, want) {
				t.Errorf("told %+v, want %+v", d.told, want)
			}
		})
	}
}

// TestJobCut: the power goes while an update is being written: it is told that it was interrupted.
func TestJobCut(t *testing.T) {
	t.Parallel()
	var d diary
	place := statefile.Path(filepath.Join(t.TempDir(), "jobs"))
	d.open(place).begin(t.Context(), "ota.install")
	d.open(place).settle(ota.Status{State: ota.Idle, Reason: ota.Interrupted})
	if len(d.told) != 1 || d.told[0].Code != control.CodeInterrupted || d.told[0].Reason != ota.Interrupted {
		t.Errorf("told %+v", d.told)
	}
}
