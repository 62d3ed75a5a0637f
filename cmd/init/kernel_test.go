package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKernelNote: of the records of before the newest panic's end is kept, and none is told twice.
func TestKernelNote(t *testing.T) {
	t.Parallel()
	long := "Panic#2 Part1\n" + strings.Repeat("<6>[    1.000000] a line\n", 1000) + "<0>[    9.000000] the end\n"
	for _, c := range []struct {
		name    string
		records map[string]string // in the order of their names
		want    string
	}{
		{"none", nil, ""},
		{"an oops", map[string]string{"dmesg-ramoops-0": "Oops#1 Part1\n<4>[    1.000000] it went on\n"}, ""},
		{"a panic", map[string]string{"dmesg-ramoops-0": "Panic#1 Part1\n<0>[    1.000000] dead\n"},
			"Panic#1 Part1\n<0>[    1.000000] dead\n"},
		{"two panics", map[string]string{"dmesg-ramoops-0": "Panic#1 Part1\nold\n", "dmesg-ramoops-1": "Panic#1 Part1\nnew\n"},
			"Panic#1 Part1\nnew\n"},
		{"a long one", map[string]string{"dmesg-ramoops-0": long}, long[len(long)-maxKernelNote:]},
	} {
		dir := t.TempDir()
		for name, text := range c.records {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o400); err != nil {
				t.Fatal(err)
			}
			when := time.Unix(1_700_000_000+int64(name[len(name)-1]), 0)
			if err := os.Chtimes(path, when, when); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{c.want, ""} {
			if got, err := takeKernelNote(dir); string(got) != want || err != nil {
				t.Errorf("%s: got %q, %v, want %q", c.name, got, err, want)
			}
		}
	}
}
