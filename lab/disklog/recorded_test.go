package disklog

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recorded unpacks a log of testdata. bootenv.log: QEMU 7.2, Linux 6.1 on arm64, a blank disk of 1 MiB as /dev/vda, to
// which hal/ubootenv wrote a record (both copies, since neither was whole) and then changed it (one copy).
func recorded(t *testing.T, name string) *Log {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, b)
}

// recordAt returns the variables of a copy of the boot record, empty where it is not whole.
func recordAt(d io.ReaderAt, offset int64) string {
	b := make([]byte, 0x4000)
	_, err := d.ReadAt(b, offset)
	if err != nil || binary.LittleEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:]) {
		return ""
	}
	return strings.ReplaceAll(string(bytes.TrimRight(b[4:], "\x00")), "\x00", " ") + " "
}

// TestRecordedBootEnv cuts the power at every point of a run that QEMU recorded: once the first write of the record was
// flushed, one copy is whole at least, and what counts is one of the two records that were written.
func TestRecordedBootEnv(t *testing.T) {
	t.Parallel()
	l := recorded(t, "bootenv.log")
	const size, second = 1 << 20, 0x80000
	base := NewDisk(bytes.NewReader(nil), size)
	states, seen, flushes := 0, map[string]int{}, 0
	for s, err := range l.States(base, Plan{Exhaustive: 8}) {
		if err != nil {
			t.Fatal(err)
		}
		states++
		flushed := slices.Contains(l.Durable(s.Cut.Before), true)
		current := ""
		for _, copy := range []string{recordAt(s.Disk, 0), recordAt(s.Disk, second)} {
			if strings.Contains(copy, "st_seq=2 ") || current == "" {
				current = copy
			}
		}
		switch {
		case current == "" && !flushed:
			seen["nothing"]++
		case strings.Contains(current, "st_seq=1 ") && strings.Contains(current, "st_try=none "):
			seen["first"]++
		case strings.Contains(current, "st_seq=2 ") && strings.Contains(current, "st_try=b "):
			seen["second"]++
		default:
			t.Fatalf("%v: the record is %q", s.Cut, current)
		}
	}
	for _, e := range l.Entries {
		flushes += int(e.Flags & Flush)
	}
	t.Logf("%d requests, %d flushes, %d states: %v", len(l.Entries), flushes, states, seen)
	if flushes == 0 || len(seen) != 3 {
		t.Errorf("%v in %d states", seen, states)
	}
}
