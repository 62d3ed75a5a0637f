package lab

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/disklog"
	"github.com/ocellus/ocellus/lab/virt"
)

// TestBoardUpdate updates a board by every carrier from a repository that camctl made, through the real boot loader,
// and feeds it releases that must not stay. On arm64 the disk of the first update is recorded: the power is cut at every
// point of it. While somebody watches, there is one board; the rest goes on at the same time.
func TestBoardUpdate(t *testing.T) {
	need(t, "dumpimage")
	need(t, "sgdisk")
	eachArch(t, func(t *testing.T, arch string) {
		s, first := newUpdated(t, arch)
		s.b.Test("over HTTP", s.overHTTP)
		t.Parallel()
		if s.recorded != nil {
			s.b.Test("power cuts", func(t *testing.T) { s.cuts(t, first) })
		}
		s.b.Test("an agent that crashes, in 2100", s.crashes)
		s.b.Test("a delta, and an agent that hangs", s.hangs)
		s.b.Test("a kernel that panics late, after 50 roots, by phone", s.panics)
		s.b.Test("a kernel that does nothing, as a delta on a card", s.halts)
		s.b.Test("100 power cycles, after a delta by phone or serial line", s.cycles)
		s.b.Test("a card that stays in", s.stays)
	})
}

// updated is a board that takes updates, and who publishes them.
type updated struct {
	slotStory
	p       *publisher
	here    string // the slot that is confirmed
	other   string
	version string // in it

	recorded *recording // nil: the disk is not recorded
	since    disklog.Instant
}

// updateLimit is for everything of a whole update on a busy machine: writing, verifying, restarts, the trial.
const updateLimit = 5 * time.Minute

// newUpdated boots a board with release 1.0.0 that looks for updates at a publisher's. first is the disk that it began
// with.
func newUpdated(t *testing.T, arch string) (s *updated, first string) {
	t.Helper()
	p := newPublisher(t)
	first = p.pack(arch, "1.0.0").disk
	o := virt.Options{Arch: arch, Disk: first, CardSlot: true}
	s = &updated{p: p, here: "a", other: "b", version: "1.0.0"}
	if arch == "arm64" { // one board is enough: what the other does otherwise, TestBoardPowerCut sees
		s.recorded = recordUpdate(t, &o)
	}
	b := virt.Boot(t, o)
	s.slotStory = slotStory{b: b, arch: arch}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	const host = "10.0.2.2" // QEMU's user network: this machine's loopback
	config := fmt.Sprintf("schema: 1\nupdate: {repository: \"http://%s:%s/\", trial: 150s}\n", host, port)
	b.Put("/data/agent/config.yaml", []byte(config), 0o644)
	b.Sh("kill " + agentPID(b))
	b.Expect(`init: .* agent ended`, playLimit)
	b.Expect(`init: .* agent started`, playLimit)
	answers(t, b)
	s.noteFirst()
	return s, first
}

// confirms waits until a release that is on trial is confirmed.
func (s *updated) confirms(t *testing.T, version string) otaStatus {
	t.Helper()
	s.here, s.other, s.version = s.other, s.here, version
	st := s.says(t, version, "confirmed "+version)
	if st.Slot != s.here {
		t.Errorf("slot %s runs, want %s", st.Slot, s.here)
	}
	return st
}

// ota runs agent ota on the board.
func (s *updated) ota(words ...string) virt.Ran {
	return s.b.RunFor(updateLimit, append([]string{"/usr/bin/agent", "ota", "--state", "/data/agent"}, words...)...)
}

func (s *updated) status() (st otaStatus, ok bool) {
	r := s.b.Run("/usr/bin/agent", "ota", "status", "--json", "--state", "/data/agent")
	return st, r.Code == 0 && json.Unmarshal([]byte(r.Out), &st) == nil
}

// says waits until the running agent tells this of the update. Each question starts a program of 13 MB on a board that has
// to prove that its pictures come in time, so they are few.
func (s *updated) says(t *testing.T, running, brief string) (st otaStatus) {
	t.Helper()
	until(t, updateLimit, running+" runs, "+brief, func() bool {
		<-time.After(2 * time.Second)
		var ok bool
		st, ok = s.status()
		return ok && st.Running == running && st.brief() == brief
	})
	return st
}

// publish packs and publishes a release, and returns its target.
func (s *updated) publish(version string, more ...string) string {
	return s.p.publish("qemu-virt-"+s.arch, s.p.pack(s.arch, version, more...).slot, version, "--min-floor", "1.0.0")
}

// publishDelta is publish with a delta from the release that runs, and returns the delta's target.
func (s *updated) publishDelta(version string, more ...string) string {
	board := "qemu-virt-" + s.arch
	s.p.publish(board, s.p.pack(s.arch, version, more...).slot, version, "--from", s.p.path("packed-"+s.version+"/slot.img"))
	board += "/ocellus-" + version
	found, err := filepath.Glob(s.p.path("repo/targets/" + board + "/*.from-*.delta"))
	if err != nil || len(found) != 1 {
		s.p.t.Fatalf("deltas of %s: %v, %v", version, found, err)
	}
	_, name, _ := strings.Cut(filepath.Base(found[0]), ".")
	return board + "/" + name
}

// install takes the release that is there, and restarts into it when nobody watches; the test awaits the board.
func (s *updated) install(t *testing.T) {
	t.Helper()
	begin := time.Now()
	if r := s.ota("install"); r.Code != 0 {
		t.Fatalf("install: %d %s%s", r.Code, r.Out, r.Errs)
	}
	t.Logf("fetched, verified, written and read back in %.1f s", time.Since(begin).Seconds())
}

// overHTTP: somebody watches while the release comes in and misses nothing; the board restarts when he has gone. All of
// the agent lives in 24 MB meanwhile, and has no room in /tmp.
func (s *updated) overHTTP(t *testing.T) {
	s.publish("1.1.0")
	s.narrow(t)
	var watcher sync.WaitGroup
	defer watcher.Wait()
	url := s.b.URL("main")
	watcher.Go(func() {
		if w, r := watch(t, 15*time.Second, url); r.code != 0 || !w.whole() {
			t.Errorf("somebody who watched: %+v\n%s", w, r.errs)
		}
	})
	until(t, playLimit, "somebody watches", func() bool {
		return strings.Contains(s.b.Try("wget -qO- http://127.0.0.1:9554/metrics").Out,
			ofStream("ocellus_stream_readers", "main")+" 1")
	})
	s.b.Sh("sleep 3; rm -f /tmp/full")
	s.b.Sh("dd if=/dev/zero of=/tmp/full bs=64k 2>/dev/null || true; ! echo more >/tmp/more")
	written := s.written(t)
	begin := time.Now()
	var took time.Duration
	added := s.grows(t, func() {
		if r := s.ota("install"); r.Code != 0 || !strings.Contains(r.Out, "1.1.0: writing") {
			t.Fatalf("install: %d %s%s", r.Code, r.Out, r.Errs)
		}
		took = time.Since(begin)
		s.note(true)
	})
	image, err := os.Stat(s.p.path("packed-1.1.0/slot.img"))
	if err != nil {
		t.Fatal(err)
	}
	share := float64(s.written(t)-written) / float64(image.Size())
	t.Logf("installed in %.1f s, %.1f MB more at most, %.3f of the image written", took.Seconds(), float64(added)/1e6, share)
	if added > 4<<20 || share > 1.01 {
		t.Errorf("%d bytes more, want 4 MiB; %.3f of the image written, want 1.00", added, share)
	}
	if events := s.b.Sh("cat /run/cg/agent/memory.events; rm /tmp/full"); !strings.Contains(events, "oom_kill 0\n") {
		t.Errorf("memory: %s", events)
	}
	watcher.Wait()
	s.tried()
	s.b.Await(updateLimit)
	s.note(false)
	s.confirms(t, "1.1.0")
	s.note(true)
	s.wants(t, map[string]string{"st_slot": s.here, "st_try": "none", "st_left": "0", "st_floor": "100000"})
	persist, err := hex.DecodeString(strings.TrimSpace(s.b.Hand("vault", "load", "persist")))
	if err != nil || !regexp.MustCompile(`"version_floor": *1048576`).Match(persist) {
		t.Errorf("no floor in persist, %v", err)
	}
	if got := s.b.Sh("grep VERSION_ID /etc/os-release"); got != "VERSION_ID=1.1.0\n" {
		t.Errorf("got %s", got)
	}
	plays(t, s.b)
	s.b.Sh("date -s @0")
	if r := s.ota("check"); r.Code != 1 || !strings.Contains(r.Errs, "not newer") {
		t.Errorf("check in 1970: %d %s%s", r.Code, r.Out, r.Errs)
	}
	if st, ok := s.status(); !ok || st.Doubt != "no clock" {
		t.Errorf("got %+v", st)
	}
}

// narrow starts the agent anew in a memory cgroup of 24 MB.
func (s *updated) narrow(t *testing.T) {
	t.Helper()
	s.b.Sh(`mkdir /run/cg && mount -t cgroup2 none /run/cg && echo +memory >/run/cg/cgroup.subtree_control &&
		mkdir /run/cg/agent && echo 24M >/run/cg/agent/memory.max && echo 1 >/run/cg/agent/cgroup.procs`)
	s.b.Sh("kill " + agentPID(s.b))
	s.b.Expect(`init: .* agent ended`, playLimit)
	s.b.Expect(`init: .* agent started`, playLimit)
	s.b.Sh("echo 1 >/run/cg/cgroup.procs")
	answers(t, s.b)
	if got := strings.Fields(s.b.Sh("cat /run/cg/agent/cgroup.procs")); !slices.Contains(got, agentPID(s.b)) {
		t.Errorf("in the cgroup: %q", got) // the ear may be there, too
	}
}

// memory is a figure of the agent's, in bytes.
func (s *updated) memory(t *testing.T, name string) int {
	t.Helper()
	for line := range strings.Lines(string(s.b.Get("/proc/" + agentPID(s.b) + "/status"))) {
		var kb int
		if _, err := fmt.Sscanf(line, name+": %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// grows runs something, and returns by how many bytes the agent grew at most meanwhile.
func (s *updated) grows(t *testing.T, do func()) int {
	t.Helper()
	before := s.memory(t, "VmRSS")
	s.b.Sh("echo 5 >/proc/" + agentPID(s.b) + "/clear_refs") // VmHWM begins anew (proc_pid_clear_refs(5))
	do()
	return s.memory(t, "VmHWM") - before
}

// written is how many bytes the other slot's disk has taken (Documentation/block/stat.rst).
func (s *updated) written(t *testing.T) int64 {
	t.Helper()
	f := strings.Fields(s.b.Sh("cat $(dirname $(grep -lx PARTNAME=slot-" + s.other + " /sys/class/block/*/uevent))/stat"))
	var sectors int64
	if _, err := fmt.Sscan(f[6], &sectors); err != nil {
		t.Fatal(err)
	}
	return sectors * 512
}

// crashes: init resets the board when the agent on trial has ended three times, and three tries later the boot loader
// goes back. The clock says 2100 (armv7: 2038), and nobody believes it. The release comes by the owner's sealed order at
// the LAN door, which a camera that does not know the time obeys all the same.
func (s *updated) crashes(t *testing.T) {
	s.publish("1.2.0", "-agent", virt.Brought(t, s.arch, "hand"))
	late := map[string]string{"arm64": "4102444800", "armv7": "2145916800"}[s.arch] // busybox of armv7 counts to 2038
	s.b.Sh("date -s @" + late)
	s.b.Claim() // and where the door is now
	s.b.Camctl("call", "board", "ota.install", "now=true")
	for range 3 {
		s.tried()
		s.b.Expect(`init: .* trial: agent ends again and again`, updateLimit)
	}
	s.back(t, "failed 1.2.0 tries used up")
	if r := s.ota("check"); r.Code != 0 { // the owner may have it again
		t.Errorf("check: %d %s%s", r.Code, r.Out, r.Errs)
	}
}

// back wants the confirmed slot to run and to stream, and the agent to say why.
func (s *updated) back(t *testing.T, brief string) {
	t.Helper()
	s.b.Expect(`^boot: slot `+s.here+`, confirmed`, updateLimit)
	s.b.Forget()
	s.b.Await(updateLimit)
	s.says(t, s.version, brief)
	plays(t, s.b)
}

// tried waits for a boot of the other slot.
func (s *updated) tried() {
	s.b.Expect(`^boot: slot `+s.other+`, trial`, updateLimit)
	s.b.Forget()
}

// hangs: an agent that does nothing any more lets the watchdog reset the board, which costs a try and no more. The
// release comes as a delta from what runs: over the web on one board, over its serial line on the other.
func (s *updated) hangs(t *testing.T) {
	if delta := s.publishDelta("1.3.0"); s.arch == "arm64" {
		s.fetches(t)
	} else {
		s.pushSerial(t, delta)
	}
	s.tried()
	s.b.Await(updateLimit)
	s.b.Expect(`msg=serving`, playLimit)
	s.b.Sh("kill -STOP " + agentPID(s.b))
	s.tried()
	s.b.Await(updateLimit)
	s.confirms(t, "1.3.0")
}

// fetches installs by a delta, and by nothing of the image.
func (s *updated) fetches(t *testing.T) {
	t.Helper()
	s.p.fetched(".img")
	added := s.grows(t, func() { s.install(t) })
	delta, whole := s.p.fetched(".delta"), s.p.fetched(".img")
	t.Logf("a delta of %.2f MB was fetched, %.1f MB more at most", float64(delta)/1e6, float64(added)/1e6)
	if delta == 0 || delta > 1<<20 || whole > 0 {
		t.Errorf("%d bytes of the delta and %d of the image were fetched", delta, whole)
	}
	if added > 14<<20 {
		t.Errorf("%d bytes more, want 14 MiB", added)
	}
}

// panics: the board sleeps through fifty new roots, then its owner's phone brings a release whose initrd is
// none.
func (s *updated) panics(t *testing.T) {
	s.b.AllowTrouble(`Kernel panic - not syncing: VFS`)
	s.b.AllowTrouble(`Call [Tt]race`)
	for range 50 {
		s.p.signs("root")
	}
	s.p.signs("renew", "--all")
	slot := s.p.pack(s.arch, "1.4.0").slot
	image, err := os.ReadFile(slot)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(slot, panicking(t, image), 0o600); err != nil {
		t.Fatal(err)
	}
	s.push(t, s.p.bundle(s.p.publish("qemu-virt-"+s.arch, slot, "1.4.0")))
	for range 3 {
		s.tried()
		s.b.Expect(`Kernel panic`, updateLimit)
	}
	s.back(t, "failed 1.4.0 tries used up")
}

// halts: nothing but the power plug gets a board out of a kernel that does nothing. Three times, and it is back. The
// release comes as a delta on a card that is put in while the board runs. Nobody stands behind a card: it is not taken
// again.
func (s *updated) halts(t *testing.T) {
	s.b.Insert(s.p.card(s.p.bundle(s.publishDelta("1.5.0", "-kernel", haltingKernel(t, s.arch)))))
	s.tried()
	s.b.Expect(`^Starting kernel`, updateLimit)
	s.b.Cut()
	for range 2 {
		s.b.Flicker(`^boot: slot `+s.other+`, trial`, updateLimit)
	}
	s.b.Awaken(`^boot: slot `+s.other+` failed \(tries\)`, updateLimit)
	s.back(t, "failed 1.5.0 tries used up")
	s.b.Expect(`a card with an update.*reason="failed before"`, playLimit)
	s.b.Eject()
}

// cycles: the power comes and goes a hundred times before a release has proved itself, ninety times of them before Linux
// has begun. A slot boots and streams, and the agent says which and why; the confirmed slot never spends a try. The
// release comes as a delta: over the serial line on one board, by phone on the other.
func (s *updated) cycles(t *testing.T) {
	if delta := s.publishDelta("1.6.0"); s.arch == "arm64" {
		s.pushSerial(t, delta)
	} else {
		s.push(t, s.p.bundle(delta))
	}
	s.tried()
	s.b.Cut()
	begin := time.Now()
	early := []string{`^U-Boot 20`, `^boot: record`, `^boot: slot`}
	late := []string{`^init: .* slot`, `^init: .* user space is up`}
	for n := range 99 {
		if n%10 == 9 {
			s.b.Flicker(late[n/10%len(late)], updateLimit)
			continue
		}
		s.b.Flicker(early[n%len(early)], updateLimit)
	}
	t.Logf("99 power cycles in %.0f s", time.Since(begin).Seconds())
	s.b.Awaken(`^boot: record`, updateLimit)
	s.back(t, "failed 1.6.0 tries used up")
	s.wants(t, map[string]string{"st_slot": s.here, "st_try": "none", "st_left": "0", "st_fail": s.other,
		"st_why": "tries"})
	plays(t, s.b)
}
