package lab

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/disklog"
	"github.com/ocellus/ocellus/lab/powercut"
	"github.com/ocellus/ocellus/lab/virt"
)

// recording is a board whose disk is recorded, and the story that it is told meanwhile.
type recording struct {
	*virt.Board
	t            *testing.T
	arch         string
	dir          string // in memory
	story        powercut.Story
	env, keyArea span
}

// span is where a partition lies, in bytes.
type span struct{ offset, size int64 }

func newRecording(t *testing.T, arch string) *recording {
	t.Helper()
	r := &recording{t: t, arch: arch, dir: memory(t), story: powercut.Story{}}
	r.Board = virt.Boot(t, virt.Options{Arch: arch, Record: r.log(), Lab: virt.Lab{
		Files: map[string]string{"slot.img": virt.Image(t, arch, "slot.img")},
	}})
	r.env.offset, r.env.size = r.Partition("env")
	r.keyArea.offset, r.keyArea.size = r.Partition(powercut.Keys)
	return r
}

// memory returns a folder for much that is soon gone, in memory where the machine has such a place.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "ocellus-lab-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (r *recording) log() string { return filepath.Join(r.dir, "disk.log") }

// instant is where the log ends now: whatever the board has answered is in it.
func (r *recording) instant() disklog.Instant {
	r.t.Helper()
	info, err := os.Stat(r.log())
	if err != nil {
		r.t.Fatal(err)
	}
	return disklog.Instant(info.Size())
}

// tell does something that the board answers and notes what the things are then.
func (r *recording) tell(do func(), things ...thing) {
	r.t.Helper()
	begun := r.instant()
	do()
	done := r.instant()
	for _, one := range things {
		r.story.Tell(one.name, one.first, disklog.Version{Value: one.now(), Begun: begun, Done: done})
	}
}

// thing is what a story is about.
type thing struct {
	name, first string
	now         func() string
}

func (r *recording) record() thing {
	return thing{powercut.Record, "", func() string {
		return strings.Join(strings.Fields(r.Hand("bootstate", "get")), " ")
	}}
}

func (r *recording) area(name string) thing {
	return thing{name, powercut.Absent, func() string {
		text := strings.TrimSpace(r.Hand("vault", "load", name))
		data, err := hex.DecodeString(text)
		if err != nil {
			r.t.Fatal(err)
		}
		if text == "" {
			return powercut.Absent
		}
		return string(data)
	}}
}

const stateFolder = "/data/agent/"

func (r *recording) file(name string) thing {
	return thing{"/agent/" + name, powercut.Absent, func() string { return string(r.Get(stateFolder + name)) }}
}

// good runs a program as the agent's user; it has to succeed.
func (r *recording) good(argv ...string) {
	r.t.Helper()
	if ran := r.RunAs(virt.Agent(), argv...); ran.Code != 0 {
		r.t.Fatalf("%s: exit code %d: %s%s", strings.Join(argv, " "), ran.Code, ran.Out, ran.Errs)
	}
}

// ownerFile has the owner, his grants and his viewers.
const ownerFile = "owner.sealed"

// own makes the test the owner, and the owner's viewer. Before the first owner counts, persist says that the camera left
// the factory.
func (r *recording) own() {
	r.t.Helper()
	r.tell(r.Claim, r.area(powercut.Persist), r.file(ownerFile))
	r.tell(func() { r.URL("main") }, r.file(ownerFile))
}

func (r *recording) viewer(what string, names ...string) {
	r.t.Helper()
	for _, name := range names {
		r.tell(func() { r.good("/usr/bin/agent", "viewer", what, name) }, r.file(ownerFile))
	}
}

// configure writes a configuration as an editor with care does. It is long, so that half of it would be found.
func (r *recording) configure(comment string) {
	r.t.Helper()
	const temporary = stateFolder + ".config.yaml.tmp"
	text := "schema: 1\n" + strings.Repeat("# "+comment+"\n", 300)
	r.tell(func() {
		r.Put(temporary, []byte(text), 0o644)
		r.Sh("sync && mv " + temporary + " " + stateFolder + "config.yaml && sync")
	}, r.file("config.yaml"))
}

// certificate is made for the first client that asks for an encrypted stream.
func (r *recording) certificate() {
	r.t.Helper()
	const rtsps = 8322
	r.tell(func() {
		anybody := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the certificate is all that is wanted
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", r.Addr(rtsps), anybody)
		if err != nil {
			r.t.Fatal(err)
		}
		_ = c.Close()
	}, r.file("rtsps.sealed"))
}

// floor is stored in persist, then in the boot record.
func (r *recording) floor(n int) {
	r.t.Helper()
	r.tell(func() { r.Hand("bootstate", "floor", fmt.Sprint(n)) }, r.area(powercut.Persist), r.record())
}

// keys stores a key of the lab's beside the agent's.
func (r *recording) keys(seed uint64) {
	r.t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	key := make([]byte, 32*seed)
	for i := range key {
		key[i] = byte(random.Uint32())
	}
	fields := map[string]any{"version": 1}
	if before := r.area(powercut.Keys).now(); before != powercut.Absent {
		if err := json.Unmarshal([]byte(before), &fields); err != nil {
			r.t.Fatal(err)
		}
	}
	fields["lab"] = key
	text, err := json.Marshal(fields)
	if err != nil {
		r.t.Fatal(err)
	}
	r.tell(func() { r.Hand("vault", "store", powercut.Keys, hex.EncodeToString(text)) }, r.area(powercut.Keys))
}

// found tells what the agent made in an area by itself, in a start that began then.
func (r *recording) found(area string, begun disklog.Instant) {
	r.t.Helper()
	one := r.area(area)
	r.story.Tell(one.name, one.first, disklog.Version{Value: one.now(), Begun: begun, Done: r.instant()})
}

func (r *recording) destroyKeys() {
	r.t.Helper()
	r.tell(func() { r.Hand("vault", "destroy", powercut.Keys) }, r.area(powercut.Keys))
}

// unbind is a reset by the owner's order, up to the camera that is as from its box: persist says in between that a reset
// was begun, the keys are destroyed before there is a new one, and the files are there, whole, or not.
func (r *recording) unbind() {
	r.t.Helper()
	begun := r.instant()
	r.Camctl("unbind", "board", "--yes")
	r.Expect(`reset: the camera is as it came from its box`, playLimit)
	answers(r.t, r.Board)
	r.Sh("sync")
	done := r.instant()
	tell := func(name, first, value string, done disklog.Instant) {
		r.story.Tell(name, first, disklog.Version{Value: value, Begun: begun, Done: done})
	}
	persist, keys := r.area(powercut.Persist).now(), r.area(powercut.Keys).now()
	tell(powercut.Persist, powercut.Absent, resetting(r.t, persist), 0)
	tell(powercut.Persist, powercut.Absent, persist, done)
	tell(powercut.Keys, powercut.Absent, powercut.Absent, 0)
	tell(powercut.Keys, powercut.Absent, keys, done)
	for _, name := range []string{ownerFile, "rtsps.sealed", "config.yaml"} {
		tell("/agent/"+name, powercut.Absent, powercut.Absent, done)
	}
}

// resetting is what persist says while a reset is under way, as internal/statefile writes it: the version, then the
// other fields by name.
func resetting(t *testing.T, persist string) string {
	t.Helper()
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(persist), &fields); err != nil {
		t.Fatal(err)
	}
	version := fields["version"]
	delete(fields, "version")
	fields["resetting"] = json.RawMessage("true")
	rest, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, fmt.Appendf(nil, `{"version":%s,%s`, version, rest[1:]), "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

// reboot boots a slot on trial: U-Boot counts the tries down and waits for nobody to hear of it.
func (r *recording) reboot(want string) {
	r.t.Helper()
	begun := r.instant()
	r.Reboot()
	r.story.Tell(powercut.Record, "", disklog.Version{Value: r.record().now(), Begun: begun})
	r.runs(want)
}

// runs checks which slot runs and why.
func (r *recording) runs(want string) {
	r.t.Helper()
	if got := strings.TrimSpace(r.Hand("boot")); got != want {
		r.t.Fatalf("got slot %s, want %s", got, want)
	}
	answers(r.t, r.Board) // an agent that begins takes no viewers
}

// live is the life of a board from the factory on: it gets an owner, viewers come and go, configuration and boot record
// change, slot B is written, tried and confirmed, then A again, keys are stored and destroyed, and the owner with them;
// the board reboots in order, and once by its reset button. In the end its owner unbinds it.
func (r *recording) live() {
	r.t.Helper()
	r.story.Tell(powercut.Record, r.record().now())
	answers(r.t, r.Board) // it has made its identity and its key
	r.found(powercut.Persist, 0)
	r.found(powercut.Keys, 0)
	r.own()
	r.viewer("add", "anna", "berta", "carl")
	r.certificate()
	r.configure("the first configuration")
	r.floor(1)
	r.keys(1)
	r.viewer("remove", "berta")
	r.configure("another configuration")
	r.keys(200)
	for n := range 4 {
		r.floor(2 + n)
	}
	r.Hand("slot", "write", "b", "/lab/slot.img")
	r.tell(func() { r.Hand("bootstate", "try", "b", "3") }, r.record())
	r.reboot("b trial")
	r.tell(func() { r.Hand("bootstate", "confirm") }, r.record())
	r.viewer("add", "dora")
	r.destroyKeys()
	r.keys(3)
	begun := r.instant()
	r.Reset()
	r.runs("b confirmed")
	r.found(powercut.Keys, begun) // a new one: who was the owner can't be read any more
	r.own()
	r.viewer("add", "frieda")
	r.configure("the last configuration")
	r.tell(func() { r.Hand("bootstate", "try", "a", "2") }, r.record())
	r.reboot("a trial")
	r.tell(func() { r.Hand("bootstate", "confirm") }, r.record())
	r.viewer("add", "emil")
	r.unbind()
	r.Sh("sync")
	r.Cut()
}
