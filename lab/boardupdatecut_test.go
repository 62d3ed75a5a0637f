package lab

import (
	"slices"
	"testing"

	"github.com/ocellus/ocellus/lab/disklog"
	"github.com/ocellus/ocellus/lab/powercut"
	"github.com/ocellus/ocellus/lab/virt"
)

// recordUpdate lets the disk of a board that is not on yet be recorded: a copy in memory, so that the first one is there
// to begin with.
func recordUpdate(t *testing.T, o *virt.Options) *recording {
	t.Helper()
	r := &recording{t: t, arch: o.Arch, dir: memory(t), story: powercut.Story{}}
	disk := r.dir + "/disk.img"
	if out := tool(t, playLimit, "cp", "--sparse=always", o.Disk, disk); out.code != 0 {
		t.Fatal(out.errs)
	}
	o.Disk, o.Record = disk, r.log()
	return r
}

// noteFirst begins the story of a recorded board's record.
func (s *updated) noteFirst() {
	if s.recorded != nil {
		s.recorded.Board = s.b
		s.recorded.story.Tell(powercut.Record, s.recorded.record().now())
		s.since = s.recorded.instant()
	}
}

// note tells what the record of a recorded board is now. lasts: it was answered for, and has to be there from now on; a
// try that U-Boot took may be there or not.
func (s *updated) note(lasts bool) {
	if s.recorded == nil {
		return
	}
	v := disklog.Version{Value: s.recorded.record().now(), Begun: s.since}
	if lasts {
		v.Done = s.recorded.instant()
		s.since = v.Done
	}
	s.recorded.story.Tell(powercut.Record, "", v)
}

// cuts takes the power away at every point of what was recorded of an update by the agent itself, from the first byte to
// the confirmation: a slot boots that is whole, the record is one of those that were written, an armed slot is whole, the
// agent finds no fault with its state. Some of the disks really boot, and the agent tells how far the update is.
func (s *updated) cuts(t *testing.T, before string) {
	s.b.Sh("sync")
	s.b.Cut()
	run := s.recorded.recordedOn(before)
	t.Logf("%d requests, %d MB", len(run.Log.Entries), s.recorded.instant()/1e6)
	report := proveRun(t, run)
	states := []string{"idle", "checking", "written", "armed", "trial", "confirmed", "failed"}
	s.recorded.eachSample(t, run, report, func(b *recording, _ disklog.Cut) {
		one := &updated{slotStory: slotStory{b: b.Board, arch: b.arch}}
		until(b.t, updateLimit, "the agent tells of updates", func() bool {
			st, ok := one.status()
			return ok && slices.Contains(states, st.State) && st.Running != ""
		})
		b.streams()
	})
	s.b.EndRecord()
	s.b.Start()
}
