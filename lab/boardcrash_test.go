package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/lab/virt"
)

// begun is what the board tells of its starts and crashes.
type begun struct {
	Starts []struct {
		Why, Text, Ended string
		Board            bool
	}
	Crashes []struct {
		Cause, Text string
		Stack, Log  []string
		Build       struct {
			Slot string
			ID   string `json:"build_id"`
		}
	}
}

func boots(t *testing.T, b *virt.Board) (told begun) {
	t.Helper()
	if err := json.Unmarshal([]byte(b.Camctl("call", "board", "boots")), &told); err != nil || len(told.Starts) == 0 {
		t.Fatalf("boots: %v, %+v", err, told)
	}
	return told
}

// remembers checks why the last start was.
func remembers(t *testing.T, b *virt.Board, why, text string, board bool) begun {
	t.Helper()
	told := boots(t, b)
	if s := told.Starts[0]; s.Why != why || !strings.Contains(s.Text, text) || s.Board != board {
		t.Errorf("the board says %+v of its start, want %s, %q, of the whole board %v", s, why, text, board)
	}
	return told
}

// boardDies: what the agent died of is known to the next one, though the board has no disk for it: init saw the end,
// the runtime's last words lay in memory.
func boardDies(t *testing.T, b *virt.Board) {
	b.Sh("kill -ABRT " + agentPID(b))
	b.Expect(`init: .* agent ended`, playLimit)
	b.Expect(`msg="the start before did not end in order".* why=panic`, playLimit)
	plays(t, b)
	c := remembers(t, b, "panic", "SIGABRT", false).Crashes[0]
	if c.Cause != "panic" || len(c.Stack) == 0 || len(c.Log) < 5 || c.Build.Slot != "a" || c.Build.ID == "" {
		t.Errorf("got %+v", c)
	}
	if size := b.Sh("stat -c %s /tmp/agent.crash.raw"); size != "0\n" {
		t.Errorf("the last words still lie open: %s bytes", size)
	}
}

// boardKernelDies: where a kernel has pstore, what it died of outlives the reset; armv7's has none.
func boardKernelDies(t *testing.T, b *virt.Board, arch string) {
	if arch != "arm64" {
		t.Skip("Debian's kernel of armv7 has no pstore")
	}
	b.AllowTrouble(`Kernel panic - not syncing: sysrq`)
	b.AllowTrouble(`Call trace`)
	b.Try("(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &")
	b.Expect(`Kernel panic`, playLimit)
	b.Await(playLimit)
	b.Expect(`msg="the start before did not end in order".* why=kernel`, playLimit)
	plays(t, b)
	c := remembers(t, b, "kernel", "Kernel panic - not syncing: sysrq triggered crash", true).Crashes[0]
	if c.Cause != "kernel" || !slices.ContainsFunc(c.Stack, func(f string) bool { return strings.HasPrefix(f, "__handle_sysrq+") }) ||
		len(c.Log) < 10 || c.Build.Slot != "a" {
		t.Errorf("got %+v", c)
	}
	t.Logf("the kernel died of %q: %d frames, the last lines %q", c.Text, len(c.Stack), c.Log)
	if left := b.Sh("stat -c '%a %u' /run/ended/kernel; mount -t pstore none /sys/fs/pstore; ls /sys/fs/pstore; umount /sys/fs/pstore"); left != "400 1000\n" {
		t.Errorf("the kernel's words: %q", left)
	}
}

// bundled fetches a support bundle of a board that the watchdog has reset: it has the record of it.
func bundled(t *testing.T, b *virt.Board) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bundle.tar.gz")
	b.Camctl("support", "board", "--yes", "-o", out)
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	files := unpackSupport(t, raw)
	var crashes []struct {
		Cause string
		Log   []string
	}
	if err := json.Unmarshal([]byte(files["crashes.json"]), &crashes); err != nil {
		t.Fatal(err)
	}
	if len(crashes) < 3 || crashes[0].Cause != "watchdog" || len(crashes[0].Log) == 0 {
		t.Errorf("got %+v", crashes)
	}
	for name, words := range map[string]string{"storage.json": `"lifetime_write_kbytes"`, "hardware.txt": "vivid",
		"versions.json": `"slot": "a"`, "log.txt": "why=watchdog"} {
		if !strings.Contains(files[name], words) {
			t.Errorf("%s: no %q in it:\n%s", name, words, tail(files[name], 2000))
		}
	}
	mac := strings.TrimSpace(b.Sh("cat /sys/class/net/eth0/address"))
	label := strings.Split(b.Label(), ":")
	for name, text := range files {
		for _, secret := range []string{mac, label[3], label[4]} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
				t.Errorf("%s has %q in it", name, secret)
			}
		}
	}
	t.Logf("the bundle: %d bytes, %d crashes", len(raw), len(crashes))
}

// checkSelftest lets the board test itself. No network is on the air around it, which its radio can only call a fault.
func checkSelftest(t *testing.T, b *virt.Board) {
	t.Helper()
	var got struct {
		Passed bool
		Parts  []struct{ Part, Result, Text string }
	}
	raw := b.Camctl("call", "board", "selftest")
	if err := json.Unmarshal([]byte(raw), &got); err != nil {
		t.Fatal(err)
	}
	var results []string
	for _, p := range got.Parts {
		results = append(results, p.Part+" "+p.Result)
	}
	want := []string{"lamp absent", "button absent", "camera pass", "radio fail", "storage pass", "vault pass",
		"watchdog pass"}
	if !slices.Equal(results, want) {
		t.Errorf("got %s", raw)
	}
}
