package rawstore

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/ocellus/ocellus/hal"
)

func noLock() (func(), error) { return func() {}, nil }

func TestFileReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	for _, size := range []int{3 << 20, 1<<20 + 512, 20<<20 + 4096} {
		path := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := OpenFile(path, true)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, size)
		random := rand.New(rand.NewPCG(1, 2))
		for range 60 {
			n := random.IntN(min(1<<20, size))
			at := random.IntN(size - n)
			for i := range want[at : at+n] {
				want[at+i] = byte(random.Uint32())
			}
			if _, err := f.WriteAt(want[at:at+n], int64(at)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, random.IntN(min(3<<20, size)))
			at = random.IntN(size - len(got))
			if err := readFull(f, got, int64(at)); err != nil {
				t.Fatalf("read %d bytes at %d: %v", len(got), at, err)
			}
			if !bytes.Equal(got, want[at:at+len(got)]) {
				t.Fatalf("%d bytes at %d are not those that were written", len(got), at)
			}
		}
		if _, err := f.WriteAt([]byte("x"), int64(size)); err == nil {
			t.Error("a write behind the end works")
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAreaGolden pins the format of an area.
func TestAreaGolden(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, bytes.Repeat([]byte{0xff}, 256<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	a, err := NewArea("test", f, noLock)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"an identity", "its successor"} {
		if err := a.Store([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	const golden = "OCVAULT1\x02\x00\x00\x00\x00\x00\x00\x00\x0d\x00\x00\x00\x0f\x8a\x32\xdaits successor\x00\x00\x00"
	for _, offset := range []int64{0, 128 << 10} {
		got := make([]byte, len(golden))
		if err := readFull(f, got, offset); err != nil {
			t.Fatal(err)
		}
		if string(got) != golden {
			t.Errorf("copy at %d: got %q, want %q", offset, got, golden)
		}
	}
}

func FuzzArea(f *testing.F) {
	f.Add(formatArea(3, []byte("an identity"))[:64])
	f.Add([]byte(areaMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append(b, make([]byte, areaHeader)...)
		c := parseArea(b)
		if c.whole && !parseArea(formatArea(c.seq, c.data)).whole {
			t.Errorf("%q is whole, and not when it is written again", b)
		}
	})
}

func TestPartition(t *testing.T) {
	t.Parallel()
	sysfs := t.TempDir()
	for node, event := range map[string]string{
		"mmcblk0":    "MAJOR=179\nDEVNAME=mmcblk0\nDEVTYPE=disk\n",
		"mmcblk0p2":  "DEVNAME=mmcblk0p2\nDEVTYPE=partition\nPARTN=2\nPARTNAME=env\n",
		"mmcblk0p3":  "DEVNAME=mmcblk0p3\nPARTNAME=slot-a\n",
		"mmcblk01p3": "DEVNAME=mmcblk01p3\nPARTNAME=slot-a\n",
		"sda1":       "DEVNAME=sda1\nPARTNAME=env\n",
		"sdaa1":      "DEVNAME=sdaa1\nPARTNAME=env\n",
	} {
		dir := filepath.Join(sysfs, "class/block", node)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "uevent"), []byte(event), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// As the kernel has it: links, of a disk and of what is on it.
	for node, place := range map[string]string{"vda": "devices/block/vda", "vda9": "devices/block/vda/vda9"} {
		if err := os.MkdirAll(filepath.Join(sysfs, place), 0o755); err != nil {
			t.Fatal(err)
		}
		event := "DEVNAME=" + node + "\nPARTNAME=keys\n"
		if err := os.WriteFile(filepath.Join(sysfs, place, "uevent"), []byte(event), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../../"+place, filepath.Join(sysfs, "class/block", node)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ disk, name, want string }{
		{"", "keys", "/dev/vda9"}, {"vda", "keys", "/dev/vda9"},
		{"mmcblk0", "env", "/dev/mmcblk0p2"},
		{"mmcblk0", "slot-a", "/dev/mmcblk0p3"},
		{"sda", "env", "/dev/sda1"},
		{"", "env", ""},
		{"mmcblk0", "slot-b", ""},
		{"sdb", "env", ""},
	} {
		got, err := Partition(sysfs, c.disk, c.name)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s on %q: got %q, %v, want %q", c.name, c.disk, got, err, c.want)
		}
	}
	if got, err := Partitions(sysfs, "mmcblk0", "slot-a", "env"); err != nil || got[0] != "/dev/mmcblk0p3" ||
		got[1] != "/dev/mmcblk0p2" {
		t.Errorf("both: got %q, %v", got, err)
	}
	if _, err := Partition(sysfs, "", "slot-c"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
}

// brokenDisk fails after some writes.
type brokenDisk struct {
	*File
	left   int
	onSync error
}

func (d *brokenDisk) WriteAt(p []byte, offset int64) (int, error) {
	if d.left--; d.left < 0 {
		return 0, errors.New("input/output error")
	}
	return d.File.WriteAt(p, offset)
}

func (d *brokenDisk) Sync() error { return errors.Join(d.onSync, d.File.Sync()) }

// TestCommitRemembersFaults: whoever overlooked an error of a write or a flush gets it from Commit.
func TestCommitRemembersFaults(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	d := &brokenDisk{File: f, left: 1}
	s, err := OpenSlot("test", d, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteAt(make([]byte, 100), hal.SlotHead); err == nil {
		t.Fatal("the broken disk works")
	}
	d.left = 100
	_, _ = s.WriteAt([]byte("head"), 0)
	if s.Commit() == nil {
		t.Error("Commit after a failed write")
	}
	if s, err = OpenSlot("test", d, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	_, _ = s.WriteAt([]byte("head"), 0)
	d.onSync = errors.New("input/output error")
	if s.Commit() == nil {
		t.Error("Commit after a failed flush")
	}
	d.onSync = nil
	if s.Commit() == nil {
		t.Error("a second Commit after a failed flush")
	}
}
