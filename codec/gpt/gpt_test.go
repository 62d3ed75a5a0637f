package gpt

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestSgdiskAcceptsTheTable(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("sgdisk")
	if err != nil {
		if tool, err = exec.LookPath("/usr/sbin/sgdisk"); err != nil {
			t.Skip("sgdisk is not here (package gdisk)")
		}
	}
	const size = 8 << 20
	head, tail, err := Build("test", size, []Partition{
		{"boot", 1 << 20, 2 << 20, true}, {"env", 3 << 20, 1 << 20, false},
		{"data", 4 << 20, size - 4<<20 - Reserve + Sector, false}})
	if err != nil {
		t.Fatal(err)
	}
	disk := make([]byte, size)
	copy(disk, head)
	copy(disk[size-len(tail):], tail)
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), tool, "-v", "-p", "-i", "1", name).CombinedOutput()
	for _, want := range []string{"No problems found", "env", "data", "EF00", "EFI system partition", "0000000000000004"} {
		if err != nil || !strings.Contains(string(said), want) {
			t.Fatalf("no %q: %v\n%s", want, err, said)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size       int64
		partitions []Partition
	}{
		"small disk":    {Reserve, nil},
		"odd disk":      {1<<20 + 1, nil},
		"in the tables": {1 << 20, []Partition{{"a", Sector, Sector, false}}},
		"overlap":       {1 << 20, []Partition{{"a", 1 << 16, 1 << 16, false}, {"b", 1 << 16, 1 << 16, false}}},
		"odd start":     {1 << 20, []Partition{{"a", 1<<16 + 1, Sector, false}}},
		"beyond":        {1 << 20, []Partition{{"a", 1 << 16, 1 << 20, false}}},
		"last sector":   {1 << 20, []Partition{{"a", 1 << 16, 1<<20 - 1<<16, false}}},
		"long name":     {1 << 20, []Partition{{strings.Repeat("a", 37), 1 << 16, Sector, false}}},
	} {
		if _, _, err := Build("test", c.size, c.partitions); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
