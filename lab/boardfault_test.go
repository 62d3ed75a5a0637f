package lab

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// boardKilled: init starts the agent again.
func boardKilled(t *testing.T, b *virt.Board) {
	before := agentPID(b)
	b.Sh("kill -9 " + before)
	b.Expect(`init: .* agent ended by signal 9`, playLimit)
	b.Expect(`init: .* agent started`, playLimit)
	plays(t, b)
	if after := agentPID(b); after == before {
		t.Errorf("process %s was killed and still runs", before)
	}
	remembers(t, b, "killed", "by signal 9", false)
	checkSelftest(t, b)
}

// boardStopped: the watchdog resets the board, and it streams again without anybody's help.
func boardStopped(t *testing.T, b *virt.Board) {
	begin := b.On()
	b.Sh("kill -STOP " + agentPID(b))
	b.Expect(`^U-Boot 20`, 2*time.Minute) // the watchdog's 30 s on a busy machine
	reset := b.On() - begin
	b.Await(2 * time.Minute)
	plays(t, b)
	if n := len(b.Lines(`^U-Boot 20`)); n != 3 { // one for each start, and this one
		t.Errorf("U-Boot ran %d times, want 3", n)
	}
	remembers(t, b, "watchdog", "the watchdog reset the board", true)
	bundled(t, b)
	t.Logf("the watchdog reset the board after %.0f s, it streams again after %.0f s", reset.Seconds(),
		(b.On() - begin).Seconds())
}

// TestBoardData: a full or damaged data partition costs no more than what was on it.
func TestBoardData(t *testing.T) {
	need(t, "debugfs")
	atOnce(t, func(t *testing.T, arch string) {
		b := virt.Boot(t, virt.Options{Arch: arch})
		plays(t, b)
		b.Test("full", func(t *testing.T) { dataFull(t, b) })
		b.Test("files", func(t *testing.T) { dataFiles(t, b) })
		var d keptDisk
		b.Test("inode", func(t *testing.T) { d = dataInode(t, b) })
		b.Test("superblock", func(t *testing.T) { dataSuperblock(t, b, d) })
		b.Test("everything", func(t *testing.T) { dataEverything(t, b) })
	})
}

// dataFull starts the agent, and then the board, with a disk that takes not one more byte.
func dataFull(t *testing.T, b *virt.Board) {
	b.Sh("for size in 1M 1k 1; do dd if=/dev/zero of=/data/full.$size bs=$size 2>/dev/null; done; sync")
	if r := b.Try("echo more >/data/more"); r.Code == 0 {
		t.Fatal("the disk is not full")
	}
	b.Sh("kill -9 " + agentPID(b))
	b.Expect(`state directory takes no writes.*no space left`, playLimit)
	plays(t, b)
	b.Reset()
	b.Expect(`state directory takes no writes.*no space left`, playLimit)
	plays(t, b)
	if n := len(b.Lines(`init: .* data: the disk is full`)); n != 1 {
		t.Errorf("init says %d times that the disk is full, want once", n)
	}
	b.Sh("rm -f /data/full.* /data/more")
}

// unclaimed is what an agent says at its start when it has no owner, or can't read who he is.
const unclaimed = `this camera has no owner yet`

// dataFiles damages what the agent keeps: whoever has the label becomes the owner in the place of one whose file is
// lost, the defaults stand in for a configuration, which is kept for a person to look at.
func dataFiles(t *testing.T, b *virt.Board) {
	before := b.URL("main")
	garbage := static(3000)
	b.Put("/data/agent/"+ownerFile, garbage, 0o600)
	b.Put("/data/agent/config.yaml", garbage, 0o644)
	b.Sh("kill -9 " + agentPID(b))
	b.Expect(`configuration damaged.*set aside`, playLimit)
	b.Expect(`what is known of the owner can't be opened`, playLimit)
	b.Expect(unclaimed, playLimit)
	if _, r := watch(t, time.Second, before); r.code != 4 {
		t.Errorf("a viewer of an owner who is gone: exit code %d, want 4 (credential refused): %s", r.code, r.errs)
	}
	plays(t, b)
	if b.URL("main") == before {
		t.Error("a viewer outlived his owner")
	}
	if got := b.Get("/data/agent/config.yaml.corrupt"); !bytes.Equal(got, garbage) {
		t.Errorf("the configuration is not kept: %d bytes", len(got))
	}
}

// keptDisk is a whole data partition, and the way back to it.
type keptDisk struct {
	offset int64
	url    string // of the stream, with a credential that is on it
	owner  []byte
	undo   func() // while the power is off
}

// dataInode overwrites the inode of one file. The kernel notices when init reads the file, and writes no more; the other
// files are kept. It returns what the disk holds beside that.
func dataInode(t *testing.T, b *virt.Board) keptDisk {
	const config = "schema: 1\nlog: DEBUG\n"
	b.Put("/data/agent/config.yaml", []byte(config), 0o644)
	offset, size := b.Partition("data")
	d := keptDisk{offset: offset, url: b.URL("main"), owner: b.Get("/data/agent/" + ownerFile)}
	b.PowerOff()
	at := offset + inodeAt(t, partition(t, b.Disk(), offset, size), "/agent/"+ownerFile)
	whole := partition(t, b.Disk(), at, 64)
	d.undo = func() { b.Damage(at, whole) }
	b.Damage(at, static(len(whole)))
	b.Start()
	b.Expect(`init: .* data: .*`+ownerFile+`: `, playLimit)
	b.Expect(`init: .* data: .* gone after a reset`, playLimit)
	b.Expect(unclaimed, playLimit)
	if got := string(b.Get("/data/agent/config.yaml")); got != config {
		t.Errorf("the configuration is not kept: got %q", got)
	}
	plays(t, b)
	return d
}

// inodeAt is where the inode of a file lies in a file system, in bytes.
func inodeAt(t *testing.T, filesystem []byte, name string) int64 {
	t.Helper()
	image := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(image, filesystem, 0o600); err != nil {
		t.Fatal(err)
	}
	r := tool(t, time.Minute, "debugfs", "-R", "imap "+name, image)
	_, place, _ := strings.Cut(r.out, "located at ")
	var block, offset int64
	if _, err := fmt.Sscanf(place, "block %d, offset %v", &block, &offset); err != nil {
		t.Fatalf("debugfs: %v: %s%s", err, r.out, r.errs)
	}
	const superblock, logBlockSize = 1024, 24 // s_log_block_size, kernel's filesystems/ext4/super.rst
	return block*int64(1024<<filesystem[superblock+logBlockSize]) + offset
}

// dataSuperblock overwrites the beginning of the file system: init finds the agent's files by its copy.
func dataSuperblock(t *testing.T, b *virt.Board, d keptDisk) {
	b.PowerOff()
	d.undo() // init left the disk alone
	b.Damage(d.offset, static(16<<10))
	b.Start()
	b.Expect(`init: .* data: .* gone after a reset`, playLimit)
	b.Expect(`init: .* data: [1-9][0-9]* files of the agent are kept`, playLimit)
	if got := b.Get("/data/agent/" + ownerFile); !bytes.Equal(got, d.owner) {
		t.Errorf("the owner is not kept: got %q, want %q", got, d.owner)
	}
	playsAt(t, moved(t, b, d.url))
}

// dataEverything leaves nothing of the partition but static: the camera is whose label it is.
func dataEverything(t *testing.T, b *virt.Board) {
	label := b.Label()
	offset, size := b.Partition("data")
	b.PowerOff()
	b.Damage(offset, static(int(size)))
	b.Start()
	b.Expect(`init: .* data: nothing can be read`, playLimit)
	b.Expect(unclaimed, playLimit)
	plays(t, b)
	if got := b.Label(); got != label {
		t.Error("the label changed")
	}
}

// static is bytes that are no text and no file system, the same at each run.
func static(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte([]byte(strings.Repeat("static..", 4))))
	_, _ = r.Read(b)
	return b
}
