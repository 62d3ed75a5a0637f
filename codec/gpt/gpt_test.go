package gpt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// look returns a tool of administrators, whose folders are not in everybody's PATH.
func look(t *testing.T, name, pkg string) string {
	t.Helper()
	for _, tool := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if _, err := exec.LookPath(tool); err == nil {
			return tool
		}
	}
	t.Skipf("%s is not here (package %s)", name, pkg)
	return ""
}

func TestSgdiskAcceptsTheTable(t *testing.T) {
	t.Parallel()
	tool := look(t, "sgdisk", "gdisk")
	const size = 8 << 20
	head, tail, err := Build("test", size, []Partition{
		{"boot", 1 << 20, 2 << 20, true, 0}, {"env", 3 << 20, 1 << 20, false, 0},
		{"data", 4 << 20, size - 4<<20 - Reserve + Sector, false, 0}})
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

// TestHybrid lets fdisk and sgdisk look at a disk whose boot ROM knows no GPT.
func TestHybrid(t *testing.T) {
	t.Parallel()
	fdisk, sgdisk := look(t, "sfdisk", "fdisk"), look(t, "sgdisk", "gdisk")
	const size = 8 << 20
	head, tail, err := Build("test", size, []Partition{
		{"boot", 1 << 20, 2 << 20, true, 0x0c}, {"data", 3 << 20, 4 << 20, false, 0}})
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
	said, err := exec.CommandContext(t.Context(), sgdisk, "-v", "-p", name).CombinedOutput()
	for _, want := range []string{"No problems found", "boot", "data"} {
		if err != nil || !strings.Contains(string(said), want) {
			t.Errorf("sgdisk: no %q: %v\n%s", want, err, said)
		}
	}
	said, err = exec.CommandContext(t.Context(), fdisk, "--label-nested", "dos", "-d", name).CombinedOutput()
	for _, want := range []string{"1 : start=        2048, size=        4096, type=c",
		"4 : start=           1, size=        2047, type=ee"} {
		if err != nil || !strings.Contains(string(said), want) {
			t.Errorf("sfdisk: no %q: %v\n%s", want, err, said)
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
		"in the tables": {1 << 20, []Partition{{"a", Sector, Sector, false, 0}}},
		"overlap":       {1 << 20, []Partition{{"a", 1 << 16, 1 << 16, false, 0}, {"b", 1 << 16, 1 << 16, false, 0}}},
		"odd start":     {1 << 20, []Partition{{"a", 1<<16 + 1, Sector, false, 0}}},
		"beyond":        {1 << 20, []Partition{{"a", 1 << 16, 1 << 20, false, 0}}},
		"last sector":   {1 << 20, []Partition{{"a", 1 << 16, 1<<20 - 1<<16, false, 0}}},
		"four in the MBR": {1 << 20, []Partition{{"a", 1 << 16, Sector, false, 12}, {"b", 1<<16 + 512, Sector, false, 12},
			{"c", 1<<16 + 1024, Sector, false, 12}, {"d", 1<<16 + 1536, Sector, false, 12}}},
		"long name": {1 << 20, []Partition{{strings.Repeat("a", 37), 1 << 16, Sector, false, 0}}},
	} {
		if _, _, err := Build("test", c.size, c.partitions); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestParseReadsWhatBuildWrites(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	want := []Partition{{"boot", 1 << 20, 2 << 20, true, 0}, {"slot-\u00e4", 3 << 20, 1 << 20, false, 0},
		{strings.Repeat("n", 36), 5 << 20, Sector, false, 0}}
	head, _, err := Build("test", size, want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Parse(head); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for name, at := range map[string]int{"signature": Sector, "header": Sector + 57, "table": 2*Sector + 56} {
		damaged := bytes.Clone(head)
		damaged[at] ^= 1
		if _, err := Parse(damaged); !errors.Is(err, ErrTable) {
			t.Errorf("%s damaged: got %v", name, err)
		}
	}
	if _, err := Parse(head[:Reserve-1]); !errors.Is(err, ErrTable) {
		t.Errorf("short: got %v", err)
	}
}

// FuzzParse makes the sums right, so that it gets behind them.
func FuzzParse(f *testing.F) {
	head, _, err := Build("test", 8<<20, []Partition{{"boot", 1 << 20, 2 << 20, true, 0}, {"env", 3 << 20, 1 << 20, false, 0}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(head[Sector:][:headerSize], head[2*Sector:][:2*entrySize])
	f.Fuzz(func(t *testing.T, header, table []byte) {
		b := make([]byte, Reserve)
		copy(b[Sector:][:headerSize], header)
		copy(b[2*Sector:], table)
		le := binary.LittleEndian
		le.PutUint32(b[Sector+88:], crc32.ChecksumIEEE(b[2*Sector:]))
		clear(b[Sector+16:][:4])
		le.PutUint32(b[Sector+16:], crc32.ChecksumIEEE(b[Sector:][:headerSize]))
		list, err := Parse(b)
		for _, p := range list {
			if err != nil || p.Start < Reserve || p.Size <= 0 || p.Start%Sector != 0 {
				t.Errorf("got %+v, %v", p, err)
			}
		}
	})
}
