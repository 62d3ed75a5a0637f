package lab

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/virt"
)

// TestBoardAgentDies: whatever happens to the agent, the board streams again without help.
func TestBoardAgentDies(t *testing.T) {
	eachArch(t, func(t *testing.T, arch string) {
		b := virt.Boot(t, virt.Options{Arch: arch})
		plays(t, b)
		b.Test("killed", func(t *testing.T) {
			before := agentPID(b)
			b.Sh("kill -9 " + before)
			b.Expect(`init: .* agent ended by signal 9`, playLimit)
			b.Expect(`init: .* agent started`, playLimit)
			plays(t, b)
			if after := agentPID(b); after == before {
				t.Errorf("process %s was killed and still runs", before)
			}
		})
		b.Test("stopped", func(t *testing.T) {
			begin := b.On()
			b.Sh("kill -STOP " + agentPID(b))
			b.Expect(`^U-Boot 20`, 2*time.Minute) // the watchdog's 30 s on a busy machine
			reset := b.On() - begin
			b.Await(2 * time.Minute)
			plays(t, b)
			if n := len(b.Lines(`^U-Boot 20`)); n != 2 {
				t.Errorf("U-Boot ran %d times, want 2", n)
			}
			t.Logf("the watchdog reset the board after %.0f s, it streams again after %.0f s", reset.Seconds(),
				(b.On() - begin).Seconds())
		})
	})
}

// TestBoardData: a full or damaged data partition costs no more than what was on it.
func TestBoardData(t *testing.T) {
	eachArch(t, func(t *testing.T, arch string) {
		b := virt.Boot(t, virt.Options{Arch: arch})
		plays(t, b)
		b.Test("full", func(t *testing.T) { dataFull(t, b) })
		b.Test("files", func(t *testing.T) { dataFiles(t, b) })
		b.Test("superblock", func(t *testing.T) { dataSuperblock(t, b) })
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

// dataFiles damages what the agent keeps: a new viewer replaces those whose file is lost, the defaults stand in for a
// configuration, and both files are kept for a person to look at.
func dataFiles(t *testing.T, b *virt.Board) {
	before := b.URL("main")
	garbage := static(3000)
	b.Put("/data/agent/viewers.json", garbage, 0o600)
	b.Put("/data/agent/config.yaml", garbage, 0o644)
	b.Sh("kill -9 " + agentPID(b))
	b.Expect(`configuration damaged.*set aside`, playLimit)
	b.Expect(`viewers file is damaged`, playLimit)
	b.Expect(`the password is shown this once`, playLimit)
	plays(t, b)
	if b.URL("main") == before {
		t.Error("a viewer outlived his file")
	}
	for _, name := range []string{"viewers.json", "config.yaml"} {
		if got := b.Get("/data/agent/" + name + ".corrupt"); !bytes.Equal(got, garbage) {
			t.Errorf("%s is not kept: %d bytes", name, len(got))
		}
	}
}

// dataSuperblock overwrites the beginning of the file system: init finds the agent's files by its copy.
func dataSuperblock(t *testing.T, b *virt.Board) {
	before := b.Get("/data/agent/viewers.json")
	offset, _ := b.Partition("data")
	b.PowerOff()
	b.Damage(offset, static(16<<10))
	b.Start()
	if n := len(b.Lines(`init: .* data: .* gone after a reset`)); n != 1 {
		t.Errorf("init says %d times that the disk is damaged, want once", n)
	}
	if after := b.Get("/data/agent/viewers.json"); !bytes.Equal(before, after) {
		t.Errorf("the viewers are not kept: got %s, want %s", after, before)
	}
	plays(t, b) // with the password of before
}

// dataEverything leaves nothing of the partition but static.
func dataEverything(t *testing.T, b *virt.Board) {
	offset, size := b.Partition("data")
	b.PowerOff()
	b.Damage(offset, static(int(size)))
	passwords := len(b.Lines(`the password is shown this once`))
	b.Start()
	if n := len(b.Lines(`init: .* data: nothing can be read`)); n != 1 {
		t.Errorf("init says %d times that nothing can be read, want once", n)
	}
	b.Expect(`the password is shown this once`, playLimit)
	plays(t, b)
	if n := len(b.Lines(`the password is shown this once`)); n != passwords+1 {
		t.Errorf("%d passwords, want one more than %d", n, passwords)
	}
}

// static is bytes that are no text and no file system, the same at each run.
func static(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte([]byte(strings.Repeat("static..", 4))))
	_, _ = r.Read(b)
	return b
}
