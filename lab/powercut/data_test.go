package powercut

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/gpt"
	"github.com/ocellus/ocellus/lab/disklog"
)

// tool returns one of e2fsprogs' programs.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("NO_INSTALL") == "1" {
		t.Skipf("%s is not installed and NO_INSTALL=1 forbids to install it", name)
	}
	t.Fatalf("%s is not installed: make setup-test", name)
	return ""
}

// dataDisk is a file system with the agent's state in it.
func dataDisk(t *testing.T, files map[string]string) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "root"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, "root", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	image := filepath.Join(dir, "data.img")
	out, err := exec.CommandContext(t.Context(), tool(t, "mke2fs"), "-q", "-t", "ext4", "-L", "data", "-d",
		filepath.Join(dir, "root"), image, "4M").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// strictAgent stands in for the agent: it wants viewers.json to be whole. The lab's tests have the real one.
const strictAgent = `#!/bin/sh
[ "$1 $2" = "check --state" ] || exit 2
grep -q whole "$3/viewers.json" && exit 0
echo "viewers: not whole"
exit 1
`

func TestDataJudge(t *testing.T) {
	t.Parallel()
	tool(t, "debugfs")
	agent := filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(agent, []byte(strictAgent), 0o755); err != nil {
		t.Fatal(err)
	}
	const superblock = 1024 // where it begins
	for name, c := range map[string]struct {
		files  map[string]string
		damage func(image []byte)
		want   string // in the fault
		found  string
	}{
		"whole":    {map[string]string{"agent/viewers.json": "whole", "agent/.viewers.json.tmp": "ha"}, nil, "", "whole"},
		"half":     {map[string]string{"agent/viewers.json": "who"}, nil, "viewers: not whole", "who"},
		"no state": {map[string]string{"lost": ""}, nil, "", Absent},
		"directory": {map[string]string{"agent/viewers.json": "whole"}, func(b []byte) {
			at := bytes.Index(b, []byte("viewers.json"))
			b[at-2]++ // its length
		}, "e2fsck repairs more than the journal", ""},
		"superblock": {nil, func(b []byte) { b[superblock+100] ^= 1 }, "e2fsck: exit status", ""},
	} {
		image := dataDisk(t, c.files)
		if c.damage != nil {
			c.damage(image)
		}
		l := layout{"data": gpt.Partition{Name: "data", Size: int64(len(image))}}
		story := Story{}
		story.Tell("/agent/viewers.json", Absent)
		j, err := newDataJudge(l, Run{Base: bytes.NewReader(image), Story: story, Agent: agent,
			Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		k, err := j.look(t.Context(), disklog.NewDisk(bytes.NewReader(image), int64(len(image))))
		if err != nil {
			t.Fatal(err)
		}
		fault := strings.Join(k.faults, "; ")
		got := k.found["/agent/viewers.json"]
		if got != c.found || !strings.Contains(fault, c.want) || c.want == "" && fault != "" {
			t.Errorf("%s: got %q, faults %q; want %q, %q", name, got, fault, c.found, c.want)
		}
	}
}
