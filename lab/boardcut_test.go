package lab

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/disklog"
	"github.com/ocellus/ocellus/lab/powercut"
	"github.com/ocellus/ocellus/lab/virt"
)

// TestBoardPowerCut records the life of a whole board and cuts its power at every point of it: whatever a disk may have
// made of the writes that no flush covers, a slot boots and what was stored is there. Some of the disks really boot.
func TestBoardPowerCut(t *testing.T) {
	atOnce(t, func(t *testing.T, arch string) {
		began := time.Now()
		r := newRecording(t, arch)
		r.live()
		run := r.recorded()
		t.Logf("recorded in %v: %d requests, %d MB", time.Since(began).Round(time.Second), len(run.Log.Entries),
			r.instant()/1e6)
		var report *powercut.Report
		t.Run("every cut", func(t *testing.T) { report = proveRun(t, run) })
		t.Run("mistakes", func(t *testing.T) { r.mistakes(t, run) })
		t.Run("boots", func(t *testing.T) { r.boots(t, run, report) })
	})
}

// recorded is the run, to be proved.
func (r *recording) recorded() powercut.Run {
	r.t.Helper()
	return r.recordedOn(virt.Image(r.t, r.arch, "disk.img"))
}

// recordedOn is the run of a board that began with another disk.
func (r *recording) recordedOn(disk string) powercut.Run {
	r.t.Helper()
	open := func(name string) (*os.File, int64) {
		f, err := os.Open(name)
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { _ = f.Close() })
		info, err := f.Stat()
		if err != nil {
			r.t.Fatal(err)
		}
		return f, info.Size()
	}
	base, size := open(disk)
	file, length := open(r.log())
	l, err := disklog.Read(file, length)
	if err != nil {
		r.t.Fatal(err)
	}
	return powercut.Run{Base: base, Size: size, Log: l, Story: r.story, Agent: program("agent"), Dir: r.dir,
		Plan: disklog.Plan{Exhaustive: 8, Samples: 32, Tears: 16}, DataPerCut: 8}
}

func proveRun(t *testing.T, run powercut.Run) *powercut.Report {
	t.Helper()
	report, err := powercut.Prove(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if len(report.Faults) > 0 {
		t.Error("a power cut does harm")
	}
	return report
}

// mistake is a run that went wrong, and what the proof has to find at the cuts from..to. What was answered by then is
// asked for at the last of them.
type mistake struct {
	name     string
	from, to disklog.Instant
	edit     func(n int, e disklog.Entry) (disklog.Entry, bool)
	want     string
}

// mistakes shows that the proof can fail.
func (r *recording) mistakes(t *testing.T, run powercut.Run) {
	for _, m := range r.listMistakes(run.Log) {
		wrong := run
		wrong.Log = run.Log.Edit(m.edit)
		wrong.Plan = disklog.Plan{From: wrong.Log.Logged(m.from), To: wrong.Log.Reached(m.to) + 1}
		report, err := powercut.Prove(t.Context(), wrong)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, f := range report.Faults {
			if strings.Contains(f.What, m.want) {
				found++
			}
		}
		t.Logf("%s: found in %d of %d states, %v", m.name, found, report.States, report.Took.Round(time.Millisecond))
		if found == 0 {
			t.Errorf("%s: not found: %v", m.name, report)
		}
	}
}

func (r *recording) listMistakes(l *disklog.Log) []mistake {
	const lost = ": an answered change is lost"
	within := func(n int, from, to disklog.Instant) bool { return l.Instant(n) >= from && l.Instant(n+1) <= to }
	noFlush := func(from, to disklog.Instant) func(int, disklog.Entry) (disklog.Entry, bool) {
		return func(n int, e disklog.Entry) (disklog.Entry, bool) {
			return e, e.Flags&disklog.Flush == 0 || !within(n, from, to)
		}
	}
	inPart := func(e disklog.Entry, p span, from int64) bool {
		return e.Length > 0 && e.Offset >= p.offset+from && e.Offset < p.offset+p.size
	}
	var list []mistake
	for _, thing := range []string{powercut.Record, powercut.Persist, powercut.Keys, "/agent/" + ownerFile,
		"/agent/config.yaml"} {
		v := r.story[thing].Versions()[2]
		list = append(list, mistake{"no flush in a change of " + thing, v.Begun, v.Done, noFlush(v.Begun, v.Done),
			thing + lost})
	}
	records := r.story[powercut.Record].Versions()
	try := slices.IndexFunc(records, func(v disklog.Version) bool { return strings.Contains(v.Value, "st_try=b") })
	list = append(list,
		mistake{"no flush before the slot is armed", records[try].Begun, records[try].Done,
			noFlush(records[try-1].Done, records[try].Begun), "slot b is on trial and"},
		mistake{"both copies of the record in one place", records[2].Begun, records[4].Done,
			func(_ int, e disklog.Entry) (disklog.Entry, bool) {
				if inPart(e, r.env, r.env.size/2) {
					e.Offset -= r.env.size / 2
				}
				return e, true
			}, powercut.Record + lost})
	keys := r.story[powercut.Keys].Versions()
	gone := slices.IndexFunc(keys, func(v disklog.Version) bool { return v.Done > 0 && v.Value == powercut.Absent })
	list = append(list, mistake{"the second copy of the keys stays", keys[gone].Begun, keys[gone].Done,
		func(n int, e disklog.Entry) (disklog.Entry, bool) {
			destroys := within(n, keys[gone].Begun, keys[gone].Done) &&
				(inPart(e, r.keyArea, r.keyArea.size/2) || inPart(e, r.keyArea, 0) && e.Flags&disklog.Discard != 0)
			return e, !destroys
		}, "of a value that is gone are on the disk"})
	return list
}

// boots boots a disk of each confirmed slot and one of a trial, those that lost most: the board comes up as the proof
// says, its agent streams and takes a viewer.
func (r *recording) boots(t *testing.T, run powercut.Run, report *powercut.Report) {
	r.eachSample(t, run, report, func(b *recording, cut disklog.Cut) {
		b.keeps(r.story["/agent/"+ownerFile], run.Log.Instant(cut.Before))
		b.streams()
	})
}

// eachSample boots the disks that were chosen, and lets each be looked at once the slot runs that the proof says.
func (r *recording) eachSample(t *testing.T, run powercut.Run, report *powercut.Report,
	look func(b *recording, cut disklog.Cut)) {
	t.Helper()
	base := disklog.NewDisk(run.Base, run.Size)
	saver, err := disklog.NewSaver(run.Base, 0, run.Size)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range chooseSamples(report) {
		t.Run(s.runs, func(t *testing.T) {
			d, err := run.Log.Rebuild(base, s.cut)
			if err != nil {
				t.Fatal(err)
			}
			disk := filepath.Join(r.dir, "rebuilt.img")
			if err := saver.Save(d, disk); err != nil {
				t.Fatal(err)
			}
			t.Logf("cut at %v", s.cut)
			b := &recording{t: t, arch: r.arch, Board: virt.Boot(t, virt.Options{Arch: r.arch, Disk: disk})}
			b.runs(s.runs)
			look(b, s.cut)
		})
	}
}

// sample is a cut and what boots after it: "b trial".
type sample struct {
	runs string
	cut  disklog.Cut
}

func chooseSamples(report *powercut.Report) []sample {
	chosen := map[string]sample{}
	for _, name := range slices.Sorted(maps.Keys(report.Classes)) {
		boot := regexp.MustCompile(`^boots (.), (\w+);`).FindStringSubmatch(name)
		if boot == nil {
			continue
		}
		s := sample{boot[1] + " " + boot[2], report.Classes[name].Sample}
		key := s.runs
		if boot[2] == "trial" {
			key = "trial" // goes the same way for either slot
		}
		if before, ok := chosen[key]; !ok || len(s.cut.Lost) > len(before.cut.Lost) {
			chosen[key] = s
		}
	}
	return slices.SortedFunc(maps.Values(chosen), func(a, b sample) int { return strings.Compare(a.runs, b.runs) })
}

// keeps looks for the owner on the disk that the kernel mounted.
func (r *recording) keeps(owner *disklog.History, at disklog.Instant) {
	r.t.Helper()
	if mounts := string(r.Get("/proc/mounts")); !strings.Contains(mounts, " /data ext4 rw") {
		r.t.Errorf("the data partition is not mounted:\n%s", mounts)
	}
	found := powercut.Absent
	if r.Try("test -e "+stateFolder+ownerFile).Code == 0 {
		found = r.file(ownerFile).now()
	}
	if err := owner.Judge(at, found); err != nil {
		r.t.Errorf("owner: %v", err)
	}
}

// streams lets a new viewer in, who watches. A camera without an owner gets one.
func (r *recording) streams() {
	r.t.Helper()
	var address string
	added := r.RunAs(virt.Agent(), "/usr/bin/agent", "viewer", "add", "lab")
	switch user := regexp.MustCompile(`rtsp://lab:\w+@`).FindString(added.Out); {
	case user != "":
		address = user + r.Addr(rtspPort) + "/main"
	case strings.Contains(added.Errs, "no owner"):
		address = r.URL("main")
	default:
		r.t.Fatalf("no viewer added: %+v", added)
	}
	s, ran := watch(r.t, 2*time.Second, address)
	if !s.whole() {
		r.t.Errorf("got %+v\n%s", s, ran.errs)
	}
}
