package trust_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSize: the verifier costs a 32-bit ARM binary at most 300 kB beyond the cryptography that the agent has for TLS
// anyway. What is loaded counts: the file itself grows in steps of 64 KiB.
func TestSize(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds for another machine")
	}
	const most = 300_000
	dir := t.TempDir()
	size := func(name string) int64 {
		out := filepath.Join(dir, name)
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./testdata/size/"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm", "GOARM=7")
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, text)
		}
		return loaded(t, out)
	}
	without, with := size("without"), size("with")
	t.Logf("with %d, without %d: %d bytes", with, without, with-without)
	if with-without > most {
		t.Errorf("got %d bytes more, want at most %d", with-without, most)
	}
}

// loaded is how many bytes of an ELF file are code and data.
func loaded(t *testing.T, path string) (bytes int64) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && s.Type != elf.SHT_NOBITS {
			bytes += int64(s.Size)
		}
	}
	return bytes
}
